//! The lock on a data directory, held by the server that uses it or by a command that creates or
//! migrates the database. The lock file contains the id of the process. A server also stores the id
//! of its database file, its URL, and the known problem, if there is a problem.

use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use rustix::process::{Flock, FlockType};

use super::error::OpenError;
use super::files::{self, FileId, open_or_create_private_file, replace_content};
use super::health::DatabaseProblem;
use super::open::io_error;

/// The name of the lock file in the data directory.
pub(in crate::store) const LOCK_FILE_NAME: &str = "miniback.lock";

/// The lock on a data directory. It is released on drop and when the process ends.
///
/// The lock consists of a lock on the lock file and a lock on the database. The lock file
/// identifies the process that holds the lock. The lock on the database remains if the lock file is
/// deleted.
#[derive(Debug)]
pub struct DirectoryLock(Arc<HeldLocks>);

#[derive(Debug)]
struct HeldLocks {
    path: PathBuf,
    file: Mutex<LockFile>,
    /// The locked database. Must stay open while SQLite uses the database: closing the file would
    /// release SQLite's locks.
    database: OnceLock<File>,
}

/// The lock file and the facts about the server that it contains.
#[derive(Debug)]
struct LockFile {
    file: File,
    database: Option<FileId>,
    url: Option<String>,
    problem: Option<String>,
}

impl LockFile {
    fn write(&self) -> std::io::Result<()> {
        let mut text = format!("process {}\n", std::process::id());
        if let Some(FileId { device, inode }) = self.database {
            text.push_str(&format!("database {device} {inode}\n"));
        }
        if let Some(url) = &self.url {
            text.push_str(&format!("url {}\n", url.escape_debug()));
        }
        if let Some(problem) = &self.problem {
            text.push_str(&format!("problem {}\n", problem.escape_debug()));
        }
        replace_content(&self.file, &text)
    }
}

/// Locks `dir`. Fails with [`OpenError::Locked`] if another process holds the lock.
pub fn lock_data_directory(dir: &Path) -> Result<DirectoryLock, OpenError> {
    let path = dir.join(LOCK_FILE_NAME);
    let fail = io_error(&path);
    files::check_regular_file(&path)?;
    let mut file = open_or_create_private_file(&path).map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Best effort: the other process may not have finished writing the file.
            let _ = file.read_to_string(&mut text);
            return Err(OpenError::Locked {
                holder: text.lines().next().unwrap_or_default().to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(fail(error)),
    }
    let file = LockFile {
        file,
        database: None,
        url: None,
        problem: None,
    };
    file.write().map_err(fail)?;
    Ok(DirectoryLock(Arc::new(HeldLocks {
        path,
        file: Mutex::new(file),
        database: OnceLock::new(),
    })))
}

/// Locks `dir` itself against `miniback restore`, which must not replace a database that another
/// process has opened. Any number of processes can hold this lock, also next to a
/// [`DirectoryLock`]. Returns `None` if the file system can't lock directories. Fails with
/// [`OpenError::BeingRestored`] during a restore.
pub(in crate::store) fn prevent_restore(dir: &Path) -> Result<Option<File>, OpenError> {
    let Ok(directory) = File::open(dir) else {
        return Ok(None);
    };
    match directory.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Err(OpenError::BeingRestored(dir.to_owned())),
        Err(TryLockError::Error(_)) => Ok(None),
        Ok(()) => Ok(Some(directory)),
    }
}

/// Locks `dir` itself for a restore. Returns `None` if a process holds the lock of
/// [`prevent_restore`].
pub(in crate::store) fn lock_for_restore(dir: &Path) -> std::io::Result<Option<File>> {
    let directory = File::open(dir)?;
    match directory.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(None),
        // If the file system can't lock directories, commands aren't excluded.
        Err(TryLockError::Error(_)) | Ok(()) => Ok(Some(directory)),
    }
}

impl DirectoryLock {
    /// Locks the database at `path`. Must be called before SQLite opens the database. Fails with
    /// [`OpenError::Locked`] if another process holds the lock.
    pub(in crate::store) fn lock_database(&self, path: &Path) -> Result<(), OpenError> {
        if self.0.database.get().is_some() {
            return Ok(());
        }
        let database = File::open(path).map_err(io_error(path))?;
        // SQLite's locks on ranges of the file are independent of this lock. If the file system
        // doesn't support this lock, only the lock on the lock file protects the directory.
        if let Err(TryLockError::WouldBlock) = database.try_lock() {
            // Find the other process through SQLite's locks, because this lock doesn't identify its
            // holder.
            let probe = Flock::from(FlockType::WriteLock);
            let holder = rustix::process::fcntl_getlk(&database, &probe)
                .ok()
                .flatten();
            let holder = match holder.and_then(|lock| lock.pid) {
                Some(pid) => format!("process {}", pid.as_raw_nonzero()),
                None => "its miniback.lock was deleted".to_owned(),
            };
            return Err(OpenError::Locked { holder });
        }
        let _ = self.0.database.set(database);
        Ok(())
    }

