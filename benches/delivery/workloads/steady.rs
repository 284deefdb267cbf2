//! W3: a load that the program carries easily; how soon after its acknowledgement a feedback is delivered.

use std::time::Duration;

use super::{Bench, Setting, acceptance, acceptance_to_arrival, arrivals};
use crate::figures::Run;
use crate::{Fault, generator, limits};

const P50_AT_50: &str = "≤ 0.6";
const P99_AT_50: &str = "≤ 2";
const P99_AT_1000: &str = "≤ 10";

pub fn run(bench: &Bench) -> Result<Run, Fault> {
    let mut run = Run::default();
    for (rate, p50, p99) in [(50, P50_AT_50, P99_AT_50), (1000, "", P99_AT_1000)] {
        let mut setting = Setting::new(bench, 1)?;
        at_rate(bench, &mut setting, rate, (p50, p99), &mut run)
            .map_err(|fault| setting.blame(fault))?;
    }
    // What a single post and a single durable commit take here: less than both no delivery can.
    let mut setting = Setting::new(bench, 1)?;
    let posts = limits::single_posts(bench, &mut setting.receiver)?;
    run.add("limit: one bare post, p50", "ms", posts.times.millis(0.5));
    run.add("limit: one bare post, p99", "ms", posts.times.millis(0.99));
    let commits = limits::commits(bench)?;
    run.add("limit: commit of one row, p50", "ms", commits.millis(0.5));
    run.add("limit: commit of one row, p99", "ms", commits.millis(0.99));
    Ok(run)
}

fn at_rate(
    bench: &Bench,
    setting: &mut Setting,
    rate: u64,
    (p50, p99): (&'static str, &'static str),
    run: &mut Run,
) -> Result<(), Fault> {
    let patience = Duration::from_secs(60);
    let warm_up = generator::generate(&setting.plan(bench.count(200, 20), None))?;
    arrivals(&mut setting.receiver, &warm_up.accepted, 1, patience)?;
    setting
        .program
        .wait_until_recorded(&setting.webhooks, patience)?;

    let count = usize::try_from(rate * bench.seconds(20, 1))?;
    let before = setting.program.usage()?;
    let load = generator::generate(&setting.plan(count, Some(rate as f64)))?;
    let arrivals = arrivals(&mut setting.receiver, &load.accepted, 1, patience)?;
    let spent = setting.program.usage()?.since(&before);
    let latency = acceptance_to_arrival(&load.accepted, &arrivals);
    let acceptance = acceptance(&load.accepted);
    let named = |what: &str| format!("{rate}/s: {what}");
    run.add_with_goal(
        named("acceptance → arrival p50"),
        "ms",
        latency.millis(0.5),
        p50,
    );
    run.add_with_goal(
        named("acceptance → arrival p99"),
        "ms",
        latency.millis(0.99),
        p99,
    );
    run.add(named("acceptance → arrival max"), "ms", latency.millis(1.0));
    run.add(named("acceptance p50"), "ms", acceptance.millis(0.5));
    run.add(named("acceptance p99"), "ms", acceptance.millis(0.99));
    run.add(
        named("program: CPU per 1,000 deliveries"),
        "s",
        spent.cpu() / count as f64 * 1000.0,
    );
    run.add(named("generator late p99"), "ms", load.late);
    Ok(())
}
