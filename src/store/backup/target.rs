//! The file that a backup is written to.
//!
//! The target is checked and replaced through one open directory handle. Therefore, if another
//! directory is moved to the same path during the backup, no file in that directory is replaced.
//! SQLite opens files only by path, so it may write the copy to that directory. In this case, the
//! file in the open directory stays empty, and the backup fails.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

use crate::io_errors;
use crate::store::db::files::{
    COMPANION_SUFFIXES, DatabaseFiles, FileId, append_suffix, chown_to_directory_owner,
};
use crate::store::db::lock::LOCK_FILE_NAME;
use crate::store::db::open::DATABASE_NAME;

/// The prefix and the suffix of the file name of an incomplete backup, with a number between them.
const PARTIAL_NAME_AFFIXES: (&str, &str) = (".miniback-backup-", ".partial");

/// The reason a backup can't be written to a path.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    #[error("{path} is a directory; add the name of a file", path = .0.display())]
    Directory(PathBuf),
    #[error(
        "{path} is a symbolic link; use the path of the file itself, or a new name",
        path = .0.display()
    )]
    SymbolicLink(PathBuf),
    #[error("{path} is {kind}, not a file; choose a new name", path = .path.display())]
    NotAFile { path: PathBuf, kind: &'static str },
    #[error(
        "{path} belongs to the live database; choose a new name for the backup",
        path = .0.display()
    )]
    LiveDatabase(PathBuf),
    #[error(
        "{path} is a database in use: {companion} exists; choose a new name for the backup",
        path = .path.display(), companion = .companion.display()
    )]
    InUse { path: PathBuf, companion: PathBuf },
    #[error(
        "{path} is a file of another database, not a backup; choose a new name for the backup",
        path = .0.display()
    )]
    OtherDatabase(PathBuf),
    #[error("the directory of {path} doesn't exist; create it first", path = .0.display())]
    NoParent(PathBuf),
    #[error(
        "can't write to {path}, because a part of its path isn't a directory; choose another path",
        path = .0.display()
    )]
    ParentIsNoDirectory(PathBuf),
    #[error(
        "can't write to the directory of {path}: {}; choose a directory that you can write to",
        io_errors::describe(.source), path = .path.display()
    )]
    Parent { path: PathBuf, source: io::Error },
    #[error("{path} was changed by another program during the backup; try again", path = .0.display())]
    Changed(PathBuf),
}

/// A checked target: a new path, or a regular file that a backup can replace.
pub(super) struct BackupTarget<'a> {
    /// The path as given, for messages.
    path: &'a Path,
    live: &'a DatabaseFiles,
    directory: File,
    directory_id: FileId,
    directory_path: PathBuf,
    name: OsString,
}

impl<'a> BackupTarget<'a> {
    /// Opens the directory of `path` and checks the target. Removes incomplete backups in that
    /// directory.
    pub fn open(path: &'a Path, live: &'a DatabaseFiles) -> Result<Self, TargetError> {
        let (parent, name) = split_path(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(&parent, flags, Mode::empty())
            .map_err(|error| parent_directory_error(path, error))?;
        let directory = File::from(directory);
        let stat =
            rustix::fs::fstat(&directory).map_err(|error| parent_directory_error(path, error))?;
        // Make the path absolute: SQLite would interpret a relative path that starts with `file:`
        // as a URI.
        let directory_path =
            std::path::absolute(&parent).map_err(|source| TargetError::Parent {
                path: path.to_owned(),
                source,
            })?;
        let target = Self {
            path,
            live,
            directory,
            directory_id: file_id(&stat),
            directory_path,
            name,
        };
        target.check_replaceable()?;
        target.remove_incomplete_backups()?;
        Ok(target)
    }

    /// Checks that the target is a new path or a regular file. Fails if it belongs to a database
    /// that isn't a backup.
    fn check_replaceable(&self) -> Result<(), TargetError> {
        let path = || self.path.to_owned();
        let stat = self.stat(&self.name)?;
        let id = stat.as_ref().map(file_id);
        if self.live.contains(self.directory_id, &self.name, id) {
            return Err(TargetError::LiveDatabase(path()));
        }
        let kind = match stat.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            None | Some(FileType::RegularFile) => None,
            Some(FileType::Directory) => return Err(TargetError::Directory(path())),
            Some(FileType::Symlink) => return Err(TargetError::SymbolicLink(path())),
            Some(FileType::Fifo) => Some("a named pipe"),
            Some(FileType::Socket) => Some("a socket"),
            Some(FileType::CharacterDevice | FileType::BlockDevice) => Some("a device"),
            Some(_) => Some("something else"),
        };
        if let Some(kind) = kind {
            let path = path();
            return Err(TargetError::NotAFile { path, kind });
        }
        // SQLite would apply companion files to the backup and damage it. Empty companion files are
        // rejected too, because they can exist while a program uses the database.
        for suffix in COMPANION_SUFFIXES {
            let companion = append_suffix(Path::new(&self.name), suffix);
            if self.exists(companion.as_os_str())? {
                let (path, companion) = (path(), append_suffix(self.path, suffix));
                return Err(TargetError::InUse { path, companion });
            }
        }
        if self.belongs_to_another_database(stat.is_some())? {
            return Err(TargetError::OtherDatabase(path()));
        }
        Ok(())
    }

