//! Keeps the write-ahead log (WAL) small.
//!
//! SQLite checkpoints after a commit, but it can't reset the WAL while readers use it. With
//! overlapping readers, the WAL would grow without limit. Once the WAL is large, the writer waits
//! briefly for the current readers and truncates the WAL.
//!
//! A program that replicates the database, such as Litestream, copies the WAL. This program must
//! checkpoint the WAL itself: if Miniback checkpointed it, the program could miss a part, and would
//! have to copy the whole database again.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};

use super::{BUSY_TIMEOUT, WAL_MAX_BYTES};

/// Maximum time that the writer waits for readers when it truncates the WAL.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_millis(20);
/// The size of the WAL, in pages, at which SQLite checkpoints after a commit: SQLite's default.
const AUTOMATIC_CHECKPOINT_PAGES: u32 = 1000;
/// Minimum time between a failed checkpoint and the next checkpoint, unless it is forced.
const CHECKPOINT_RETRY_DELAY: Duration = Duration::from_millis(500);
/// The size of the WAL, in bytes, above which Miniback truncates it even if another program should
/// checkpoint it. Otherwise, the WAL would fill the disk if that program isn't running. Litestream
/// itself truncates the WAL at about 500 MB.
const EXTERNAL_WAL_MAX_BYTES: u64 = 1024 * 1024 * 1024;

/// Who checkpoints the WAL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalCheckpoints {
    Miniback,
    /// A program that replicates the database.
    External,
}

/// Maximum time to wait for other connections before the WAL is removed.
const REMOVAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The WAL of a database that this process serves.
pub(in crate::store) struct Wal {
    path: PathBuf,
    checkpoints: WalCheckpoints,
    /// The size above which the WAL is truncated.
    max_bytes: u64,
    /// The time when the last checkpoint failed; `None` if it succeeded.
    failed_at: Option<Instant>,
}

impl Wal {
    /// `connection` is the connection that writes.
    pub(in crate::store) fn for_database(
        database: &Path,
        connection: &Connection,
        checkpoints: WalCheckpoints,
    ) -> rusqlite::Result<Self> {
        let max_bytes = match checkpoints {
            WalCheckpoints::Miniback => {
                allow_checkpoints(connection)?;
                WAL_MAX_BYTES
            }
            WalCheckpoints::External => {
                defer_checkpoints(connection)?;
                EXTERNAL_WAL_MAX_BYTES
            }
        };
        Ok(Self {
            path: wal_path(database),
            checkpoints,
            max_bytes,
            failed_at: None,
        })
    }

    /// Truncates the WAL if it is large and no checkpoint failed recently, or if `force` is set.
    /// `force` has no effect if another program checkpoints the WAL. Must be called outside a
    /// transaction.
    pub(super) fn truncate_if_large(&mut self, connection: &Connection, force: bool) {
        let is_external = self.checkpoints == WalCheckpoints::External;
        let force = force && !is_external;
        let is_large = || std::fs::metadata(&self.path).is_ok_and(|wal| wal.len() > self.max_bytes);
        let failed_recently = self
            .failed_at
            .is_some_and(|at| at.elapsed() < CHECKPOINT_RETRY_DELAY);
        if !force && (failed_recently || !is_large()) {
            return;
        }
        match checkpoint(connection) {
            Ok(true) => {
                self.failed_at = None;
                if is_external {
                    tracing::warn!(
                        max_bytes = self.max_bytes,
                        "truncated the WAL, because no other program has checkpointed it; is \
                         Litestream running?"
                    );
                }
            }
            Ok(false) => self.failed_at = Some(Instant::now()),
            Err(error) => {
                // On a full disk, the content stays in the WAL, where it is just as durable.
                tracing::debug!(%error, "checkpoint failed");
                self.failed_at = Some(Instant::now());
            }
        }
    }
}

/// Prevents automatic checkpoints by this connection, also when it is closed.
pub(super) fn defer_checkpoints(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    Ok(())
}

