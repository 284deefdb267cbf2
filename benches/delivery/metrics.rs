//! The metrics of one run, and the percentiles of measured durations.

use std::collections::BTreeMap;

use crate::system::UsageDelta;

/// Threads that use less than this share of the program's CPU time are listed under "others".
const MIN_SHARE: f64 = 0.005;

/// Sorted durations in nanoseconds. All values are stored, so percentiles are exact.
pub struct Durations(Vec<u64>);

impl Durations {
    pub fn new(mut nanos: Vec<u64>) -> Self {
        nanos.sort_unstable();
        Self(nanos)
    }

    /// Returns a percentile by the nearest-rank method, in milliseconds. `share` is 0.5 for the
    /// median and 1.0 for the maximum.
    pub fn millis(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        let nanos = self.0.get(rank.max(1) - 1).copied().unwrap_or(0);
        nanos as f64 / 1e6
    }
}

/// A measured value with its name, unit, and goal.
#[derive(Clone)]
pub struct Metric {
    pub name: String,
    pub unit: &'static str,
    pub value: f64,
    /// The goal, which is shown in the report but never asserted. Empty if there is no goal.
    pub goal: &'static str,
}

/// The result of one run of a workload.
#[derive(Default)]
pub struct Run {
    pub metrics: Vec<Metric>,
    /// CPU seconds of the program per 1,000 deliveries, by thread.
    pub threads: BTreeMap<String, f64>,
    /// Points of the plot: pending deliveries (x) and deliveries per second (y).
    pub curve: Vec<(f64, f64)>,
    pub notes: Vec<String>,
}

impl Run {
    pub fn record(&mut self, name: impl Into<String>, unit: &'static str, value: f64) {
        self.record_with_goal(name, unit, value, "");
    }

    pub fn record_with_goal(
        &mut self,
        name: impl Into<String>,
        unit: &'static str,
        value: f64,
        goal: &'static str,
    ) {
        self.metrics.push(Metric {
            name: name.into(),
            unit,
            value,
            goal,
        });
    }

    /// Records percentiles in milliseconds, each given as its label, its share, and its goal.
    pub fn record_percentiles(
        &mut self,
        name: &str,
        times: &Durations,
        percentiles: &[(&str, f64, &'static str)],
    ) {
        for (label, share, goal) in percentiles {
            let millis = times.millis(*share);
            self.record_with_goal(format!("{name} {label}"), "ms", millis, goal);
        }
    }

    pub fn record_note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Records the program's CPU seconds per 1,000 deliveries: in total, in user and system mode,
    /// and by thread.
    pub fn record_cpu(&mut self, spent: &UsageDelta, count: usize) {
        let thousands = count as f64 / 1000.0;
        let cpu = spent.cpu() / thousands;
        self.record("program: CPU per 1,000 deliveries", "s", cpu);
        self.record(
            "program: user CPU per 1,000 deliveries",
            "s",
            spent.user / thousands,
        );
        self.record(
            "program: system CPU per 1,000 deliveries",
            "s",
            spent.system / thousands,
        );
        // The rest of the total was used by threads that have ended.
        let known: f64 = spent.threads.values().sum();
        let ended = ("ended threads".to_owned(), spent.cpu() - known);
        for (name, cpu) in spent.threads.clone().into_iter().chain([ended]) {
            let is_listed = cpu > spent.cpu() * MIN_SHARE;
            let name = if is_listed { name } else { "others".into() };
            *self.threads.entry(name).or_default() += cpu / thousands;
        }
    }
}
