//! The data directory: which commands create it, odd paths, owners and modes of its files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use crate::support::app::App;
use crate::support::command::{miniback, run, run_on};

/// The commands that need a database, with their arguments.
const COMMANDS: [&[&str]; 8] = [
    &["user", "add", "ada@example.com"],
    &["user", "list"],
    &["user", "passwd", "ada@example.com"],
    &["user", "remove", "ada@example.com"],
    &["token", "list"],
    &["token", "revoke", "tok_1"],
    &["backup", "/tmp/miniback-never-written.db"],
    &["check"],
];

#[test]
fn commands_refuse_a_directory_without_a_database() {
    let parent = TempDir::new().unwrap();
    let (missing, empty) = (parent.path().join("missing"), parent.path().join("empty"));
    let (file, created) = (parent.path().join("file"), parent.path().join("created"));
    fs::create_dir(&empty).unwrap();
    fs::write(&file, "content").unwrap();
    // A file whose creation was interrupted.
    fs::create_dir(&created).unwrap();
    fs::write(created.join("miniback.db"), "").unwrap();
    for dir in [&missing, &empty, &file, &created] {
        for args in COMMANDS {
            let line = run_on(dir, args, "a long password\n").error_line(1);
            assert!(line.contains(dir.to_str().unwrap()), "{args:?}: {line}");
            assert!(line.contains("miniback init"), "{args:?}: {line}");
        }
    }
    assert!(!missing.exists(), "a command created the data directory");
    assert_eq!(fs::read_dir(&empty).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), "content");
    assert!(!Path::new("/tmp/miniback-never-written.db").exists());
}

#[test]
fn init_creates_a_database_once() {
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("a/b");
    let output = run_on(&dir, &["init"], "").success();
    assert!(output.stdout.contains(dir.to_str().unwrap()), "{output:?}");
    for args in [&["user", "add", "ada@example.com"][..], &["check"]] {
        run_on(&dir, args, "a long password\n").success();
    }
    let output = run_on(&dir, &["init"], "").success();
    assert!(output.stdout.contains("Nothing was changed"), "{output:?}");
    let users = run_on(&dir, &["user", "list"], "").success().stdout;
    assert!(users.contains("ada@example.com"), "{users}");

    let app = App::start();
    let line = app.run(&["init"], "").error_line(1);
    assert!(line.contains(&app.pid().to_string()), "{line}");
    let file = parent.path().join("file");
    fs::write(&file, "content").unwrap();
    let line = run_on(&file, &["init"], "").error_line(2);
    assert!(line.contains("isn't a directory"), "{line}");
}

#[test]
fn the_directory_can_have_any_name_and_be_behind_a_link() {
    for name in [
        "a?mode=ro",
        "a#b",
        "a%20b",
        "it's \"quoted\"",
        "new\nline",
        "file:data",
    ] {
        let parent = TempDir::new().unwrap();
        let in_parent = |args: &[&str]| {
            let mut command = miniback(args);
            command
                .current_dir(parent.path())
                .args(["--data-dir", name]);
            run(command, "a long password\n").success()
        };
        in_parent(&["init"]);
        in_parent(&["user", "add", "ada@example.com"]);
        in_parent(&["backup", "./copy.db"]);
        in_parent(&["check"]);
        assert!(
            parent.path().join(name).join("miniback.db").is_file(),
            "{name:?}"
        );
        // `App` uses the directory `data`.
        symlink(name, parent.path().join("data")).unwrap();
        let app = App::builder()
            .without_admin()
            .with_data(Arc::new(parent))
            .start();
        let users = app.run(&["user", "list"], "").success().stdout;
        assert!(users.contains("ada@example.com"), "{users}");
    }
}

#[test]
fn a_database_or_lock_that_is_no_file_is_refused() {
    for name in ["miniback.db", "miniback.lock"] {
        let parent = TempDir::new().unwrap();
        let path = parent.path().join(name);
        let assert_refused = |kind: &str| {
            let serve = ["serve", "--listen", "127.0.0.1:0"];
            let line = run_on(parent.path(), &serve, "").error_line(2);
            assert!(line.contains(kind) && line.contains(name), "{line}");
        };
        fs::create_dir(&path).unwrap();
        assert_refused("directory");
        fs::remove_dir(&path).unwrap();
        let status = std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap();
        assert!(status.success());
        assert_refused("named pipe");
        fs::remove_file(&path).unwrap();
        let elsewhere = TempDir::new().unwrap();
        symlink(elsewhere.path().join("new"), &path).unwrap();
        assert_refused("symbolic link");
        assert!(
            !elsewhere.path().join("new").exists(),
            "a file was created behind the link"
        );
    }
}
