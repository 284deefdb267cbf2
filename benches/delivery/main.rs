//! The benchmark: `cargo bench --bench delivery`. It starts the real executable, a receiver, and a
//! load generator as separate processes on loopback. It compares the results with baselines
//! measured on the same machine.
//!
//! The measurements are in `workloads`. `--quick` only checks that everything works and that all
//! deliveries arrive; measured values are never asserted. The receiver, the generator, and the
//! baseline programs are this executable, started with their role as the first argument.

mod baselines;
mod bench;
mod database;
mod generator;
mod http;
mod metrics;
mod plots;
mod process;
mod program;
mod protocol;
mod receiver;
mod report;
mod sample;
mod system;
mod workloads;

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use serde_json::json;

use bench::Bench;
use report::WorkloadReport;
use workloads::Workload;

/// An error message for the person who started the benchmark.
type Error = Box<dyn std::error::Error>;

/// Measures Miniback's deliveries per second, their cost, and how both scale
#[derive(Parser)]
#[command(name = "delivery")]
struct Options {
    /// Workloads to run [default: all]
    #[arg(value_parser = ["w1", "w2", "w3", "w4", "w5", "w6", "w7", "idle"], ignore_case = true)]
    workloads: Vec<String>,
    /// Run each workload once with small counts, only to check that all deliveries arrive
    #[arg(long)]
    quick: bool,
    /// Number of runs per workload
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Factor for the number of stored rows in w5 and w6
    #[arg(long, default_value_t = 1.0, value_parser = parse_scale)]
    scale: f64,
    /// Also measure this other `miniback` executable, alternately with the built one. If its
    /// database schema is different, w5 and w6 are skipped, because they write rows themselves
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
    /// Write all results to this file as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the plots to this directory: `load.svg` (w7) and `performance.svg` (w1, w2, w5)
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Directory for the databases, about 4 GB for w6 [default: target/bench-data]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Passed by Cargo to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn parse_scale(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(scale) if scale > 0.0 && scale <= 10.0 => Ok(scale),
        _ => Err("must be greater than 0 and at most 10".into()),
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let result = match arguments.next().as_deref() {
        Some(process::EXEC_ROLE) => Err(process::exec_program(arguments)),
        Some(receiver::ROLE) => receiver::run(),
        Some(generator::ROLE) => generator::run(),
        Some(baselines::POST_LOOP_ROLE) => baselines::run_post_loop(),
        Some(baselines::WEB_SERVER_ROLE) => baselines::run_web_server(),
        _ => run(Options::parse()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), Error> {
    let benches = prepare(&options)?;
    let runs = if options.quick { 1 } else { options.runs };
    let machine = system::describe_machine(&benches[0].dir.canonicalize()?);
    let settings = json!({ "runs": runs, "quick": options.quick, "scale": options.scale,
        "compare": options.compare });
    println!("{machine}\n{settings}\n");
    if cfg!(debug_assertions) || options.quick {
        println!("Results of a debug build or a quick run say nothing about speed.\n");
    }
    let is_selected = |workload: &&Workload| {
        let selected = &options.workloads;
        selected.is_empty()
            || selected
                .iter()
                .any(|key| key.eq_ignore_ascii_case(workload.key))
    };
    let has_same_schema = has_same_schema(&benches)?;
    let mut reports = Vec::new();
    let mut failed = Vec::new();
    for workload in workloads::ALL.iter().filter(is_selected) {
        if workload.writes_rows && !has_same_schema {
            println!("{}: skipped, because the schemas differ\n", workload.key);
            continue;
        }
        let [built, compared] = run_alternately(&benches, workload, runs, &mut failed);
        if !built.is_empty() {
            let report = WorkloadReport::new(workload, built, compared);
            println!("{}", report.table());
            reports.push(report);
        }
    }
    if let Some(file) = &options.json {
        let json = report::json(&machine, &settings, &reports);
        std::fs::write(file, serde_json::to_string_pretty(&json)?)?;
    }
    if let Some(dir) = &options.plots {
        plots::write_all(dir, &reports)?;
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("failed: {}", failed.join(", ")).into())
}

/// Prepares the directory for the databases. Returns the settings for the built executable, and for
/// the compared executable if there is one.
fn prepare(options: &Options) -> Result<Vec<Bench>, Error> {
    let default = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench-data");
    let built = Bench {
        executable: program::BUILT_EXECUTABLE.into(),
        dir: options.dir.clone().unwrap_or(default),
        quick: options.quick,
        scale: options.scale,
    };
    std::fs::create_dir_all(&built.dir)?;
    built.remove_leftovers()?;
    let mut benches = vec![built.clone()];
    if let Some(file) = &options.compare {
        let executable = file.canonicalize()?;
        benches.push(Bench {
            executable,
            ..built
        });
    }
    Ok(benches)
}

/// Returns whether all executables create databases with the same schema.
fn has_same_schema(benches: &[Bench]) -> Result<bool, Error> {
    let mut schemas = HashSet::new();
    if benches.len() > 1 {
        for bench in benches {
            let dir = bench.new_dir()?;
            let path = bench::create_database(&bench.executable, dir.path())?;
            schemas.insert(database::read_schema(&path)?);
        }
    }
    Ok(schemas.len() <= 1)
}

/// Runs a workload `runs` times with each executable, alternately. Returns the results of the built
/// and of the compared executable. If a run fails, adds the workload's key to `failed` and skips
/// the remaining runs.
fn run_alternately(
    benches: &[Bench],
    workload: &Workload,
    runs: u32,
    failed: &mut Vec<&'static str>,
) -> [Vec<metrics::Run>; 2] {
    let mut results = [Vec::new(), Vec::new()];
    let executables = benches.iter().zip(["", " of the compared executable"]);
    let alternating = (1..=runs).flat_map(|number| {
        let turn = executables.clone().enumerate();
        turn.map(move |(index, (bench, name))| (number, index, bench, name))
    });
    for (number, index, bench, name) in alternating {
        let started = Instant::now();
        let label = format!("{}: run {number} of {runs}{name}", workload.key);
        match (workload.run)(bench) {
            Ok(run) => {
                let seconds = started.elapsed().as_secs_f64();
                eprintln!("{label} took {seconds:.1} s");
                results[index].push(run);
            }
            Err(error) => {
                eprintln!("{label} failed: {error}");
                failed.push(workload.key);
                break;
            }
        }
    }
    results
}
