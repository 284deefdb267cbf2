//! W6: pages, lists, search and export over a large file, and retention in it.
//!
//! The file takes minutes to build, so it is kept beside the other data of the benchmark; what retention took away is
//! put back before the next run.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Bench;
use crate::figures::{Run, Series};
use crate::program::{Program, text};
use crate::receiver::Receiver;
use crate::{Fault, file, machine, sample};

const WEBHOOKS: usize = 5;
/// So long that nothing in the file is old: its rows keep their times from one run to the next.
const KEEP_ALL: &str = "36500d";
/// Of each page so many are fetched, unless that takes too long.
const LOOKS: usize = 200;
const LOOKS_TIME: Duration = Duration::from_secs(10);
/// The share of deliveries that retention is given to remove.
const OLD: f64 = 0.02;
const RETENTION_TIME: Duration = Duration::from_secs(120);

pub fn run(bench: &Bench) -> Result<Run, Fault> {
    let count = bench.scaled(1_000_000, 2_000);
    let dir = bench.dir.join(format!("history-{count}"));
    let mut run = Run::default();
    prepare(bench, &dir, count)?;
    let path = dir.join("miniback.db");
    run.add("feedbacks", "", count as f64);
    run.add("finished deliveries", "", (count * WEBHOOKS) as f64);
    run.add("file", "MiB", file::size(&path)?.0);

    let mut program = Program::start(&dir, &["--retention", KEEP_ALL])?;
    let started = program.started_in.as_secs_f64() * 1000.0;
    run.add("time to start", "ms", started);
    program.sign_in()?;
    let looked = look(bench, &program, count, &mut run).and_then(|()| export(&program, &mut run));
    looked.map_err(|fault| format!("{fault}\nthe log ends:\n{}", program.log()))?;
    program.stop()?;
    retention(&dir, &path, count, &mut run)?;
    Ok(run)
}

/// The file with all its rows: built, completed, or built anew when the program's schema is another.
fn prepare(bench: &Bench, dir: &Path, count: usize) -> Result<(), Fault> {
    let path = dir.join("miniback.db");
    let fresh = bench.new_dir()?;
    let schema = file::schema(&bench.empty_database(fresh.path())?)?;
    if path.exists() && file::schema(&path).ok().as_ref() != Some(&schema) {
        std::fs::remove_dir_all(dir)?;
    }
    if !path.exists() {
        let program = Program::start(dir, &[])?;
        program.new_project("Website")?;
        // Nothing is ever sent there: all is finished.
        let mut receiver = Receiver::start(true)?;
        for endpoint in 0..WEBHOOKS {
            program.new_webhook(&mut receiver, endpoint)?;
        }
        program.stop()?;
    }
    let program = Program::start(dir, &["--retention", KEEP_ALL])?;
    let list = program.call("/webhooks", None)?;
    let list = list["data"].as_array().cloned().unwrap_or_default();
    let ids = |webhook: &Value| text(&webhook["id"]);
    let webhooks: Vec<String> = list.iter().map(ids).collect::<Result<_, _>>()?;
    program.stop()?;
    file::build_history(&path, &webhooks, count)
}

