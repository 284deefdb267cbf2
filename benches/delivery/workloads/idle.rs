//! Idle: memory and context switches without load, compared with a bare actix-web server that has
//! as many workers and runs at the same time.

use std::time::Duration;

use crate::bench::Bench;
use crate::metrics::Run;
use crate::process::Helper;
use crate::{Error, baselines, system};

pub fn run(bench: &Bench) -> Result<Run, Error> {
    let dir = bench.new_dir()?;
    // Measure the second start. The first start uses additional memory, because it hashes the first
    // user's password.
    bench.start_program(dir.path(), &[])?.stop()?;
    let program = bench.start_program(dir.path(), &[])?;
    let mut web = Helper::start(baselines::WEB_SERVER_ROLE, &())?;
    let _port: u16 = web.read_line()?;
    std::thread::sleep(Duration::from_secs(bench.time(12, 1)));

    let (before, web_before) = (program.usage()?, web.process.usage()?);
    let seconds = bench.time(20, 1);
    std::thread::sleep(Duration::from_secs(seconds));
    let spent = program.usage()?.since(&before);
    let web_spent = web.process.usage()?.since(&web_before);

    let mut run = Run::default();
    run.record_with_goal(
        "memory",
        "MiB",
        system::resident_memory(program.pid()),
        "≤ 15",
    );
    run.record(
        "bare actix-web: memory",
        "MiB",
        system::resident_memory(web.process.pid()),
    );
    let per_second = |context_switches: u64| context_switches as f64 / seconds as f64;
    let goal = "≤ bare actix-web";
    run.record_with_goal(
        "voluntary context switches",
        "/s",
        per_second(spent.context_switches),
        goal,
    );
    run.record(
        "bare actix-web: voluntary context switches",
        "/s",
        per_second(web_spent.context_switches),
    );
    run.record("CPU", "ms/s", spent.cpu() * 1000.0 / seconds as f64);
    let size = std::fs::metadata(&bench.executable)?.len() as f64 / (1024.0 * 1024.0);
    run.record_with_goal("executable", "MiB", size, "≤ 15");
    run.record(
        "startup time with an empty database",
        "ms",
        program.startup_time.as_secs_f64() * 1000.0,
    );
    Ok(run)
}
