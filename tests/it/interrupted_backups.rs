//! `miniback backup -` after an interrupted backup, and during another one.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::app::App;
use crate::support::command::{miniback, run, signal, wait_for_exit};
use crate::support::wait::{DEADLINE, poll};

fn backup_to_stdout(app: &App, temporary: &Path) -> Command {
    let mut command = miniback(["backup", "-", "--data-dir"]);
    command.arg(&app.dir).env("TMPDIR", temporary);
    command.stdout(Stdio::null());
    command
}

/// Writes a database that is large enough to interrupt its backup.
fn start_with_large_database() -> App {
    let app = App::start();
    let database = rusqlite::Connection::open(app.database()).unwrap();
    let sql = "CREATE TEMP TABLE numbers AS WITH RECURSIVE n(i) AS
                   (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) SELECT i FROM n;
               INSERT INTO signing_keys (name, key)
                   SELECT 'test-' || i, randomblob(1000000) FROM numbers;";
    database.execute_batch(sql).unwrap();
    app
}

/// Returns the directories in `temporary` with the sizes of their files.
fn partial_backups(temporary: &Path) -> Vec<(PathBuf, u64)> {
    let size = |path: &Path| {
        let files = fs::read_dir(path).ok()?.flatten();
        Some(
            files
                .map(|file| file.metadata().map_or(0, |file| file.len()))
                .sum(),
        )
    };
    let entries = fs::read_dir(temporary).unwrap().flatten();
    let paths = entries.map(|entry| entry.path());
    paths
        .filter_map(|path| size(&path).map(|size| (path, size)))
        .collect()
}

/// Stops a backup with SIGSTOP while it has written a part of its copy.
#[track_caller]
fn start_and_suspend_backup(app: &App, temporary: &Path) -> (Child, PathBuf) {
    let suspended = poll(DEADLINE, || {
        let mut backup = backup_to_stdout(app, temporary).spawn().unwrap();
        while backup.try_wait().unwrap().is_none() {
            if partial_backups(temporary)
                .iter()
                .all(|(_, size)| *size == 0)
            {
                continue;
            }
            signal(backup.id(), "STOP");
            if let Some((path, _)) = partial_backups(temporary).pop() {
                return Some((backup, path));
            }
            signal(backup.id(), "CONT");
        }
        None
    });
    suspended.expect("suspend a backup")
}

#[test]
fn a_backup_removes_the_remains_of_a_killed_one_but_not_a_running_one() {
    let app = start_with_large_database();
    let temporary = TempDir::new().unwrap();
    let (mut first, path) = start_and_suspend_backup(&app, temporary.path());
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);

    let second = run(backup_to_stdout(&app, temporary.path()), "").success();
    assert!(second.stderr.contains("Wrote and checked"), "{second:?}");
    assert!(path.exists(), "a running backup was removed");
    signal(first.id(), "CONT");
    assert!(wait_for_exit(&mut first, "the backup ends").success());
    assert!(partial_backups(temporary.path()).is_empty());

    let (mut killed, path) = start_and_suspend_backup(&app, temporary.path());
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(path.exists(), "nothing was left to remove");
    run(backup_to_stdout(&app, temporary.path()), "").success();
    assert!(partial_backups(temporary.path()).is_empty());
}

#[test]
fn a_backup_keeps_directories_that_are_not_from_an_interrupted_one() {
    let app = App::start();
    let (temporary, outside) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let path = |name: &str| temporary.path().join(name);
    fs::write(outside.path().join("miniback.db"), "outside").unwrap();
    symlink(outside.path(), path("miniback-backup-link.partial")).unwrap();
    for name in ["miniback-backup-monday", "miniback-backup-other.partial"] {
        fs::create_dir(path(name)).unwrap();
        fs::write(path(name).join("miniback.db"), "keep").unwrap();
    }
    fs::create_dir(path("miniback-backup-more.partial")).unwrap();
    fs::write(path("miniback-backup-more.partial/notes"), "keep").unwrap();
    fs::write(path("miniback-backup-file.partial"), "keep").unwrap();
    // Only root can give a directory to another user.
    let is_foreign = chown(path("miniback-backup-other.partial"), Some(65_534), None).is_ok();

    run(backup_to_stdout(&app, temporary.path()), "").success();
    for kept in [
        "miniback-backup-link.partial/miniback.db",
        "miniback-backup-monday/miniback.db",
        "miniback-backup-more.partial/notes",
        "miniback-backup-file.partial",
    ] {
        assert!(path(kept).exists(), "{kept} was removed");
    }
    let other = path("miniback-backup-other.partial/miniback.db");
    assert_eq!(other.exists(), is_foreign);
}
