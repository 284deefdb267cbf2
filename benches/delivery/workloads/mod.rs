//! The list of workloads, and the code that they share: the test bed, and functions that evaluate
//! arrivals.

mod backlog;
mod burst;
mod fairness;
mod idle;
pub mod open_loop;
mod pages;
mod steady;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use tempfile::TempDir;

use crate::Error;
use crate::bench::Bench;
use crate::generator::LoadPlan;
use crate::metrics::{Durations, Run};
use crate::program::Program;
use crate::protocol::{AcceptedFeedback, Arrival};
use crate::receiver::Receiver;

/// A workload and the function that runs it.
pub struct Workload {
    /// The workload's name on the command line.
    pub key: &'static str,
    pub title: &'static str,
    /// Whether the workload writes rows with the schema of the built executable.
    pub writes_rows: bool,
    pub run: fn(&Bench) -> Result<Run, Error>,
}

pub const ALL: &[Workload] = &[
    Workload {
        key: "w1",
        title: "burst of 50,000 items over 32 connections to 1 webhook",
        writes_rows: false,
        run: |bench| burst::run(bench, &burst::W1),
    },
    Workload {
        key: "w2",
        title: "burst of 20,000 items over 16 connections to 5 webhooks",
        writes_rows: false,
        run: |bench| burst::run(bench, &burst::W2),
    },
    Workload {
        key: "w3",
        title: "steady load to 1 webhook",
        writes_rows: false,
        run: steady::run,
    },
    Workload {
        key: "w4",
        title: "50 requests per second to 12 webhooks, 10 of which hang",
        writes_rows: false,
        run: fairness::run,
    },
    Workload {
        key: "w5",
        title: "backlog of an endpoint that was down",
        writes_rows: true,
        run: backlog::run,
    },
    Workload {
        key: "w6",
        title: "pages, search, export, and retention in a large database",
        writes_rows: true,
        run: pages::run,
    },
    Workload {
        key: "w7",
        title: "fixed request rates below and above the delivery rate of 5 webhooks",
        writes_rows: false,
        run: open_loop::run,
    },
    Workload {
        key: "idle",
        title: "memory and context switches without load",
        writes_rows: false,
        run: idle::run,
    },
];

/// The cost of a delivery in multiples of a bare request: the program's CPU time per delivery,
/// divided by the CPU time of the bare loop per request.
const CPU_RATIO: &str = "program CPU ÷ bare loop CPU";
/// The goal for the peak memory of each workload, in MiB.
const PEAK_MEMORY_GOAL: &str = "≤ 64";

/// The program and a receiver, with a project and webhooks.
struct TestBed {
    receiver: Receiver,
    program: Program,
    webhooks: Vec<String>,
    project: String,
    _dir: TempDir,
}

impl TestBed {
    fn new(bench: &Bench, webhooks: usize) -> Result<Self, Error> {
        let dir = bench.new_dir()?;
        let mut receiver = Receiver::start(true)?;
        let program = bench.start_program(&dir.path().join("data"), &[])?;
        let project = program.create_project("Website")?;
        let webhooks = (0..webhooks)
            .map(|endpoint| program.create_webhook(&mut receiver, endpoint))
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            receiver,
            program,
            webhooks,
            project,
            _dir: dir,
        })
    }

    /// Plans `count` requests over 32 connections.
    fn plan(&self, count: usize, rate: Option<f64>) -> LoadPlan {
        let planned = rate.map_or(0.0, |rate| count as f64 / rate);
        LoadPlan {
            address: self.program.address,
            token: self.program.token.clone(),
            project: self.project.clone(),
            connections: 32,
            count,
            rate,
            can_reject: false,
            // This generous limit only stops a run that hangs or is far too slow.
            timeout: Duration::from_secs_f64(30.0 + planned + count as f64 / 50.0),
        }
    }
}

/// Waits until all accepted feedback has arrived at `webhooks` endpoints, and returns the arrivals.
/// Fails unless each feedback item has arrived at each endpoint.
fn wait_for_arrivals(
    receiver: &mut Receiver,
    accepted: &[AcceptedFeedback],
    webhooks: usize,
    timeout: Duration,
) -> Result<Vec<Arrival>, Error> {
    let expected = accepted.len() * webhooks;
    let arrived = receiver.wait(expected, timeout)?.arrived;
    if arrived < expected {
        let message = format!("{arrived} of {expected} deliveries arrived within {timeout:?}");
        return Err(message.into());
    }
    let arrivals = receiver.take_arrivals()?;
    let sent: HashSet<u128> = accepted.iter().map(|a| a.feedback).collect();
    let arrived: HashSet<(u64, u128)> = arrivals
        .iter()
        .map(|arrival| (arrival.webhook, arrival.feedback))
        .collect();
    if arrived.len() != expected || arrived.iter().any(|(_, feedback)| !sent.contains(feedback)) {
        return Err("the deliveries don't match the accepted feedback".into());
    }
    Ok(arrivals)
}

/// Computes the time from the acknowledgment of feedback to the first arrival of each of its
/// deliveries. If a delivery arrives before the generator reads the acknowledgment, its time is 0.
fn acceptance_to_arrival(accepted: &[AcceptedFeedback], arrivals: &[Arrival]) -> Durations {
    let acknowledged: HashMap<u128, u64> = accepted
        .iter()
        .map(|accepted| (accepted.feedback, accepted.acknowledged))
        .collect();
    let mut first: HashMap<(u64, u128), u64> = HashMap::with_capacity(arrivals.len());
    for arrival in arrivals {
        let key = (arrival.webhook, arrival.feedback);
        let at = first.entry(key).or_insert(arrival.at);
        *at = arrival.at.min(*at);
    }
    let times = first.iter().filter_map(|((_, feedback), at)| {
        let from = acknowledged.get(feedback)?;
        Some(at.saturating_sub(*from))
    });
    Durations::new(times.collect())
}

/// Counts the duplicates: all arrivals of a delivery after its first.
fn count_duplicates(arrivals: &[Arrival]) -> usize {
    let distinct: HashSet<u128> = arrivals.iter().map(|a| a.delivery).collect();
    arrivals.len() - distinct.len()
}

/// Computes the times from the planned time of a request to its acknowledgment.
fn acceptance_times(accepted: &[AcceptedFeedback]) -> Durations {
    Durations::new(
        accepted
            .iter()
            .map(|accepted| accepted.acknowledged - accepted.planned)
            .collect(),
    )
}
