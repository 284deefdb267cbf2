//! Opens the database in a data directory: restricts file modes, sets pragmas, and migrates it.
//!
//! A database with a newer schema is rejected before SQLite touches the file.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite_migration::Error as MigrationError;

use super::error::OpenError;
use super::file_header::check_header;
use super::files;
use super::lock::DirectoryLock;
use super::{BUSY_TIMEOUT, MIGRATIONS, SCHEMA_VERSION, WAL_MAX_BYTES, integrity_check};
use super::{file_permissions, migrations, schema_check, wal};
use crate::store::search;

/// The `PRAGMA application_id` of Miniback's databases ("mbck"). It prevents Miniback from opening
/// another program's database by mistake.
pub(super) const APPLICATION_ID: u32 = u32::from_be_bytes(*b"mbck");

/// The name of the database in its data directory.
pub(in crate::store) const DATABASE_NAME: &str = "miniback.db";

/// Returns the path of the database in `dir`.
pub fn database_path(dir: &Path) -> PathBuf {
    let path = dir.join(DATABASE_NAME);
    // SQLite would interpret a path that starts with `file:` as a URI.
    if path.as_os_str().as_encoded_bytes().starts_with(b"file:") {
        return Path::new(".").join(path);
    }
    path
}

/// Fails with [`OpenError::NoDatabase`] unless there is a database in `dir`.
pub fn require_database(dir: &Path) -> Result<(), OpenError> {
    let problem = match dir.metadata() {
        Err(error) if error.kind() == ErrorKind::NotFound => "doesn't exist",
        Err(error) if error.kind() == ErrorKind::NotADirectory => "isn't a directory",
        Ok(directory) if !directory.is_dir() => "isn't a directory",
        _ if check_header(&database_path(dir))?.is_none() => "contains no database",
        _ => return Ok(()),
    };
    Err(OpenError::NoDatabase {
        dir: dir.to_owned(),
        problem,
    })
}

/// Creates the data directory (mode 0700) if it doesn't exist, and makes it durable: otherwise, a
/// power cut could remove it together with the database.
pub fn create_data_directory(dir: &Path) -> Result<(), OpenError> {
    if dir.metadata().is_ok_and(|metadata| !metadata.is_dir()) {
        return Err(OpenError::NotADirectory(dir.to_owned()));
    }
    let missing = dir.ancestors().take_while(|ancestor| !ancestor.exists());
    // Always sync the entry of the data directory, because an earlier start may have been
    // interrupted between creating and syncing the directory.
    let entries = dir.ancestors().take(missing.count().max(1));
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(io_error(dir))?;
    for entry in entries {
        sync_parent_directory(entry);
    }
    Ok(())
}

/// Makes the directory entry of `path` durable. Ignores errors, as SQLite does when it syncs a
/// directory: the parent may be unreadable, and some file systems can't sync directories.
pub(in crate::store) fn sync_parent_directory(path: &Path) {
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return,
    };
    let _ = File::open(parent).and_then(|parent| parent.sync_all());
}

/// Opens the writer's connection to the database in `dir`. Creates or migrates the database if
/// necessary.
///
/// `lock` is the caller's lock on the directory. Without a lock, the database is migrated only if
/// no server is using it.
pub fn open_or_create_database(
    dir: &Path,
    lock: Option<&DirectoryLock>,
) -> Result<Connection, OpenError> {
    let path = database_path(dir);
    check_header(&path)?;
    let exposures = match lock {
        Some(_) => file_permissions::restrict_file_access(dir)?,
        None => Vec::new(),
    };
    let fail = io_error(&path);
    if files::create_private_file(&path).map_err(fail)?.is_none() {
        OpenOptions::new().append(true).open(&path).map_err(fail)?;
    }
    if let Some(lock) = lock {
        lock.lock_database(&path)?;
    }
    let mut connection =
        connect(&path).map_err(|error| integrity_check::to_open_error(error, &path))?;
    migrations::migrate(&mut connection, dir, MIGRATIONS, lock)?;
    let difference =
        schema_check::find_schema_difference(&connection).map_err(|error| match error {
            MigrationError::RusqliteError { err, .. } => integrity_check::to_open_error(err, &path),
            error => error.into(),
        })?;
    if let Some(difference) = difference {
        let details = format!("its schema doesn't match version {SCHEMA_VERSION}: {difference}");
        return Err(OpenError::Corrupt { path, details });
    }
    // Log these lines only now: if opening fails, the error must be the only output.
    for line in exposures {
        tracing::warn!("{line}");
    }
    Ok(connection)
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Until the database is checked, the WAL isn't written to the database: the WAL may belong to
    // another database, or to a newer version.
    wal::defer_checkpoints(&connection)?;
    let id: u32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if id == 0 {
        // `auto_vacuum` must be set before the first write. Changing it later requires a `VACUUM`.
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "journal_size_limit", WAL_MAX_BYTES)?;
    // `FAST` overwrites deleted content within a page. Free pages are overwritten only when
    // personal data is erased, because overwriting them causes more writes.
    connection.pragma_update(None, "secure_delete", "FAST")?;
    // Without the query planner stability guarantee (QPSG), SQLite prepares statements again when
    // bound values change.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(128);
    search::register_functions(&connection)?;
    Ok(connection)
}

/// Copies the database to the file at `path`, which must be empty or missing.
pub(in crate::store) fn copy_database(
    connection: &Connection,
    path: &Path,
) -> rusqlite::Result<usize> {
    // The path isn't necessarily valid UTF-8.
    let path = ToSqlOutput::Borrowed(ValueRef::Text(path.as_os_str().as_encoded_bytes()));
    connection.execute("VACUUM INTO ?1", [path])
}

/// Returns a function that adds `path` to an I/O error.
pub(in crate::store) fn io_error(path: &Path) -> impl Fn(std::io::Error) -> OpenError + Copy {
    move |source| OpenError::Directory {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn projects(connection: &Connection) -> Vec<String> {
        let mut statement = connection.prepare("SELECT name FROM projects").unwrap();
        statement
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    }

    #[test]
    fn creates_a_private_database_with_the_latest_schema() {
        let dir = tempfile::tempdir().unwrap();
        let connection = open_or_create_database(dir.path(), None).unwrap();
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
    fn rejects_a_newer_or_foreign_file_without_changing_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = database_path(dir.path());
        let connection = open_or_create_database(dir.path(), None).unwrap();
        connection
            .pragma_update(None, "user_version", SCHEMA_VERSION + 1)
            .unwrap();
        connection.close().unwrap();
        let before = std::fs::read(&path).unwrap();
        let result = open_or_create_database(dir.path(), None);
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
                open_or_create_database(dir.path(), None),
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
            open_or_create_database(dir.path(), None),
            Err(OpenError::NotADatabase { .. })
        ));
        // The header of a rollback journal: the magic number, the number of records, a nonce, the
        // previous number of database pages, the sector size, and the page size.
        let mut journal = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7".to_vec();
        journal.extend(
            [0, 0, 0, 512, 4096_u32]
                .into_iter()
                .flat_map(u32::to_be_bytes),
        );
        journal.resize(512, 0);
        std::fs::write(files::append_suffix(&path, "-journal"), journal).unwrap();
        let connection = open_or_create_database(dir.path(), None).unwrap();
        assert!(projects(&connection).is_empty());
    }
}