fn look(bench: &Bench, program: &Program, count: usize, run: &mut Run) -> Result<(), Fault> {
    let list = program.call("/feedback?limit=1", None)?;
    let webhook = text(&program.call("/webhooks?limit=1", None)?["data"][0]["id"])?;
    let deliveries = format!("/settings/notifications/{webhook}/deliveries");
    let middle = file::feedback_id(count / 2);
    let (common, rare, absent) = (sample::COMMON_WORD, sample::RARE_WORD, sample::ABSENT_WORD);
    let page = "≤ 20";
    let search = "≤ 50";
    let pages = [
        ("/feedback", "/feedback".into(), page),
        ("/feedback, one status", "/feedback?status=NEW".into(), page),
        (
            "/feedback, in the middle",
            format!("/feedback?before={middle}"),
            page,
        ),
        (
            "search, a common word",
            format!("/feedback?q={common}"),
            search,
        ),
        ("search, a rare word", format!("/feedback?q={rare}"), search),
        (
            "search, an absent word",
            format!("/feedback?q={absent}"),
            search,
        ),
        ("notifications", "/settings/notifications".into(), page),
        ("deliveries", deliveries.clone(), page),
        (
            "deliveries, failed ones",
            format!("{deliveries}?state=failed"),
            page,
        ),
        (
            "deliveries, none of them",
            format!("{deliveries}?state=canceled"),
            page,
        ),
    ];
    if list["data"] == Value::Array(Vec::new()) {
        return Err("the file holds no feedback".into());
    }
    for (name, path, goal) in pages {
        let begun = Instant::now();
        let mut nanos = Vec::new();
        while nanos.len() < bench.count(LOOKS, 5) && begun.elapsed() < LOOKS_TIME {
            let answer = program.page(&path)?;
            if answer.status != 200 {
                return Err(format!("{path} answered {}", answer.status).into());
            }
            nanos.push(u64::try_from(answer.took.as_nanos())?);
        }
        let series = Series::new(nanos);
        run.add(format!("{name}: p50"), "ms", series.millis(0.5));
        run.add_with_goal(format!("{name}: p99"), "ms", series.millis(0.99), goal);
    }
    Ok(())
}

/// The files that `/feedback` offers for download.
fn export(program: &Program, run: &mut Run) -> Result<(), Fault> {
    let page = program.page("/feedback")?.text;
    for kind in ["csv", "json"] {
        let is_export = |link: &&str| link.contains("export") && link.contains(kind);
        let links = page.split("href=\"").skip(1);
        let mut links = links.filter_map(|rest| rest.split('"').next());
        let Some(link) = links.find(is_export) else {
            run.note(format!(
                "/feedback offers no export as {kind}: not measured"
            ));
            continue;
        };
        let link = link.replace("&amp;", "&");
        machine::forget_peak(program.pid())?;
        let before = machine::resident(program.pid());
        let begun = Instant::now();
        let bytes = program.download(&link)?;
        let seconds = begun.elapsed().as_secs_f64();
        let grown = machine::peak(program.pid()) - before;
        let mebibytes = bytes as f64 / (1024.0 * 1024.0);
        run.add(format!("export as {kind}"), "s", seconds);
        run.add(format!("export as {kind}: size"), "MiB", mebibytes);
        let goal = "constant";
        run.add_with_goal(
            format!("export as {kind}: memory"),
            "MiB",
            grown.max(0.0),
            goal,
        );
    }
    Ok(())
}

/// Starts the program so that the oldest deliveries are too old, and waits until they are gone.
fn retention(dir: &Path, path: &Path, count: usize, run: &mut Run) -> Result<(), Fault> {
    let oldest_kept = file::time_of((count as f64 * OLD) as usize);
    let old = file::finished_before(path, oldest_kept)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let keep = i64::try_from(now.as_millis())? - oldest_kept;
    let begun = Instant::now();
    let program = Program::start(dir, &["--retention", &format!("{keep}ms")])?;
    let mut left = old;
    while left > 0 && begun.elapsed() < RETENTION_TIME {
        std::thread::sleep(Duration::from_millis(100));
        left = file::finished_before(path, oldest_kept)?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    program.stop()?;
    let (size, free) = file::size(path)?;
    run.add("retention: removed", "deliveries", (old - left) as f64);
    run.add(
        "retention: removed per second",
        "/s",
        (old - left) as f64 / seconds,
    );
    run.add("retention: file after", "MiB", size);
    run.add("retention: free in it", "MiB", free);
    if left > 0 {
        run.note(format!(
            "retention was stopped after {RETENTION_TIME:?}: {left} were left"
        ));
    }
    Ok(())
}
