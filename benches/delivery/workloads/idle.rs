//! Doing nothing: memory and context switches, beside a bare actix-web with as many workers in the same seconds.

use std::time::Duration;

use super::Bench;
use crate::child::Role;
use crate::figures::Run;
use crate::program::{Program, executable_size};
use crate::{Fault, limits, machine};

pub fn run(bench: &Bench) -> Result<Run, Fault> {
    let dir = bench.new_dir()?;
    // The first start of all makes the first user, and hashing a password takes memory; what runs for weeks is a later one.
    bench.empty_database(dir.path())?;
    let program = Program::start(dir.path(), &[])?;
    let mut web = Role::start(limits::WEB_ROLE, &())?;
    let _port: u16 = web.hear()?;
    std::thread::sleep(Duration::from_secs(bench.seconds(12, 1)));

    let (before, web_before) = (program.usage()?, web.process.usage()?);
    let seconds = bench.seconds(20, 1);
    std::thread::sleep(Duration::from_secs(seconds));
    let spent = program.usage()?.since(&before);
    let web_spent = web.process.usage()?.since(&web_before);

    let mut run = Run::default();
    run.add_with_goal("resident", "MiB", machine::resident(program.pid()), "≤ 15");
    run.add(
        "bare actix-web: resident",
        "MiB",
        machine::resident(web.process.pid()),
    );
    let per_second = |waits: u64| waits as f64 / seconds as f64;
    let goal = "≤ bare actix-web";
    run.add_with_goal(
        "voluntary context switches",
        "/s",
        per_second(spent.waits),
        goal,
    );
    run.add(
        "bare actix-web: voluntary context switches",
        "/s",
        per_second(web_spent.waits),
    );
    run.add("CPU", "ms/s", spent.cpu() * 1000.0 / seconds as f64);
    let size = executable_size()? as f64 / (1024.0 * 1024.0);
    run.add_with_goal("executable", "MiB", size, "≤ 15");
    run.add(
        "start on an empty file",
        "ms",
        program.started_in.as_secs_f64() * 1000.0,
    );
    Ok(run)
}
