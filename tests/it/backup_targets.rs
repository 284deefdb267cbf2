//! The file that `miniback backup` writes to: a new or existing regular file, but never a file of a
//! live database.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::app::App;
use crate::support::command::{miniback, run, run_on_data_dir, with_file_modes_enforced};

/// Runs a backup that must be rejected, and returns its error.
#[track_caller]
fn backup_error(app: &App, target: &Path) -> String {
    let mut command = miniback(["backup".as_ref(), target.as_os_str()]);
    command.arg("--data-dir").arg(&app.dir);
    run(command, "").error_line(1)
}

fn file_names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn rejects_the_files_of_the_live_database_by_any_name() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let outside = TempDir::new().unwrap();
    let linked_dir = outside.path().join("linked directory");
    symlink(&app.dir, &linked_dir).unwrap();
    let linked_file = outside.path().join("linked file");
    symlink(app.database(), &linked_file).unwrap();
    let mut targets: Vec<PathBuf> = vec![linked_file];
    for name in [
        "miniback.db",
        "miniback.db-wal",
        "miniback.db-shm",
        "miniback.lock",
    ] {
        let hard_link = outside.path().join(format!("hard link to {name}"));
        fs::hard_link(app.dir.join(name), &hard_link).unwrap();
        targets.extend([
            hard_link,
            app.dir.join(name),
            linked_dir.join(name),
            app.dir.join("..").join("data").join(".").join(name),
        ]);
    }
    // If this file existed, SQLite would apply it to the database as a rollback journal.
    targets.push(app.dir.join("miniback.db-journal"));
    let before = file_names(&app.dir);
    let inode = app.database().metadata().unwrap().ino();
    for target in &targets {
        let line = backup_error(&app, target);
        assert!(
            line.contains("live database") || line.contains("symbolic link"),
            "{line}"
        );
    }
    let mut relative = miniback(["backup", "miniback.db", "--data-dir", "."]);
    relative.current_dir(&app.dir);
    assert!(run(relative, "").error_line(1).contains("live database"));

    assert_eq!(file_names(&app.dir), before);
    assert_eq!(app.database().metadata().unwrap().ino(), inode);
    api.create_feedback("shop", "Still here");
    let (_, data) = app.sigterm_and_wait();
    // When no server is running, the path of the WAL is rejected even if the WAL doesn't exist.
    let wal = data.path().join("data/miniback.db-wal");
    let _ = fs::remove_file(&wal);
    run_on_data_dir(
        &data.path().join("data"),
        &["backup", wal.to_str().unwrap()],
        "",
    )
    .error_line(1);
    let app = App::builder().with_data_dir(data).start();
    let stored = app.api().get("/api/v1/feedback").json();
    assert_eq!(stored["data"][0]["message"], "Still here");
}

#[test]
fn rejects_everything_that_is_not_a_plain_file() {
    let app = App::start();
    let outside = TempDir::new().unwrap();
    let path = |name: &str| outside.path().join(name);
    fs::create_dir(path("directory")).unwrap();
    fs::write(path("file"), "content").unwrap();
    symlink(path("file"), path("link")).unwrap();
    symlink(path("missing"), path("dangling")).unwrap();
    let status = Command::new("mkfifo").arg(path("fifo")).status().unwrap();
    assert!(status.success());
    let _socket = UnixListener::bind(path("socket")).unwrap();
    let before = file_names(outside.path());
    for (target, words) in [
        (path("directory"), "is a directory"),
        (path("directory/"), "is a directory"),
        (path("new/"), "is a directory"),
        (path("directory/.."), "is a directory"),
        (path("directory/."), "is a directory"),
        (path("link"), "symbolic link"),
        (path("dangling"), "symbolic link"),
        (path("fifo"), "named pipe"),
        (path("socket"), "socket"),
        ("/dev/null".into(), "device"),
        (path("missing/copy.db"), "doesn't exist"),
        (path("file/copy.db"), "isn't a directory"),
    ] {
        let line = backup_error(&app, &target);
        assert!(line.contains(words), "{line}");
        assert!(line.contains(target.to_str().unwrap()), "{line}");
    }
    assert_eq!(file_names(outside.path()), before);
    assert_eq!(fs::read_to_string(path("file")).unwrap(), "content");
    assert!(path("fifo").metadata().unwrap().file_type().is_fifo());
    assert!(
        Path::new("/dev/null")
            .metadata()
            .unwrap()
            .file_type()
            .is_char_device()
    );
}

#[test]
fn rejects_a_directory_that_is_not_writable() {
    let app = App::start();
    let outside = TempDir::new().unwrap();
    fs::set_permissions(outside.path(), Permissions::from_mode(0o500)).unwrap();
    let target = outside.path().join("copy.db");
    let mut command = miniback(["backup".as_ref(), target.as_os_str()]);
    command.arg("--data-dir").arg(&app.dir);
    let line = run(with_file_modes_enforced(command), "").error_line(1);
    assert!(
        line.contains("choose a directory that you can write to"),
        "{line}"
    );
}

