//! Errors of the store: [`StoreError`] for operations on an open store, [`OpenError`] for opening
//! it.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::ErrorCode;

use super::file_permissions::FileExposure;
use super::{SCHEMA_VERSION, health};
use crate::io_errors;

/// An error of the store, independent of the caller's input.
///
/// If an error rolls back a whole batch of jobs, every job that hasn't failed receives a clone of
/// the error.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the database is overloaded")]
    Overloaded,
    #[error("the disk is full or failing")]
    DiskFull,
    #[error("the database is read-only")]
    ReadOnly,
    #[error("another program has locked the database")]
    Busy,
    #[error("the database file was moved or replaced")]
    DatabaseReplaced,
    #[error("the database is corrupt; stop Miniback and restore a backup")]
    Damaged(Arc<rusqlite::Error>),
    #[error("the database is closed")]
    Closed,
    #[error("a database job panicked")]
    Panicked,
    #[error("the transaction was rolled back because another job in it failed")]
    BatchRolledBack,
    #[error("can’t use the database: {}", describe_sqlite_error(.0))]
    Sqlite(Arc<rusqlite::Error>),
    #[error("no connection to the database is available; try again")]
    Pool,
    #[error("the database contains an invalid value: {0}")]
    InvalidValue(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            _ if is_corruption_error(&error) => {
                health::on_corruption_error();
                Self::Damaged(Arc::new(error))
            }
            // EIO, EDQUOT, and EFBIG are handled like a full disk: they roll back the whole
            // transaction, and a later attempt may succeed.
            Some(ErrorCode::DiskFull | ErrorCode::SystemIoFailure) => Self::DiskFull,
            Some(ErrorCode::ReadOnly) => Self::ReadOnly,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            _ => {
                // Log SQLite's message, because people see a message that doesn't contain it.
                tracing::error!(%error, "unexpected database error");
                Self::Sqlite(Arc::new(error))
            }
        }
    }
}

/// Returns whether the error means that the database is corrupt. A short read counts as
/// corruption, because it means that a part of the WAL is missing.
pub fn is_corruption_error(error: &rusqlite::Error) -> bool {
    let code = error.sqlite_error_code();
    is_short_read(error)
        || matches!(
            code,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        )
}

fn is_short_read(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHORT_READ)
}

impl From<r2d2::Error> for StoreError {
    fn from(error: r2d2::Error) -> Self {
        tracing::warn!(%error, "no database connection available");
        Self::Pool
    }
}

/// The reason a data directory or its database can't be opened. Most messages say how to fix the
/// problem.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(
        "--data-dir: can't create or use {path}: {reason}; {hint}",
        path = .path.display(), reason = io_error_reason(.source),
        hint = io_error_advice(.path, .source)
    )]
    Directory {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "--data-dir: {dir} {problem}; miniback init or miniback serve creates a database, or \
         choose another directory",
        dir = .dir.display()
    )]
    NoDatabase { dir: PathBuf, problem: &'static str },
    #[error("--data-dir: {path} isn't a directory; choose another directory", path = .0.display())]
    NotADirectory(PathBuf),
    #[error(
        "--data-dir: {path} is {kind}, not a file; move it away or choose another directory",
        path = .path.display()
    )]
    NotAFile { path: PathBuf, kind: &'static str },
    #[error(
        "--data-dir: {path} is a symbolic link, but {wal} belongs to the file that the link points \
         to; move {wal} next to that file, and start again",
        path = .path.display(), wal = .wal.display()
    )]
    SeparateWal { path: PathBuf, wal: PathBuf },
    #[error(
        "--data-dir: {wal} belongs to another database than {path}, which is probably a backup; \
         replace the database with `miniback restore FILE`, or delete {wal}",
        path = .path.display(), wal = .wal.display()
    )]
    ForeignWal { path: PathBuf, wal: PathBuf },
    #[error("--data-dir: {0}")]
    Exposed(FileExposure),
    #[error(
        "--data-dir: {path} was written by a newer version of Miniback (schema version {found}, \
         this program supports {SCHEMA_VERSION}); run that version, or restore the copy created \
         before the migration",
        path = .path.display()
    )]
    NewerSchema { path: PathBuf, found: u32 },
    #[error(
        "--data-dir: {path} isn't a Miniback database, or it is corrupt; {RESTORE_ADVICE}",
        path = .path.display()
    )]
    NotADatabase { path: PathBuf },
    #[error("--data-dir: {path} is corrupt ({details}); {RESTORE_ADVICE}", path = .path.display())]
    Corrupt { path: PathBuf, details: String },
    #[error(
        "--data-dir: {path} or a file next to it isn't writable; {hint}",
        path = .path.display(), hint = permission_advice(.path)
    )]
    ReadOnly { path: PathBuf },
    #[error(
        "another miniback ({holder}) is using this data directory; stop it or choose \
         another --data-dir"
    )]
    Locked { holder: String },
    #[error(
        "`miniback restore` is replacing the database in {dir}; try again when it has finished",
        dir = .0.display()
    )]
    BeingRestored(PathBuf),
    #[error(
        "{path} has schema version {found} and must be migrated to {SCHEMA_VERSION}, but a \
         running miniback is using it; stop it first",
        path = .path.display()
    )]
    MigrationBlocked { path: PathBuf, found: u32 },
    #[error(
        "can't migrate the database: the copy of the database and the migration need {needed} bytes \
         of free space in {dir}, but only {available} bytes are available; free some space, and \
         start again",
        dir = .dir.display()
    )]
    MigrationSpace {
        dir: PathBuf,
        needed: u64,
        available: u64,
    },
    #[error("can't open the database: {}", describe_sqlite_error(.0))]
    Sqlite(#[from] rusqlite::Error),
    #[error("can't migrate the database: {}", describe_migration_error(.0))]
    Migration(#[from] rusqlite_migration::Error),
    #[error(
        "can't copy the database to {path} before its migration: {}",
        describe_sqlite_error(.source), path = .path.display()
    )]
    Copy {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error("can't open connections to the database; check the limits on open files and threads")]
    Connections,
}

