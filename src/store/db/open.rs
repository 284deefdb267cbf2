//! From a data directory to an open, migrated database: the directory's lock, files' modes, pragmas, migrations.
//!
//! A database of a newer version is refused before SQLite touches the file; before a migration the file is copied
//! beside itself.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite_migration::{M, Migrations};

use super::error::OpenError;
use super::{BUSY_TIMEOUT, MIGRATIONS, SCHEMA_VERSION, WAL_BYTES_MAX, integrity_check};
use crate::store::search;

/// `PRAGMA application_id` of our databases, "mbck": another program's file is not taken for one.
const APPLICATION_ID: u32 = u32::from_be_bytes(*b"mbck");

/// Held by the one process that serves a data directory; given up when dropped, or when the process ends however.
#[derive(Debug)]
pub struct DirectoryLock(#[expect(dead_code, reason = "held open for its lock")] File);

/// The database's path in `dir`.
pub fn database_path(dir: &Path) -> PathBuf {
    dir.join("miniback.db")
}

/// Makes the data directory (mode 0700) where it is missing.
pub fn create_directory(dir: &Path) -> Result<(), OpenError> {
    let fail = |source| OpenError::Directory {
        path: dir.to_owned(),
        source,
    };
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(fail)
}

/// Takes the lock of `dir`, or says who holds it.
pub fn lock(dir: &Path) -> Result<DirectoryLock, OpenError> {
    let path = dir.join("miniback.lock");
    let fail = |source| OpenError::Directory {
        path: path.clone(),
        source,
    };
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(fail)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // Who holds it is told as well as it is known: the file may just be being written.
            let _ = file.read_to_string(&mut holder);
            return Err(OpenError::Held {
                holder: holder.trim().to_owned(),
            });
        }
        Err(std::fs::TryLockError::Error(error)) => return Err(fail(error)),
    }
    let text = format!("process {}\n", std::process::id());
    file.set_len(0).map_err(fail)?;
    file.seek(SeekFrom::Start(0)).map_err(fail)?;
    file.write_all(text.as_bytes()).map_err(fail)?;
    Ok(DirectoryLock(file))
}

/// Opens the writing connection to the database in `dir`, which is made or migrated where need be.
///
/// `lock` is the caller's lock of the directory. Without it (a command) a database of an older version is migrated only
/// if nobody serves it, and is not looked through for damage.
pub fn open(dir: &Path, lock: Option<&DirectoryLock>) -> Result<Connection, OpenError> {
    let path = database_path(dir);
    if let Some(found) = version_in_header(&path)?.filter(|found| *found > SCHEMA_VERSION) {
        return Err(OpenError::Newer { path, found });
    }
    let fail = |source| OpenError::Directory {
        path: path.clone(),
        source,
    };
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .map_err(fail)?;
    let mut connection =
        prepare(&path).map_err(|error| integrity_check::open_error(error, &path))?;
    migrate(&mut connection, dir, MIGRATIONS, lock)?;
    if lock.is_some() {
        integrity_check::check(&connection, &path)?;
    }
    Ok(connection)
}

fn prepare(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let id: u32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if id == 0 {
        // Before anything is written: afterwards only a VACUUM could bring it in.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)?;
    // What a changed or removed row leaves behind in its page is overwritten; whole pages are when somebody's words are
    // erased, as that is more to write.
    connection.pragma_update(None, "secure_delete", "FAST")?;
    // Else statements are prepared anew whenever another value is bound to them.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(128);
    search::add_functions(&connection)?;
    Ok(connection)
}

/// Brings the database to the last of `migrations`, under the directory's lock: the caller's, or one taken for this.
fn migrate(
    connection: &mut Connection,
    dir: &Path,
    migrations: &[M<'_>],
    lock_held: Option<&DirectoryLock>,
) -> Result<(), OpenError> {
    let path = database_path(dir);
    let wanted = migrations.len() as u32;
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > wanted {
        return Err(OpenError::Newer { path, found });
    }
    if found == wanted {
        return Ok(());
    }
    let _lock = match lock_held {
        Some(_) => None,
        None => Some(lock(dir).map_err(|_| OpenError::MigrationBlocked {
            path: path.clone(),
            found,
        })?),
    };
    if found > 0 {
        copy_before_migration(connection, &path, found, wanted)?;
    }
    Ok(Migrations::from_slice(migrations).to_latest(connection)?)
}

/// `miniback.db.v1-before-v2`: a whole copy, made by SQLite itself; one from an earlier try is replaced.
fn copy_before_migration(
    connection: &Connection,
    path: &Path,
    found: u32,
    wanted: u32,
) -> Result<(), OpenError> {
    let copy = path.with_extension(format!("db.v{found}-before-v{wanted}"));
    let fail = |source| OpenError::Directory {
        path: copy.clone(),
        source,
    };
    match std::fs::remove_file(&copy) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(fail(error)),
    }
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&copy)
        .map_err(fail)?;
    connection
        .execute("VACUUM INTO ?1", [copy.to_string_lossy()])
        .map_err(|source| OpenError::Copy {
            path: copy.clone(),
            source,
        })?;
    Ok(())
}

