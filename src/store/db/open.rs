//! Opens the database in a data directory: directory lock, file modes, pragmas, migrations.
//!
//! A database with a newer schema is rejected before SQLite touches the file. Before a migration,
//! the file is copied.

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

/// `PRAGMA application_id` of Miniback's databases ("mbck"), so that another program's database
/// isn't opened by mistake.
const APPLICATION_ID: u32 = u32::from_be_bytes(*b"mbck");

/// The lock on a data directory, held by the one process that serves it. It is released on drop and
/// when the process ends.
#[derive(Debug)]
pub struct DirectoryLock(#[expect(dead_code, reason = "held open for its lock")] File);

/// Returns the path of the database in `dir`.
pub fn database_path(dir: &Path) -> PathBuf {
    dir.join("miniback.db")
}

/// Creates the data directory (mode 0700) if it doesn't exist, and makes it durable: otherwise, a
/// power cut could remove it together with the database.
pub fn create_directory(dir: &Path) -> Result<(), OpenError> {
    let missing = dir.ancestors().take_while(|ancestor| !ancestor.exists());
    // At least the data directory itself, because an earlier start may have been interrupted
    // between creating and syncing it.
    let entries = dir.ancestors().take(missing.count().max(1));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(io_error(dir))?;
    for entry in entries {
        sync_parent(entry);
    }
    Ok(())
}

/// Makes the directory entry of `path` durable. Ignores errors, as SQLite does when it syncs a
/// directory: the parent may be unreadable, and some file systems can't sync directories.
fn sync_parent(path: &Path) {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return,
    };
    let _ = File::open(parent).and_then(|parent| parent.sync_all());
}

