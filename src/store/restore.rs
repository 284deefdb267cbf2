//! Restores a backup in the data directory of a stopped server.
//!
//! The backup is copied to the directory of the database and checked there. Then the copy replaces
//! the database in one step. Before this step, the old database gets a second name, and its WAL is
//! removed. Therefore, an interruption leaves either the complete old database or the complete new
//! one in its place, and the new database is never next to a WAL of the old one.

mod old_database;

use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::backup::{self, BackupError, DatabaseSummary};
use super::db::SCHEMA_VERSION;
use super::db::error::{OpenError, describe_sqlite_error, is_corruption_error};
use super::db::file_header;
use super::db::files::{
    self, COMPANION_SUFFIXES, DatabaseFiles, FileId, append_suffix, chown_to_directory_owner,
};
use super::db::lock::{DirectoryLock, lock_data_directory, lock_for_restore};
use super::db::open::{
    copy_database, create_data_directory, database_path, io_error, sync_parent_directory,
};
use super::db::wal;
use crate::io_errors;

/// The name of the copy until it replaces the database.
const PARTIAL_NAME: &str = ".miniback-restore.partial";

/// The size, in bytes, of the buffer for copying a backup.
const COPY_BUFFER_BYTES: usize = 256 * 1024;

/// The backup to be restored.
pub enum BackupSource<'a> {
    File(&'a Path),
    /// The content of a backup, from standard input.
    StandardInput(&'a mut dyn Read),
}

impl fmt::Display for BackupSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::StandardInput(_) => f.write_str("standard input"),
        }
    }
}

/// The result of a restore.
#[derive(Debug)]
pub struct RestoredDatabase {
    pub path: PathBuf,
    pub summary: DatabaseSummary,
    /// The new name of the old database; `None` if there was no database.
    pub old_database: Option<PathBuf>,
}

/// The reason a backup can't be restored. `backup` is the path of the backup, or `standard input`.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("can't read {backup}: {}", io_errors::describe(.source))]
    Read { backup: String, source: io::Error },
    #[error("can't read {backup}: {}", describe_sqlite_error(.source))]
    ReadDatabase {
        backup: String,
        source: rusqlite::Error,
    },
    #[error("{backup} is {kind}, not a file; to restore from a pipe, use - and redirect the input")]
    NotAFile { backup: String, kind: &'static str },
    #[error("{backup} belongs to the database in the data directory; choose a backup")]
    LiveDatabase { backup: String },
    #[error("{backup} isn't a Miniback database; choose a file made by `miniback backup`")]
    NotADatabase { backup: String },
    #[error(
        "{backup} was written by a newer version of Miniback (schema version {found}, this program \
         supports {SCHEMA_VERSION}); restore it with that version"
    )]
    NewerSchema { backup: String, found: u32 },
    #[error("{backup} is corrupt: {details}; choose another backup")]
    Corrupt { backup: String, details: String },
    #[error(
        "can't write the new database to {path}: {reason}; check the free space on the disk",
        path = .path.display()
    )]
    Write { path: PathBuf, reason: String },
    #[error(
        "another program is using {path}; stop it, and try again",
        path = .0.display()
    )]
    InUse(PathBuf),
    #[error(
        "can't read the old database {path}: {}; move it away together with its -wal file, and \
         try again",
        describe_sqlite_error(.source), path = .path.display()
    )]
    ReadOld {
        path: PathBuf,
        source: rusqlite::Error,
    },
    #[error(
        "can't keep the old database as {path}: {}", io_errors::describe(.source),
        path = .path.display()
    )]
    KeepOld { path: PathBuf, source: io::Error },
}

/// Replaces the database in `dir` with a backup, and keeps the old database under a new name.
/// Creates `dir` if it doesn't exist.
///
/// Fails if a server or another program is using the database, or if the backup is corrupt, isn't
/// a Miniback database, or is from a newer version. After an error, the database is unchanged.
pub fn restore_database(
    dir: &Path,
    source: BackupSource<'_>,
) -> Result<RestoredDatabase, RestoreError> {
    let backup = source.to_string();
    if let BackupSource::File(path) = &source {
        check_backup_file(dir, path, &backup)?;
    }
    create_data_directory(dir)?;
    let lock = lock_data_directory(dir)?;
    let database = lock_database(dir, &lock)?;
    // Commands don't hold `lock`. A command that has opened the old database must not write to it
    // later: its WAL would be next to the new database.
    let _no_commands = lock_for_restore(dir)
        .map_err(io_error(dir))?
        .ok_or_else(|| RestoreError::InUse(dir.to_owned()))?;
    let mut partial = PartialDatabase::create(dir, &database)?;
    partial.copy_from(source, &backup)?;
    let summary = partial.check(&backup)?;
    let old_database = old_database::keep(&database)?;
    partial.replace(&database)?;
    Ok(RestoredDatabase {
        path: database,
        summary,
        old_database,
    })
}

