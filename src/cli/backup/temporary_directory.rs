//! The temporary directory of `miniback backup -`. Removes the directories of interrupted backups.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use tempfile::TempDir;

/// The prefix and the suffix of the directory's name, with random characters between them.
const NAME_AFFIXES: (&str, &str) = ("miniback-backup-", ".partial");
/// The name of the backup in the directory.
const BACKUP_NAME: &str = "miniback.db";
/// The prefix of the files that `store::back_up_database` writes before the backup is complete.
const PARTIAL_PREFIX: &[u8] = b".miniback-backup-";
/// The maximum number of directories that are created, in case other backups remove them.
const ATTEMPTS_MAX: usize = 10;

/// A directory (mode 0700) in the directory for temporary files. It is removed on drop.
pub(super) struct TemporaryDirectory {
    directory: TempDir,
    /// The open directory, with a shared lock. Other backups remove only unlocked directories.
    _lock: File,
}

impl TemporaryDirectory {
    /// Removes what interrupted backups of this user left, and creates a directory.
    pub(super) fn create() -> io::Result<Self> {
        let parent = std::env::temp_dir();
        remove_interrupted_backups(&parent);
        for _ in 0..ATTEMPTS_MAX {
            let directory = tempfile::Builder::new()
                .prefix(NAME_AFFIXES.0)
                .suffix(NAME_AFFIXES.1)
                .permissions(Permissions::from_mode(0o700))
                .tempdir_in(&parent)?;
            // Another backup can remove the directory until it is locked.
            if let Some(lock) = lock_directory(directory.path())? {
                return Ok(Self {
                    directory,
                    _lock: lock,
                });
            }
        }
        Err(Errno::AGAIN.into())
    }

    /// Returns the path for the backup.
    pub(super) fn backup_path(&self) -> PathBuf {
        self.directory.path().join(BACKUP_NAME)
    }

    /// Removes the directory.
    pub(super) fn close(self) -> io::Result<()> {
        self.directory.close()
    }
}

/// Opens a new directory and locks it. Returns `None` if another backup is removing the directory.
fn lock_directory(path: &Path) -> io::Result<Option<File>> {
    let Some(directory) = ignore_missing(open_directory(CWD, path.as_os_str()))? else {
        return Ok(None);
    };
    // Ignore other errors: if the file system doesn't support locks, no backup removes directories.
    let locked = rustix::fs::flock(&directory, FlockOperation::NonBlockingLockShared);
    if locked == Err(Errno::WOULDBLOCK) {
        return Ok(None);
    }
    let opened = directory.metadata()?;
    let at_path = ignore_missing(fs::symlink_metadata(path))?;
    let is_same = at_path
        .is_some_and(|at_path| (at_path.dev(), at_path.ino()) == (opened.dev(), opened.ino()));
    Ok(is_same.then_some(directory))
}

/// Removes what interrupted backups of this user left in `parent`. Ignores errors, because they
/// don't affect the new backup.
fn remove_interrupted_backups(parent: &Path) {
    let Ok(parent) = File::open(parent) else {
        return;
    };
    let Ok(entries) = Dir::read_from(&parent) else {
        return;
    };
    for entry in entries.flatten() {
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if has_affixes(name) {
            let _ = remove_interrupted_backup(&parent, name);
        }
    }
}

fn has_affixes(name: &OsStr) -> bool {
    let (start, end) = NAME_AFFIXES;
    let rest = name.as_bytes().strip_prefix(start.as_bytes());
    rest.is_some_and(|rest| rest.ends_with(end.as_bytes()))
}

/// Removes a directory of this user, unless a running backup has locked it. Keeps a directory that
/// contains other files.
fn remove_interrupted_backup(parent: &File, name: &OsStr) -> io::Result<()> {
    let directory = open_directory(parent, name)?;
    if directory.metadata()?.uid() != rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
    for entry in Dir::read_from(&directory)?.flatten() {
        let file = entry.file_name();
        let bytes = file.to_bytes();
        if bytes == BACKUP_NAME.as_bytes() || bytes.starts_with(PARTIAL_PREFIX) {
            rustix::fs::unlinkat(&directory, file, AtFlags::empty())?;
        }
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)?;
    Ok(())
}

/// Opens a directory without following a symbolic link.
fn open_directory(parent: impl std::os::fd::AsFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(
        parent,
        name,
        flags,
        Mode::empty(),
    )?))
}

fn ignore_missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