/// Allows automatic checkpoints after [`defer_checkpoints`].
pub(in crate::store) fn allow_checkpoints(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "wal_autocheckpoint", AUTOMATIC_CHECKPOINT_PAGES)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(())
}

/// Writes the WAL's content into the database at `path` and removes the WAL. The database then
/// needs no WAL, until it is opened again as usual. Returns `false` if another connection uses the
/// database.
pub(in crate::store) fn remove_wal(path: &Path) -> rusqlite::Result<bool> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(REMOVAL_TIMEOUT)?;
    let mode = connection.query_row("PRAGMA journal_mode = DELETE", [], |row| {
        row.get::<_, String>(0)
    });
    false_if_busy(mode.map(|mode| mode == "delete"))
}

/// Checks the database at `path` together with its WAL, writes the WAL's content into the database,
/// and removes the WAL. Returns `false` if another connection uses the database. If the database is
/// corrupt, fails and leaves the files as they are: the WAL may belong to another database.
///
/// Unlike [`remove_wal`], this function needs no rollback journal, so an interruption leaves a
/// database that can also be read without write access.
pub(in crate::store) fn check_and_merge_wal(path: &Path) -> rusqlite::Result<bool> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.busy_timeout(REMOVAL_TIMEOUT)?;
    defer_checkpoints(&connection)?;
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
    let check = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    let merged = check.and_then(|result| {
        if result != "ok" {
            let corrupt = ffi::Error::new(ffi::SQLITE_CORRUPT);
            return Err(rusqlite::Error::SqliteFailure(corrupt, Some(result)));
        }
        allow_checkpoints(&connection)?;
        checkpoint(&connection)
    });
    false_if_busy(merged)
}

fn false_if_busy(result: rusqlite::Result<bool>) -> rusqlite::Result<bool> {
    match result {
        Err(error)
            if matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
            ) =>
        {
            Ok(false)
        }
        result => result,
    }
}

/// Returns whether a database has a WAL that isn't empty.
pub(in crate::store) fn has_content(database: &Path) -> bool {
    std::fs::metadata(wal_path(database)).is_ok_and(|wal| wal.len() > 0)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a database in WAL mode, with a WAL of about 100 KB.
    fn create_database(path: &Path, checkpoints: WalCheckpoints) -> (Connection, Wal) {
        let connection = Connection::open(path).unwrap();
        connection
            .pragma_update(None, "journal_mode", "WAL")
            .unwrap();
        let wal = Wal::for_database(path, &connection, checkpoints).unwrap();
        connection
            .execute_batch("CREATE TABLE t (a); INSERT INTO t VALUES (randomblob(100000))")
            .unwrap();
        (connection, wal)
    }

    #[test]
    fn an_external_wal_is_truncated_only_if_it_is_very_large() {
        for (checkpoints, truncates_at_close) in [
            (WalCheckpoints::Miniback, true),
            (WalCheckpoints::External, false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("test.db");
            let (connection, mut wal) = create_database(&path, checkpoints);
            let size = |wal: &Wal| std::fs::metadata(&wal.path).map_or(0, |file| file.len());
            wal.truncate_if_large(&connection, false);
            assert!(size(&wal) > 100_000);
            wal.truncate_if_large(&connection, true);
            assert_eq!(size(&wal) == 0, truncates_at_close, "{checkpoints:?}");
            connection
                .execute_batch("INSERT INTO t VALUES (randomblob(100000))")
                .unwrap();
            wal.max_bytes = 50_000;
            wal.truncate_if_large(&connection, false);
            assert_eq!(size(&wal), 0, "{checkpoints:?}");
            connection
                .execute_batch("INSERT INTO t VALUES (randomblob(100000))")
                .unwrap();
            drop(connection);
            assert_eq!(size(&wal) == 0, truncates_at_close, "{checkpoints:?}");
        }
    }
}