    /// Returns whether the target belongs to a database that isn't a backup, even if no program
    /// uses the database. Such a target is a lock file, a companion file, a database next to a lock
    /// file, or a database in WAL mode.
    fn belongs_to_another_database(&self, exists: bool) -> Result<bool, TargetError> {
        let name = self.name.as_bytes();
        if name == LOCK_FILE_NAME.as_bytes() {
            return Ok(true);
        }
        for suffix in COMPANION_SUFFIXES {
            if let Some(database) = name.strip_suffix(suffix.as_bytes())
                && (exists || self.exists(OsStr::from_bytes(database))?)
            {
                return Ok(true);
            }
        }
        if !exists {
            return Ok(false);
        }
        let is_served = name == DATABASE_NAME.as_bytes() && self.exists(LOCK_FILE_NAME.as_ref())?;
        Ok(is_served || self.is_in_wal_mode())
    }

    /// Returns whether the target is an SQLite database in WAL mode. Miniback's database is in WAL
    /// mode; a backup isn't.
    fn is_in_wal_mode(&self) -> bool {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut header = [0; 20];
        // Assume that a file that can't be read isn't a database.
        rustix::fs::openat(&self.directory, &self.name, flags, Mode::empty())
            .is_ok_and(|file| File::from(file).read_exact_at(&mut header, 0).is_ok())
            && header.starts_with(b"SQLite format 3\0")
            && header[18..20] == [2, 2]
    }

    fn exists(&self, name: &OsStr) -> Result<bool, TargetError> {
        self.stat(name).map(|stat| stat.is_some())
    }

    fn stat(&self, name: &OsStr) -> Result<Option<Stat>, TargetError> {
        match rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(parent_directory_error(self.path, error)),
        }
    }

    /// Removes incomplete backups, unless another backup is being written to this directory.
    ///
    /// A running backup holds a shared lock on the directory. If the file system doesn't support
    /// locks, incomplete backups are always removed.
    fn remove_incomplete_backups(&self) -> Result<(), TargetError> {
        let is_alone = !matches!(
            rustix::fs::flock(&self.directory, FlockOperation::NonBlockingLockExclusive),
            Err(Errno::WOULDBLOCK)
        );
        if is_alone {
            let entries = rustix::fs::Dir::read_from(&self.directory)
                .map_err(|error| parent_directory_error(self.path, error))?;
            for entry in entries.flatten() {
                let name = OsStr::from_bytes(entry.file_name().to_bytes());
                if is_partial_name(name) {
                    remove_partial(&self.directory, name);
                }
            }
        }
        // Hold a shared lock during this backup. If another backup is removing files, the call
        // waits briefly.
        let _ = rustix::fs::flock(&self.directory, FlockOperation::LockShared);
        Ok(())
    }

    /// Creates the empty file for the copy (mode 0600) in the target's directory. If root creates
    /// the file in the data directory, the owner of the directory becomes the owner of the file.
    pub fn create_partial(&self) -> Result<PartialBackup<'_>, TargetError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let (start, end) = PARTIAL_NAME_AFFIXES;
        for number in 1..=u32::MAX {
            let name = OsString::from(format!("{start}{number}{end}"));
            let mode = Mode::RUSR | Mode::WUSR;
            let file = match rustix::fs::openat(&self.directory, &name, flags, mode) {
                Ok(file) => File::from(file),
                Err(Errno::EXIST) => continue,
                Err(error) => return Err(parent_directory_error(self.path, error)),
            };
            if self.directory_id == self.live.directory
                && let Ok(directory) = self.directory.metadata()
            {
                chown_to_directory_owner(&directory, &file);
            }
            return Ok(PartialBackup {
                path: self.directory_path.join(&name),
                target: self,
                name,
                file,
                is_complete: false,
            });
        }
        Err(parent_directory_error(self.path, Errno::EXIST))
    }
}

