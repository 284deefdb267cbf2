//! The data directory: the commands that create it, unusual paths, and the owners and modes of its
//! files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;

use crate::support::app::App;
use crate::support::command::{miniback, run, run_on_data_dir, wrapped_by};
use crate::support::wait::wait_until;

/// Commands that need an existing database, with their arguments.
const COMMANDS: [&[&str]; 9] = [
    &["user", "add", "ada@example.com"],
    &["user", "list"],
    &["user", "passwd", "ada@example.com"],
    &["user", "remove", "ada@example.com"],
    &["token", "list"],
    &["token", "revoke", "tok_1"],
    &["backup", "/tmp/miniback-never-written.db"],
    &["check"],
    &["setup-link"],
];

#[test]
fn commands_reject_a_directory_without_a_database() {
    let parent = TempDir::new().unwrap();
    let (missing, empty) = (parent.path().join("missing"), parent.path().join("empty"));
    let (file, created) = (parent.path().join("file"), parent.path().join("created"));
    fs::create_dir(&empty).unwrap();
    fs::write(&file, "content").unwrap();
    // The interrupted creation of a database leaves an empty file.
    fs::create_dir(&created).unwrap();
    fs::write(created.join("miniback.db"), "").unwrap();
    for dir in [&missing, &empty, &file, &file.join("data"), &created] {
        for args in COMMANDS {
            let line = run_on_data_dir(dir, args, "a long password\n").error_line(1);
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
    let output = run_on_data_dir(&dir, &["init"], "").success();
    assert!(output.stdout.contains(dir.to_str().unwrap()), "{output:?}");
    for args in [&["user", "add", "ada@example.com"][..], &["check"]] {
        run_on_data_dir(&dir, args, "a long password\n").success();
    }
    let output = run_on_data_dir(&dir, &["init"], "").success();
    assert!(output.stdout.contains("Nothing was changed"), "{output:?}");
    let users = run_on_data_dir(&dir, &["user", "list"], "")
        .success()
        .stdout;
    assert!(users.contains("ada@example.com"), "{users}");

    let app = App::start();
    let line = app.run(&["init"], "").error_line(1);
    assert!(line.contains(&app.pid().to_string()), "{line}");
    let file = parent.path().join("file");
    fs::write(&file, "content").unwrap();
    let dangling = parent.path().join("dangling");
    symlink("missing", &dangling).unwrap();
    for (path, part) in [
        (file.clone(), "isn't a directory"),
        (file.join("data"), "isn't a directory"),
        (dangling, "symbolic link"),
    ] {
        let line = run_on_data_dir(&path, &["init"], "").error_line(2);
        assert!(line.contains(part), "{line}");
        assert!(line.contains(path.to_str().unwrap()), "{line}");
        assert!(!line.contains("os error"), "{line}");
    }
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
        // `App` uses the directory `data`, which is a link to the unusual path here.
        symlink(name, parent.path().join("data")).unwrap();
        let app = App::builder()
            .without_admin()
            .with_data_dir(Arc::new(parent))
            .start();
        let users = app.run(&["user", "list"], "").success().stdout;
        assert!(users.contains("ada@example.com"), "{users}");
    }
}

#[test]
fn rejects_a_database_or_lock_that_is_not_a_plain_file() {
    for name in ["miniback.db", "miniback.lock"] {
        let parent = TempDir::new().unwrap();
        let path = parent.path().join(name);
        let assert_rejected = |kind: &str| {
            let serve = ["serve", "--listen", "127.0.0.1:0"];
            let line = run_on_data_dir(parent.path(), &serve, "").error_line(2);
            assert!(line.contains(kind) && line.contains(name), "{line}");
        };
        fs::create_dir(&path).unwrap();
        assert_rejected("directory");
        fs::remove_dir(&path).unwrap();
        let status = std::process::Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap();
        assert!(status.success());
        assert_rejected("named pipe");
        fs::remove_file(&path).unwrap();
        let elsewhere = TempDir::new().unwrap();
        symlink(elsewhere.path().join("new"), &path).unwrap();
        assert_rejected("symbolic link");
        assert!(
            !elsewhere.path().join("new").exists(),
            "a file was created behind the link"
        );
    }
}

/// An id that no user or group of the operating system has.
const SOMEBODY: u32 = 12_345;

/// Returns whether the tests run as root. Only root can create files that belong to other users.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o777
}

