//! Keeps the write-ahead log (WAL) small.
//!
//! SQLite checkpoints after a commit, but it can't reset the WAL while readers use it. With
//! overlapping readers, the WAL would grow without limit. Once the WAL is large, the writer waits
//! briefly for the current readers and truncates the WAL.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{BUSY_TIMEOUT, WAL_MAX_BYTES};

/// Maximum time that the writer waits for readers when it truncates the WAL.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_millis(20);
/// Minimum time between a failed checkpoint and the next checkpoint, unless it is forced.
const CHECKPOINT_RETRY_DELAY: Duration = Duration::from_millis(500);

/// The WAL of a database that this process serves.
pub(in crate::store) struct Wal {
    path: PathBuf,
    /// The time when the last checkpoint failed; `None` if it succeeded.
    failed_at: Option<Instant>,
}

impl Wal {
    pub(in crate::store) fn for_database(database: &Path) -> Self {
        Self {
            path: wal_path(database),
            failed_at: None,
        }
    }

    /// Truncates the WAL if it is large and no checkpoint failed recently, or if `force` is set.
    /// Must be called outside a transaction.
    pub(super) fn truncate_if_large(&mut self, connection: &Connection, force: bool) {
        let is_large = || std::fs::metadata(&self.path).is_ok_and(|wal| wal.len() > WAL_MAX_BYTES);
        let failed_recently = self
            .failed_at
            .is_some_and(|at| at.elapsed() < CHECKPOINT_RETRY_DELAY);
        if !force && (failed_recently || !is_large()) {
            return;
        }
        match checkpoint(connection) {
            Ok(true) => self.failed_at = None,
            Ok(false) => self.failed_at = Some(Instant::now()),
            Err(error) => {
                // On a full disk, the content stays in the WAL, where it is just as durable.
                tracing::debug!(%error, "checkpoint failed");
                self.failed_at = Some(Instant::now());
            }
        }
    }
}

/// Returns the path of a database's WAL.
pub(in crate::store) fn wal_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    path.into()
}

/// Writes the WAL's content into the database and truncates the WAL. Returns `false` if a reader
/// still needs the WAL.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(CHECKPOINT_TIMEOUT)?;
    let is_busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get::<_, bool>(0)
    });
    connection.busy_timeout(BUSY_TIMEOUT)?;
    is_busy.map(|is_busy| !is_busy)
}
