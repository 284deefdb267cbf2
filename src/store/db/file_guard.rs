//! Checks that the files of an open database haven't been moved or replaced, because writes to such
//! files would be lost at the next start.
//!
//! In WAL mode, SQLite never replaces or deletes these files while the database is open.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::condition::DatabaseProblem;
use super::error::OpenError;
use super::files::{FileId, with_suffix};
use super::open::io_error;

/// The ids of an open database's files, and the change counter of the database.
pub(in crate::store) struct FileGuard {
    path: PathBuf,
    pub database: FileId,
    companions: Vec<(PathBuf, FileId)>,
    /// Never closed while SQLite has the file open: closing it would release SQLite's locks.
    file: File,
    /// The highest change counter found in the header.
    change_counter: AtomicU32,
}

impl FileGuard {
    /// Records the files of the database at `path`, which SQLite has just opened.
    pub fn new(path: &Path) -> Result<Self, OpenError> {
        let fail = io_error(path);
        // SQLite creates companion files next to the target of a symbolic link.
        let target = std::fs::canonicalize(path).map_err(fail)?;
        let companions = ["-wal", "-shm"].map(|suffix| with_suffix(&target, suffix));
        let id_of = |path: PathBuf| FileId::at(&path).map(|id| (path, id));
        Ok(Self {
            path: path.to_owned(),
            database: FileId::at(path).map_err(fail)?,
            companions: companions
                .into_iter()
                .map(id_of)
                .collect::<io::Result<_>>()
                .map_err(fail)?,
            file: File::open(path).map_err(fail)?,
            change_counter: AtomicU32::new(0),
        })
    }

    /// Returns the first problem and its details.
    pub fn check(&self) -> Result<(), (DatabaseProblem, String)> {
        let file = || self.path.display().to_string();
        match FileId::at(&self.path) {
            Ok(id) if id == self.database => {}
            Ok(_) => {
                let problem = DatabaseProblem::Replaced { file: file() };
                return Err((problem, "another file is in its place".into()));
            }
            Err(error) => {
                return Err((DatabaseProblem::Missing { file: file() }, error.to_string()));
            }
        }
        for (path, id) in &self.companions {
            let details = match FileId::at(path) {
                Ok(found) if found == *id => continue,
                Ok(_) => "another file is in its place".into(),
                Err(error) => error.to_string(),
            };
            let file = path.display().to_string();
            return Err((DatabaseProblem::Replaced { file }, details));
        }
        // A checkpoint of another process may be writing the header at this moment.
        self.check_header()
            .or_else(|_| self.check_header())
            .map_err(|details| (DatabaseProblem::Overwritten { file: file() }, details))
    }

    /// Checks the header for signs of another database that was copied into the file. All numbers
    /// are big-endian: the change counter is in bytes 24 to 27
    /// (<https://sqlite.org/fileformat.html>).
    fn check_header(&self) -> Result<(), String> {
        let mut header = [0; 28];
        self.file
            .read_exact_at(&mut header, 0)
            .map_err(|error| format!("its header can't be read: {error}"))?;
        if !header.starts_with(b"SQLite format 3\0") {
            return Err("it isn't a database anymore".into());
        }
        // The database is in WAL mode, and a backup isn't.
        if header[18..20] != [2, 2] {
            return Err("it contains a backup".into());
        }
        let counter = u32::from_be_bytes([header[24], header[25], header[26], header[27]]);
        match self.change_counter.fetch_max(counter, Ordering::Relaxed) {
            highest if counter < highest => Err("it contains an older database".into()),
            _ => Ok(()),
        }
    }
}
