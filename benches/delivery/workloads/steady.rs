//! W3: a load that the program handles easily. Measures the time from the acknowledgment of
//! feedback to the arrival of its delivery.

use std::time::Duration;

use super::{CPU_RATIO, TestBed, acceptance_times, acceptance_to_arrival, wait_for_arrivals};
use crate::bench::Bench;
use crate::metrics::{Durations, Run};
use crate::{Error, baselines, generator};

const P50_AT_50: &str = "≤ 0.6";
const P99_AT_50: &str = "≤ 1";
const P99_AT_1000: &str = "≤ 10";

/// Measurements at one rate.
struct Steady {
    /// Times from acceptance to arrival.
    arrival: Durations,
    /// CPU seconds of the program per 1,000 deliveries.
    cpu: f64,
}

pub fn run(bench: &Bench) -> Result<Run, Error> {
    let mut run = Run::default();
    let at_50 = measure_at_rate(bench, 50, [P50_AT_50, P99_AT_50], &mut run)?;
    measure_at_rate(bench, 1000, ["", P99_AT_1000], &mut run)?;
    compare_with_baselines(bench, &at_50, &mut run)?;
    Ok(run)
}

fn measure_at_rate(
    bench: &Bench,
    rate: u64,
    goals: [&'static str; 2],
    run: &mut Run,
) -> Result<Steady, Error> {
    let mut bed = TestBed::new(bench, 1)?;
    measure(bench, &mut bed, rate, goals, run).map_err(|error| bed.program.with_log(error))
}

/// Sends `rate` requests per second. `goals` are for the 50th and the 99th percentile of the times
/// from acceptance to arrival.
fn measure(
    bench: &Bench,
    bed: &mut TestBed,
    rate: u64,
    [p50, p99]: [&'static str; 2],
    run: &mut Run,
) -> Result<Steady, Error> {
    let timeout = Duration::from_secs(60);
    let warm_up = generator::generate(&bed.plan(bench.count(200, 20), None))?;
    wait_for_arrivals(&mut bed.receiver, &warm_up.accepted, 1, timeout)?;
    bed.program.wait_until_recorded(&bed.webhooks, timeout)?;

    let count = usize::try_from(rate * bench.time(20, 1))?;
    let before = bed.program.usage()?;
    let load = generator::generate(&bed.plan(count, Some(rate as f64)))?;
    let arrivals = wait_for_arrivals(&mut bed.receiver, &load.accepted, 1, timeout)?;
    let spent = bed.program.usage()?.since(&before);
    let arrival = acceptance_to_arrival(&load.accepted, &arrivals);
    let acceptance = acceptance_times(&load.accepted);
    let cpu = spent.cpu() / count as f64 * 1000.0;
    let label = |what: &str| format!("{rate}/s: {what}");
    let percentiles = [("p50", 0.5, p50), ("p99", 0.99, p99), ("max", 1.0, "")];
    run.record_percentiles(&label("acceptance to arrival"), &arrival, &percentiles);
    let percentiles = [("p50", 0.5, ""), ("p99", 0.99, "")];
    run.record_percentiles(&label("acceptance"), &acceptance, &percentiles);
    run.record(label("program: CPU per 1,000 deliveries"), "s", cpu);
    run.record(label("sending delay p99"), "ms", load.sending_delay);
    Ok(Steady { arrival, cpu })
}

/// Measures single durable commits and single bare requests, and compares them with deliveries at
/// 50 requests per second.
fn compare_with_baselines(bench: &Bench, at_50: &Steady, run: &mut Run) -> Result<(), Error> {
    let mut bed = TestBed::new(bench, 1)?;
    let posts = baselines::measure_posts(bench, &mut bed.receiver, 1)?;
    let commits = baselines::measure_commits(bench)?;
    let percentiles = [("p50", 0.5, ""), ("p99", 0.99, "")];
    let request = "baseline: one bare request,";
    run.record_percentiles(request, &posts.durations, &percentiles);
    run.record_percentiles("baseline: commit of one row,", &commits, &percentiles);
    for (label, share, _) in percentiles {
        let sum = commits.millis(share) + posts.durations.millis(share);
        run.record(format!("baseline: commit + request, {label}"), "ms", sum);
        let ratio = at_50.arrival.millis(share) / sum;
        let name = format!("50/s: acceptance to arrival ÷ (commit + request), {label}");
        run.record(name, "", ratio);
    }
    run.record("baseline: bare loop, CPU per 1,000 posts", "s", posts.cpu);
    run.record(format!("50/s: {CPU_RATIO}"), "", at_50.cpu / posts.cpu);
    Ok(())
}
