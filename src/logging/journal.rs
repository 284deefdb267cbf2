//! Priorities of lines for systemd's journal (`sd-daemon(3)`).

use std::fmt;
use std::sync::OnceLock;

use tracing::Level;

/// The prefix of a line: its priority, such as `<4>`, or nothing if standard error isn't the
/// journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriorityPrefix(&'static str);

impl PriorityPrefix {
    pub fn new(level: Level) -> Self {
        if !is_journal() {
            return Self("");
        }
        Self(match level {
            Level::ERROR => "<3>",
            Level::WARN => "<4>",
            Level::INFO => "<6>",
            _ => "<7>",
        })
    }

    /// Adds the prefix to each line of `text`.
    pub(super) fn add_to_lines(self, text: &[u8]) -> Vec<u8> {
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        lines
            .flat_map(|line| [self.0.as_bytes(), line])
            .flatten()
            .copied()
            .collect()
    }
}

impl fmt::Display for PriorityPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Returns whether standard error is connected to the journal: it is the file that
/// `JOURNAL_STREAM` identifies by device and inode (`systemd.exec(5)`).
fn is_journal() -> bool {
    static IS_JOURNAL: OnceLock<bool> = OnceLock::new();
    *IS_JOURNAL.get_or_init(|| {
        let Ok(stream) = std::env::var("JOURNAL_STREAM") else {
            return false;
        };
        let stderr = rustix::fs::fstat(std::io::stderr());
        stderr.is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
    })
}
