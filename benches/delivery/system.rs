//! Reads the resource usage of processes (CPU time, memory, written bytes, and context switches),
//! and describes the machine.
//!
//! All processes share the machine's monotonic clock, so their times can be compared.

use std::collections::{BTreeMap, HashMap};
use std::fs;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use crate::Error;

/// Returns the time of the machine's monotonic clock, in nanoseconds.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// The resources that a process has used so far. CPU times are in seconds.
pub struct Usage {
    user: f64,
    system: f64,
    written: u64,
    threads: HashMap<u32, Thread>,
}

struct Thread {
    name: String,
    cpu: f64,
    context_switches: u64,
}

/// The resources that a process used between two readings. CPU times are in seconds.
#[derive(Default)]
pub struct UsageDelta {
    pub user: f64,
    pub system: f64,
    /// Bytes written to disk.
    pub written: u64,
    /// The number of voluntary context switches, which occur when a thread waits.
    pub context_switches: u64,
    /// CPU seconds by thread. The rest of the total was used by threads that have ended.
    pub threads: BTreeMap<String, f64>,
}

impl UsageDelta {
    pub fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

impl Usage {
    pub fn of(pid: u32) -> Result<Self, Error> {
        let (_, user, system) = read_cpu_times(&format!("/proc/{pid}/stat"))?;
        let mut threads = HashMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
            let path = entry?.path();
            let id = path
                .file_name()
                .and_then(|name| name.to_str()?.parse().ok());
            // Skip threads that end while they are read.
            let (Some(id), Ok((name, user, system))) =
                (id, read_cpu_times(&path.join("stat").to_string_lossy()))
            else {
                continue;
            };
            let context_switches = read_number(
                &path.join("status").to_string_lossy(),
                "voluntary_ctxt_switches",
            );
            threads.insert(
                id,
                Thread {
                    name: describe_thread(name),
                    cpu: user + system,
                    context_switches: context_switches.unwrap_or(0),
                },
            );
        }
        Ok(Self {
            user,
            system,
            written: read_number(&format!("/proc/{pid}/io"), "write_bytes").unwrap_or(0),
            threads,
        })
    }

    pub fn since(&self, earlier: &Self) -> UsageDelta {
        let mut spent = UsageDelta {
            user: self.user - earlier.user,
            system: self.system - earlier.system,
            written: self.written - earlier.written,
            ..UsageDelta::default()
        };
        for (id, thread) in &self.threads {
            let before = earlier.threads.get(id);
            let cpu = thread.cpu - before.map_or(0.0, |before| before.cpu);
            *spent.threads.entry(thread.name.clone()).or_default() += cpu;
            let context_switches = before.map_or(0, |before| before.context_switches);
            // The kernel may have reused a thread id, so the count can be lower than before.
            spent.context_switches += thread.context_switches.saturating_sub(context_switches);
        }
        spent
    }
}

/// Reads the name of a process or thread, and its user and system CPU seconds. In the file, the
/// name is in parentheses and can itself contain parentheses.
fn read_cpu_times(path: &str) -> Result<(String, f64, f64), Error> {
    let text = fs::read_to_string(path)?;
    let malformed = || format!("unexpected format of {path}");
    let (begin, end) = text
        .split_once('(')
        .zip(text.rsplit_once(')'))
        .ok_or_else(malformed)?;
    let name = &text[begin.0.len() + 1..end.0.len()];
    let fields: Vec<&str> = end.1.split_whitespace().collect();
    let seconds = |at: usize| -> Option<f64> {
        let ticks: u64 = fields.get(at)?.parse().ok()?;
        Some(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    };
    let (user, system) = seconds(11).zip(seconds(12)).ok_or_else(malformed)?;
    Ok((name.to_owned(), user, system))
}

/// Returns a description of a thread of Miniback, or the unchanged name of any other thread.
fn describe_thread(name: String) -> String {
    match name.as_str() {
        "writer" => "store writer".into(),
        "delivery" => "dispatcher".into(),
        "miniback" => "main".into(),
        _ if name.starts_with("tokio-r") => "store readers (blocking pool)".into(),
        _ if name.starts_with("actix-rt") => "web workers".into(),
        _ if name.starts_with("actix-server") => "accept".into(),
        _ => name,
    }
}

/// Reads the number in a line such as `name: 123 kB`.
fn read_number(path: &str, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Returns the resident memory in MiB.
pub fn resident_memory(pid: u32) -> f64 {
    read_mebibytes(pid, "VmRSS")
}

/// Returns the peak resident memory since the start or [`reset_peak_memory`], in MiB.
pub fn peak_memory(pid: u32) -> f64 {
    read_mebibytes(pid, "VmHWM")
}

fn read_mebibytes(pid: u32, name: &str) -> f64 {
    read_number(&format!("/proc/{pid}/status"), name).unwrap_or(0) as f64 / 1024.0
}

/// Resets the peak of the resident memory. Without a reset, the peak would be the memory for
/// hashing a password, which exceeds the memory for all other work.
pub fn reset_peak_memory(pid: u32) -> Result<(), Error> {
    Ok(fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

/// Describes the machine and the build.
pub fn describe_machine(dir: &std::path::Path) -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, model)| model);
    let memory = read_number("/proc/meminfo", "MemTotal").unwrap_or(0) / 1024;
    json!({
        "cpu": model,
        "cores": std::thread::available_parallelism().map_or(0, |cores| cores.get()),
        "memoryMiB": memory,
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
        "fileSystem": file_system_type(dir, &read("/proc/mounts")),
        "loadBefore": read("/proc/loadavg").split(' ').next().unwrap_or_default(),
        "build": if cfg!(debug_assertions) { "debug" } else { "release" },
    })
}

/// Returns the file system type of the mount that contains `dir`.
fn file_system_type(dir: &std::path::Path, mounts: &str) -> String {
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
