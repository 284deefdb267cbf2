//! Reads the header of a database file without SQLite.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use super::SCHEMA_VERSION;
use super::error::OpenError;
use super::files::{self, append_suffix};
use super::open::{APPLICATION_ID, io_error};
use super::wal;

/// The first bytes of every SQLite database.
const SQLITE_MAGIC: &[u8] = b"SQLite format 3\0";

/// Checks that `path` is a database that this version can open. Returns its schema version, or
/// `None` if the database hasn't been created yet.
pub(super) fn check_header(path: &Path) -> Result<Option<u32>, OpenError> {
    files::check_regular_file(path)?;
    files::ensure_no_wal_beside_link(path)?;
    let version = read_schema_version(path)?;
    match version {
        Some(found) if found > SCHEMA_VERSION => Err(OpenError::NewerSchema {
            path: path.to_owned(),
            found,
        }),
        Some(_) if has_foreign_wal(path) => Err(OpenError::ForeignWal {
            path: path.to_owned(),
            wal: wal::wal_path(path),
        }),
        version => Ok(version),
    }
}

/// Returns whether the WAL next to the database at `path` belongs to another database: a database
/// with a WAL is in WAL mode, but a backup isn't.
pub(in crate::store) fn has_foreign_wal(path: &Path) -> bool {
    // Look for the WAL before reading the header, because another process may be creating both.
    let has_wal = wal::has_content(path);
    // The byte 18 is the write version. See <https://sqlite.org/fileformat.html>.
    let is_in_rollback_mode = |header: [u8; HEADER_BYTES]| {
        header.starts_with(SQLITE_MAGIC) && header[18] == ROLLBACK_JOURNAL
    };
    has_wal && read_header(path).is_ok_and(|header| header.is_some_and(is_in_rollback_mode))
}

/// The size of the part of the header that contains all the numbers below.
const HEADER_BYTES: usize = 72;
/// The write version of a database that isn't in WAL mode.
const ROLLBACK_JOURNAL: u8 = 1;

/// Returns the schema version of the Miniback database at `path`, or `None` if the file isn't a
/// Miniback database. Doesn't use SQLite.
pub(in crate::store) fn read_database_version(path: &Path) -> io::Result<Option<u32>> {
    let header = read_header(path)?;
    Ok(header.and_then(|header| parse_database_version(&header)))
}

/// Reads the first bytes of the file at `path`. Returns `None` if the file is shorter.
fn read_header(path: &Path) -> io::Result<Option<[u8; HEADER_BYTES]>> {
    let mut header = [0; HEADER_BYTES];
    match File::open(path)?.read_exact(&mut header) {
        Ok(()) => Ok(Some(header)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns the schema version in the header of a Miniback database, or `None` for another file.
pub(super) fn parse_database_version(header: &[u8; HEADER_BYTES]) -> Option<u32> {
    let is_database =
        header.starts_with(SQLITE_MAGIC) && header_number(header, 68) == APPLICATION_ID;
    is_database.then(|| header_number(header, 60))
}

fn header_number(header: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
}

/// Reads `PRAGMA user_version` from the file's header. Doesn't use SQLite, because SQLite could
/// change the file. Returns `None` if the file is missing or empty, or if its creation was
/// interrupted early.
///
/// All numbers are big-endian: the page count in bytes 28 to 31, the version in 60 to 63, and the
/// application id in 68 to 71. See <https://sqlite.org/fileformat.html>.
fn read_schema_version(path: &Path) -> Result<Option<u32>, OpenError> {
    let fail = io_error(path);
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    let mut header = [0; HEADER_BYTES];
    match file.read_exact(&mut header) {
        Ok(()) if header.starts_with(SQLITE_MAGIC) => {
            let number = |at| header_number(&header, at);
            // A file whose creation was interrupted has at most one page and no application id.
            let is_ours = number(68) == APPLICATION_ID || (number(68) == 0 && number(28) <= 1);
            if is_ours {
                Ok(Some(number(60)))
            } else {
                Err(OpenError::NotADatabase {
                    path: path.to_owned(),
                })
            }
        }
        // A power cut interrupted the creation, and the first sector wasn't written. SQLite rolls
        // the creation back.
        Ok(()) if header == [0; HEADER_BYTES] && append_suffix(path, "-journal").exists() => {
            Ok(None)
        }
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(fail(error)),
        Err(_) if file.metadata().map_err(fail)?.len() == 0 => Ok(None),
        _ => Err(OpenError::NotADatabase {
            path: path.to_owned(),
        }),
    }
}
