//! W5: a million deliveries wait for an endpoint that refuses connections; then it comes back. Does the cost of a
//! delivery grow with how many wait?

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::{Bench, repeated};
use crate::figures::{Run, Series};
use crate::program::Program;
use crate::receiver::Receiver;
use crate::records::Arrival;
use crate::{Fault, file, machine};

/// How many points the plot has.
const POINTS: usize = 50;
/// Between two looks at a page.
const PAUSE: Duration = Duration::from_millis(50);

pub fn run(bench: &Bench) -> Result<Run, Fault> {
    let count = bench.scaled(1_000_000, 2_000);
    let dir = bench.new_dir()?;
    let mut receiver = Receiver::start(false)?;
    let program = Program::start(dir.path(), &[])?;
    program.new_project("Website")?;
    let webhook = program.new_webhook(&mut receiver, 0)?;
    let path = program.database();
    program.stop()?;
    file::build_backlog(&path, &webhook, count)?;

    let mut run = Run::default();
    run.add("deliveries that wait", "", count as f64);
    run.add("file", "MiB", file::size(&path)?.0);
    let mut program = Program::start(dir.path(), &[])?;
    let started = program.started_in.as_secs_f64() * 1000.0;
    run.add_with_goal("time to start", "ms", started, "≤ 100");
    program.sign_in()?;
    let measured = measure(bench, &program, &mut receiver, &webhook, count, &mut run);
    measured.map_err(|fault| format!("{fault}\nthe log ends:\n{}", program.log()))?;
    Ok(run)
}

fn measure(
    bench: &Bench,
    program: &Program,
    receiver: &mut Receiver,
    webhook: &str,
    count: usize,
    run: &mut Run,
) -> Result<(), Fault> {
    let pages = [
        "/feedback".to_owned(),
        "/settings/notifications".to_owned(),
        format!("/settings/notifications/{webhook}/deliveries"),
    ];
    // Signing in hashed a password.
    machine::forget_peak(program.pid())?;
    let mut looks = Looks::default();
    let down = Instant::now() + Duration::from_secs(bench.seconds(10, 1));
    while Instant::now() < down {
        looks.look(program, &pages)?;
    }
    run.add(
        "pages while it is down p99",
        "ms",
        looks.series().millis(0.99),
    );

    let before = program.usage()?;
    receiver.up()?;
    // A tenth of what is to be expected ends the run.
    let patience = Duration::from_secs(120) + Duration::from_millis(count as u64 * 5);
    let deadline = Instant::now() + patience;
    while receiver.wait(count, PAUSE)?.answered < count {
        if Instant::now() > deadline {
            let come = receiver.wait(count, Duration::ZERO)?;
            return Err(format!("{} of {count} came within {patience:?}", come.answered).into());
        }
        looks.look(program, &pages)?;
    }
    program.wait_until_recorded(&[webhook.to_owned()], Duration::from_secs(60))?;
    let spent = program.usage()?.since(&before);
    let mut arrivals = receiver.take()?;
    let distinct: HashSet<u128> = arrivals.iter().map(|one| one.feedback).collect();
    if distinct.len() != count {
        return Err(format!("{} of {count} deliveries came", distinct.len()).into());
    }
    arrivals.sort_unstable_by_key(|one| one.at);

    let tenth = arrivals.len() / 10;
    let first = rate(&arrivals[..tenth]);
    let last = rate(&arrivals[arrivals.len() - tenth..]);
    run.add("drained", "/s", rate(&arrivals));
    run.add("drained, first 10 %", "/s", first);
    run.add("drained, last 10 %", "/s", last);
    run.add_with_goal("last 10 % ÷ first 10 %", "", last / first, "≥ 0.9");
    run.add_cpu(&spent, count, "");
    run.add_with_goal("peak resident", "MiB", machine::peak(program.pid()), "≤ 96");
    run.add_with_goal(
        "pages meanwhile p99",
        "ms",
        looks.series().millis(0.99),
        "≤ 50",
    );
    for (page, nanos) in ["feedback", "notifications", "deliveries"]
        .iter()
        .zip(&looks.nanos)
    {
        let series = Series::new(nanos.clone());
        run.add(format!("page {page} p50"), "ms", series.millis(0.5));
        run.add(format!("page {page} p99"), "ms", series.millis(0.99));
    }
    run.add("sent more than once", "", repeated(&arrivals) as f64);
    for part in arrivals.chunks((arrivals.len() / POINTS).max(2)) {
        let waiting = count.saturating_sub(part.len() * run.curve.len());
        run.curve.push((waiting as f64, rate(part)));
    }
    Ok(())
}

/// How many a second came, from the first to the last.
fn rate(arrivals: &[Arrival]) -> f64 {
    let ends = arrivals.first().zip(arrivals.last());
    let nanos = ends.map_or(0, |(first, last)| last.at - first.at);
    (arrivals.len().saturating_sub(1)) as f64 / (nanos.max(1) as f64 / 1e9)
}

/// How long each page took.
#[derive(Default)]
struct Looks {
    nanos: [Vec<u64>; 3],
}

impl Looks {
    fn look(&mut self, program: &Program, pages: &[String; 3]) -> Result<(), Fault> {
        for (page, nanos) in pages.iter().zip(&mut self.nanos) {
            let answer = program.page(page)?;
            if answer.status != 200 {
                return Err(format!("{page} answered {}", answer.status).into());
            }
            nanos.push(u64::try_from(answer.took.as_nanos())?);
        }
        Ok(())
    }

    fn series(&self) -> Series {
        Series::new(self.nanos.concat())
    }
}
