//! W1 and W2: feedback as fast as the program accepts it, with one webhook (W1) or five (W2). In
//! W2, the program could accept faster than it delivers.

use std::time::Duration;

use super::{
    CPU_RATIO, PEAK_MEMORY_GOAL, TestBed, acceptance_times, acceptance_to_arrival,
    count_duplicates, wait_for_arrivals,
};
use crate::baselines::PostBaseline;
use crate::bench::Bench;
use crate::generator::{LoadPlan, LoadResult};
use crate::metrics::Run;
use crate::protocol::Arrival;
use crate::system::UsageDelta;
use crate::{Error, baselines, generator, system};

/// The number of requests before the measurement. They open connections, prepare statements, and
/// fill caches.
const WARM_UP: usize = 500;

/// The size of a burst, and goals for the report. An empty string means no goal. The number after
/// “then” is a goal for a later version.
pub struct BurstPlan {
    webhooks: usize,
    count: usize,
    connections: usize,
    /// Deliveries per second, divided by requests per second of the bare loop.
    share: &'static str,
    /// CPU time of the program per delivery, divided by the CPU time of the bare loop per request.
    cpu: &'static str,
    /// The 99th percentile of the acceptance times, in milliseconds.
    acceptance: &'static str,
    /// The 99th percentile of the times from acceptance to arrival, in milliseconds.
    arrival: &'static str,
}

pub const W1: BurstPlan = BurstPlan {
    webhooks: 1,
    count: 50_000,
    connections: 32,
    share: "≥ 0.167, then ≥ 0.2",
    cpu: "≤ 6",
    acceptance: "≤ 15",
    arrival: "",
};
pub const W2: BurstPlan = BurstPlan {
    webhooks: 5,
    count: 20_000,
    connections: 16,
    share: "≥ 0.333",
    cpu: "≤ 4",
    acceptance: "",
    arrival: "≤ 250",
};

pub fn run(bench: &Bench, plan: &BurstPlan) -> Result<Run, Error> {
    let mut bed = TestBed::new(bench, plan.webhooks)?;
    measure(bench, &mut bed, plan).map_err(|error| bed.program.with_log(error))
}

/// Measurements of one burst.
pub struct Burst {
    load: LoadResult,
    arrivals: Vec<Arrival>,
    program: UsageDelta,
    receiver: UsageDelta,
    peak_memory: f64,
}

impl Burst {
    /// Returns the seconds from the first request to `end`, a time of the monotonic clock.
    fn seconds_to(&self, end: Option<u64>) -> f64 {
        let start = self.load.accepted.iter().map(|a| a.planned).min();
        (end.unwrap_or_default() - start.unwrap_or_default()) as f64 / 1e9
    }

    fn seconds_to_accept(&self) -> f64 {
        self.seconds_to(self.load.accepted.iter().map(|a| a.acknowledged).max())
    }

    pub fn seconds_to_deliver(&self) -> f64 {
        self.seconds_to(self.arrivals.iter().map(|arrival| arrival.at).max())
    }
}

fn measure(bench: &Bench, bed: &mut TestBed, plan: &BurstPlan) -> Result<Run, Error> {
    let webhooks = plan.webhooks;
    let count = bench.count(plan.count, 400 / webhooks);
    let warm_up = bench.count(WARM_UP, 50);
    let burst = run_burst(bed, count, plan.connections, warm_up)?;
    let counts = bed.receiver.wait(0, Duration::ZERO)?;
    let posts = baselines::measure_posts(bench, &mut bed.receiver, baselines::IN_FLIGHT)?;
    let rows = baselines::measure_rows(bench)?;

    let mut run = Run::default();
    record_throughput(
        &mut run,
        &burst,
        (count, webhooks),
        (&posts, rows),
        plan.share,
    );
    record_cpu(&mut run, &burst, (count, webhooks), &posts, plan.cpu);
    record_times(&mut run, &burst, plan);
    let deliveries = (count * webhooks) as f64;
    let written = burst.program.written as f64;
    let context_switches = burst.program.context_switches as f64;
    let all_deliveries = ((count + warm_up) * webhooks) as f64;
    let event_body = counts.body_bytes as f64 / all_deliveries;
    run.record_with_goal("peak memory", "MiB", burst.peak_memory, PEAK_MEMORY_GOAL);
    run.record("written per event", "bytes", written / count as f64);
    run.record(
        "voluntary context switches per delivery",
        "",
        context_switches / deliveries,
    );
    run.record("event body", "bytes", event_body);
    let duplicates = count_duplicates(&burst.arrivals);
    run.record("duplicate deliveries", "", duplicates as f64);
    run.record("signatures checked", "", counts.checked as f64);
    Ok(run)
}

