//! The `process_*` metrics, with the names that all Prometheus client libraries use.
//!
//! The `prometheus` crate can collect them too, but it reads `/proc/stat`, which the systemd unit
//! hides (`ProcSubset=pid`). This module needs only `/proc/self`.

use std::fs;
use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::param::page_size;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

/// The time when the server started, in seconds since the Unix epoch.
static START_TIME: LazyLock<f64> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0.0, |since_epoch| since_epoch.as_secs_f64())
});

/// Resources that this process uses. A value that can't be determined is `None`.
pub struct ProcessStatus {
    pub start_time_seconds: f64,
    /// The CPU time of all threads, in the kernel and outside.
    pub cpu_seconds: f64,
    pub resident_bytes: Option<f64>,
    pub virtual_bytes: Option<f64>,
    pub open_files: Option<f64>,
    pub open_files_max: Option<f64>,
}

/// Stores the current time as the start time of the process. Later calls have no effect.
pub fn record_start() {
    LazyLock::force(&START_TIME);
}

/// Reads the resources that this process uses.
pub fn read_status() -> ProcessStatus {
    let cpu = clock_gettime(ClockId::ProcessCPUTime);
    let pages = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let mut pages = pages.split_whitespace().map(str::parse::<f64>);
    let mut next_size = || Some(pages.next()?.ok()? * page_size() as f64);
    let (virtual_bytes, resident_bytes) = (next_size(), next_size());
    ProcessStatus {
        start_time_seconds: *START_TIME,
        cpu_seconds: cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9,
        resident_bytes,
        virtual_bytes,
        // Reading the directory opens one more file.
        open_files: fs::read_dir("/proc/self/fd")
            .ok()
            .map(|files| files.count().saturating_sub(1) as f64),
        open_files_max: getrlimit(Resource::Nofile)
            .current
            .map(|files| files as f64),
    }
}
