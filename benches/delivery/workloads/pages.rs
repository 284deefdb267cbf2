//! W6: pages, lists, search, export, and retention in a large database.
//!
//! The database takes minutes to build, so it's reused between runs. Rows that retention deleted
//! are inserted again before the next run.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::{Bench, empty_database};
use crate::metrics::{Durations, Run};
use crate::program::{Program, string_value};
use crate::receiver::Receiver;
use crate::{Error, database, sample, system};

const WEBHOOK_COUNT: usize = 5;
/// A retention period so long that no row expires. Rows can be years old.
const UNLIMITED_RETENTION: &str = "36500d";
/// The number of times that each page is fetched, unless [`FETCH_TIME`] passes first.
const FETCHES_MAX: usize = 200;
const FETCH_TIME: Duration = Duration::from_secs(10);
/// Time limit for indexing a new database for search.
const INDEXING_TIMEOUT: Duration = Duration::from_secs(1800);
/// The share of deliveries that expire in [`measure_retention`].
const EXPIRED_SHARE: f64 = 0.02;
/// Time limit for deleting the expired deliveries.
const RETENTION_TIMEOUT: Duration = Duration::from_secs(120);

pub fn run(bench: &Bench) -> Result<Run, Error> {
    let count = bench.scaled(1_000_000, 2_000);
    let dir = bench.dir.join(format!("history-{count}"));
    let mut run = Run::default();
    prepare_database(bench, &dir, count)?;
    let path = dir.join("miniback.db");
    run.record("feedback items", "", count as f64);
    run.record("finished deliveries", "", (count * WEBHOOK_COUNT) as f64);
    run.record("database", "MiB", database::database_size(&path)?.0);

    let mut program = bench.start_program(&dir, &["--retention", UNLIMITED_RETENTION])?;
    let startup = program.startup_time.as_secs_f64() * 1000.0;
    run.record("startup time", "ms", startup);
    program.sign_in()?;
    let indexing_time = database::wait_for_search(&path, INDEXING_TIMEOUT)?;
    run.record(
        "time until all feedback is indexed",
        "s",
        indexing_time.as_secs_f64(),
    );
    let result = measure_pages(bench, &program, count, &mut run)
        .and_then(|()| measure_export(&program, &mut run));
    result.map_err(|error| program.with_log(error))?;
    program.stop()?;
    measure_retention(bench, &dir, &path, count, &mut run)?;
    Ok(run)
}

/// Builds the database, or inserts the missing rows into an existing database. If the program's
/// schema has changed, rebuilds the database.
fn prepare_database(bench: &Bench, dir: &Path, count: usize) -> Result<(), Error> {
    let path = dir.join("miniback.db");
    let fresh = bench.new_dir()?;
    let schema = database::read_schema(&empty_database(fresh.path())?)?;
    if path.exists() && database::read_schema(&path).ok().as_ref() != Some(&schema) {
        std::fs::remove_dir_all(dir)?;
    }
    if !path.exists() {
        let program = bench.start_program(dir, &[])?;
        program.create_project("Website")?;
        // `build_history` adds only finished deliveries, so nothing is sent to these webhooks.
        let mut receiver = Receiver::start(true)?;
        for endpoint in 0..WEBHOOK_COUNT {
            program.create_webhook(&mut receiver, endpoint)?;
        }
        program.stop()?;
    }
    let program = bench.start_program(dir, &["--retention", UNLIMITED_RETENTION])?;
    let list = program.call("/webhooks", None)?;
    let list = list["data"].as_array().cloned().unwrap_or_default();
    let ids = |webhook: &Value| string_value(&webhook["id"]);
    let webhooks: Vec<String> = list.iter().map(ids).collect::<Result<_, _>>()?;
    program.stop()?;
    database::build_history(&path, &webhooks, count)
}