/// Describes a failed migration without the message of the library.
fn describe_migration_error(error: &rusqlite_migration::Error) -> String {
    match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => describe_sqlite_error(err),
        _ => "this version of Miniback didn’t create its schema; restore a backup".into(),
    }
}

/// Describes an SQLite error without SQLite's message.
pub fn describe_sqlite_error(error: &rusqlite::Error) -> String {
    let text = match error.sqlite_error_code() {
        _ if is_short_read(error) => "a part of miniback.db-wal is missing",
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            "another program has locked it"
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            "this user can’t access it or its directory"
        }
        Some(ErrorCode::ReadOnly) => "it is read-only",
        Some(ErrorCode::DiskFull) => "the disk is full",
        Some(ErrorCode::SystemIoFailure) => "the disk reports an error",
        Some(ErrorCode::OutOfMemory) => "there isn’t enough memory",
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            "it isn’t a valid SQLite database"
        }
        _ => {
            let code = error.sqlite_error().map_or(0, |error| error.extended_code);
            return format!("SQLite reports error {code}");
        }
    };
    text.to_owned()
}

/// Instructions for replacing a corrupt database. `restore` keeps the corrupt database.
const RESTORE_ADVICE: &str =
    "run `miniback restore FILE` with a file made by `miniback backup`, and start again";

/// Returns the reason a directory or file can't be used.
fn io_error_reason(source: &std::io::Error) -> String {
    match source.kind() {
        ErrorKind::PermissionDenied => "permission denied".into(),
        ErrorKind::ReadOnlyFilesystem => "the file system is read-only".into(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "the disk is full".into(),
        ErrorKind::NotADirectory => "a part of the path isn't a directory".into(),
        // Creating a directory fails with this error only if its path is a symbolic link to a
        // missing directory.
        ErrorKind::AlreadyExists => "it is a symbolic link to a missing directory".into(),
        _ => io_errors::describe(source),
    }
}

/// Returns advice for a directory or file that can't be used.
fn io_error_advice(path: &Path, source: &std::io::Error) -> String {
    let advice = match source.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            return permission_advice(path);
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "free some disk space, or choose another directory"
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => "choose another directory",
        _ => "create it, or choose another directory",
    };
    advice.to_owned()
}

/// Returns advice for a directory or file that this user can't write to. Contains the ids of the
/// user and of the owner, because users of containers often have no names.
fn permission_advice(path: &Path) -> String {
    let user = rustix::process::geteuid().as_raw();
    // The nearest directory that exists.
    let mut existing = path.ancestors();
    let existing = existing.find_map(|path| Some((path.display(), path.metadata().ok()?.uid())));
    let owner = match existing {
        Some((path, owner)) if owner != user => {
            format!(" ({path} belongs to the user with id {owner})")
        }
        _ => String::new(),
    };
    format!("make it writable for the user with id {user}{owner}, or choose another directory")
}
