//! Formats the results of workloads as Markdown tables and as JSON. Both contain the minimum,
//! median, and maximum of each metric over all runs. With `--compare`, the tables contain the
//! medians of both executables and their ratio instead.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::metrics::{Metric, Run};
use crate::workloads::Workload;

/// A workload with the results of its runs.
pub struct WorkloadReport {
    pub key: &'static str,
    title: &'static str,
    runs: Vec<Run>,
    /// The runs of the other executable, in the same order. Empty without `--compare`.
    compared: Vec<Run>,
}

/// A metric with its values, for one row of the table.
struct Row {
    metric: Metric,
    /// One value per run.
    values: Vec<f64>,
    /// The values of the other executable. Empty without `--compare`.
    compared: Vec<f64>,
}

impl Row {
    /// Returns the median of the ratios between each run and the other executable's next run. A
    /// machine that becomes faster or slower during the benchmark hardly changes this ratio.
    fn ratio(&self) -> f64 {
        let pairs = self.values.iter().zip(&self.compared);
        median(&sorted(pairs.map(|(built, other)| built / other).collect()))
    }

    fn cells(&self) -> [String; 6] {
        let numbers = if self.compared.is_empty() {
            spread(&self.values)
        } else {
            [
                spread(&self.values)[1],
                spread(&self.compared)[1],
                self.ratio(),
            ]
        };
        let [first, second, third] = numbers.map(format_number);
        let name = self.metric.name.clone();
        let (unit, goal) = (self.metric.unit.to_owned(), self.metric.goal.to_owned());
        [name, first, second, third, unit, goal]
    }

    fn json(&self) -> Value {
        let json_of = |values: &[f64]| {
            let [min, median, max] = spread(values);
            json!({ "min": min, "median": median, "max": max, "values": values })
        };
        let mut json = json_of(&self.values);
        json["name"] = self.metric.name.as_str().into();
        json["unit"] = self.metric.unit.into();
        json["goal"] = self.metric.goal.into();
        if !self.compared.is_empty() {
            json["compared"] = json_of(&self.compared);
            json["ratio"] = self.ratio().into();
        }
        json
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

/// Returns the minimum, median, and maximum.
fn spread(values: &[f64]) -> [f64; 3] {
    let values = sorted(values.to_vec());
    let (min, max) = (values.first().copied(), values.last().copied());
    [
        min.unwrap_or_default(),
        median(&values),
        max.unwrap_or_default(),
    ]
}

/// Returns the value of a metric in each run.
fn metric_values(runs: &[Run], name: &str) -> Vec<f64> {
    let metrics = runs.iter().flat_map(|run| &run.metrics);
    let found = metrics.filter(|metric| metric.name == name);
    found.map(|metric| metric.value).collect()
}

/// Returns the CPU seconds of a thread in each run.
fn thread_values(runs: &[Run], name: &str) -> Vec<f64> {
    let threads = runs.iter().map(|run| run.threads.get(name));
    threads.map(|cpu| cpu.copied().unwrap_or(0.0)).collect()
}

impl WorkloadReport {
    pub fn new(workload: &Workload, runs: Vec<Run>, compared: Vec<Run>) -> Self {
        Self {
            key: workload.key,
            title: workload.title,
            runs,
            compared,
        }
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        for metric in self.runs.iter().flat_map(|run| &run.metrics) {
            if !rows.iter().any(|row| row.metric.name == metric.name) {
                rows.push(Row {
                    metric: metric.clone(),
                    values: metric_values(&self.runs, &metric.name),
                    compared: metric_values(&self.compared, &metric.name),
                });
            }
        }
        rows
    }

    /// Returns rows with the CPU seconds per 1,000 deliveries of each thread, in descending order.
    fn thread_rows(&self) -> Vec<Row> {
        let names: BTreeSet<&String> = self
            .runs
            .iter()
            .flat_map(|run| run.threads.keys())
            .collect();
        let row = |name: &String| Row {
            metric: Metric {
                name: name.clone(),
                unit: "s",
                value: 0.0,
                goal: "",
            },
            values: thread_values(&self.runs, name),
            compared: thread_values(&self.compared, name),
        };
        let mut rows: Vec<Row> = names.into_iter().map(row).collect();
        rows.sort_by(|a, b| spread(&b.values)[1].total_cmp(&spread(&a.values)[1]));
        rows
    }

    /// Returns the CPU seconds per 1,000 deliveries of each thread, in descending order. Each
    /// number is the median of all runs.
    pub fn threads(&self) -> Vec<(String, f64)> {
        let rows = self.thread_rows().into_iter();
        rows.map(|row| (row.metric.name, spread(&row.values)[1]))
            .collect()
    }

    /// Returns the points of the plot ([`Run::curve`]) from the last run.
    pub fn curve(&self) -> &[(f64, f64)] {
        self.runs.last().map_or(&[], |run| &run.curve)
    }

    /// Returns the median of a metric over all runs, or `None` if it wasn't measured.
    pub fn median(&self, name: &str) -> Option<f64> {
        let rows = self.rows();
        let row = rows.iter().find(|row| row.metric.name == name)?;
        Some(spread(&row.values)[1])
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
        let numbers = if self.compared.is_empty() {
            ["min", "median", "max"]
        } else {
            ["built", "compared", "ratio"]
        };
        let [first, second, third] = numbers;
        let head = ["metric", first, second, third, "unit", "goal"];
        let mut cells = vec![head.map(str::to_owned)];
        cells.extend(self.rows().iter().map(Row::cells));
        for mut row in self.thread_rows() {
            row.metric.name.insert_str(0, "CPU per 1,000: ");
            cells.push(row.cells());
        }
        lines.extend(align_table(&cells));
        lines.extend(self.notes().iter().map(|note| format!("\n{note}.")));
        lines.push(String::new());
        lines.join("\n")
    }

    fn json(&self) -> Value {
        let metrics: Vec<Value> = self.rows().iter().map(Row::json).collect();
        let threads: Vec<Value> = self.thread_rows().iter().map(Row::json).collect();
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
    if !value.is_finite() {
        // The ratio of two metrics that are 0.
        String::new()
    } else if size >= 100.0 || value.fract() == 0.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.4}")
    }
}
