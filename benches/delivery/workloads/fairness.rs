//! W4: two webhooks with responding endpoints, and ten webhooks whose endpoints accept requests but
//! never respond. Each such request occupies a slot until the timeout. The ten webhooks must not
//! delay the deliveries of the other two webhooks.

use std::time::Duration;

use super::{TestBed, acceptance_to_arrival, wait_for_arrivals};
use crate::bench::Bench;
use crate::metrics::{Durations, Run};
use crate::{Error, generator};

/// The number of webhooks whose deliveries are measured. Their endpoints always respond.
const RESPONDING_WEBHOOKS: usize = 2;
const ALL_WEBHOOKS: usize = 12;
const REQUESTS_PER_SECOND: u64 = 50;

pub fn run(bench: &Bench) -> Result<Run, Error> {
    let mut run = Run::default();
    let alone = measure_latency(bench, RESPONDING_WEBHOOKS, 0, &mut run)?;
    let among_responding = measure_latency(bench, ALL_WEBHOOKS, 0, &mut run)?;
    let among_hanging = measure_latency(
        bench,
        RESPONDING_WEBHOOKS,
        ALL_WEBHOOKS - RESPONDING_WEBHOOKS,
        &mut run,
    )?;
    let cases = [
        ("2 alone", &alone),
        ("2 next to 10 that respond", &among_responding),
        ("2 next to 10 that hang", &among_hanging),
    ];
    for (name, series) in cases {
        run.record(format!("{name}: p50"), "ms", series.millis(0.5));
        run.record(format!("{name}: p99"), "ms", series.millis(0.99));
        run.record(format!("{name}: max"), "ms", series.millis(1.0));
    }
    let p99 = among_hanging.millis(0.99);
    run.record_with_goal(
        "p99 next to 10 that hang ÷ alone",
        "",
        p99 / alone.millis(0.99),
        "≤ 1.5",
    );
    run.record(
        "p99 next to 10 that hang ÷ next to 10 that respond",
        "",
        p99 / among_responding.millis(0.99),
    );
    run.record_note("Times are from acceptance to arrival at the first two webhooks");
    Ok(run)
}

fn measure_latency(
    bench: &Bench,
    responding: usize,
    hanging: usize,
    run: &mut Run,
) -> Result<Durations, Error> {
    let mut bed = TestBed::new(bench, responding + hanging)?;
    measure(bench, &mut bed, responding, hanging, run).map_err(|error| bed.program.with_log(error))
}

fn measure(
    bench: &Bench,
    bed: &mut TestBed,
    responding: usize,
    hanging: usize,
    run: &mut Run,
) -> Result<Durations, Error> {
    for endpoint in responding..responding + hanging {
        bed.receiver.hang(endpoint)?;
    }
    let count = usize::try_from(REQUESTS_PER_SECOND * bench.time(15, 1))?;
    let timeout = Duration::from_secs(60);
    let load = generator::generate(&bed.plan(count, Some(REQUESTS_PER_SECOND as f64)))?;
    let arrivals = wait_for_arrivals(&mut bed.receiver, &load.accepted, responding, timeout)?;
    let counts = bed.receiver.wait(0, Duration::ZERO)?;
    if hanging > 0 {
        if counts.hanging < hanging {
            return Err("the hanging endpoints received no requests".into());
        }
        run.record("hanging requests", "", counts.hanging as f64);
    }
    let measured: Vec<_> = arrivals
        .into_iter()
        .filter(|arrival| arrival.webhook < RESPONDING_WEBHOOKS as u64)
        .collect();
    Ok(acceptance_to_arrival(&load.accepted, &measured))
}
