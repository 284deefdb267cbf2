//! Checks that the files of an open database haven't been moved, replaced, overwritten, or
//! truncated. After such a change, writes to these files would be lost at the next start.
//!
//! In WAL mode, SQLite never replaces or deletes these files while the database is open.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::error::OpenError;
use super::files::{FileId, append_suffix, resolve_link};
use super::health::DatabaseProblem;
use super::open::io_error;

/// The size of the WAL's header, in bytes (<https://sqlite.org/fileformat.html>).
const WAL_HEADER_BYTES: u64 = 32;
/// The size of the header of each frame in the WAL, in bytes.
const FRAME_HEADER_BYTES: u64 = 24;

/// The expected ids, change counter, and size of an open database's files.
pub(in crate::store) struct FileChecker {
    path: PathBuf,
    /// `path` with its symbolic link resolved. SQLite creates the WAL and the WAL index next to it.
    target: PathBuf,
    pub database: FileId,
    wal: FileId,
    wal_index: FileId,
    /// This file and `wal_index_file` must stay open while SQLite uses the database. Closing either
    /// file would release SQLite's locks.
    database_file: File,
    wal_index_file: File,
    /// The highest change counter that was found in the header so far.
    change_counter: AtomicU32,
    /// The size of the database at the last check.
    database_bytes: AtomicU64,
}

impl FileChecker {
    /// Records the files of the database at `path`, which SQLite has just opened.
    pub fn new(path: &Path) -> Result<Self, OpenError> {
        let fail = io_error(path);
        // SQLite creates companion files next to the target of a symbolic link.
        let target = resolve_link(path).map_err(fail)?;
        let wal_index = append_suffix(&target, "-shm");
        Ok(Self {
            path: path.to_owned(),
            database: FileId::from_path(path).map_err(fail)?,
            wal: FileId::from_path(&append_suffix(&target, "-wal")).map_err(fail)?,
            wal_index: FileId::from_path(&wal_index).map_err(fail)?,
            database_file: File::open(path).map_err(fail)?,
            wal_index_file: File::open(&wal_index).map_err(fail)?,
            change_counter: AtomicU32::new(0),
            database_bytes: AtomicU64::new(file_size(&target).unwrap_or(0)),
            target,
        })
    }

    /// Checks the files. Fails with the first problem and its details.
    pub fn check_files(&self) -> Result<(), (DatabaseProblem, String)> {
        let file = || self.path.display().to_string();
        let missing =
            |error: io::Error| (DatabaseProblem::Missing { file: file() }, error.to_string());
        // `path` can be a symbolic link. After a restart, Miniback would open the link's current
        // target, and the WAL files next to that target.
        let target = resolve_link(&self.path).map_err(missing)?;
        if FileId::from_path(&target).map_err(missing)? != self.database {
            let problem = DatabaseProblem::Replaced { file: file() };
            return Err((problem, "another file is in its place".into()));
        }
        for (suffix, id) in [("-wal", self.wal), ("-shm", self.wal_index)] {
            let path = append_suffix(&target, suffix);
            let details = match FileId::from_path(&path) {
                Ok(found) if found == id => continue,
                Ok(_) => "another file is in its place".into(),
                Err(error) => error.to_string(),
            };
            let problem = if target == self.target {
                let file = path.display().to_string();
                DatabaseProblem::Replaced { file }
            } else {
                DatabaseProblem::Linked { file: file() }
            };
            return Err((problem, details));
        }
        // Check twice, because a checkpoint of another process may be writing the header during the
        // first check.
        self.check_header()
            .or_else(|_| self.check_header())
            .map_err(|details| (DatabaseProblem::Overwritten { file: file() }, details))?;
        self.check_sizes(&target)
    }

