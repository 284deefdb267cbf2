//! Startup with a data directory that can't be used: the program exits with one line that says how
//! to fix the problem.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::app::{App, database};
use crate::support::command::{
    CommandOutput, miniback, run, run_on_data_dir, with_file_modes_enforced, wrapped_by,
};

/// Creates a data directory with more than 100 database pages of feedback, and a backup next to it.
fn data_with_backup() -> (Arc<TempDir>, std::path::PathBuf) {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for number in 0..60 {
        api.create_feedback("shop", &format!("{number} {}", "x".repeat(9_000)));
    }
    let copy = app.dir.with_file_name("copy.db");
    app.run(&["backup", copy.to_str().unwrap()], "").success();
    let (status, data) = app.sigterm_and_wait();
    assert_eq!(status.code(), Some(0));
    (data, copy)
}

fn serve(dir: &Path) -> CommandOutput {
    let mut command = miniback(["serve", "--listen", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(dir);
    run(with_file_modes_enforced(command), "")
}

#[test]
fn rejects_a_corrupt_database_and_explains_the_restore() {
    let (data, copy) = data_with_backup();
    let dir = data.path().join("data");
    let original = std::fs::read(database(&dir)).unwrap();
    let page_size = 4_096;
    let middle = original.len() / 2 / page_size * page_size;
    assert!(original.len() > 50 * page_size, "{}", original.len());
    let with_garbage = |from: usize, to: usize| {
        let mut bytes = original.clone();
        bytes[from..to].fill(0xAA);
        bytes
    };
    for (damage, bytes) in [
        ("a damaged header", with_garbage(0, 100)),
        ("a damaged schema", with_garbage(100, page_size)),
        (
            "a damaged page in the middle",
            with_garbage(middle, middle + page_size),
        ),
        ("a missing second half", original[..middle].to_vec()),
        (
            "a missing end, within a page",
            original[..original.len() - page_size - 100].to_vec(),
        ),
    ] {
        std::fs::write(database(&dir), &bytes).unwrap();
        let line = serve(&dir).error_line(2);
        for word in [
            "--data-dir",
            "miniback.db",
            "corrupt",
            "`miniback backup`",
            "`miniback restore FILE`",
        ] {
            assert!(line.contains(word), "{damage}: {word} isn't in {line}");
        }
        assert!(
            std::fs::read(database(&dir)).unwrap() == bytes,
            "{damage}: the database file was changed"
        );
    }

    // Follow the instructions in the error message.
    run_on_data_dir(&dir, &["restore", copy.to_str().unwrap()], "").success();
    let app = App::builder().with_data_dir(data).start();
    let page = app.api().get("/api/v1/feedback?limit=100").json();
    assert_eq!(page["data"].as_array().map(Vec::len), Some(60));
}

#[test]
fn rejects_a_data_directory_that_is_not_writable() {
    let app = App::start();
    app.api().create_project("Shop");
    let (_, data) = app.sigterm_and_wait();
    let dir = data.path().join("data");
    let mode =
        |path: &Path, mode: u32| set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let assert_rejected = |path: &str| {
        let line = serve(&dir).error_line(2);
        assert!(line.contains("--data-dir") && line.contains(path), "{line}");
        assert!(
            line.contains("make it writable for the user with id "),
            "{line}"
        );
    };

    // The database can be read-only, for example after root has restored a backup.
    mode(&database(&dir), 0o400);
    assert_rejected("miniback.db");
    mode(&database(&dir), 0o600);
    mode(&dir.join("miniback.lock"), 0o400);
    assert_rejected("miniback.lock");
    mode(&dir.join("miniback.lock"), 0o600);
    // SQLite can't create its WAL and shared-memory files in a read-only directory.
    for name in ["miniback.db-wal", "miniback.db-shm"] {
        std::fs::remove_file(dir.join(name)).unwrap();
    }
    mode(&dir, 0o500);
    assert_rejected("miniback.db");
    std::fs::remove_file(dir.join("miniback.lock")).unwrap();
    assert_rejected("miniback.lock");

    mode(&dir, 0o700);
    let app = App::builder().with_data_dir(data).start();
    let projects = app.api().get("/api/v1/projects").json();
    assert_eq!(projects["data"][0]["slug"], Value::from("shop"));
}

#[test]
fn rejects_a_wal_that_is_not_writable() {
    let app = App::start();
    app.api().create_project("Shop");
    let data = app.sigkill();
    let dir = data.path().join("data");
    let wal = dir.join("miniback.db-wal");
    assert!(wal.exists(), "the crash left no WAL");
    set_permissions(&wal, Permissions::from_mode(0o400)).unwrap();
    let line = serve(&dir).error_line(2);
    assert!(line.contains("isn't writable"), "{line}");
    set_permissions(&wal, Permissions::from_mode(0o600)).unwrap();
    App::builder()
        .with_data_dir(data)
        .start()
        .api()
        .create_feedback("shop", "Hello");
}

#[test]
fn rejects_a_schema_that_differs_from_its_version() {
    let (data, copy) = data_with_backup();
    let dir = data.path().join("data");
    for (change, object) in [
        ("DROP INDEX sessions_by_user", "sessions_by_user"),
        (
            "DROP TRIGGER unindex_deleted_feedback",
            "unindex_deleted_feedback",
        ),
        ("DROP TABLE sessions", "sessions"),
        ("ALTER TABLE projects ADD COLUMN color TEXT", "projects"),
        ("CREATE TABLE extra (id)", "extra"),
        ("CREATE INDEX more ON feedback (status)", "more"),
    ] {
        restore(&copy, &dir);
        let connection = rusqlite::Connection::open(database(&dir)).unwrap();
        connection.execute_batch(change).unwrap();
        connection.close().unwrap();
        let line = serve(&dir).error_line(2);
        for word in ["--data-dir", "schema", object, "`miniback backup`"] {
            assert!(line.contains(word), "{change}: {word} isn't in {line}");
        }
        let check = run_on_data_dir(&dir, &["check"], "");
        assert_eq!(check.code, Some(1), "{change}: {check:?}");
        assert!(check.stdout.contains(object), "{change}: {check:?}");
    }
    restore(&copy, &dir);
    // `ANALYZE` stores statistics, which aren't part of the schema.
    let connection = rusqlite::Connection::open(database(&dir)).unwrap();
    connection.execute_batch("ANALYZE").unwrap();
    connection.close().unwrap();
    let other = data.path().join("other.db");
    run_on_data_dir(&dir, &["backup", other.to_str().unwrap()], "").success();
}

/// Replaces the database of a stopped server with a copy of a backup.
fn restore(copy: &Path, dir: &Path) {
    for name in ["miniback.db-wal", "miniback.db-shm"] {
        let _ = std::fs::remove_file(dir.join(name));
    }
    std::fs::copy(copy, database(dir)).unwrap();
}

#[test]
fn rejects_a_linked_database_whose_wal_was_left_behind() {
    let app = App::start();
    app.api().create_project("Shop");
    app.api().create_feedback("shop", "In the WAL only");
    let data = app.sigkill();
    let dir = data.path().join("data");
    let moved = data.path().join("moved.db");
    std::fs::rename(database(&dir), &moved).unwrap();
    std::os::unix::fs::symlink(&moved, database(&dir)).unwrap();
    let wal = dir.join("miniback.db-wal");
    for line in [
        serve(&dir).error_line(2),
        run_on_data_dir(&dir, &["check"], "").error_line(2),
    ] {
        assert!(
            line.contains(wal.to_str().unwrap()) && line.contains("next to that file"),
            "{line}"
        );
    }
    // Follow the instructions in the error message.
    std::fs::rename(wal, data.path().join("moved.db-wal")).unwrap();
    let app = App::builder().with_data_dir(data).start();
    let stored = app.api().get("/api/v1/feedback").json();
    assert_eq!(stored["data"][0]["message"], "In the WAL only");
}

#[test]
fn an_error_about_permissions_contains_the_user_and_the_owner() {
    let temp = TempDir::new().unwrap();
    let owner = temp.path().metadata().unwrap().uid();
    if owner != 0 {
        // Only root can run a command as another user.
        return;
    }
    set_permissions(temp.path(), Permissions::from_mode(0o755)).unwrap();
    let mut command = miniback(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(temp.path().join("data"));
    let command = wrapped_by(&command, "setpriv", &["--reuid=65532", "--clear-groups"]);
    let line = run(command, "").error_line(2);
    let owner = format!("({} belongs to the user with id 0)", temp.path().display());
    assert!(
        line.contains("the user with id 65532") && line.contains(&owner),
        "{line}"
    );
}
