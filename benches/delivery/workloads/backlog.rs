//! W5: an endpoint with a million pending deliveries becomes available again. Measures whether the
//! cost of a delivery grows with the backlog.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::{PEAK_MEMORY_GOAL, count_duplicates};
use crate::bench::Bench;
use crate::metrics::{Durations, Run};
use crate::program::Program;
use crate::protocol::Arrival;
use crate::receiver::Receiver;
use crate::{Error, database, system};

/// The approximate number of points in the plot.
const POINTS: usize = 50;
/// The time between two requests for the same page, in milliseconds. At this interval, the requests
/// don't noticeably slow down the deliveries.
const PAGE_INTERVAL: u64 = 500;
const QUICK_PAGE_INTERVAL: u64 = 50;

pub fn run(bench: &Bench) -> Result<Run, Error> {
    let count = bench.scaled(1_000_000, 1_000);
    let dir = bench.new_dir()?;
    let mut receiver = Receiver::start(false)?;
    let program = bench.start_program(dir.path(), &[])?;
    program.create_project("Website")?;
    let webhook = program.create_webhook(&mut receiver, 0)?;
    let path = program.database();
    program.stop()?;
    database::build_backlog(&path, &webhook, count)?;

    let mut run = Run::default();
    run.record("pending deliveries", "", count as f64);
    run.record("database", "MiB", database::database_size(&path)?.0);
    let mut program = bench.start_program(dir.path(), &[])?;
    let startup = program.startup_time.as_secs_f64() * 1000.0;
    run.record_with_goal("startup time", "ms", startup, "≤ 100");
    program.sign_in()?;
    let measured = measure(bench, &program, &mut receiver, &webhook, count, &mut run);
    measured.map_err(|error| program.with_log(error))?;
    Ok(run)
}

fn measure(
    bench: &Bench,
    program: &Program,
    receiver: &mut Receiver,
    webhook: &str,
    count: usize,
    run: &mut Run,
) -> Result<(), Error> {
    let pages = [
        "/feedback".to_owned(),
        "/settings/notifications".to_owned(),
        format!("/settings/notifications/{webhook}/deliveries"),
    ];
    // Exclude the memory for hashing the password at sign-in.
    system::reset_peak_memory(program.pid())?;
    let page_interval = Duration::from_millis(bench.time(PAGE_INTERVAL, QUICK_PAGE_INTERVAL));
    let mut page_times = PageTimes::default();
    let down_until = Instant::now() + Duration::from_secs(bench.time(10, 1));
    while Instant::now() < down_until {
        std::thread::sleep(page_interval);
        page_times.measure(program, &pages)?;
    }
    let p99 = page_times.all().millis(0.99);
    run.record("pages while the endpoint is down p99", "ms", p99);
    page_times = PageTimes::default();

    let before = program.usage()?;
    receiver.listen()?;
    // Stop a run that drains fewer than about 200 deliveries per second.
    let timeout = Duration::from_secs(120) + Duration::from_millis(count as u64 * 5);
    let deadline = Instant::now() + timeout;
    while receiver.wait(count, page_interval)?.arrived < count {
        if Instant::now() > deadline {
            let arrived = receiver.wait(count, Duration::ZERO)?.arrived;
            let message = format!("{arrived} of {count} deliveries arrived within {timeout:?}");
            return Err(message.into());
        }
        page_times.measure(program, &pages)?;
    }
    program.wait_until_recorded(&[webhook.to_owned()], Duration::from_secs(60))?;
    let spent = program.usage()?.since(&before);
    let mut arrivals = receiver.take_arrivals()?;
    let distinct: HashSet<u128> = arrivals.iter().map(|a| a.feedback).collect();
    let arrived = distinct.len();
    if arrived != count {
        return Err(format!("{arrived} of {count} deliveries arrived").into());
    }
    arrivals.sort_unstable_by_key(|arrival| arrival.at);

    record_rates(run, &arrivals, count);
    run.record_cpu(&spent, count);
    run.record_note("CPU time includes the page requests during the drain");
    page_times.record_in(run);
    let peak = system::peak_memory(program.pid());
    run.record_with_goal("peak memory", "MiB", peak, PEAK_MEMORY_GOAL);
    run.record(
        "duplicate deliveries",
        "",
        count_duplicates(&arrivals) as f64,
    );
    Ok(())
}

/// Records the delivery rates of the whole drain, of its first tenth, and of its last tenth. Also
/// records the curve for the plot.
fn record_rates(run: &mut Run, arrivals: &[Arrival], count: usize) {
    let tenth = arrivals.len() / 10;
    let first = rate(&arrivals[..tenth]);
    let last = rate(&arrivals[arrivals.len() - tenth..]);
    run.record("drained", "/s", rate(arrivals));
    run.record("drained, first 10%", "/s", first);
    run.record("drained, last 10%", "/s", last);
    run.record_with_goal("last 10% ÷ first 10%", "", last / first, "≥ 0.9");
    for part in arrivals.chunks((arrivals.len() / POINTS).max(2)) {
        let pending = count.saturating_sub(part.len() * run.curve.len());
        run.curve.push((pending as f64, rate(part)));
    }
}

/// Computes the arrivals per second, from the first to the last arrival.
fn rate(arrivals: &[Arrival]) -> f64 {
    let ends = arrivals.first().zip(arrivals.last());
    let nanos = ends.map_or(0, |(first, last)| last.at - first.at);
    (arrivals.len().saturating_sub(1)) as f64 / (nanos.max(1) as f64 / 1e9)
}

/// Response times of the three pages, in nanoseconds.
#[derive(Default)]
struct PageTimes {
    nanos: [Vec<u64>; 3],
}

impl PageTimes {
    fn measure(&mut self, program: &Program, pages: &[String; 3]) -> Result<(), Error> {
        for (page, nanos) in pages.iter().zip(&mut self.nanos) {
            nanos.push(program.time_page(page)?);
        }
        Ok(())
    }

    fn record_in(&self, run: &mut Run) {
        let p99 = self.all().millis(0.99);
        run.record_with_goal("pages during the drain p99", "ms", p99, "≤ 50");
        let names = ["feedback", "notifications", "deliveries"];
        for (page, nanos) in names.iter().zip(&self.nanos) {
            let series = Durations::new(nanos.clone());
            run.record(format!("page {page} p50"), "ms", series.millis(0.5));
            run.record(format!("page {page} p99"), "ms", series.millis(0.99));
        }
    }

    fn all(&self) -> Durations {
        Durations::new(self.nanos.concat())
    }
}