/// Locks `dir`. Fails with [`OpenError::Locked`] if another process holds the lock.
pub fn lock(dir: &Path) -> Result<DirectoryLock, OpenError> {
    let path = dir.join("miniback.lock");
    let fail = io_error(&path);
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
            // Best effort: the other process may not have finished writing the file.
            let _ = file.read_to_string(&mut holder);
            return Err(OpenError::Locked {
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

/// Opens the writer's connection to the database in `dir`. Creates or migrates the database if
/// necessary.
///
/// `lock` is the caller's lock on the directory. Commands pass `None`: then the database is
/// migrated only if no server is using it, and its integrity isn't checked.
pub fn open(dir: &Path, lock: Option<&DirectoryLock>) -> Result<Connection, OpenError> {
    let path = database_path(dir);
    if let Some(found) = version_in_header(&path)?.filter(|found| *found > SCHEMA_VERSION) {
        return Err(OpenError::NewerSchema { path, found });
    }
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(&path)
        .map_err(io_error(&path))?;
    let mut connection =
        connect(&path).map_err(|error| integrity_check::open_error(error, &path))?;
    migrate(&mut connection, dir, MIGRATIONS, lock)?;
    if lock.is_some() {
        integrity_check::check(&connection, &path)?;
    }
    Ok(connection)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    let id: u32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if id == 0 {
        // Must be set before the first write. Changing it later requires a VACUUM.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "journal_size_limit", WAL_BYTES_MAX)?;
    // Overwrites deleted content within a page. Free pages are overwritten only when personal data
    // is erased, because that causes more writes.
    connection.pragma_update(None, "secure_delete", "FAST")?;
    // Without this, SQLite prepares statements again when bound values change.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(128);
    search::register_functions(&connection)?;
    Ok(connection)
}

/// Applies the missing `migrations`. Locks the directory during the migration, unless the caller
/// already holds the lock.
fn migrate(
    connection: &mut Connection,
    dir: &Path,
    migrations: &[M<'_>],
    callers_lock: Option<&DirectoryLock>,
) -> Result<(), OpenError> {
    let path = database_path(dir);
    let wanted = migrations.len() as u32;
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > wanted {
        return Err(OpenError::NewerSchema { path, found });
    }
    if found == wanted {
        return Ok(());
    }
    let _lock = match callers_lock {
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

/// Copies the database to a file such as `miniback.db.v1-before-v2`. Replaces a copy from an
/// earlier attempt.
fn copy_before_migration(
    connection: &Connection,
    path: &Path,
    found: u32,
    wanted: u32,
) -> Result<(), OpenError> {
    let copy = path.with_extension(format!("db.v{found}-before-v{wanted}"));
    let fail = io_error(&copy);
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

/// Reads `PRAGMA user_version` from the file's header, without SQLite, which would touch the file.
/// Returns `None` if the file is missing or empty.
///
/// All numbers are big-endian: the page count in bytes 28 to 31, the version in 60 to 63, the
/// application id in 68 to 71 (<https://sqlite.org/fileformat.html>).
fn version_in_header(path: &Path) -> Result<Option<u32>, OpenError> {
    let fail = io_error(path);
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
        Ok(()) if header == [0; 72] && with_suffix(path, "-journal").exists() => Ok(None),
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(fail(error)),
        Err(_) if file.metadata().map_err(fail)?.len() == 0 => Ok(None),
        _ => Err(OpenError::NotADatabase {
            path: path.to_owned(),
        }),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Returns a function that adds `path` to an I/O error.
fn io_error(path: &Path) -> impl Fn(std::io::Error) -> OpenError + Copy {
    move |source| OpenError::Directory {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const NEXT_MIGRATION: M<'static> =
        M::up("ALTER TABLE projects ADD COLUMN color TEXT NOT NULL DEFAULT 'blue'");

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
        MIGRATIONS.iter().cloned().chain([NEXT_MIGRATION]).collect()
    }

    #[test]
    fn creates_a_private_database_with_the_latest_schema() {
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
    fn copies_a_database_before_migrating_it_and_keeps_its_rows() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = open(dir.path(), None).unwrap();
        populate(&connection);
        migrate(&mut connection, dir.path(), &next_migrations(), None).unwrap();
        assert_eq!(projects(&connection), ["A"]);
        let color: String = connection
            .query_row("SELECT color FROM projects", [], |row| row.get(0))
            .unwrap();
        assert_eq!(color, "blue");
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
    fn a_command_does_not_migrate_a_database_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let mut connection = open(dir.path(), None).unwrap();
        let _server = lock(dir.path()).unwrap();
        let result = migrate(&mut connection, dir.path(), &next_migrations(), None);
        assert!(matches!(result, Err(OpenError::MigrationBlocked { .. })));
    }

    #[test]
    fn rejects_a_newer_or_foreign_file_without_changing_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = database_path(dir.path());
        let connection = open(dir.path(), None).unwrap();
        connection
            .pragma_update(None, "user_version", SCHEMA_VERSION + 1)
            .unwrap();
        connection.close().unwrap();
        let before = std::fs::read(&path).unwrap();
        let result = open(dir.path(), None);
        let Err(OpenError::NewerSchema { found, .. }) = result else {
            panic!("{result:?}")
        };
        assert_eq!(found, SCHEMA_VERSION + 1);
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
    fn repeats_a_creation_that_a_power_cut_interrupted() {
        let dir = tempfile::tempdir().unwrap();
        let path = database_path(dir.path());
        std::fs::write(&path, [0; 4096]).unwrap();
        assert!(matches!(
            open(dir.path(), None),
            Err(OpenError::NotADatabase { .. })
        ));
        // The header of a rollback journal: the magic number, then the number of records, a nonce,
        // the pages of the database before the change, and the sizes of sectors and pages.
        let mut journal = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7".to_vec();
        journal.extend(
            [0, 0, 0, 512, 4096_u32]
                .into_iter()
                .flat_map(u32::to_be_bytes),
        );
        journal.resize(512, 0);
        std::fs::write(with_suffix(&path, "-journal"), journal).unwrap();
        let connection = open(dir.path(), None).unwrap();
        assert!(projects(&connection).is_empty());
    }

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
