//! Checks at startup that the database is intact and writable.
//!
//! An operator who is starting the server can fix a problem right away. A problem that is found
//! later breaks requests.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::SCHEMA_VERSION;
use super::error::OpenError;
use super::health::{DatabaseHealth, DatabaseProblem};

/// Maximum time that startup waits for the check. If the check takes longer, the server starts
/// anyway and repeats the check in the background.
const QUICK_CHECK_TIMEOUT: Duration = Duration::from_millis(40);

/// Checks that the pages aren't corrupt, and that the file is writable. Damage that the check in
/// the background finds is reported to `health`.
pub(in crate::store) fn check_integrity(
    connection: &Connection,
    path: &Path,
    health: &DatabaseHealth,
) -> Result<(), OpenError> {
    let problem = quick_check_with_timeout(connection, path, health)
        .map_err(|error| to_open_error(error, path))?;
    if let Some(details) = problem {
        tracing::debug!(details, "the database is corrupt");
        return Err(OpenError::Corrupt {
            path: path.to_owned(),
            details: "its integrity check failed".to_owned(),
        });
    }
    check_writable(connection).or_else(|error| match error.sqlite_error_code() {
        // A full disk doesn't prevent the start: reading works, writes fail with a clear error, and
        // the operator can free space while the server runs.
        Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => {
            tracing::error!(
                %error,
                "database isn't writable; starting anyway, but nothing can be saved"
            );
            Ok(())
        }
        _ => Err(to_open_error(error, path)),
    })
}

/// Converts an SQLite error into the matching error for the database at `path`.
pub(super) fn to_open_error(error: rusqlite::Error, path: &Path) -> OpenError {
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

/// Returns the first problem, if it is found within [`QUICK_CHECK_TIMEOUT`]. After the timeout,
/// starts the check again in the background and returns `None`.
fn quick_check_with_timeout(
    connection: &Connection,
    path: &Path,
    health: &DatabaseHealth,
) -> rusqlite::Result<Option<String>> {
    let interrupt = connection.get_interrupt_handle();
    let (done, ended) = mpsc::channel::<()>();
    let timer = std::thread::spawn(move || {
        if ended.recv_timeout(QUICK_CHECK_TIMEOUT) == Err(mpsc::RecvTimeoutError::Timeout) {
            interrupt.interrupt();
        }
    });
    let result = quick_check(connection);
    drop(done);
    // Wait for the timer, so that a late interrupt can't stop the next statement.
    let _ = timer.join();
    match result {
        Ok(result) => Ok((result != "ok").then_some(result)),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
            check_in_background(path.to_owned(), health.clone());
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

fn quick_check(connection: &Connection) -> rusqlite::Result<String> {
    connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
}

/// Starts the check on a separate thread, without a time limit. Reports damage to `health`.
fn check_in_background(path: PathBuf, health: DatabaseHealth) {
    let check = move || {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let result = Connection::open_with_flags(&path, flags).and_then(|c| quick_check(&c));
        match result {
            Ok(result) if result == "ok" => tracing::debug!("database is intact"),
            Ok(details) => {
                health.report_problem(DatabaseProblem::Damaged, &details);
            }
            Err(error) => match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    health.report_problem(DatabaseProblem::Damaged, &error.to_string());
                }
                _ => tracing::error!(%error, "database check failed; the database may be corrupt"),
            },
        }
    };
    let thread = std::thread::Builder::new().name("integrity-check".into());
    if let Err(error) = thread.spawn(check) {
        tracing::warn!(%error, "database check not started; the database may be corrupt");
    }
}

/// Writes `user_version` again to check that the database is writable. This changes one page.
fn check_writable(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "user_version", SCHEMA_VERSION)
}
