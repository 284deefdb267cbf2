//! The lock on a data directory, held by the process that serves it. The lock file contains the id
//! of this process, the id of its database, and the known problem of the database.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Weak};

use super::condition::DatabaseProblem;
use super::error::OpenError;
use super::files::{self, FileId};
use super::open::io_error;

/// The name of the locked file.
pub(super) const LOCK_FILE_NAME: &str = "miniback.lock";

/// The lock. It is released on drop and when the process ends.
#[derive(Debug)]
pub struct DirectoryLock(Arc<File>);

/// Locks `dir`. Fails with [`OpenError::Locked`] if another process holds the lock.
pub fn lock(dir: &Path) -> Result<DirectoryLock, OpenError> {
    let path = dir.join(LOCK_FILE_NAME);
    let fail = io_error(&path);
    files::check_plain_file(&path)?;
    let mut file = match files::create_private(&path).map_err(fail)? {
        Some(file) => file,
        None => files::open_without_following(&path).map_err(fail)?,
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut text = String::new();
            // Best effort: the other process may not have finished writing the file.
            let _ = file.read_to_string(&mut text);
            return Err(OpenError::Locked {
                holder: text.lines().next().unwrap_or_default().to_owned(),
            });
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(fail(error)),
    }
    write(&file, &holder_line()).map_err(fail)?;
    Ok(DirectoryLock(Arc::new(file)))
}

impl DirectoryLock {
    /// Writes the id of the open database to the file. Returns a writer for problems.
    pub(in crate::store) fn file_writer(&self, database: FileId) -> LockFileWriter {
        let writer = LockFileWriter {
            file: Arc::downgrade(&self.0),
            database,
        };
        writer.write(None);
        writer
    }
}

/// Writes the lock file of a running server. It doesn't hold the lock.
pub(in crate::store) struct LockFileWriter {
    file: Weak<File>,
    database: FileId,
}

impl LockFileWriter {
    /// Replaces the problem in the file.
    pub(super) fn write(&self, problem: Option<&DatabaseProblem>) {
        let Some(file) = self.file.upgrade() else {
            return;
        };
        let FileId { device, inode } = self.database;
        let mut text = format!("{}database {device} {inode}\n", holder_line());
        if let Some(problem) = problem {
            text.push_str(&format!("problem {}\n", problem.to_string().escape_debug()));
        }
        // Best effort: the content only helps `miniback check` to explain a problem.
        let _ = write(&file, &text);
    }
}

/// The server that holds the lock on a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockHolder {
    /// The process, such as `process 123`.
    pub name: String,
    /// Whether the server has opened the database that is at the path now.
    pub has_database_open: bool,
    /// The problem that the server has found.
    pub problem: Option<String>,
}

/// Returns the server that holds the lock on `dir`, if there is one.
pub fn lock_holder(dir: &Path) -> Option<LockHolder> {
    let path = dir.join(LOCK_FILE_NAME);
    files::check_plain_file(&path).ok()?;
    let mut file = File::open(&path).ok()?;
    if !matches!(
        file.try_lock_shared(),
        Err(std::fs::TryLockError::WouldBlock)
    ) {
        return None;
    }
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
    let at_path = FileId::at(&super::open::database_path(dir)).ok();
    let at_path = at_path.map(|id| format!("{} {}", id.device, id.inode));
    // The server hasn't written the id yet while it is starting.
    let open = value("database ");
    Some(LockHolder {
        name: text.lines().next().unwrap_or_default().to_owned(),
        has_database_open: open.is_none() || open == at_path.as_deref(),
        problem: value("problem ").map(str::to_owned),
    })
}

fn holder_line() -> String {
    format!("process {}\n", std::process::id())
}

/// Replaces the content of the file, which is never empty in the meantime.
fn write(file: &File, text: &str) -> std::io::Result<()> {
    file.write_all_at(text.as_bytes(), 0)?;
    file.set_len(text.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_a_second_lock_until_the_first_is_released() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap();
        let Err(OpenError::Locked { holder }) = lock(dir.path()) else {
            panic!("a second lock was granted")
        };
        assert_eq!(holder, format!("process {}", std::process::id()));
        drop(held);
        lock(dir.path()).unwrap();
    }
}