/// `PRAGMA user_version` as the file's header has it (bytes 60 to 63; the application's id stands in 68 to 71, big-endian; <https://sqlite.org/fileformat.html>),
/// read without SQLite, which would touch the file. `None` for a file that is missing or empty.
fn version_in_header(path: &Path) -> Result<Option<u32>, OpenError> {
    let fail = |source| OpenError::Directory {
        path: path.to_owned(),
        source,
    };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fail(error)),
    };
    let mut header = [0; 72];
    match file.read_exact(&mut header) {
        Ok(()) if header.starts_with(b"SQLite format 3\0") => {
            let number = |at: usize| {
                u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
            };
            // A new file, whose making was cut short, has one page at most and no application's id yet.
            let ours = number(68) == APPLICATION_ID || (number(68) == 0 && number(28) <= 1);
            if ours {
                Ok(Some(number(60)))
            } else {
                Err(OpenError::NotADatabase {
                    path: path.to_owned(),
                })
            }
        }
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(fail(error)),
        Err(_) if file.metadata().map_err(fail)?.len() == 0 => Ok(None),
        _ => Err(OpenError::NotADatabase {
            path: path.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const NEXT: M<'static> =
        M::up("ALTER TABLE projects ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'");

    fn projects(connection: &Connection) -> Vec<String> {
        let mut statement = connection.prepare("SELECT name FROM projects").unwrap();
        statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    fn populate(connection: &Connection) {
        let insert = "INSERT INTO projects VALUES ('prj_1', 'a', 'A', 'ACTIVE', '[]', 0)";
        connection.execute(insert, []).unwrap();
    }

    fn next_migrations() -> Vec<M<'static>> {
        MIGRATIONS.iter().cloned().chain([NEXT]).collect()
    }

    #[test]
    fn an_empty_directory_gets_a_database_of_the_latest_version_that_only_its_owner_reads() {
        let dir = tempfile::tempdir().unwrap();
        let connection = open(dir.path(), None).unwrap();
        assert!(projects(&connection).is_empty());
        let version: u32 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        assert_eq!(version, SCHEMA_VERSION);
        let mode = std::fs::metadata(database_path(dir.path()))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_populated_database_is_copied_beside_itself_and_migrated_with_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = open(dir.path(), None).unwrap();
        populate(&connection);
        migrate(&mut connection, dir.path(), &next_migrations(), None).unwrap();
        assert_eq!(projects(&connection), ["A"]);
        let colour: String = connection
            .query_row("SELECT colour FROM projects", [], |row| row.get(0))
            .unwrap();
        assert_eq!(colour, "blue");
        let copy = dir.path().join(format!(
            "miniback.db.v{SCHEMA_VERSION}-before-v{}",
            SCHEMA_VERSION + 1
        ));
        assert_eq!(version_in_header(&copy).unwrap(), Some(SCHEMA_VERSION));
        assert_eq!(projects(&Connection::open(&copy).unwrap()), ["A"]);
        assert_eq!(
            std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_database_that_is_being_served_is_not_migrated_by_a_command() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = open(dir.path(), None).unwrap();
        let _server = lock(dir.path()).unwrap();
        let refused = migrate(&mut connection, dir.path(), &next_migrations(), None);
        assert!(matches!(refused, Err(OpenError::MigrationBlocked { .. })));
    }

    #[test]
    fn a_newer_database_and_a_file_of_another_kind_are_refused_untouched() {
        let dir = tempfile::tempdir().unwrap();
        let path = database_path(dir.path());
        let connection = open(dir.path(), None).unwrap();
        connection
            .pragma_update(None, "user_version", SCHEMA_VERSION + 1)
            .unwrap();
        connection.close().unwrap();
        let before = std::fs::read(&path).unwrap();
        assert!(
            matches!(open(dir.path(), None), Err(OpenError::Newer { found, .. }) if found == SCHEMA_VERSION + 1)
        );
        assert_eq!(std::fs::read(&path).unwrap(), before);
        let foreign = dir.path().join("foreign.db");
        Connection::open(&foreign)
            .unwrap()
            .execute_batch("CREATE TABLE t (a); PRAGMA user_version = 1")
            .unwrap();
        let foreign = std::fs::read(&foreign).unwrap();
        for other in [&b"not a database"[..], &[b'x'; 5000], &foreign] {
            std::fs::write(&path, other).unwrap();
            assert!(matches!(
                open(dir.path(), None),
                Err(OpenError::NotADatabase { .. })
            ));
            assert_eq!(std::fs::read(&path).unwrap(), other);
        }
    }

    #[test]
    fn a_directory_is_held_by_one() {
        let dir = tempfile::tempdir().unwrap();
        let held = lock(dir.path()).unwrap();
        let Err(OpenError::Held { holder }) = lock(dir.path()) else {
            panic!("it was given twice")
        };
        assert_eq!(holder, format!("process {}", std::process::id()));
        drop(held);
        lock(dir.path()).unwrap();
    }
}
