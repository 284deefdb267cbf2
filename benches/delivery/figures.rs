//! Figures of one run, and the quantiles that they are made of.

use std::collections::BTreeMap;

use crate::machine::Spent;

/// Durations in nanoseconds, sorted; all are kept, so quantiles are exact.
pub struct Series(Vec<u64>);

impl Series {
    pub fn new(mut nanos: Vec<u64>) -> Self {
        nanos.sort_unstable();
        Self(nanos)
    }

    /// The smallest value that is not less than this share of all (nearest rank), in milliseconds; 1.0 is the greatest.
    pub fn millis(&self, share: f64) -> f64 {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        let nanos = self.0.get(rank.max(1) - 1).copied().unwrap_or(0);
        nanos as f64 / 1e6
    }
}

/// One number with its name.
#[derive(Clone)]
pub struct Figure {
    pub name: String,
    pub unit: &'static str,
    pub value: f64,
    /// Where it has to get, in words; never asserted.
    pub goal: &'static str,
}

/// What one run of a workload measured.
#[derive(Default)]
pub struct Run {
    pub figures: Vec<Figure>,
    /// CPU seconds of the program for 1,000 deliveries, by thread.
    pub threads: BTreeMap<String, f64>,
    /// For the plot: a position and a value.
    pub curve: Vec<(f64, f64)>,
    pub notes: Vec<String>,
}

impl Run {
    pub fn add(&mut self, name: impl Into<String>, unit: &'static str, value: f64) {
        self.add_with_goal(name, unit, value, "");
    }

    pub fn add_with_goal(
        &mut self,
        name: impl Into<String>,
        unit: &'static str,
        value: f64,
        goal: &'static str,
    ) {
        self.figures.push(Figure {
            name: name.into(),
            unit,
            value,
            goal,
        });
    }

    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// The program's CPU for 1,000 of `count`, whole and by thread.
    pub fn add_cpu(&mut self, spent: &Spent, count: usize, goal: &'static str) {
        let thousands = count as f64 / 1000.0;
        let cpu = spent.cpu() / thousands;
        self.add_with_goal("program: CPU per 1,000 deliveries", "s", cpu, goal);
        self.add("… of it user", "s", spent.user / thousands);
        self.add("… of it system", "s", spent.system / thousands);
        for (name, cpu) in &spent.threads {
            self.threads.insert(name.clone(), cpu / thousands);
        }
        let ended = cpu - self.threads.values().sum::<f64>();
        if ended > 0.000_5 {
            self.threads.insert("threads that ended".into(), ended);
        }
    }
}
