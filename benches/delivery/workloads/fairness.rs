//! W4: two webhooks among ten whose endpoint takes requests and never answers. Each such request holds its slot for
//! the whole time limit; the two must not notice.

use std::time::Duration;

use super::{Bench, Setting, acceptance_to_arrival, arrivals};
use crate::figures::{Run, Series};
use crate::{Fault, generator};

/// The endpoints that answer are the first.
const LIVING: usize = 2;
const ALL: usize = 12;
const RATE: u64 = 50;

pub fn run(bench: &Bench) -> Result<Run, Fault> {
    let mut run = Run::default();
    let alone = latency(bench, LIVING, 0, &mut run)?;
    let among_living = latency(bench, ALL, 0, &mut run)?;
    let among_hanging = latency(bench, LIVING, ALL - LIVING, &mut run)?;
    let cases = [
        ("2 alone", &alone),
        ("2 among 10 that answer", &among_living),
        ("2 among 10 that hang", &among_hanging),
    ];
    for (name, series) in cases {
        run.add(format!("{name}: p50"), "ms", series.millis(0.5));
        run.add(format!("{name}: p99"), "ms", series.millis(0.99));
        run.add(format!("{name}: max"), "ms", series.millis(1.0));
    }
    let p99 = among_hanging.millis(0.99);
    run.add_with_goal(
        "p99 among the hanging ÷ alone",
        "",
        p99 / alone.millis(0.99),
        "≤ 1.5",
    );
    run.add(
        "p99 among the hanging ÷ among 10 that answer",
        "",
        p99 / among_living.millis(0.99),
    );
    run.note(
        "acknowledgement → arrival at the first two webhooks; the goal is against the two alone",
    );
    Ok(run)
}

fn latency(bench: &Bench, living: usize, hanging: usize, run: &mut Run) -> Result<Series, Fault> {
    let mut setting = Setting::new(bench, living + hanging)?;
    measure(bench, &mut setting, living, hanging, run).map_err(|fault| setting.blame(fault))
}

fn measure(
    bench: &Bench,
    setting: &mut Setting,
    living: usize,
    hanging: usize,
    run: &mut Run,
) -> Result<Series, Fault> {
    for endpoint in living..living + hanging {
        setting.receiver.hang(endpoint)?;
    }
    let count = usize::try_from(RATE * bench.seconds(15, 1))?;
    let patience = Duration::from_secs(60);
    let load = generator::generate(&setting.plan(count, Some(RATE as f64)))?;
    let arrivals = arrivals(&mut setting.receiver, &load.accepted, living, patience)?;
    let come = setting.receiver.wait(0, Duration::ZERO)?;
    if hanging > 0 {
        if come.hanging < hanging {
            return Err("the hanging endpoints were not asked".into());
        }
        run.add("requests that hung", "", come.hanging as f64);
    }
    let of_the_two: Vec<_> = arrivals
        .into_iter()
        .filter(|one| one.webhook < LIVING as u64)
        .collect();
    Ok(acceptance_to_arrival(&load.accepted, &of_the_two))
}
