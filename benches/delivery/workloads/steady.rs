//! W3: a load that the program handles easily. Measures the time from the acknowledgment of
//! feedback to the arrival of its delivery.

use std::time::Duration;

use super::{TestBed, acceptance_times, acceptance_to_arrival, wait_for_arrivals};
use crate::bench::Bench;
use crate::metrics::Run;
use crate::{Error, baselines, generator};

const P50_AT_50: &str = "≤ 0.6";
const P99_AT_50: &str = "≤ 2";
const P99_AT_1000: &str = "≤ 10";

pub fn run(bench: &Bench) -> Result<Run, Error> {
    let mut run = Run::default();
    for (rate, p50, p99) in [(50, P50_AT_50, P99_AT_50), (1000, "", P99_AT_1000)] {
        let mut bed = TestBed::new(bench, 1)?;
        measure_at_rate(bench, &mut bed, rate, (p50, p99), &mut run)
            .map_err(|error| bed.program.with_log(error))?;
    }
    // For comparison, measure single requests and single durable commits.
    let mut bed = TestBed::new(bench, 1)?;
    let posts = baselines::measure_posts(bench, &mut bed.receiver, 1)?;
    run.record(
        "baseline: one bare request, p50",
        "ms",
        posts.durations.millis(0.5),
    );
    run.record(
        "baseline: one bare request, p99",
        "ms",
        posts.durations.millis(0.99),
    );
    let commits = baselines::measure_commits(bench)?;
    run.record(
        "baseline: commit of one row, p50",
        "ms",
        commits.millis(0.5),
    );
    run.record(
        "baseline: commit of one row, p99",
        "ms",
        commits.millis(0.99),
    );
    Ok(run)
}

/// Measures latencies at `rate` requests per second.
fn measure_at_rate(
    bench: &Bench,
    bed: &mut TestBed,
    rate: u64,
    (p50, p99): (&'static str, &'static str),
    run: &mut Run,
) -> Result<(), Error> {
    let timeout = Duration::from_secs(60);
    let warm_up = generator::generate(&bed.plan(bench.count(200, 20), None))?;
    wait_for_arrivals(&mut bed.receiver, &warm_up.accepted, 1, timeout)?;
    bed.program.wait_until_recorded(&bed.webhooks, timeout)?;

    let count = usize::try_from(rate * bench.time(20, 1))?;
    let before = bed.program.usage()?;
    let load = generator::generate(&bed.plan(count, Some(rate as f64)))?;
    let arrivals = wait_for_arrivals(&mut bed.receiver, &load.accepted, 1, timeout)?;
    let spent = bed.program.usage()?.since(&before);
    let latency = acceptance_to_arrival(&load.accepted, &arrivals);
    let acceptance = acceptance_times(&load.accepted);
    let label = |what: &str| format!("{rate}/s: {what}");
    run.record_with_goal(
        label("acceptance → arrival p50"),
        "ms",
        latency.millis(0.5),
        p50,
    );
    run.record_with_goal(
        label("acceptance → arrival p99"),
        "ms",
        latency.millis(0.99),
        p99,
    );
    run.record(label("acceptance → arrival max"), "ms", latency.millis(1.0));
    run.record(label("acceptance p50"), "ms", acceptance.millis(0.5));
    run.record(label("acceptance p99"), "ms", acceptance.millis(0.99));
    run.record(
        label("program: CPU per 1,000 deliveries"),
        "s",
        spent.cpu() / count as f64 * 1000.0,
    );
    run.record(label("generator lateness p99"), "ms", load.lateness);
    Ok(())
}
