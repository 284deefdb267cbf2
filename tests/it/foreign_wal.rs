//! A WAL that doesn't belong to the database next to it, or that was written by a newer version, is
//! never written to the database.

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::support::app::{App, database};
use crate::support::command::run_on_data_dir;

/// Returns the contents of the database and of its WAL.
fn database_and_wal(dir: &Path) -> [Vec<u8>; 2] {
    ["miniback.db", "miniback.db-wal"].map(|name| fs::read(dir.join(name)).unwrap())
}

#[test]
fn a_wal_next_to_another_database_is_not_merged() {
    let app = App::start();
    app.api().create_project("Old");
    let dir = app.dir.clone();
    let _data = app.sigkill();

    let other = App::start();
    let api = other.api();
    api.create_project("Shop");
    for number in 0..100 {
        let message = format!("Message {number} {}", "text ".repeat(200));
        api.create_feedback("shop", &message);
    }
    let backup = other.dir.with_file_name("backup.db");
    other
        .run(&["backup", backup.to_str().unwrap()], "")
        .success();
    fs::copy(&backup, database(&dir)).unwrap();

    let before = database_and_wal(&dir);
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    for command in [&serve[..], &["user", "list"], &["token", "list"]] {
        let line = run_on_data_dir(&dir, command, "").error_line(2);
        assert!(line.contains("belongs to another database"), "{line}");
        assert!(database_and_wal(&dir) == before, "{command:?}");
    }

    // A restore keeps both files.
    run_on_data_dir(&dir, &["restore", backup.to_str().unwrap()], "").success();
    for (suffix, content) in ["", "-wal"].iter().zip(&before) {
        let kept = dir.join(format!("miniback.db.before-restore-1{suffix}"));
        assert!(&fs::read(kept).unwrap() == content, "{suffix}");
    }
    run_on_data_dir(&dir, &["user", "list"], "").success();
}

#[test]
fn a_newer_version_that_is_only_in_the_wal_is_rejected() {
    let app = App::start();
    let dir = app.dir.clone();
    let (_, _data) = app.sigterm_and_wait();
    let newer = Connection::open(database(&dir)).unwrap();
    newer
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let before = database_and_wal(&dir);
    assert!(!before[1].is_empty());
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    for command in [&serve[..], &["user", "list"], &["setup-link"]] {
        let line = run_on_data_dir(&dir, command, "").error_line(2);
        assert!(line.contains("newer version"), "{line}");
        assert!(database_and_wal(&dir) == before, "{command:?}");
    }
}
