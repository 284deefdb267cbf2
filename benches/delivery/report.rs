//! Formats the results of workloads as Markdown tables and as JSON. Both contain the minimum,
//! median, and maximum of each metric over all runs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::metrics::{Metric, Run};
use crate::workloads::Workload;

/// A workload with the results of its runs.
pub struct WorkloadReport {
    pub key: &'static str,
    title: &'static str,
    runs: Vec<Run>,
}

/// A metric with its values, for one row of the table.
struct Row<'a> {
    metric: &'a Metric,
    /// One value per run.
    values: Vec<f64>,
}

impl Row<'_> {
    fn sorted_values(&self) -> Vec<f64> {
        sorted(self.values.clone())
    }
}

fn sorted(mut values: Vec<f64>) -> Vec<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Returns the median of sorted values. If two values are in the middle, returns the lower value.
fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len().saturating_sub(1) / 2;
    sorted.get(middle).copied().unwrap_or(0.0)
}

impl WorkloadReport {
    pub fn new(workload: &Workload, runs: Vec<Run>) -> Self {
        Self {
            key: workload.key,
            title: workload.title,
            runs,
        }
    }

    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows: Vec<Row<'_>> = Vec::new();
        for metric in self.runs.iter().flat_map(|run| &run.metrics) {
            match rows.iter_mut().find(|row| row.metric.name == metric.name) {
                Some(row) => row.values.push(metric.value),
                None => rows.push(Row {
                    metric,
                    values: vec![metric.value],
                }),
            }
        }
        rows
    }

    /// Returns the CPU seconds per 1,000 deliveries of each thread, in descending order. Each
    /// number is the median of all runs.
    pub fn threads(&self) -> Vec<(String, f64)> {
        let mut all: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (name, cpu) in self.runs.iter().flat_map(|run| &run.threads) {
            all.entry(name).or_default().push(*cpu);
        }
        let median_of =
            |(name, values): (&str, Vec<f64>)| (name.to_owned(), median(&sorted(values)));
        let mut threads: Vec<_> = all.into_iter().map(median_of).collect();
        threads.sort_unstable_by(|a, b| b.1.total_cmp(&a.1));
        threads
    }

    /// Returns the points of the plot ([`Run::curve`]) from the last run.
    pub fn curve(&self) -> &[(f64, f64)] {
        self.runs.last().map_or(&[], |run| &run.curve)
    }

    /// Returns the median of a metric over all runs, or `None` if it wasn't measured.
    pub fn median(&self, name: &str) -> Option<f64> {
        let rows = self.rows();
        let row = rows.iter().find(|row| row.metric.name == name)?;
        Some(median(&row.sorted_values()))
    }

    fn notes(&self) -> Vec<&str> {
        let mut notes: Vec<&str> = Vec::new();
        for note in self.runs.iter().flat_map(|run| &run.notes) {
            if !notes.contains(&note.as_str()) {
                notes.push(note);
            }
        }
        notes
    }

    /// Formats the report as Markdown.
    pub fn table(&self) -> String {
        let mut lines = vec![
            format!("## {}: {}", self.key.to_uppercase(), self.title),
            String::new(),
        ];
        let mut cells = vec![["metric", "min", "median", "max", "unit", "goal"].map(str::to_owned)];
        for row in self.rows() {
            let values = row.sorted_values();
            let ends = values.first().zip(values.last());
            let (min, max) = ends.map_or((0.0, 0.0), |(min, max)| (*min, *max));
            cells.push([
                row.metric.name.clone(),
                format_number(min),
                format_number(median(&values)),
                format_number(max),
                row.metric.unit.to_owned(),
                row.metric.goal.to_owned(),
            ]);
        }
        for (name, cpu) in self.threads() {
            let name = format!("CPU per 1,000: {name}");
            let unit = "s".to_owned();
            cells.push([
                name,
                String::new(),
                format_number(cpu),
                String::new(),
                unit,
                String::new(),
            ]);
        }
        lines.extend(align_table(&cells));
        lines.extend(self.notes().iter().map(|note| format!("\n{note}.")));
        lines.push(String::new());
        lines.join("\n")
    }

    fn json(&self) -> Value {
        let metrics: Vec<Value> = self
            .rows()
            .iter()
            .map(|row| {
                let values = row.sorted_values();
                json!({
                    "name": row.metric.name,
                    "unit": row.metric.unit,
                    "goal": row.metric.goal,
                    "min": values.first(),
                    "median": median(&values),
                    "max": values.last(),
                    "values": row.values,
                })
            })
            .collect();
        let threads: Vec<Value> = self
            .threads()
            .iter()
            .map(|(name, cpu)| json!({ "name": name, "cpuPer1000": cpu }))
            .collect();
        json!({
            "workload": self.key,
            "title": self.title,
            "figures": metrics,
            "threads": threads,
            "curve": self.curve(),
            "notes": self.notes(),
        })
    }
}

pub fn json(machine: &Value, settings: &Value, reports: &[WorkloadReport]) -> Value {
    let workloads: Vec<Value> = reports.iter().map(WorkloadReport::json).collect();
    json!({ "machine": machine, "settings": settings, "workloads": workloads })
}

/// Formats rows as an aligned Markdown table.
fn align_table(cells: &[[String; 6]]) -> Vec<String> {
    let width = |column: usize| {
        let chars = cells.iter().map(|row| row[column].chars().count());
        chars.max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |row: &[String; 6]| {
        let cell = |(column, text): (usize, &String)| {
            let space = " ".repeat(widths[column] - text.chars().count());
            let is_number = (1..4).contains(&column);
            let (left, right) = if is_number {
                (space.as_str(), "")
            } else {
                ("", space.as_str())
            };
            format!("{left}{text}{right}")
        };
        let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
        format!("| {} |", cells.join(" | "))
    };
    let rule = |column: usize| {
        let is_number = (1..4).contains(&column);
        let dashes = "-".repeat(widths[column].max(3) - usize::from(is_number));
        if is_number {
            format!("{dashes}:")
        } else {
            dashes
        }
    };
    let rules: Vec<String> = (0..6).map(rule).collect();
    let mut lines = vec![line(&cells[0]), format!("| {} |", rules.join(" | "))];
    lines.extend(cells[1..].iter().map(line));
    lines
}

/// Formats a number with up to four decimals. Larger numbers have fewer decimals.
pub fn format_number(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}