    /// Writes the URL of the server to the lock file. Commands read it.
    pub fn publish_url(&self, url: &str) {
        let mut file = self.0.lock_file();
        file.url = Some(url.to_owned());
        // Best effort: without the URL, commands use `--listen`.
        let _ = file.write();
    }

    /// Writes the id of the open database to the lock file. Returns a [`LockFileWriter`], which can
    /// add a problem to the lock file later.
    pub(in crate::store) fn lock_file_writer(&self, database: FileId) -> LockFileWriter {
        let writer = LockFileWriter {
            held: Arc::downgrade(&self.0),
            database,
        };
        writer.write(None);
        writer
    }
}

/// Writes the content of the lock file while the server holds the lock.
pub(in crate::store) struct LockFileWriter {
    held: Weak<HeldLocks>,
    database: FileId,
}

impl LockFileWriter {
    /// Writes the content of the lock file, including `problem` if there is a problem.
    pub(super) fn write(&self, problem: Option<&DatabaseProblem>) {
        let Some(held) = self.held.upgrade() else {
            return;
        };
        let mut file = held.lock_file();
        file.database = Some(self.database);
        file.problem = problem.map(ToString::to_string);
        // Best effort: the content only helps `miniback check` to explain a problem.
        let _ = file.write();
    }

    /// If the lock file was deleted or replaced, opens or creates it again and locks it. Returns
    /// `true` if the new lock file is open and locked.
    pub(super) fn reopen_if_replaced(&self) -> bool {
        let Some(held) = self.held.upgrade() else {
            return false;
        };
        let mut file = held.lock_file();
        let locked = file
            .file
            .metadata()
            .map(|metadata| FileId::from_metadata(&metadata));
        if let (Ok(locked), Ok(found)) = (locked, FileId::from_path(&held.path))
            && locked == found
        {
            return false;
        }
        // After a failure, the next check tries again. For example, a second server that is
        // starting may have locked the file.
        let Ok(restored) = open_or_create_private_file(&held.path) else {
            return false;
        };
        if restored.try_lock().is_err() {
            return false;
        }
        file.file = restored;
        true
    }
}

impl HeldLocks {
    fn lock_file(&self) -> MutexGuard<'_, LockFile> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The process that holds the lock on a data directory, usually a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// The name of the process, such as `process 123`.
    pub name: String,
    /// Whether the process has opened the database that is at the path now. Also `true` if the
    /// process hasn't written the id of its database to the lock file yet.
    pub has_database_open: bool,
    /// The URL of the server, with the path of `--base-url` and without a slash at the end. `None`
    /// while the server is starting.
    pub url: Option<String>,
    /// The problem that the process has found in its database.
    pub problem: Option<String>,
}

/// Returns the process that holds the lock on `dir`, or `None` if `dir` isn't locked.
pub fn lock_holder(dir: &Path) -> Option<LockHolder> {
    let path = dir.join(LOCK_FILE_NAME);
    files::check_regular_file(&path).ok()?;
    let mut file = File::open(&path).ok()?;
    if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
        return None;
    }
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let at_path = FileId::from_path(&super::open::database_path(dir)).ok();
    let at_path = at_path.map(|id| format!("{} {}", id.device, id.inode));
    // A server that is starting hasn't written the id of its database yet.
    let open = value("database ");
    Some(LockHolder {
        name: text.lines().next().unwrap_or_default().to_owned(),
        has_database_open: open.is_none() || open == at_path.as_deref(),
        url: value("url ").map(str::to_owned),
        problem: value("problem ").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_a_second_lock_until_the_first_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock_data_directory(dir.path()).unwrap();
        let Err(OpenError::Locked { holder }) = lock_data_directory(dir.path()) else {
            panic!("a second lock was granted")
        };
        assert_eq!(holder, format!("process {}", std::process::id()));
        drop(held);
        lock_data_directory(dir.path()).unwrap();
    }

    #[test]
    fn a_restore_and_an_open_database_exclude_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let open = [(); 2].map(|()| prevent_restore(dir.path()).unwrap().unwrap());
        assert!(lock_for_restore(dir.path()).unwrap().is_none());
        drop(open);
        let restore = lock_for_restore(dir.path()).unwrap().unwrap();
        let result = prevent_restore(dir.path());
        assert!(
            matches!(result, Err(OpenError::BeingRestored(_))),
            "{result:?}"
        );
        drop(restore);
        prevent_restore(dir.path()).unwrap().unwrap();
    }
}
