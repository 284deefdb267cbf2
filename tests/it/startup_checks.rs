//! A data directory that cannot be served: the start is refused with one line that says what to do.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::app::{App, database};
use crate::support::command::{CommandOutput, miniback, run, with_file_modes_enforced};

/// A directory that was served and has some hundred pages of feedback, and a copy of its database
/// beside it.
fn served() -> (Arc<TempDir>, std::path::PathBuf) {
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
fn a_damaged_database_is_refused_and_the_line_says_how_to_restore_a_backup() {
    let (data, copy) = served();
    let dir = data.path().join("data");
    let whole = std::fs::read(database(&dir)).unwrap();
    let (middle, page) = (whole.len() / 2 / 4_096 * 4_096, 4_096);
    assert!(whole.len() > 50 * page, "{}", whole.len());
    let garbage = |from: usize, to: usize| {
        let mut bytes = whole.clone();
        bytes[from..to].fill(0xAA);
        bytes
    };
    for (what, bytes) in [
        ("the whole header", garbage(0, 100)),
        ("the schema", garbage(100, page)),
        ("a page in the middle", garbage(middle, middle + page)),
        ("half of it is gone", whole[..middle].to_vec()),
        (
            "its end is gone, within a page",
            whole[..whole.len() - page - 100].to_vec(),
        ),
    ] {
        std::fs::write(database(&dir), &bytes).unwrap();
        let line = serve(&dir).error_line(2);
        for word in [
            "--data-dir",
            "miniback.db",
            "corrupt",
            "`miniback backup`",
            "-wal",
            "-shm",
        ] {
            assert!(line.contains(word), "{what}: {word} is not in {line}");
        }
        assert!(
            std::fs::read(database(&dir)).unwrap() == bytes,
            "{what}: untouched"
        );
    }

    // What the line says, done.
    for name in ["miniback.db", "miniback.db-wal", "miniback.db-shm"] {
        let _ = std::fs::rename(dir.join(name), data.path().join(name));
    }
    std::fs::copy(&copy, database(&dir)).unwrap();
    let app = App::builder().with_data(data).start();
    let page = app.api().get("/api/v1/feedback?limit=100").json();
    assert_eq!(page["data"].as_array().map(Vec::len), Some(60));
}

#[test]
fn a_data_directory_that_cannot_be_written_is_refused_and_the_line_says_why() {
    let app = App::start();
    app.api().create_project("Shop");
    let (_, data) = app.sigterm_and_wait();
    let dir = data.path().join("data");
    let mode =
        |path: &Path, mode: u32| set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let refused = |what: &str| {
        let line = serve(&dir).error_line(2);
        assert!(line.contains("--data-dir") && line.contains(what), "{line}");
        assert!(
            line.contains("writable for the user that runs Miniback"),
            "{line}"
        );
    };

    // As after a backup was put back by root.
    mode(&database(&dir), 0o400);
    refused("miniback.db");
    mode(&database(&dir), 0o600);
    mode(&dir.join("miniback.lock"), 0o400);
    refused("miniback.lock");
    mode(&dir.join("miniback.lock"), 0o600);
    // SQLite could not make the files that stand beside a database while it is open.
    for name in ["miniback.db-wal", "miniback.db-shm"] {
        std::fs::remove_file(dir.join(name)).unwrap();
    }
    mode(&dir, 0o500);
    refused("miniback.db");
    std::fs::remove_file(dir.join("miniback.lock")).unwrap();
    refused("miniback.lock");

    mode(&dir, 0o700);
    let app = App::builder().with_data(data).start();
    let projects = app.api().get("/api/v1/projects").json();
    assert_eq!(projects["data"][0]["slug"], Value::from("shop"));
}

#[test]
fn a_write_ahead_log_that_cannot_be_written_is_refused_at_the_start() {
    let app = App::start();
    app.api().create_project("Shop");
    let data = app.kill9();
    let dir = data.path().join("data");
    let log = dir.join("miniback.db-wal");
    assert!(log.exists(), "a crash leaves it");
    set_permissions(&log, Permissions::from_mode(0o400)).unwrap();
    let line = serve(&dir).error_line(2);
    assert!(line.contains("isn't writable"), "{line}");
    set_permissions(&log, Permissions::from_mode(0o600)).unwrap();
    App::builder()
        .with_data(data)
        .start()
        .api()
        .create_feedback("shop", "Hello");
}
