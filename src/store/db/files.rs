//! The files of a database, identified by device and inode, because a file can have several paths.

use std::ffi::{OsStr, OsString};
use std::fs::{File, FileType, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::OpenError;
use super::lock::LOCK_FILE_NAME;
use super::open::database_path;

/// The suffixes of the files that SQLite creates next to a database.
pub(in crate::store) const COMPANION_SUFFIXES: [&str; 3] = ["-wal", "-shm", "-journal"];

/// The name of the file with the time of the last backup, in the data directory.
pub(in crate::store) const LAST_BACKUP_NAME: &str = "miniback.last-backup";

/// Identifies a file or directory, independently of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct FileId {
    pub device: u64,
    pub inode: u64,
}

impl FileId {
    /// Returns the id of the file at `path`. Follows symbolic links.
    pub fn from_path(path: &Path) -> io::Result<Self> {
        std::fs::metadata(path).map(|metadata| Self::from_metadata(&metadata))
    }

    pub fn from_metadata(metadata: &std::fs::Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }
}

/// Returns the path of the file that SQLite opens for `path`. If `path` is a symbolic link, SQLite
/// also uses the companion files next to the file that the link points to.
pub(in crate::store) fn resolve_link(path: &Path) -> io::Result<PathBuf> {
    if std::fs::symlink_metadata(path)?.is_symlink() {
        std::fs::canonicalize(path)
    } else {
        Ok(path.to_owned())
    }
}

/// If `path` is a symbolic link, checks that there is no WAL with content next to the link. SQLite
/// would ignore this WAL, and its changes would be lost.
pub(in crate::store) fn ensure_no_wal_beside_link(path: &Path) -> Result<(), OpenError> {
    let wal = append_suffix(path, "-wal");
    let is_separate = resolve_link(path).is_ok_and(|target| target != path)
        && wal.metadata().is_ok_and(|metadata| metadata.len() > 0);
    if is_separate {
        let path = path.to_owned();
        return Err(OpenError::SeparateWal { path, wal });
    }
    Ok(())
}

/// Creates a file that only its owner can access. If root runs the program, the owner of the
/// directory becomes the owner of the file. Returns `None` if the file already exists.
pub(in crate::store) fn create_private_file(path: &Path) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => return Err(error),
    };
    if let Some(directory) = path.parent().and_then(|parent| parent.metadata().ok()) {
        chown_to_directory_owner(&directory, &file);
    }
    Ok(Some(file))
}

/// Opens a file for reading and writing, unless it is a symbolic link. If it doesn't exist, creates
/// it as [`create_private_file`] does.
pub(in crate::store) fn open_or_create_private_file(path: &Path) -> io::Result<File> {
    match create_private_file(path)? {
        Some(file) => Ok(file),
        None => open_without_following_links(path),
    }
}

/// Replaces the content of the file. The file is never empty during the replacement.
pub(in crate::store) fn replace_content(file: &File, text: &str) -> io::Result<()> {
    file.write_all_at(text.as_bytes(), 0)?;
    file.set_len(text.len() as u64)
}

/// Gives a new file the owner and group of its directory, if root runs the program.
pub(in crate::store) fn chown_to_directory_owner(directory: &std::fs::Metadata, file: &File) {
    // Only root can change the owner. If another user runs the program, the owner is already
    // correct, or the check of the data directory reports the file.
    if rustix::process::geteuid().is_root() {
        let _ = fchown(file, Some(directory.uid()), Some(directory.gid()));
    }
}

/// Opens an existing file for reading and writing, unless it is a symbolic link.
fn open_without_following_links(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
}

/// Checks that `path` is a regular file, a symbolic link to a regular file, or a new path. Opening
/// a named pipe would block.
pub(in crate::store) fn check_regular_file(path: &Path) -> Result<(), OpenError> {
    let kind = match std::fs::metadata(path) {
        Ok(metadata) => match describe_unless_regular_file(metadata.file_type()) {
            Some(kind) => kind,
            None => return Ok(()),
        },
        Err(error) if error.kind() == ErrorKind::NotFound && path.is_symlink() => {
            "a symbolic link to a missing file"
        }
        // Other errors are reported when the file is opened.
        Err(_) => return Ok(()),
    };
    Err(OpenError::NotAFile {
        path: path.to_owned(),
        kind,
    })
}

/// Describes a file that isn't a regular file, such as `a directory`. Returns `None` for a regular
/// file.
pub(in crate::store) fn describe_unless_regular_file(kind: FileType) -> Option<&'static str> {
    match kind {
        kind if kind.is_file() => None,
        kind if kind.is_dir() => Some("a directory"),
        kind if kind.is_fifo() => Some("a named pipe"),
        kind if kind.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

/// Removes a file. Succeeds if there is no file.
pub(in crate::store) fn remove_if_exists(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns the directory of a file.
pub(in crate::store) fn parent_directory(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => ".".into(),
        Some(parent) => parent.to_owned(),
        None => "/".into(),
    }
}

/// Returns the free space, in bytes, on the disk of a directory; `None` if it is unknown.
pub fn free_space(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Returns whether Litestream has replicated the database in `dir`.
pub fn is_replicated(dir: &Path) -> bool {
    dir.join(".miniback.db-litestream").is_dir()
}

/// Appends `suffix` to a path.
pub(in crate::store) fn append_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// The files of a data directory that a backup must not replace: the files of the database, the
/// lock file, and the file with the time of the last backup.
pub(in crate::store) struct DatabaseFiles {
    /// The data directory.
    pub directory: FileId,
    existing: Vec<FileId>,
    /// The directory and the name of each file, whether or not the file exists.
    reserved: Vec<(FileId, OsString)>,
}

impl DatabaseFiles {
    /// Finds these files in `dir`. Fails if there is no database. If the database is
    /// a symbolic link, also includes the target of the link and the companion files next to the
    /// target.
    pub fn find_in(dir: &Path) -> io::Result<Self> {
        let database = database_path(dir);
        let mut paths = vec![dir.join(LOCK_FILE_NAME), dir.join(LAST_BACKUP_NAME)];
        for path in [std::fs::canonicalize(&database)?, database] {
            paths.extend(COMPANION_SUFFIXES.map(|suffix| append_suffix(&path, suffix)));
            paths.push(path);
        }
        let mut files = Self {
            directory: FileId::from_path(dir)?,
            existing: Vec::new(),
            reserved: Vec::new(),
        };
        for path in paths {
            files.existing.extend(FileId::from_path(&path));
            if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
                files
                    .reserved
                    .push((FileId::from_path(parent)?, name.to_owned()));
            }
        }
        Ok(files)
    }

    /// Returns whether `id` is one of these files.
    pub fn contains_id(&self, id: FileId) -> bool {
        self.existing.contains(&id)
    }

    /// Returns whether `id`, or the file `name` in `directory`, is the lock file or a file of the
    /// database.
    pub fn contains(&self, directory: FileId, name: &OsStr, id: Option<FileId>) -> bool {
        id.is_some_and(|id| self.contains_id(id))
            || self
                .reserved
                .iter()
                .any(|(parent, reserved)| *parent == directory && reserved == name)
    }
}