#[test]
fn new_files_have_the_owner_of_the_directory() {
    if !is_root() {
        return;
    }
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("data");
    fs::create_dir(&dir).unwrap();
    chown(&dir, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    run_on_data_dir(&dir, &["init"], "").success();
    run_on_data_dir(
        &dir,
        &["user", "add", "ada@example.com"],
        "a long password\n",
    )
    .success();
    let copy = dir.join("copy.db");
    run_on_data_dir(&dir, &["backup", copy.to_str().unwrap()], "").success();
    let app = App::builder()
        .without_admin()
        .with_data_dir(Arc::new(parent))
        .start();
    app.run(&["user", "list"], "").success();
    for entry in fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(
            path.metadata().unwrap().uid(),
            SOMEBODY,
            "{}",
            path.display()
        );
        assert_eq!(
            path.metadata().unwrap().gid(),
            SOMEBODY,
            "{}",
            path.display()
        );
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
    // A backup outside the data directory belongs to the user who runs the command.
    let copy = dir.with_file_name("copy.db");
    app.run(&["backup", copy.to_str().unwrap()], "").success();
    assert_eq!(copy.metadata().unwrap().uid(), 0);
}

#[test]
fn a_start_protects_files_that_others_can_access() {
    let app = App::start();
    let copy = app.dir.join("copy");
    app.run(&["backup", copy.to_str().unwrap()], "").success();
    let (_, data) = app.sigterm_and_wait();
    let dir = data.path().join("data");
    let set_mode = |path: &Path, mode| {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    };
    fs::write(dir.join("notes.txt"), "not Miniback's").unwrap();
    for (name, mode) in [
        ("miniback.db", 0o644),
        ("miniback.lock", 0o666),
        ("copy", 0o640),
        ("notes.txt", 0o644),
    ] {
        set_mode(&dir.join(name), mode);
    }
    set_mode(&dir, 0o777);
    if is_root() {
        chown(&copy, Some(SOMEBODY), None).unwrap();
    }
    let check = run_on_data_dir(&dir, &["check"], "");
    assert_eq!(check.code, Some(1), "{check:?}");
    for part in [
        "miniback.db (mode 0644); run chmod 600",
        "miniback.lock (mode 0666)",
        "copy (mode 0640)",
        "notes.txt (mode 0644)",
        "(mode 0777); run chmod 700",
    ] {
        assert!(check.stdout.contains(part), "{part}: {}", check.stdout);
    }

    let app = App::builder().with_data_dir(data).start();
    for name in ["miniback.db", "miniback.lock", "copy"] {
        assert_eq!(mode(&dir.join(name)), 0o600, "{name}");
    }
    assert_eq!(
        mode(&dir.join("notes.txt")),
        0o644,
        "another user's file was changed"
    );
    if is_root() {
        assert_eq!(copy.metadata().unwrap().uid(), 0);
    }
    for part in ["could access", "notes.txt", "chmod 700"] {
        assert!(app.log.to_string().contains(part), "{part}: {}", app.log);
    }
    set_mode(&dir, 0o700);
    // `notes.txt` only causes a warning.
    let check = app.run(&["check"], "").success();
    assert!(check.stdout.contains("WARN   files: "), "{check:?}");
}

#[test]
fn rejects_a_database_file_of_another_user() {
    if !is_root() {
        return;
    }
    let parent = TempDir::new().unwrap();
    let dir = parent.path().join("data");
    run_on_data_dir(&dir, &["init"], "").success();
    for path in [parent.path(), &dir, &dir.join("miniback.lock")] {
        chown(path, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    }
    for name in ["miniback.db", "miniback.db-wal", "miniback.db-shm"] {
        let path = dir.join(name);
        if path.exists() {
            fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        }
    }
    let mut command = miniback(["serve", "--listen", "127.0.0.1:0"]);
    command.arg("--data-dir").arg(&dir);
    let id = SOMEBODY.to_string();
    let user = ["--reuid", &id, "--regid", &id, "--clear-groups"];
    let line = run(wrapped_by(&command, "setpriv", &user), "").error_line(2);
    for part in ["miniback.db", "the user with id 0", "chown --reference="] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn a_second_server_is_rejected_without_the_lock_file() {
    let app = App::start();
    let lock = app.dir.join("miniback.lock");
    let changes: [fn(&Path); 2] = [
        |lock| fs::remove_file(lock).unwrap(),
        |lock| {
            fs::write(lock.with_extension("new"), "").unwrap();
            let private = Permissions::from_mode(0o600);
            fs::set_permissions(lock.with_extension("new"), private).unwrap();
            fs::rename(lock.with_extension("new"), lock).unwrap();
        },
    ];
    for (count, change) in changes.iter().enumerate() {
        change(&lock);
        let line = app
            .run(&["serve", "--listen", "127.0.0.1:0"], "")
            .error_line(1);
        let is_rejected = line.contains("using this data directory");
        assert!(
            is_rejected && line.contains(&app.pid().to_string()),
            "{line}"
        );
        wait_until("the server restores the lock file", || {
            let text = fs::read_to_string(&lock).ok()?;
            text.contains("database ").then_some(())
        });
        wait_until("the log says so", || {
            let lines = app.log.lines();
            let restored = lines
                .iter()
                .filter(|line| line.contains("miniback.lock was"));
            (restored.count() == count + 1).then_some(())
        });
        let check = app.run(&["check"], "").success();
        assert!(check.stdout.contains("uses this database"), "{check:?}");
        app.api().create_project(&format!("Project {count}"));
    }
}
