//! W7: requests at fixed rates, at several shares of the rate that the program can deliver. As
//! with independent clients, a request doesn't wait for earlier responses.
//!
//! Above 100%, the program must slow down or reject requests with 503. Then many requests wait at
//! the same time, each over its own connection.

use std::time::Duration;

use super::burst::run_burst;
use super::{TestBed, acceptance_times, acceptance_to_arrival, wait_for_arrivals};
use crate::bench::Bench;
use crate::generator::LoadPlan;
use crate::metrics::Run;
use crate::{Error, generator, system};

const WEBHOOKS: usize = 5;
/// The loads in percent of the delivery rate in a burst.
pub const LOADS: [u64; 5] = [25, 50, 80, 100, 120];
/// The maximum number of connections, as between a busy reverse proxy and the program. A request
/// that finds no free connection waits for one.
const CONNECTIONS_MAX: usize = 1024;
const ARRIVAL_P99: &str = "≤ 250";

pub const DELIVERED_IN_A_BURST: &str = "delivered in a burst";

/// Returns the name of a metric at one load.
pub fn metric_name(load: u64, what: &str) -> String {
    format!("{load}% load: {what}")
}

pub fn run(bench: &Bench) -> Result<Run, Error> {
    let mut bed = TestBed::new(bench, WEBHOOKS)?;
    measure(bench, &mut bed).map_err(|error| bed.program.with_log(error))
}

fn measure(bench: &Bench, bed: &mut TestBed) -> Result<Run, Error> {
    let mut run = Run::default();
    let count = bench.count(20_000, 100);
    let burst = run_burst(bed, count, 16, bench.count(500, 50))?;
    let capacity = count as f64 / burst.seconds_to_deliver();
    let delivered = capacity * WEBHOOKS as f64;
    run.record(DELIVERED_IN_A_BURST, "/s", delivered);
    for load in LOADS {
        measure_load(bench, bed, load, capacity, &mut run)?;
    }
    run.record_note("The load is a percentage of the delivery rate in the burst");
    Ok(run)
}

/// Sends requests at `load` percent of `capacity`, the number of feedback items that the program
/// delivers per second.
fn measure_load(
    bench: &Bench,
    bed: &mut TestBed,
    load: u64,
    capacity: f64,
    run: &mut Run,
) -> Result<(), Error> {
    let rate = capacity * load as f64 / 100.0;
    let seconds = bench.time(20_000, 300) as f64 / 1000.0;
    let count = (rate * seconds).ceil() as usize;
    let timeout = Duration::from_secs(60) + Duration::from_millis((count * WEBHOOKS) as u64 * 5);
    system::reset_peak_memory(bed.program.pid())?;
    let plan = LoadPlan {
        connections: CONNECTIONS_MAX,
        can_reject: true,
        ..bed.plan(count, Some(rate))
    };
    let result = generator::generate(&plan)?;
    let arrivals = wait_for_arrivals(&mut bed.receiver, &result.accepted, WEBHOOKS, timeout)?;
    bed.program.wait_until_recorded(&bed.webhooks, timeout)?;

    let label = |what: &str| metric_name(load, what);
    let rejected = result.rejected as f64 / count as f64 * 100.0;
    let start = result
        .accepted
        .iter()
        .map(|accepted| accepted.planned)
        .min();
    let end = arrivals.iter().map(|arrival| arrival.at).max();
    let nanos = end
        .unwrap_or_default()
        .saturating_sub(start.unwrap_or_default());
    let delivered = arrivals.len() as f64 / (nanos as f64 / 1e9);
    run.record(label("requests"), "/s", rate);
    run.record(label("rejected"), "%", rejected);
    run.record(label("delivered"), "/s", delivered);
    let percentiles = [("p50", 0.5, ""), ("p99", 0.99, ""), ("p99.9", 0.999, "")];
    let acceptance = acceptance_times(&result.accepted);
    run.record_percentiles(&label("acceptance"), &acceptance, &percentiles);
    let arrival = acceptance_to_arrival(&result.accepted, &arrivals);
    let percentiles = [
        ("p50", 0.5, ""),
        ("p99", 0.99, ARRIVAL_P99),
        ("p99.9", 0.999, ""),
    ];
    run.record_percentiles(&label("acceptance to arrival"), &arrival, &percentiles);
    run.record(label("sending delay p99"), "ms", result.sending_delay);
    run.record(label("connections"), "", result.connections as f64);
    let peak = system::peak_memory(bed.program.pid());
    run.record(label("peak memory"), "MiB", peak);
    Ok(())
}
