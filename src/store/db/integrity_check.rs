//! Before a database is served: whether it is whole, and whether it can be written.
//!
//! Both would come to light later, in the middle of somebody's request; at the start there is a person who can mend it.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::SCHEMA_VERSION;
use super::error::OpenError;

/// How long a start waits for the look through the database. What is larger than can be read in that time is served
/// meanwhile, and looked through to its end beside it.
const QUICK_CHECK_TIMEOUT: Duration = Duration::from_millis(40);

/// Looks through the pages for damage, and writes one of them.
pub(in crate::store) fn check(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let verdict =
        quick_check_with_timeout(connection, path).map_err(|error| open_error(error, path))?;
    if let Some(what) = verdict {
        return Err(OpenError::Corrupt {
            path: path.to_owned(),
            what,
        });
    }
    check_writable(connection).or_else(|error| match error.sqlite_error_code() {
        // A full disk may pass while it runs: until then there is much to read, and each write is refused in words.
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => {
            tracing::error!(%error, "the database cannot be written at the moment");
            Ok(())
        }
        _ => Err(open_error(error, path)),
    })
}

/// What a fault of SQLite means to who starts the program.
pub(in crate::store) fn open_error(error: rusqlite::Error, path: &Path) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
            OpenError::NotADatabase { path }
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
            OpenError::ReadOnly { path }
        }
        _ => OpenError::Sqlite(error),
    }
}

/// What is wrong, if anything is found in time.
fn quick_check_with_timeout(
    connection: &Connection,
    path: &Path,
) -> rusqlite::Result<Option<String>> {
    let interrupt = connection.get_interrupt_handle();
    let (done, ended) = mpsc::channel::<()>();
    let timer = std::thread::spawn(move || {
        if ended.recv_timeout(QUICK_CHECK_TIMEOUT) == Err(mpsc::RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    let verdict = quick_check(connection);
    drop(done);
    // It has ended, or interrupts what has ended, which does nothing.
    let _ = timer.join();
    match verdict {
        Ok(verdict) => Ok((verdict != "ok").then_some(verdict)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            check_in_background(path.to_owned());
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn quick_check(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
}

/// Looks through all of it on a thread of its own, which ends with the process; damage is told in the log.
fn check_in_background(path: PathBuf) {
    let look = move || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let verdict = Connection::open_with_flags(&path, flags).and_then(|c| quick_check(&c));
        match verdict {
            Ok(verdict) if verdict == "ok" => tracing::debug!("the database is whole"),
            Ok(what) => {
                tracing::error!(what, "the database is damaged: stop, and restore a backup")
            }
            Err(error) => tracing::error!(%error, "the database could not be looked through"),
        }
    };
    if let Err(error) = std::thread::Builder::new().name("look".into()).spawn(look) {
        tracing::warn!(%error, "the database is not looked through: there is no thread for it");
    }
}

/// Writes the version that stands there already: a change of a page, and of nothing else.
fn check_writable(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)
}
