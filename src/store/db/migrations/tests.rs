//! Tests with a second migration that exists only here. Interrupted migrations run in a process of
//! their own.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::process::Command;

use rusqlite::functions::FunctionFlags;

use super::*;
use crate::store::db::file_header::read_database_version;
use crate::store::db::open::open_or_create_database;
use crate::store::db::{MIGRATIONS, SCHEMA_VERSION};

const NEXT_MIGRATION: &str = "ALTER TABLE projects ADD COLUMN color TEXT NOT NULL DEFAULT 'blue'";
/// The variable with the data directory of a process that is interrupted.
const INTERRUPTED_DIR: &str = "INTERRUPTED_MIGRATION_DIR";

fn next_migrations(statements: &str) -> Vec<M<'_>> {
    let next = M::up(statements);
    MIGRATIONS.iter().cloned().chain([next]).collect()
}

/// Creates a database with a project.
fn create_database(dir: &Path) -> Connection {
    let connection = open_or_create_database(dir, None).unwrap();
    let insert = "INSERT INTO projects VALUES (x'01', 'a', 'A', 'ACTIVE', '[]', 0, 0)";
    connection.execute(insert, []).unwrap();
    connection
}

fn query<T: rusqlite::types::FromSql>(connection: &Connection, statement: &str) -> T {
    connection
        .query_row(statement, [], |row| row.get(0))
        .unwrap()
}

/// Returns the path of the copy before [`NEXT_MIGRATION`].
fn copy_path(dir: &Path) -> PathBuf {
    name_before_migration(&database_path(dir), SCHEMA_VERSION, SCHEMA_VERSION + 1)
}

/// Checks that the database still has the old schema and its row.
#[track_caller]
fn assert_not_migrated(dir: &Path) -> Connection {
    let connection = open_or_create_database(dir, None).unwrap();
    let version: u32 = query(&connection, "PRAGMA user_version");
    assert_eq!(version, SCHEMA_VERSION);
    assert_eq!(query::<String>(&connection, "PRAGMA integrity_check"), "ok");
    assert_eq!(
        query::<String>(&connection, "SELECT name FROM projects"),
        "A"
    );
    connection
}

/// Migrates the database, and checks its row and the copy.
#[track_caller]
fn migrate_and_check(dir: &Path) {
    let mut connection = assert_not_migrated(dir);
    migrate(&mut connection, dir, &next_migrations(NEXT_MIGRATION), None).unwrap();
    assert_eq!(
        query::<String>(&connection, "SELECT color FROM projects"),
        "blue"
    );
    let copy = copy_path(dir);
    assert_eq!(read_database_version(&copy).unwrap(), Some(SCHEMA_VERSION));
    let copied = Connection::open(&copy).unwrap();
    assert_eq!(query::<String>(&copied, "SELECT name FROM projects"), "A");
    assert!(!append_suffix(&copy, ".partial").exists());
}

#[test]
fn copies_a_database_before_migrating_it_and_keeps_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    create_database(dir.path());
    migrate_and_check(dir.path());
    let mode = copy_path(dir.path())
        .metadata()
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_command_does_not_migrate_a_database_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let mut connection = create_database(dir.path());
    let _server = lock_data_directory(dir.path()).unwrap();
    let migrations = next_migrations(NEXT_MIGRATION);
    let result = migrate(&mut connection, dir.path(), &migrations, None);
    assert!(matches!(result, Err(OpenError::MigrationBlocked { .. })));
}

#[test]
fn the_owner_of_the_directory_owns_the_files_of_a_migration_by_root() {
    const SOMEBODY: u32 = 12_345;
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    chown(dir.path(), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    create_database(dir.path());
    let mut connection = assert_not_migrated(dir.path());
    let migrations = next_migrations(NEXT_MIGRATION);
    migrate(&mut connection, dir.path(), &migrations, None).unwrap();
    let mut files = 0;
    for entry in dir.path().read_dir().unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.metadata().unwrap();
        let owner = (metadata.uid(), metadata.gid(), metadata.mode() & 0o777);
        assert_eq!(owner, (SOMEBODY, SOMEBODY, 0o600), "{}", path.display());
        files += 1;
    }
    // The database with its WAL and index, the lock file, and the copy.
    assert_eq!(files, 5);
}

#[test]
fn a_full_disk_is_reported_before_the_copy() {
    let dir = tempfile::tempdir().unwrap();
    let needed = u64::MAX / 2;
    let error = require_free_space(dir.path(), needed).unwrap_err();
    let OpenError::MigrationSpace { available, .. } = &error else {
        panic!("{error:?}")
    };
    let text = error.to_string();
    for part in [
        format!("need {needed} bytes"),
        format!("only {available} bytes"),
        dir.path().display().to_string(),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
    let connection = create_database(dir.path());
    check_free_space(&connection, &database_path(dir.path())).unwrap();
}

#[test]
fn a_full_disk_during_the_migration_leaves_the_old_schema() {
    let dir = tempfile::tempdir().unwrap();
    let mut connection = create_database(dir.path());
    let pages: u32 = query(&connection, "PRAGMA page_count");
    connection
        .pragma_update(None, "max_page_count", pages)
        .unwrap();
    let statements = format!(
        "{NEXT_MIGRATION}; CREATE TABLE large (content BLOB);
         INSERT INTO large VALUES (zeroblob(1000000))"
    );
    let result = migrate(
        &mut connection,
        dir.path(),
        &next_migrations(&statements),
        None,
    );
    let text = result.unwrap_err().to_string();
    assert!(text.contains("the disk is full"), "{text}");
    drop(connection);
    migrate_and_check(dir.path());
}

/// The process that the next test starts. Ends in the middle of a migration, like `kill -9`.
#[test]
fn an_interrupted_process() {
    let Some(dir) = std::env::var_os(INTERRUPTED_DIR).map(PathBuf::from) else {
        return;
    };
    let mut connection = assert_not_migrated(&dir);
    let flags = FunctionFlags::SQLITE_UTF8;
    let abort =
        |_: &rusqlite::functions::Context<'_>| -> rusqlite::Result<i64> { std::process::abort() };
    connection
        .create_scalar_function("abort", 0, flags, abort)
        .unwrap();
    let statements = format!("{NEXT_MIGRATION}; UPDATE projects SET name = 'B'; SELECT abort()");
    let _ = migrate(&mut connection, &dir, &next_migrations(&statements), None);
}

#[test]
fn an_interrupted_migration_is_repeated() {
    let dir = tempfile::tempdir().unwrap();
    create_database(dir.path());
    for _ in 0..2 {
        let mut process = Command::new(std::env::current_exe().unwrap());
        let name = concat!(module_path!(), "::an_interrupted_process");
        process.args(["--exact", name.split_once("::").unwrap().1]);
        let output = process.env(INTERRUPTED_DIR, dir.path()).output().unwrap();
        assert_eq!(output.status.code(), None, "not aborted: {output:?}");
        assert!(copy_path(dir.path()).exists());
        drop(assert_not_migrated(dir.path()));
    }
    migrate_and_check(dir.path());
}

#[test]
fn an_interrupted_copy_is_repeated() {
    let dir = tempfile::tempdir().unwrap();
    create_database(dir.path());
    let copy = copy_path(dir.path());
    for path in [append_suffix(&copy, ".partial"), copy] {
        std::fs::write(path, "the first part of a copy").unwrap();
    }
    migrate_and_check(dir.path());
}
