//! What Linux tells of a process and of the machine: CPU, memory, bytes written, context switches, the clock.
//!
//! The monotonic clock is one for the whole machine, so times of different processes can be subtracted.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::Fault;

/// Nanoseconds of the machine's monotonic clock.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// What a process has used so far.
pub struct Usage {
    user: f64,
    system: f64,
    written: u64,
    threads: HashMap<u32, Thread>,
}

struct Thread {
    name: String,
    cpu: f64,
    waits: u64,
}

/// What it used between two looks.
#[derive(Default)]
pub struct Spent {
    pub user: f64,
    pub system: f64,
    /// Bytes that it caused to be written to the disk.
    pub written: u64,
    /// Voluntary context switches: each is a wait for something.
    pub waits: u64,
    /// CPU seconds by thread; what is missing to the whole was used by threads that have ended.
    pub threads: BTreeMap<String, f64>,
}

impl Spent {
    pub fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

impl Usage {
    pub fn of(pid: u32) -> Result<Self, Fault> {
        let (_, user, system) = times(&format!("/proc/{pid}/stat"))?;
        let mut threads = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let path = entry?.path();
            let id = path
                .file_name()
                .and_then(|name| name.to_str()?.parse().ok());
            // A thread may end while it is looked at.
            let (Some(id), Ok((name, user, system))) =
                (id, times(&path.join("stat").to_string_lossy()))
            else {
                continue;
            };
            let waits = named(
                &path.join("status").to_string_lossy(),
                "voluntary_ctxt_switches",
            );
            threads.insert(
                id,
                Thread {
                    name: in_words(name),
                    cpu: user + system,
                    waits: waits.unwrap_or(0),
                },
            );
        }
        Ok(Self {
            user,
            system,
            written: named(&format!("/proc/{pid}/io"), "write_bytes").unwrap_or(0),
            threads,
        })
    }

    pub fn since(&self, earlier: &Self) -> Spent {
        let mut spent = Spent {
            user: self.user - earlier.user,
            system: self.system - earlier.system,
            written: self.written - earlier.written,
            ..Spent::default()
        };
        for (id, thread) in &self.threads {
            let before = earlier.threads.get(id);
            let cpu = thread.cpu - before.map_or(0.0, |before| before.cpu);
            *spent.threads.entry(thread.name.clone()).or_default() += cpu;
            spent.waits += thread.waits - before.map_or(0, |before| before.waits);
        }
        spent
    }
}

/// The thread's name, user and system seconds. The name stands in parentheses and may hold anything but a newline.
fn times(path: &str) -> Result<(String, f64, f64), Fault> {
    let text = fs::read_to_string(path)?;
    let unreadable = || format!("{path} is not as expected");
    let (begin, end) = text
        .split_once('(')
        .zip(text.rsplit_once(')'))
        .ok_or_else(unreadable)?;
    let name = &text[begin.0.len() + 1..end.0.len()];
    let fields: Vec<&str> = end.1.split_whitespace().collect();
    let seconds = |at: usize| -> Option<f64> {
        let ticks: u64 = fields.get(at)?.parse().ok()?;
        Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    };
    let (user, system) = seconds(11).zip(seconds(12)).ok_or_else(unreadable)?;
    Ok((name.to_owned(), user, system))
}

/// What the program's threads are for; others keep their names.
fn in_words(name: String) -> String {
    match name.as_str() {
        "writer" => "store writer".into(),
        "delivery" => "delivery loop".into(),
        "miniback" => "main".into(),
        _ if name.starts_with("tokio-r") => "store readers (blocking pool)".into(),
        _ if name.starts_with("actix-rt") => "web workers".into(),
        _ if name.starts_with("actix-server") => "accept".into(),
        _ => name,
    }
}

/// The number in the line `name: 123 kB`.
fn named(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Resident memory now, in MiB.
pub fn resident(pid: u32) -> f64 {
    mebibytes(pid, "VmRSS")
}

/// The most that was resident, since the start or [`forget_peak`], in MiB.
pub fn peak(pid: u32) -> f64 {
    mebibytes(pid, "VmHWM")
}

fn mebibytes(pid: u32, name: &str) -> f64 {
    named(&format!("/proc/{pid}/status"), name).unwrap_or(0) as f64 / 1024.0
}

/// The peak begins anew: hashing the first user's password takes more memory than all that follows.
pub fn forget_peak(pid: u32) -> Result<(), Fault> {
    Ok(fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

/// What the figures were measured on.
pub fn description(dir: &std::path::Path) -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    let memory = named("/proc/meminfo", "MemTotal").unwrap_or(0) / 1024;
    json!({
        "cpu": model,
        "cores": std::thread::available_parallelism().map_or(0, |cores| cores.get()),
        "memoryMiB": memory,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "fileSystem": file_system(dir, &read("/proc/mounts")),
        "loadBefore": read("/proc/loadavg").split(' ').next().unwrap_or_default(),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
    })
}

/// Of the mount that holds `dir`.
fn file_system(dir: &std::path::Path, mounts: &str) -> String {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        words.next().zip(words.next())
    });
    let (_, kind) = mounts
        .filter(|(at, _)| dir.starts_with(at))
        .max_by_key(|(at, _)| at.len())
        .unwrap_or(("", "unknown"));
    kind.to_owned()
}