/// Checks that a backup is a regular file and a Miniback database. Fails if it belongs to the
/// database in `dir`.
fn check_backup_file(dir: &Path, path: &Path, backup: &str) -> Result<(), RestoreError> {
    let metadata = path.metadata().map_err(|source| RestoreError::Read {
        backup: backup.to_owned(),
        source,
    })?;
    if let Some(kind) = files::describe_unless_regular_file(metadata.file_type()) {
        return Err(RestoreError::NotAFile {
            backup: backup.to_owned(),
            kind,
        });
    }
    let id = FileId::from_metadata(&metadata);
    if DatabaseFiles::find_in(dir).is_ok_and(|live| live.contains_id(id)) {
        return Err(RestoreError::LiveDatabase {
            backup: backup.to_owned(),
        });
    }
    // With a WAL, a part of the header can be in the WAL. The copy is checked instead.
    if has_companions(path) {
        return Ok(());
    }
    check_backup_header(path, backup)
}

/// Checks that the file at `path` is a Miniback database that this version can open.
fn check_backup_header(path: &Path, backup: &str) -> Result<(), RestoreError> {
    let backup = || backup.to_owned();
    let version =
        file_header::read_database_version(path).map_err(|source| RestoreError::Read {
            backup: backup(),
            source,
        })?;
    match version {
        // Version 0 is a database whose creation was interrupted.
        None | Some(0) => Err(RestoreError::NotADatabase { backup: backup() }),
        Some(found) if found > SCHEMA_VERSION => Err(RestoreError::NewerSchema {
            backup: backup(),
            found,
        }),
        Some(_) => Ok(()),
    }
}