#[test]
fn rejects_the_files_of_another_data_directory() {
    let (app, other) = (App::start(), App::start());
    other.api().create_project("Other");
    let files = [
        "miniback.db",
        "miniback.db-wal",
        "miniback.db-shm",
        "miniback.lock",
    ];
    let assert_rejected = |dir: &Path, name: &str| {
        let content = fs::read(dir.join(name)).ok();
        let line = backup_error(&app, &dir.join(name));
        assert!(
            line.contains(name) && line.contains("choose a new name"),
            "{line}"
        );
        assert_eq!(fs::read(dir.join(name)).ok(), content, "{name}");
    };
    for is_wal_empty in [false, true] {
        if is_wal_empty {
            let database = rusqlite::Connection::open(other.database()).unwrap();
            database
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .unwrap();
            database.close().unwrap();
            assert_eq!(
                other.dir.join("miniback.db-wal").metadata().unwrap().len(),
                0
            );
        }
        for name in files {
            assert_rejected(&other.dir, name);
        }
    }
    other.api().create_feedback("other", "Still here");
    // When no server is running, the same files are rejected.
    let (_, data) = other.sigterm_and_wait();
    let dir = data.path().join("data");
    for name in files {
        assert_rejected(&dir, name);
    }
    // If the database is behind a symbolic link, the files next to the link's target are rejected
    // too.
    let moved = data.path().join("moved.sqlite");
    fs::rename(dir.join("miniback.db"), &moved).unwrap();
    symlink(&moved, dir.join("miniback.db")).unwrap();
    let other = App::builder().with_data_dir(data).start();
    for name in ["moved.sqlite", "moved.sqlite-wal", "moved.sqlite-shm"] {
        assert_rejected(moved.parent().unwrap(), name);
    }
    other.api().create_feedback("other", "And here");
}

#[test]
fn rejects_companion_files_but_not_files_with_similar_names() {
    let app = App::start();
    let outside = TempDir::new().unwrap();
    let path = |name: &str| outside.path().join(name);
    fs::write(path("app.sqlite"), "a database of another program").unwrap();
    fs::write(path("orphan.db-journal"), "").unwrap();
    // This copy is a database in WAL mode, but no program has it open.
    fs::copy(app.database(), path("copy.db")).unwrap();
    for name in [
        "app.sqlite-wal",
        "app.sqlite-shm",
        "app.sqlite-journal",
        "orphan.db-journal",
        "orphan.db",
        "miniback.lock",
        "copy.db",
    ] {
        let line = backup_error(&app, &path(name));
        assert!(line.contains("choose a new name"), "{line}");
    }
    fs::write(path("existing"), "a regular file").unwrap();
    for name in [
        "existing",
        "existing",
        "miniback.db",
        "miniback.db",
        "daily-wal",
        "a-wal.db",
    ] {
        app.run(&["backup", path(name).to_str().unwrap()], "")
            .success();
    }
}

#[test]
fn accepts_unusual_names_and_removes_incomplete_backups() {
    let app = App::start();
    let outside = TempDir::new().unwrap();
    for name in [
        "new\nline.db",
        "?mode=ro#%20'\".db",
        "file:copy.db",
        ".hidden",
        "-",
        "-x",
    ] {
        for remains in [
            ".miniback-backup-1.partial",
            ".miniback-backup-7.partial-journal",
        ] {
            fs::write(outside.path().join(remains), "interrupted").unwrap();
        }
        let mut command = miniback(["backup"]);
        command.current_dir(outside.path());
        command.arg("--data-dir").arg(&app.dir);
        command.args(["--", if name == "-" { "./-" } else { name }]);
        run(command, "").success();
        assert_eq!(file_names(outside.path()), [name]);
        let copy = outside.path().join(name);
        assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        fs::remove_file(copy).unwrap();
    }
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::OsStr::from_bytes(b"\xff.db");
    let mut command = miniback(["backup".as_ref(), outside.path().join(name).as_os_str()]);
    command.arg("--data-dir").arg(&app.dir);
    run(command, "").success();
}

#[test]
fn backups_that_run_at_the_same_time_do_not_affect_each_other() {
    let app = App::start();
    let outside = TempDir::new().unwrap();
    std::thread::scope(|scope| {
        for number in 0..6 {
            let target = outside.path().join(format!("{}.db", number % 3));
            let app = &app;
            scope.spawn(move || app.run(&["backup", target.to_str().unwrap()], "").success());
        }
    });
    assert_eq!(file_names(outside.path()), ["0.db", "1.db", "2.db"]);
}
