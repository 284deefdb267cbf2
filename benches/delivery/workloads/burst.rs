//! W1 and W2: as much feedback as the program takes, to one webhook or to five.

use std::time::Duration;

use super::{Bench, Setting, acceptance, acceptance_to_arrival, arrivals, repeated};
use crate::figures::Run;
use crate::{Fault, generator, limits, machine};

/// Before it counts: connections are made, statements prepared, caches filled.
const WARM_UP: usize = 500;

struct Goals {
    share: &'static str,
    cpu: &'static str,
    acceptance: &'static str,
}

const ONE: Goals = Goals {
    share: "≥ 0.125, then ≥ 0.167",
    cpu: "≤ 0.12, then ≤ 0.08",
    acceptance: "≤ 15",
};
const MANY: Goals = Goals {
    share: "",
    cpu: "≤ 0.06",
    acceptance: "",
};

pub fn run(bench: &Bench, webhooks: usize) -> Result<Run, Fault> {
    let mut setting = Setting::new(bench, webhooks)?;
    measure(bench, &mut setting).map_err(|fault| setting.blame(fault))
}

fn measure(bench: &Bench, setting: &mut Setting) -> Result<Run, Fault> {
    let webhooks = setting.webhooks.len();
    let goals = if webhooks == 1 { ONE } else { MANY };
    let count = bench.count(50_000, 400);
    let patience = Duration::from_secs(60) + Duration::from_millis((count * webhooks) as u64 * 5);

    let warm_up = generator::generate(&setting.plan(bench.count(WARM_UP, 50), None))?;
    arrivals(&mut setting.receiver, &warm_up.accepted, webhooks, patience)?;
    setting
        .program
        .wait_until_recorded(&setting.webhooks, patience)?;

    machine::forget_peak(setting.program.pid())?;
    let before = setting.program.usage()?;
    let receiver_before = setting.receiver.usage()?;
    let load = generator::generate(&setting.plan(count, None))?;
    let arrivals = arrivals(&mut setting.receiver, &load.accepted, webhooks, patience)?;
    setting
        .program
        .wait_until_recorded(&setting.webhooks, patience)?;
    let spent = setting.program.usage()?.since(&before);
    let receiver = setting.receiver.usage()?.since(&receiver_before);
    let peak = machine::peak(setting.program.pid());
    let checked = setting.receiver.wait(0, Duration::ZERO)?;

    let deliveries = count * webhooks;
    let begun = load.accepted.iter().map(|one| one.sent).min();
    let begun = begun.unwrap_or_default();
    let seconds_to = |end: Option<u64>| (end.unwrap_or_default() - begun) as f64 / 1e9;
    let accepted_in = seconds_to(load.accepted.iter().map(|one| one.acknowledged).max());
    let delivered_in = seconds_to(arrivals.iter().map(|one| one.at).max());
    let delivered = deliveries as f64 / delivered_in;
    let acceptance = acceptance(&load.accepted);
    let latency = acceptance_to_arrival(&load.accepted, &arrivals);

    let posts = limits::posts(bench, &mut setting.receiver)?;
    let rows = limits::rows(bench)?;

    let mut run = Run::default();
    run.add("accepted", "/s", count as f64 / accepted_in);
    run.add("delivered", "/s", delivered);
    run.add("limit: bare awc loop, 1 thread", "/s", posts.per_second);
    let share = delivered / posts.per_second;
    run.add_with_goal("delivered ÷ bare loop", "", share, goals.share);
    run.add("limit: rows, 100 a commit", "rows/s", rows);
    // A feedback is a row, an event another, a delivery and its attempt two more.
    let stored = (count * (2 + 2 * webhooks)) as f64 / delivered_in;
    run.add("rows stored ÷ that limit", "", stored / rows);
    run.add_cpu(&spent, deliveries, goals.cpu);
    run.add("limit: bare loop, CPU per 1,000 posts", "s", posts.cpu);
    run.add(
        "program's CPU ÷ bare loop's",
        "",
        spent.cpu() / deliveries as f64 * 1000.0 / posts.cpu,
    );
    run.add(
        "generator: CPU per 1,000 feedbacks",
        "s",
        load.cpu / count as f64 * 1000.0,
    );
    run.add(
        "receiver: CPU per 1,000 deliveries",
        "s",
        receiver.cpu() / deliveries as f64 * 1000.0,
    );
    run.add("acceptance p50", "ms", acceptance.millis(0.5));
    run.add_with_goal(
        "acceptance p99",
        "ms",
        acceptance.millis(0.99),
        goals.acceptance,
    );
    run.add("acceptance → arrival p50", "ms", latency.millis(0.5));
    run.add("acceptance → arrival p99", "ms", latency.millis(0.99));
    run.add("acceptance → arrival max", "ms", latency.millis(1.0));
    run.add("peak resident", "MiB", peak);
    run.add(
        "written per event",
        "bytes",
        spent.written as f64 / count as f64,
    );
    run.add(
        "voluntary context switches per delivery",
        "",
        spent.waits as f64 / deliveries as f64,
    );
    run.add(
        "body of an event",
        "bytes",
        checked.body_bytes as f64 / arrivals_and_warm_up(count, bench, webhooks),
    );
    run.add("sent more than once", "", repeated(&arrivals) as f64);
    run.add("signatures checked", "", checked.checked as f64);
    Ok(run)
}

fn arrivals_and_warm_up(count: usize, bench: &Bench, webhooks: usize) -> f64 {
    ((count + bench.count(WARM_UP, 50)) * webhooks) as f64
}