/// An incomplete backup. It is removed on drop, unless it has replaced the target.
pub(super) struct PartialBackup<'a> {
    target: &'a BackupTarget<'a>,
    name: OsString,
    file: File,
    is_complete: bool,
    /// The path that SQLite opens.
    pub path: PathBuf,
}

impl PartialBackup<'_> {
    /// Syncs the file to the disk, checks the target again, and replaces the target atomically.
    pub fn replace_target(mut self) -> Result<(), TargetError> {
        let target = self.target;
        let io_error = |source| TargetError::Parent {
            path: target.path.to_owned(),
            source,
        };
        self.file.sync_all().map_err(io_error)?;
        let own = rustix::fs::fstat(&self.file).map_err(|error| io_error(error.into()))?;
        let at_path = target.stat(&self.name)?;
        // If the open directory was replaced, SQLite has written to a file in the new directory,
        // and `self.file` is empty. Another program may also have replaced the file.
        if own.st_size == 0 || at_path.as_ref().map(file_id) != Some(file_id(&own)) {
            return Err(TargetError::Changed(target.path.to_owned()));
        }
        target.check_replaceable()?;
        let directory = &target.directory;
        rustix::fs::renameat(directory, &self.name, directory, &target.name)
            .map_err(|error| io_error(error.into()))?;
        self.is_complete = true;
        directory.sync_all().map_err(io_error)
    }
}

impl Drop for PartialBackup<'_> {
    fn drop(&mut self) {
        // After the rename, the name may belong to another backup.
        if !self.is_complete {
            remove_partial(&self.target.directory, &self.name);
        }
    }
}

/// Removes an incomplete backup and its journal. Ignores errors, because the next backup to this
/// directory removes a file that remains.
fn remove_partial(directory: &File, name: &OsStr) {
    let journal = append_suffix(Path::new(name), "-journal");
    for name in [name, journal.as_os_str()] {
        let _ = rustix::fs::unlinkat(directory, name, AtFlags::empty());
    }
}

fn is_partial_name(name: &OsStr) -> bool {
    let (start, end) = PARTIAL_NAME_AFFIXES;
    name.to_str()
        .and_then(|name| name.strip_prefix(start))
        .map(|name| name.strip_suffix("-journal").unwrap_or(name))
        .and_then(|name| name.strip_suffix(end))
        .is_some_and(|number| number.parse::<u32>().is_ok())
}

/// Splits a path into its directory and its file name. `Path` can't do this, because it ignores a
/// slash or a dot at the end.
fn split_path(path: &Path) -> Result<(PathBuf, OsString), TargetError> {
    let bytes = path.as_os_str().as_bytes();
    let (parent, name) = match bytes.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&bytes[..=slash], &bytes[slash + 1..]),
        None => (&b"."[..], bytes),
    };
    if matches!(name, b"" | b"." | b"..") {
        return Err(TargetError::Directory(path.to_owned()));
    }
    let parent = PathBuf::from(OsStr::from_bytes(parent));
    Ok((parent, OsStr::from_bytes(name).to_owned()))
}

fn file_id(stat: &Stat) -> FileId {
    FileId {
        device: stat.st_dev,
        inode: stat.st_ino,
    }
}

fn parent_directory_error(path: &Path, error: Errno) -> TargetError {
    let path = path.to_owned();
    match error {
        Errno::NOENT => TargetError::NoParent(path),
        Errno::NOTDIR => TargetError::ParentIsNoDirectory(path),
        error => TargetError::Parent {
            path,
            source: error.into(),
        },
    }
}
