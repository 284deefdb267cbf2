//! Space on the disk: the write-ahead log is kept short, and what removed rows leave behind is given back.
//!
//! SQLite folds the log back by itself after a commit, but goes round only what readers still look at: where one reader
//! follows the other without a gap the log never starts again at its beginning. So once it is long, the writing thread
//! waits a moment for the readers of that moment, and cuts it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::{BUSY_TIMEOUT, WAL_BYTES_MAX};

/// How long writers wait for readers when the log is to be cut.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_millis(20);
/// How soon it is tried again when a reader took longer.
const CHECKPOINT_RETRY: Duration = Duration::from_millis(500);

/// The write-ahead log of a database that this process serves.
pub(in crate::store) struct Wal {
    path: PathBuf,
    tried: Option<Instant>,
}

impl Wal {
    pub(in crate::store) fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self {
            path: path.into(),
            tried: None,
        }
    }

    /// Cuts the log if it has become long, or if `wanted`. Outside of a transaction.
    pub(in crate::store) fn truncate_if_large(&mut self, connection: &Connection, wanted: bool) {
        let long = || std::fs::metadata(&self.path).is_ok_and(|log| log.len() > WAL_BYTES_MAX);
        let tried_just_now = self.tried.is_some_and(|at| at.elapsed() < CHECKPOINT_RETRY);
        if !wanted && (tried_just_now || !long()) {
            return;
        }
        match checkpoint(connection) {
            Ok(true) => self.tried = None,
            Ok(false) => self.tried = Some(Instant::now()),
            Err(error) => {
                // A full disk: what is in the log stays there, and is as good as in the database.
                tracing::debug!(%error, "the write-ahead log could not be folded back");
                self.tried = Some(Instant::now());
            }
        }
    }
}

/// Writes what is in the log into the database, and cuts the log to nothing; `false` if a reader still needs it.
pub(in crate::store) fn checkpoint(connection: &Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(CHECKPOINT_TIMEOUT)?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get::<_, bool>(0)
    });
    connection.busy_timeout(BUSY_TIMEOUT)?;
    busy.map(|busy| !busy)
}
