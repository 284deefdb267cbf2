//! The benchmark: `cargo bench --bench delivery`. Starts the real executable with its defaults, a receiver and a
//! generator, each a process of its own, all on loopback; prints what it measured beside the machine's own limits.
//!
//! `workloads` has what is measured. `--quick` asks whether all of it works and everything arrives; no figure is ever
//! asserted. The receiver, the generator and the bare programs are this executable again, in another role.

mod child;
mod figures;
mod file;
mod generator;
mod limits;
mod machine;
mod plot;
mod program;
mod receiver;
mod records;
mod report;
mod sample;
mod wire;
mod workloads;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Parser;
use serde_json::json;

use report::Measured;
use workloads::{Bench, Workload};

/// Why a run came to nothing, for the person who started it.
type Fault = Box<dyn std::error::Error>;

/// What Miniback delivers a second, what that costs, and how both grow
#[derive(Parser)]
#[command(name = "delivery")]
struct Options {
    /// Which workloads to run [default: all]
    #[arg(value_parser = ["w1", "w2", "w3", "w4", "w5", "w6", "idle"], ignore_case = true)]
    workloads: Vec<String>,
    /// Run each once with tiny counts: does everything arrive?
    #[arg(long)]
    quick: bool,
    /// How often each workload is run
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// What the number of stored rows of w5 and w6 is multiplied by
    #[arg(long, default_value_t = 1.0, value_parser = scale)]
    scale: f64,
    /// Where to write all figures as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to write the plot
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Where the databases are put, some 4 GB for w6 [default: target/bench-data]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Cargo says this to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn scale(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(scale) if scale > 0.0 && scale <= 10.0 => Ok(scale),
        _ => Err("a number above 0, at most 10".into()),
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let outcome = match arguments.next().as_deref() {
        Some(child::OTHER) => Err(child::become_other(arguments)),
        Some(receiver::ROLE) => receiver::run(),
        Some(generator::ROLE) => generator::run(),
        Some(limits::POSTS_ROLE) => limits::run_posts(),
        Some(limits::WEB_ROLE) => limits::run_web(),
        _ => run(Options::parse()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), Fault> {
    let default = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).with_file_name("bench-data");
    let bench = Bench {
        dir: options.dir.clone().unwrap_or(default),
        quick: options.quick,
        scale: options.scale,
    };
    std::fs::create_dir_all(&bench.dir)?;
    let runs = if options.quick { 1 } else { options.runs };
    let machine = machine::description(&bench.dir.canonicalize()?);
    let how = json!({ "runs": runs, "quick": options.quick, "scale": options.scale });
    println!("{machine}\n{how}\n");
    if cfg!(debug_assertions) || options.quick {
        println!("The figures of a debug build or a quick run say nothing about speed.\n");
    }
    let is_chosen = |workload: &&Workload| {
        let chosen = &options.workloads;
        chosen.is_empty()
            || chosen
                .iter()
                .any(|key| key.eq_ignore_ascii_case(workload.key))
    };
    let mut all = Vec::new();
    let mut failed = Vec::new();
    for workload in workloads::ALL.iter().filter(is_chosen) {
        let done = repeat(&bench, workload, runs, &mut failed);
        let measured = Measured::new(workload, done);
        println!("{}", measured.table());
        all.push(measured);
    }
    if let Some(file) = &options.json {
        let json = report::json(&machine, &how, &all);
        std::fs::write(file, serde_json::to_string_pretty(&json)?)?;
    }
    if let Some(file) = &options.svg {
        std::fs::write(file, plot::svg(&all))?;
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("failed: {}", failed.join(", ")).into())
}

/// Runs a workload so often; one that fails is told at once and ends its repetition, not the others.
fn repeat(
    bench: &Bench,
    workload: &Workload,
    runs: u32,
    failed: &mut Vec<&'static str>,
) -> Vec<figures::Run> {
    let mut done = Vec::new();
    for number in 1..=runs {
        let begun = Instant::now();
        match (workload.run)(bench) {
            Ok(run) => {
                let seconds = begun.elapsed().as_secs_f64();
                eprintln!(
                    "{}: run {number} of {runs} took {seconds:.1} s",
                    workload.key
                );
                done.push(run);
            }
            Err(fault) => {
                eprintln!("{}: run {number} of {runs} failed: {fault}", workload.key);
                failed.push(workload.key);
                break;
            }
        }
    }
    done
}