/// Sends the warm-up, then the burst, and waits until all deliveries have arrived and are recorded.
pub fn run_burst(
    bed: &mut TestBed,
    count: usize,
    connections: usize,
    warm_up: usize,
) -> Result<Burst, Error> {
    let webhooks = bed.webhooks.len();
    let timeout = Duration::from_secs(60) + Duration::from_millis((count * webhooks) as u64 * 5);
    let load = generator::generate(&bed.plan(warm_up, None))?;
    wait_for_arrivals(&mut bed.receiver, &load.accepted, webhooks, timeout)?;
    bed.program.wait_until_recorded(&bed.webhooks, timeout)?;

    system::reset_peak_memory(bed.program.pid())?;
    let before = bed.program.usage()?;
    let receiver_before = bed.receiver.usage()?;
    let load = generator::generate(&LoadPlan {
        connections,
        ..bed.plan(count, None)
    })?;
    let arrivals = wait_for_arrivals(&mut bed.receiver, &load.accepted, webhooks, timeout)?;
    bed.program.wait_until_recorded(&bed.webhooks, timeout)?;
    Ok(Burst {
        load,
        arrivals,
        program: bed.program.usage()?.since(&before),
        receiver: bed.receiver.usage()?.since(&receiver_before),
        peak_memory: system::peak_memory(bed.program.pid()),
    })
}

/// Records the rates, and compares them with two baselines: the bare loop, and `rows` inserted rows
/// per second.
fn record_throughput(
    run: &mut Run,
    burst: &Burst,
    (count, webhooks): (usize, usize),
    (posts, rows): (&PostBaseline, f64),
    goal: &'static str,
) {
    let delivered = (count * webhooks) as f64 / burst.seconds_to_deliver();
    run.record("accepted", "/s", count as f64 / burst.seconds_to_accept());
    run.record("delivered", "/s", delivered);
    run.record(
        "baseline: bare loop (awc, 1 thread)",
        "/s",
        posts.per_second,
    );
    let share = delivered / posts.per_second;
    run.record_with_goal("delivered ÷ bare loop", "", share, goal);
    run.record("baseline: inserted rows, 100 per commit", "rows/s", rows);
    // A feedback item adds two rows, for itself and its event. A delivery adds two rows, for itself
    // and its attempt.
    let stored = (count * (2 + 2 * webhooks)) as f64 / burst.seconds_to_deliver();
    run.record("inserted rows ÷ baseline", "", stored / rows);
}

fn record_cpu(
    run: &mut Run,
    burst: &Burst,
    (count, webhooks): (usize, usize),
    posts: &PostBaseline,
    goal: &'static str,
) {
    let deliveries = count * webhooks;
    let per_1000 = |cpu: f64, count: usize| cpu / count as f64 * 1000.0;
    run.record_cpu(&burst.program, deliveries);
    run.record("baseline: bare loop, CPU per 1,000 posts", "s", posts.cpu);
    let ratio = per_1000(burst.program.cpu(), deliveries) / posts.cpu;
    run.record_with_goal(CPU_RATIO, "", ratio, goal);
    let generator = per_1000(burst.load.cpu, count);
    run.record("generator: CPU per 1,000 requests", "s", generator);
    let receiver = per_1000(burst.receiver.cpu(), deliveries);
    run.record("receiver: CPU per 1,000 deliveries", "s", receiver);
}

fn record_times(run: &mut Run, burst: &Burst, plan: &BurstPlan) {
    let acceptance = acceptance_times(&burst.load.accepted);
    let percentiles = [("p50", 0.5, ""), ("p99", 0.99, plan.acceptance)];
    run.record_percentiles("acceptance", &acceptance, &percentiles);
    let arrival = acceptance_to_arrival(&burst.load.accepted, &burst.arrivals);
    let percentiles = [
        ("p50", 0.5, ""),
        ("p99", 0.99, plan.arrival),
        ("max", 1.0, ""),
    ];
    run.record_percentiles("acceptance to arrival", &arrival, &percentiles);
}