    /// Checks the header for signs of another database that was copied into the file. The change
    /// counter is in bytes 24 to 27, big-endian (<https://sqlite.org/fileformat.html>).
    fn check_header(&self) -> Result<(), String> {
        let mut header = [0; 28];
        match self.database_file.read_exact_at(&mut header, 0) {
            Ok(()) => {}
            // `check_sizes` reports a file that is too short.
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(format!("its header can't be read: {error}")),
        }
        if !header.starts_with(b"SQLite format 3\0") {
            return Err("it isn't a database anymore".into());
        }
        // The open database is in WAL mode; a backup isn't.
        if header[18..20] != [2, 2] {
            return Err("it contains a backup".into());
        }
        let counter = u32::from_be_bytes([header[24], header[25], header[26], header[27]]);
        match self.change_counter.fetch_max(counter, Ordering::Relaxed) {
            highest if counter < highest => Err("it contains an older database".into()),
            _ => Ok(()),
        }
    }

    /// Checks that the database and the WAL have at least the sizes that the WAL index requires.
    fn check_sizes(&self, target: &Path) -> Result<(), (DatabaseProblem, String)> {
        let wal = append_suffix(target, "-wal");
        let last_bytes = self.database_bytes.load(Ordering::Relaxed);
        let (Some(index), Some(database_bytes), Some(wal_bytes)) =
            (self.read_wal_index(), file_size(target), file_size(&wal))
        else {
            return Ok(());
        };
        let checks = [
            (target, database_bytes, index.min_database_bytes(last_bytes)),
            (&wal, wal_bytes, index.min_wal_bytes()),
        ];
        let too_short = checks.iter().find(|(_, found, least)| found < least);
        // Ignore the sizes if another process has changed the files since `index` was read.
        if let Some((path, found, least)) = too_short
            && self.read_wal_index().as_ref() == Some(&index)
        {
            let file = path.display().to_string();
            let details = format!("it has {found} bytes instead of at least {least}");
            return Err((DatabaseProblem::Truncated { file }, details));
        }
        // If another thread has stored a size since `last_bytes` was read, that size is newer.
        let _ = self.database_bytes.compare_exchange(
            last_bytes,
            database_bytes,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        Ok(())
    }

    /// Reads the header of the WAL index (the `-shm` file): two copies of 48 bytes, then the number
    /// of frames that checkpoints have copied (<https://sqlite.org/walformat.html>). Returns `None`
    /// if the file can't be read, or if it is being changed.
    fn read_wal_index(&self) -> Option<WalIndex> {
        let mut bytes = [0; 100];
        self.wal_index_file.read_exact_at(&mut bytes, 0).ok()?;
        if bytes[..48] != bytes[48..96] {
            return None;
        }
        let number = |at: usize| {
            u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        Some(WalIndex {
            changes: number(8),
            page_size: match u16::from_ne_bytes([bytes[14], bytes[15]]) {
                // SQLite stores 65,536 as 1, because it doesn't fit in 16 bits.
                1 => 65_536,
                size => u64::from(size),
            },
            frames: number(16),
            pages: number(20),
            copied_frames: number(96),
        })
    }
}

/// The fields of the WAL index's header that determine the minimum sizes of the files.
#[derive(PartialEq, Eq)]
struct WalIndex {
    /// A counter that changes with each transaction.
    changes: u32,
    page_size: u64,
    /// The number of frames in the WAL.
    frames: u32,
    /// The number of pages of the database; 0 if nothing has been written to the WAL.
    pages: u32,
    /// The number of frames that checkpoints have copied to the database.
    copied_frames: u32,
}

impl WalIndex {
    /// Returns the minimum size of the database file, in bytes. `last_bytes` is its size at the
    /// last check.
    fn min_database_bytes(&self, last_bytes: u64) -> u64 {
        match u64::from(self.pages) * self.page_size {
            0 => last_bytes,
            bytes if self.copied_frames == self.frames => bytes,
            // The last pages may be only in the WAL. A checkpoint shortens the database only if the
            // number of pages decreases.
            bytes => last_bytes.min(bytes),
        }
    }

    /// Returns the minimum size of the WAL, in bytes.
    fn min_wal_bytes(&self) -> u64 {
        match u64::from(self.frames) {
            0 => 0,
            frames => WAL_HEADER_BYTES + frames * (FRAME_HEADER_BYTES + self.page_size),
        }
    }
}

fn file_size(path: &Path) -> Option<u64> {
    std::fs::metadata(path).ok().map(|metadata| metadata.len())
}
