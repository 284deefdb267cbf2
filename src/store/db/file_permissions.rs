//! Finds files in a data directory that users other than its owner can access, and restricts the
//! access to them. Files that belong to another user are included.

use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::OpenError;
use super::file_header::parse_database_version;
use super::lock::LOCK_FILE_NAME;
use super::open::io_error;

/// The mode bits that give access to users other than the owner.
const NON_OWNER_BITS: u32 = 0o077;
/// The mode bits that allow other users to replace files in a directory.
const NON_OWNER_WRITE_BITS: u32 = 0o022;
/// The mode bit that prevents other users from replacing files in a directory.
const STICKY_BIT: u32 = 0o1000;

/// A file or directory that other users can access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileExposure {
    path: PathBuf,
    /// The data directory. Its owner should own the file.
    dir: PathBuf,
    kind: ExposureKind,
    /// Whether the file contains Miniback's data.
    pub has_data: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExposureKind {
    /// The file belongs to the user with this id, not to the owner of the data directory.
    Owner(u32),
    /// Other users can access the file, because it has this mode.
    Mode(u32),
    /// Other users can replace the files in the directory, because it has this mode.
    DirectoryMode(u32),
}

impl std::fmt::Display for FileExposure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, dir) = (self.path.display(), self.dir.display());
        match self.kind {
            ExposureKind::Owner(uid) => write!(
                f,
                "{path} belongs to the user with id {uid}, not to the owner of {dir}; run \
                 chown --reference={dir} {path}"
            ),
            ExposureKind::Mode(mode) => write!(
                f,
                "other users can access {path} (mode {mode:04o}); run chmod 600 {path}"
            ),
            ExposureKind::DirectoryMode(mode) => write!(
                f,
                "other users can replace the files in {path} (mode {mode:04o}); run \
                 chmod 700 {path}"
            ),
        }
    }
}

/// Finds the files in `dir` that other users can access. Also checks `dir` itself.
pub fn find_file_exposures(dir: &Path) -> Result<Vec<FileExposure>, OpenError> {
    let fail = io_error(dir);
    let directory = dir.metadata().map_err(fail)?;
    let own_user = rustix::process::geteuid();
    let mut exposures = Vec::new();
    let mut add = |path: &Path, kind, has_data| {
        exposures.push(FileExposure {
            path: path.to_owned(),
            dir: dir.to_owned(),
            kind,
            has_data,
        });
    };
    let mode = directory.mode() & 0o7777;
    // If the directory belongs to another user, Miniback may need the group's write access.
    let is_own = own_user.is_root() || directory.uid() == own_user.as_raw();
    let writers = if is_own { NON_OWNER_WRITE_BITS } else { 0o002 };
    if mode & writers != 0 && mode & STICKY_BIT == 0 {
        add(dir, ExposureKind::DirectoryMode(mode), true);
    }
    for entry in dir.read_dir().map_err(fail)? {
        let entry = entry.map_err(fail)?;
        // SQLite may have deleted the file since the directory entry was read.
        let Ok(metadata) = entry.metadata() else {
            continue;
        };
        if !metadata.is_file() {
            continue;
        }
        let path = entry.path();
        let has_data = has_miniback_file_name(&path) || is_database(&path);
        let is_own_file = metadata.uid() == own_user.as_raw() && !own_user.is_root();
        if metadata.uid() != directory.uid() && !is_own_file {
            add(&path, ExposureKind::Owner(metadata.uid()), has_data);
        }
        if metadata.mode() & NON_OWNER_BITS != 0 {
            add(
                &path,
                ExposureKind::Mode(metadata.mode() & 0o7777),
                has_data,
            );
        }
    }
    Ok(exposures)
}

/// Restricts the access to Miniback's files in `dir`. Returns a log line for each file that was or
/// still is exposed. Fails if a file that the server opens belongs to another user and its owner
/// can't be changed.
///
/// Must be called before SQLite opens the database, because closing the files would release
/// SQLite's locks.
pub(super) fn restrict_file_access(dir: &Path) -> Result<Vec<String>, OpenError> {
    let directory = dir.metadata().map_err(io_error(dir))?;
    let mut lines = Vec::new();
    for exposure in find_file_exposures(dir)? {
        let is_owner = matches!(exposure.kind, ExposureKind::Owner(_));
        if exposure.has_data && exposure.restrict_access(&directory) {
            let path = exposure.path.display();
            lines.push(format!(
                "other users could access {path}; now only the owner of the data directory can"
            ));
        } else if is_owner && has_server_file_name(&exposure.path) {
            return Err(OpenError::Exposed(exposure));
        } else {
            lines.push(exposure.to_string());
        }
    }
    Ok(lines)
}

impl FileExposure {
    /// Restricts the access to the file. Returns whether this succeeded.
    fn restrict_access(&self, directory: &Metadata) -> bool {
        let Ok(file) = open_without_following_links(&self.path) else {
            return false;
        };
        let Ok(metadata) = file.metadata() else {
            return false;
        };
        // A file with a second name (a hard link) may belong to somebody else.
        if !metadata.is_file() || metadata.nlink() > 1 {
            return false;
        }
        match self.kind {
            ExposureKind::Owner(_) => {
                fchown(&file, Some(directory.uid()), Some(directory.gid())).is_ok()
            }
            ExposureKind::Mode(mode) => {
                let wanted = Permissions::from_mode(mode & !NON_OWNER_BITS & 0o777);
                let is_changed = file.set_permissions(wanted).is_ok();
                // Some file systems accept the change and ignore it.
                is_changed
                    && file
                        .metadata()
                        .is_ok_and(|file| file.mode() & NON_OWNER_BITS == 0)
            }
            // The directory may be shared on purpose.
            ExposureKind::DirectoryMode(_) => false,
        }
    }
}

/// Returns whether `path` has the name of a file that a server opens.
fn has_server_file_name(path: &Path) -> bool {
    let names = [
        "miniback.db",
        "miniback.db-wal",
        "miniback.db-shm",
        LOCK_FILE_NAME,
    ];
    names
        .iter()
        .any(|name| path.file_name() == Some(name.as_ref()))
}

fn has_miniback_file_name(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    [&b"miniback."[..], b".miniback-"]
        .iter()
        .any(|start| name.starts_with(start))
}

/// Returns whether the file is a Miniback database, such as a backup.
fn is_database(path: &Path) -> bool {
    let mut header = [0; 72];
    let read = open_without_following_links(path).and_then(|mut file| file.read_exact(&mut header));
    read.is_ok() && parse_database_version(&header).is_some()
}

fn open_without_following_links(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits() as i32)
        .open(path)
}