/// Measures the response times of the main pages.
fn measure_pages(
    bench: &Bench,
    program: &Program,
    count: usize,
    run: &mut Run,
) -> Result<(), Error> {
    let list = program.call("/feedback?limit=1", None)?;
    let webhook = string_value(&program.call("/webhooks?limit=1", None)?["data"][0]["id"])?;
    let deliveries = format!("/settings/notifications/{webhook}/deliveries");
    let all_deliveries = "/settings/notifications/deliveries";
    let middle_index = (count / 2).next_multiple_of(database::EMAIL_INTERVAL);
    let middle = database::feedback_id(middle_index);
    let email = database::email(middle_index);
    let (common, rare, absent) = (sample::COMMON_WORD, sample::RARE_WORD, sample::ABSENT_WORD);
    let page = "≤ 20";
    let search = "≤ 50";
    let pages = [
        ("/feedback", "/feedback".into(), page),
        ("/feedback by status", "/feedback?status=NEW".into(), page),
        (
            "/feedback from the middle",
            format!("/feedback?before={middle}"),
            page,
        ),
        (
            "search for a common word",
            format!("/feedback?q={common}"),
            search,
        ),
        (
            "search for a rare word",
            format!("/feedback?q={rare}"),
            search,
        ),
        (
            "search for an absent word",
            format!("/feedback?q={absent}"),
            search,
        ),
        ("search for two letters", "/feedback?q=qu".into(), search),
        (
            "search for an email",
            format!("/feedback?q={email}"),
            search,
        ),
        ("feedback with an email", "/feedback?email=1".into(), page),
        ("notifications", "/settings/notifications".into(), page),
        ("deliveries", deliveries.clone(), page),
        (
            "failed deliveries",
            format!("{deliveries}?state=failed"),
            page,
        ),
        (
            "canceled deliveries (none)",
            format!("{deliveries}?state=canceled"),
            page,
        ),
        ("all deliveries", all_deliveries.into(), page),
        (
            "all test deliveries (none)",
            format!("{all_deliveries}?event=test"),
            search,
        ),
    ];
    if list["data"] == Value::Array(Vec::new()) {
        return Err("the database contains no feedback".into());
    }
    for (name, path, goal) in pages {
        let times = measure_page(bench, program, &path)?;
        run.record(format!("{name}: p50"), "ms", times.millis(0.5));
        run.record_with_goal(format!("{name}: p99"), "ms", times.millis(0.99), goal);
    }
    Ok(())
}

/// Fetches a page repeatedly and returns its response times.
fn measure_page(bench: &Bench, program: &Program, path: &str) -> Result<Durations, Error> {
    let started = Instant::now();
    let mut nanos = Vec::new();
    while nanos.len() < bench.count(FETCHES_MAX, 5) && started.elapsed() < FETCH_TIME {
        nanos.push(program.time_page(path)?);
    }
    Ok(Durations::new(nanos))
}

/// Measures the exports that `/feedback` links to.
fn measure_export(program: &Program, run: &mut Run) -> Result<(), Error> {
    let page = program.page("/feedback")?.text;
    for kind in ["CSV", "JSON"] {
        let format = kind.to_lowercase();
        let is_export = |link: &&str| link.contains("export") && link.contains(&format);
        let links = page.split("href=\"").skip(1);
        let mut links = links.filter_map(|rest| rest.split('"').next());
        let Some(link) = links.find(is_export) else {
            run.record_note(format!("Not measured: /feedback has no {kind} export"));
            continue;
        };
        let link = link.replace("&amp;", "&");
        system::reset_peak_memory(program.pid())?;
        let before = system::resident_memory(program.pid());
        let started = Instant::now();
        let bytes = program.download(&link)?;
        let seconds = started.elapsed().as_secs_f64();
        let growth = system::peak_memory(program.pid()) - before;
        let mebibytes = bytes as f64 / (1024.0 * 1024.0);
        run.record(format!("{kind} export"), "s", seconds);
        run.record(format!("{kind} export: size"), "MiB", mebibytes);
        let goal = "constant";
        run.record_with_goal(
            format!("{kind} export: additional memory"),
            "MiB",
            growth.max(0.0),
            goal,
        );
    }
    Ok(())
}

/// Measures retention. Starts the program with a retention that makes the oldest deliveries expire,
/// and waits until they are deleted or [`RETENTION_TIMEOUT`] has passed.
fn measure_retention(
    bench: &Bench,
    dir: &Path,
    path: &Path,
    count: usize,
    run: &mut Run,
) -> Result<(), Error> {
    let oldest_kept = database::feedback_time((count as f64 * EXPIRED_SHARE) as usize);
    let expired = database::count_finished_before(path, oldest_kept)?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?;
    let keep = i64::try_from(now.as_millis())? - oldest_kept;
    let started = Instant::now();
    let program = bench.start_program(dir, &["--retention", &format!("{keep}ms")])?;
    let mut remaining = expired;
    while remaining > 0 && started.elapsed() < RETENTION_TIMEOUT {
        std::thread::sleep(Duration::from_millis(100));
        remaining = database::count_finished_before(path, oldest_kept)?;
    }
    let seconds = started.elapsed().as_secs_f64();
    program.stop()?;
    let (size, free) = database::database_size(path)?;
    run.record(
        "retention: deleted",
        "deliveries",
        (expired - remaining) as f64,
    );
    run.record(
        "retention: deleted per second",
        "/s",
        (expired - remaining) as f64 / seconds,
    );
    run.record("retention: database afterwards", "MiB", size);
    run.record("retention: free pages", "MiB", free);
    if remaining > 0 {
        run.record_note(format!(
            "Retention was stopped after {RETENTION_TIMEOUT:?}, with {remaining} deliveries left"
        ));
    }
    Ok(())
}
