//! The workloads, and what they have in common: where they run, how much of them, and what is weighed after a load.

mod backlog;
mod burst;
mod fairness;
mod idle;
mod pages;
mod steady;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::Fault;
use crate::figures::{Run, Series};
use crate::generator::Plan;
use crate::program::Program;
use crate::receiver::Receiver;
use crate::records::{Accepted, Arrival};

/// What is measured, and by what.
pub struct Workload {
    /// As it is chosen on the command line.
    pub key: &'static str,
    pub title: &'static str,
    pub run: fn(&Bench) -> Result<Run, Fault>,
}

pub const ALL: &[Workload] = &[
    Workload {
        key: "w1",
        title: "burst to 1 webhook over 32 connections",
        run: |bench| burst::run(bench, 1),
    },
    Workload {
        key: "w2",
        title: "the same burst to 5 webhooks",
        run: |bench| burst::run(bench, 5),
    },
    Workload {
        key: "w3",
        title: "steady load to 1 webhook",
        run: steady::run,
    },
    Workload {
        key: "w4",
        title: "12 webhooks of which 10 hang, 50 feedbacks a second",
        run: fairness::run,
    },
    Workload {
        key: "w5",
        title: "a backlog of 1,000,000 deliveries to an endpoint that was down",
        run: backlog::run,
    },
    Workload {
        key: "w6",
        title: "pages with 1,000,000 feedbacks and 5,000,000 finished deliveries",
        run: pages::run,
    },
    Workload {
        key: "idle",
        title: "doing nothing",
        run: idle::run,
    },
];

/// How the workloads are to be run.
pub struct Bench {
    /// Holds the data directories.
    pub dir: PathBuf,
    /// Counts so small that all takes seconds: whether it works, not how fast.
    pub quick: bool,
    /// What the counts of stored rows are multiplied by.
    pub scale: f64,
}

impl Bench {
    pub fn new_dir(&self) -> Result<TempDir, Fault> {
        Ok(TempDir::with_prefix_in("run-", &self.dir)?)
    }

    pub fn count(&self, whole: usize, quick: usize) -> usize {
        if self.quick { quick } else { whole }
    }

    pub fn seconds(&self, whole: u64, quick: u64) -> u64 {
        if self.quick { quick } else { whole }
    }

    pub fn scaled(&self, whole: usize, quick: usize) -> usize {
        let scaled = (whole as f64 * self.scale) as usize;
        self.count(scaled.max(quick), quick)
    }

    /// How long each of the machine's limits is measured.
    pub fn limit_time(&self) -> Duration {
        Duration::from_millis(self.seconds(3000, 200))
    }

    /// A database as the program makes it; nobody serves it.
    pub fn empty_database(&self, dir: &Path) -> Result<PathBuf, Fault> {
        let program = Program::start(dir, &[])?;
        let path = program.database();
        program.stop()?;
        Ok(path)
    }
}

/// The program and a receiver, with a project and some webhooks.
struct Setting {
    receiver: Receiver,
    program: Program,
    webhooks: Vec<String>,
    project: String,
    _dir: TempDir,
}

impl Setting {
    fn new(bench: &Bench, webhooks: usize) -> Result<Self, Fault> {
        let dir = bench.new_dir()?;
        let mut receiver = Receiver::start(true)?;
        let program = Program::start(&dir.path().join("data"), &[])?;
        let project = program.new_project("Website")?;
        let webhooks = (0..webhooks)
            .map(|endpoint| program.new_webhook(&mut receiver, endpoint))
            .collect::<Result<_, Fault>>()?;
        Ok(Self {
            receiver,
            program,
            webhooks,
            project,
            _dir: dir,
        })
    }

    fn plan(&self, count: usize, rate: Option<f64>) -> Plan {
        let planned = rate.map_or(0.0, |rate| count as f64 / rate);
        Plan {
            address: self.program.address,
            token: self.program.token.clone(),
            project: self.project.clone(),
            connections: 32,
            count,
            rate,
            // A hundredth of what is to be expected ends the run, not the patience of who waits for it.
            at_most: Duration::from_secs_f64(30.0 + planned + count as f64 / 50.0),
        }
    }

    /// The failure with what the program logged last.
    fn blame(&self, fault: Fault) -> Fault {
        format!("{fault}\nthe program's log ends:\n{}", self.program.log()).into()
    }
}

/// Waits for what was accepted to arrive at `webhooks` endpoints, and takes it. Fails unless each feedback came to each.
fn arrivals(
    receiver: &mut Receiver,
    accepted: &[Accepted],
    webhooks: usize,
    at_most: Duration,
) -> Result<Vec<Arrival>, Fault> {
    let expected = accepted.len() * webhooks;
    let come = receiver.wait(expected, at_most)?;
    if come.answered < expected {
        let answered = come.answered;
        return Err(format!("{answered} of {expected} deliveries came within {at_most:?}").into());
    }
    let arrivals = receiver.take()?;
    let sent: HashSet<u128> = accepted.iter().map(|one| one.feedback).collect();
    let came: HashSet<(u64, u128)> = arrivals
        .iter()
        .map(|one| (one.webhook, one.feedback))
        .collect();
    if came.len() != expected || came.iter().any(|(_, feedback)| !sent.contains(feedback)) {
        return Err("what arrived is not what was accepted".into());
    }
    Ok(arrivals)
}

/// From the acknowledgement's reading to the delivery's: the first of each. A delivery may be read before the
/// acknowledgement; that counts as no time.
fn acceptance_to_arrival(accepted: &[Accepted], arrivals: &[Arrival]) -> Series {
    let acknowledged: HashMap<u128, u64> = accepted
        .iter()
        .map(|one| (one.feedback, one.acknowledged))
        .collect();
    let mut first: HashMap<(u64, u128), u64> = HashMap::with_capacity(arrivals.len());
    for one in arrivals {
        let at = first.entry((one.webhook, one.feedback)).or_insert(one.at);
        *at = one.at.min(*at);
    }
    let times = first.iter().filter_map(|((_, feedback), at)| {
        let from = acknowledged.get(feedback)?;
        Some(at.saturating_sub(*from))
    });
    Series::new(times.collect())
}

/// How many came more than once.
fn repeated(arrivals: &[Arrival]) -> usize {
    let distinct: HashSet<u128> = arrivals.iter().map(|one| one.delivery).collect();
    arrivals.len() - distinct.len()
}

fn acceptance(accepted: &[Accepted]) -> Series {
    Series::new(
        accepted
            .iter()
            .map(|one| one.acknowledged - one.sent)
            .collect(),
    )
}