/// Locks the database in `dir`, if there is one, and returns its path. If `miniback.db` is a
/// symbolic link, returns the target of the link.
fn lock_database(dir: &Path, lock: &DirectoryLock) -> Result<PathBuf, OpenError> {
    let path = database_path(dir);
    files::check_regular_file(&path)?;
    files::ensure_no_wal_beside_link(&path)?;
    match files::resolve_link(&path) {
        Ok(database) => {
            lock.lock_database(&database)?;
            Ok(database)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(path),
        Err(error) => Err(io_error(&path)(error)),
    }
}

/// The copy of a backup, next to the database that it will replace. Removed on drop, unless it has
/// replaced the database.
struct PartialDatabase {
    path: PathBuf,
    file: File,
    is_complete: bool,
}

impl PartialDatabase {
    /// Creates an empty file (mode 0600) in the directory of `database`. It belongs to the owner of
    /// the data directory `dir`.
    fn create(dir: &Path, database: &Path) -> Result<Self, RestoreError> {
        let path = database.with_file_name(PARTIAL_NAME);
        // The caller holds the lock on the directory, so an existing file is the rest of an
        // interrupted restore.
        remove_with_companions(&path);
        let created = files::create_private_file(&path).and_then(|file| {
            let file = file.ok_or(ErrorKind::AlreadyExists)?;
            chown_to_directory_owner(&dir.metadata()?, &file);
            Ok(file)
        });
        let file = created.map_err(|error| write_error(&path, &error))?;
        Ok(Self {
            path,
            file,
            is_complete: false,
        })
    }

    /// Copies the backup. If it has companion files, SQLite reads it, because a WAL next to the
    /// backup can contain a part of its content.
    fn copy_from(&mut self, source: BackupSource<'_>, backup: &str) -> Result<(), RestoreError> {
        let read_error = |source| RestoreError::Read {
            backup: backup.to_owned(),
            source,
        };
        match source {
            BackupSource::File(path) if has_companions(path) => self.copy_database(path, backup),
            BackupSource::File(path) => {
                let mut file = File::open(path).map_err(read_error)?;
                self.copy_bytes(&mut file, backup)
            }
            BackupSource::StandardInput(input) => self.copy_bytes(input, backup),
        }
    }

    fn copy_bytes(&mut self, from: &mut dyn Read, backup: &str) -> Result<(), RestoreError> {
        let mut buffer = vec![0; COPY_BUFFER_BYTES];
        loop {
            let count = match from.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(RestoreError::Read {
                        backup: backup.to_owned(),
                        source,
                    });
                }
            };
            self.file
                .write_all(&buffer[..count])
                .map_err(|error| write_error(&self.path, &error))?;
        }
    }

    fn copy_database(&self, from: &Path, backup: &str) -> Result<(), RestoreError> {
        // SQLite would interpret a relative path that starts with `file:` as a URI.
        let from = std::path::absolute(from).map_err(|source| RestoreError::Read {
            backup: backup.to_owned(),
            source,
        })?;
        let copied = backup::open_read_only(&from)
            .map_err(|error| to_restore_error(error, backup))
            .and_then(|connection| {
                copy_database(&connection, &self.path).map_err(|error| {
                    to_restore_error(backup::to_backup_error(error, &self.path), backup)
                })
            });
        copied.map(|_| ())
    }

    /// Checks the copy and makes it durable. Returns the summary of its content.
    fn check(&self, backup: &str) -> Result<DatabaseSummary, RestoreError> {
        check_backup_header(&self.path, backup)?;
        // The copy of a stopped server's database is in WAL mode. To read it, SQLite would create
        // companion files.
        let opened = wal::remove_wal(&self.path)
            .map_err(|error| to_restore_error(backup::to_backup_error(error, &self.path), backup));
        let checked = opened.and_then(|_| {
            backup::open_read_only(&self.path)
                .and_then(|connection| backup::check_and_summarize(&connection, &self.path))
                .map_err(|error| to_restore_error(error, backup))
        })?;
        let summary = checked.map_err(|details| RestoreError::Corrupt {
            backup: backup.to_owned(),
            details,
        })?;
        let synced = self.file.sync_all();
        synced.map_err(|error| write_error(&self.path, &error))?;
        Ok(summary)
    }

    /// Replaces the database atomically.
    fn replace(mut self, database: &Path) -> Result<(), RestoreError> {
        let renamed = self
            .ensure_unchanged()
            .and_then(|()| std::fs::rename(&self.path, database));
        renamed.map_err(|error| write_error(database, &error))?;
        self.is_complete = true;
        sync_parent_directory(database);
        Ok(())
    }

    /// Fails if another file is at the path of the copy.
    fn ensure_unchanged(&self) -> io::Result<()> {
        let own = FileId::from_metadata(&self.file.metadata()?);
        let at_path = FileId::from_metadata(&std::fs::symlink_metadata(&self.path)?);
        if own == at_path {
            Ok(())
        } else {
            Err(ErrorKind::AlreadyExists.into())
        }
    }
}

impl Drop for PartialDatabase {
    fn drop(&mut self) {
        if !self.is_complete {
            remove_with_companions(&self.path);
        }
    }
}

/// Removes a database that isn't used. Ignores errors, because the next restore tries again.
fn remove_with_companions(path: &Path) {
    for suffix in COMPANION_SUFFIXES.into_iter().chain([""]) {
        let _ = std::fs::remove_file(append_suffix(path, suffix));
    }
}

fn has_companions(path: &Path) -> bool {
    COMPANION_SUFFIXES
        .iter()
        .any(|suffix| append_suffix(path, suffix).exists())
}

fn write_error(path: &Path, error: &io::Error) -> RestoreError {
    RestoreError::Write {
        path: path.to_owned(),
        reason: io_errors::describe(error),
    }
}

/// Converts an error that occurred while a backup was copied or checked.
fn to_restore_error(error: BackupError, backup: &str) -> RestoreError {
    let backup = backup.to_owned();
    match error {
        BackupError::Open(error) => error.into(),
        BackupError::Sqlite(source) if is_corruption_error(&source) => RestoreError::Corrupt {
            backup,
            details: describe_sqlite_error(&source),
        },
        BackupError::Sqlite(source) => RestoreError::ReadDatabase { backup, source },
        BackupError::Write { path, source } => RestoreError::Write {
            path,
            reason: describe_sqlite_error(&source),
        },
        BackupError::Corrupt(details) | BackupError::CorruptCopy(details) => {
            RestoreError::Corrupt { backup, details }
        }
        BackupError::Target(error) => RestoreError::Corrupt {
            backup,
            details: error.to_string(),
        },
    }
}
