//! Space on the disk: the write-ahead log is kept short, and what removed rows leave behind is given back.
//!
//! SQLite folds the log back by itself after a commit, but goes round only what readers still look at: where one reader
//! follows the other without a gap the log never starts again at its beginning. So once it is long, the writing thread
//! waits a moment for the readers of that moment, and cuts it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::error::StoreError;
use super::sql;
use super::writer::Write;
use crate::store::Store;

/// How long the write-ahead log may become before it is cut.
pub(in crate::store) const LOG_BYTES: u64 = 8 * 1024 * 1024;
/// How long writers wait for readers when the log is to be cut.
const PATIENCE: Duration = Duration::from_millis(20);
/// How soon it is tried again when a reader took longer.
const AGAIN: Duration = Duration::from_millis(500);
/// How many pages are given back in one step.
const STEP: u32 = 64;
/// How many free pages are kept: what is removed today is written again tomorrow.
const SPARE: u32 = 64;

/// The write-ahead log of a database that this process serves.
pub(in crate::store) struct Log {
    path: PathBuf,
    tried: Option<Instant>,
}

impl Log {
    pub(in crate::store) fn of(database: &Path) -> Self {
        let mut path = database.as_os_str().to_owned();
        path.push("-wal");
        Self {
            path: path.into(),
            tried: None,
        }
    }

    /// Cuts the log if it has become long, or if `wanted`. Outside of a transaction.
    pub(in crate::store) fn keep_short(&mut self, connection: &Connection, wanted: bool) {
        let long = || std::fs::metadata(&self.path).is_ok_and(|log| log.len() > LOG_BYTES);
        let tried_just_now = self.tried.is_some_and(|at| at.elapsed() < AGAIN);
        if !wanted && (tried_just_now || !long()) {
            return;
        }
        match fold_back(connection) {
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
pub(in crate::store) fn fold_back(connection: &Connection) -> rusqlite::Result<bool> {
    connection.busy_timeout(PATIENCE)?;
    let busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| {
        row.get::<_, bool>(0)
    });
    connection.busy_timeout(super::open::BUSY_TIMEOUT)?;
    busy.map(|busy| !busy)
}

impl Store {
    /// Gives some of the pages that removed rows have left back to the file system. Returns how many: 0 = enough.
    pub async fn give_back_space(&self) -> Result<u32, StoreError> {
        self.writer.write(|write| give_back(write, SPARE)).await
    }

    /// The same without keeping any: what stood in these pages is gone with them.
    pub(in crate::store) async fn give_back_all_space(&self) -> Result<u32, StoreError> {
        self.writer.write(|write| give_back(write, 0)).await
    }
}

/// `spare`: so many are kept.
fn give_back(write: &mut Write<'_>, spare: u32) -> Result<u32, StoreError> {
    let free: u32 = sql::first(write, "PRAGMA freelist_count", [], |row| row.get(0))?.unwrap_or(0);
    let surplus = free.saturating_sub(spare).min(STEP);
    if surplus > 0 {
        // It gives back one page for each row that it is asked for.
        let statement = format!("PRAGMA incremental_vacuum({surplus})");
        sql::all(write, &statement, [], |_| Ok(()))?;
        if free - surplus <= spare {
            // The file itself becomes shorter when the log is folded back.
            write.cut_log();
        }
    }
    Ok(surplus)
}
