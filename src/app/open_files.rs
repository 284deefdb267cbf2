//! The limit on open files of this process, and the number of connections that the limit allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The lowest open-file limit at which the server starts: enough for the database, the worker
/// threads, and a few connections.
const OPEN_FILE_LIMIT_MIN: u64 = 128;
/// The number of open files that are reserved for the database, exports, and deliveries. If the
/// open-file limit is below 512, half of the limit is reserved.
const OPEN_FILES_RESERVED: u64 = 256;
/// The maximum number of connections, even if the open-file limit is higher. A connection uses
/// about 13 KiB of memory while it is idle, and about 30 KiB while its request waits. More clients
/// wait in the kernel's queue, where they use no memory of this process.
const CONNECTIONS_MAX: u64 = 4096;

/// The error for an open-file limit that is too low to run the server.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this process can open only {limit} files, but Miniback needs at least {OPEN_FILE_LIMIT_MIN}; raise the \
     limit, for example with “ulimit -n 4096” or with LimitNOFILE=4096 in the systemd unit"
)]
pub struct OpenFileLimitTooLow {
    limit: u64,
}

/// The maximum numbers of files and connections that can be open at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenFileLimits {
    pub files: u64,
    /// Inbound connections in total.
    pub connections: u64,
}

/// Raises the soft open-file limit to the hard limit, and returns the resulting limits. Systemd's
/// defaults are 1,024 (soft) and 524,288 (hard).
pub fn raise_limit() -> Result<OpenFileLimits, OpenFileLimitTooLow> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        // The kernel doesn't allow more than `fs.nr_open`, even if the hard limit is higher.
        Err(_) => current,
    };
    limits_for_max_files(files.unwrap_or(u64::MAX))
}

fn limits_for_max_files(files: u64) -> Result<OpenFileLimits, OpenFileLimitTooLow> {
    if files < OPEN_FILE_LIMIT_MIN {
        return Err(OpenFileLimitTooLow { limit: files });
    }
    let available = files - OPEN_FILES_RESERVED.min(files / 2);
    Ok(OpenFileLimits {
        files,
        connections: available.min(CONNECTIONS_MAX),
    })
}

impl OpenFileLimits {
    /// Returns the maximum number of inbound connections of each worker thread: at least 1.
    pub fn connections_per_worker(self, workers: usize) -> usize {
        let connections = usize::try_from(self.connections).unwrap_or(usize::MAX);
        (connections / workers.max(1)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserves_files_under_every_limit() {
        let cases = [
            (127, None),
            (128, Some(64)),
            (512, Some(256)),
            (1024, Some(768)),
            (4000, Some(3744)),
            (524_288, Some(CONNECTIONS_MAX)),
            (u64::MAX, Some(CONNECTIONS_MAX)),
        ];
        for (files, expected) in cases {
            let connections = limits_for_max_files(files)
                .ok()
                .map(|limits| limits.connections);
            assert_eq!(connections, expected, "{files}");
        }
    }

    #[test]
    fn each_worker_accepts_at_least_one_connection() {
        let limits = limits_for_max_files(128).unwrap();
        assert_eq!(limits.connections_per_worker(2), 32);
        assert_eq!(limits.connections_per_worker(500), 1);
        assert_eq!(limits.connections_per_worker(0), 64);
    }
}
