//! `miniback restore`: replaces the database of a stopped server, and keeps the old database.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::app::{App, database};
use crate::support::command::{CommandOutput, miniback, run, run_on_data_dir, wrapped_by};
use crate::support::power_cut_fs::PowerCutFs;
use crate::support::power_cut_fs::disk::{CutAfter, Disk};

/// A crashed installation with the projects "Shop" and "Later", and a backup that contains only the
/// project "Shop".
struct Installation {
    data: Arc<TempDir>,
    dir: PathBuf,
    backup: PathBuf,
}

fn crashed_installation() -> Installation {
    let app = App::start();
    app.api().create_project("Shop");
    let backup = app.dir.with_file_name("backup.db");
    app.run(&["backup", backup.to_str().unwrap()], "").success();
    app.api().create_project("Later");
    let dir = app.dir.clone();
    let data = app.sigkill();
    let wal = fs::metadata(dir.join("miniback.db-wal")).unwrap().len();
    assert!(wal > 0, "the crash left no WAL");
    Installation { data, dir, backup }
}

fn restore(dir: &Path, backup: &Path) -> CommandOutput {
    run_on_data_dir(dir, &["restore", backup.to_str().unwrap()], "")
}

/// Returns the names of the projects in a database. Checks that the database is intact.
#[track_caller]
fn projects(database: &Path) -> Vec<String> {
    let connection = Connection::open(database).unwrap();
    let check = "PRAGMA integrity_check";
    let result: String = connection.query_row(check, [], |row| row.get(0)).unwrap();
    assert_eq!(result, "ok", "{}", database.display());
    let mut statement = connection
        .prepare("SELECT name FROM projects ORDER BY id")
        .unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.collect::<Result<_, _>>().unwrap()
}

/// Returns the names and contents of all files in a directory, except the lock file.
fn contents(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let files = entries.filter(|entry| entry.file_name() != "miniback.lock");
    let mut contents: Vec<_> = files
        .map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            (name, fs::read(entry.path()).unwrap_or_default())
        })
        .collect();
    contents.sort();
    contents
}

fn names(dir: &Path) -> Vec<String> {
    contents(dir).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn restores_a_backup_and_keeps_the_complete_old_database() {
    let old = crashed_installation();
    fs::set_permissions(&old.backup, PermissionsExt::from_mode(0o644)).unwrap();
    let output = restore(&old.dir, &old.backup).success();
    let kept = old.dir.join("miniback.db.before-restore-1");
    for part in [
        database(&old.dir).to_str().unwrap(),
        "1 project, ",
        kept.to_str().unwrap(),
    ] {
        assert!(output.stdout.contains(part), "{part}: {output:?}");
    }
    assert_eq!(
        names(&old.dir),
        [
            "miniback.db",
            "miniback.db.before-restore-1",
            "miniback.last-backup"
        ]
    );
    for path in [&database(&old.dir), &kept] {
        assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    }
    assert_eq!(projects(&kept), ["Shop", "Later"]);
    assert_eq!(projects(&database(&old.dir)), ["Shop"]);

    // A second restore keeps the first old database.
    let app = App::builder().with_data_dir(Arc::clone(&old.data)).start();
    app.api().create_project("Restored");
    app.sigterm_and_wait();
    restore(&old.dir, &kept).success();
    assert_eq!(projects(&database(&old.dir)), ["Shop", "Later"]);
    assert_eq!(
        projects(&old.dir.join("miniback.db.before-restore-2")),
        ["Shop", "Restored"]
    );
    assert_eq!(projects(&kept), ["Shop", "Later"]);
    let check = run_on_data_dir(&old.dir, &["check"], "").success();
    assert!(check.stdout.contains("2 projects, "), "{check:?}");
}

#[test]
fn restores_into_a_missing_or_empty_directory_and_behind_a_link() {
    let old = crashed_installation();
    let parent = TempDir::new().unwrap();
    let (missing, empty) = (parent.path().join("a/b"), parent.path().join("empty"));
    fs::create_dir(&empty).unwrap();
    for dir in [&missing, &empty] {
        let output = restore(dir, &old.backup).success();
        assert!(!output.stdout.contains("old database"), "{output:?}");
        assert_eq!(names(dir), ["miniback.db"]);
        assert_eq!(projects(&database(dir)), ["Shop"]);
    }
    assert_eq!(missing.metadata().unwrap().mode() & 0o777, 0o700);

    let (linked, disk) = (parent.path().join("linked"), parent.path().join("disk"));
    fs::create_dir(&linked).unwrap();
    fs::create_dir(&disk).unwrap();
    fs::rename(database(&missing), disk.join("big.db")).unwrap();
    symlink(disk.join("big.db"), database(&linked)).unwrap();
    fs::rename(database(&old.dir), disk.join("crashed.db")).unwrap();
    fs::rename(old.dir.join("miniback.db-wal"), disk.join("crashed.db-wal")).unwrap();
    // The backup is a crashed database. Its WAL contains the last changes.
    restore(&linked, &disk.join("crashed.db")).success();
    assert!(database(&linked).is_symlink());
    assert_eq!(projects(&disk.join("big.db")), ["Shop", "Later"]);
    assert_eq!(projects(&disk.join("big.db.before-restore-1")), ["Shop"]);
}

#[test]
fn restores_from_standard_input() {
    let old = crashed_installation();
    let from_stdin = |file: &Path| {
        let mut command = miniback(["restore", "-", "--data-dir"]);
        command.arg(&old.dir).stdin(File::open(file).unwrap());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.output().unwrap()
    };
    let before = contents(&old.dir);
    let text = old.dir.with_file_name("text");
    fs::write(&text, "not a database").unwrap();
    for file in [&text, Path::new("/dev/null")] {
        let output = from_stdin(file);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("standard input isn't a Miniback"), "{error}");
    }
    assert_eq!(contents(&old.dir), before);
    assert!(from_stdin(&old.backup).status.success());
    assert_eq!(projects(&database(&old.dir)), ["Shop"]);
}

#[test]
fn rejects_an_unsuitable_file_and_changes_nothing() {
    let old = crashed_installation();
    let files = TempDir::new().unwrap();
    let bytes = fs::read(&old.backup).unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = files.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let changed = |name: &str, statement: &str| {
        let path = file(name, &bytes);
        Connection::open(&path)
            .unwrap()
            .execute_batch(statement)
            .unwrap();
        path
    };
    let mut damaged = bytes.clone();
    damaged[8_192..20_480].fill(0xAA);
    let foreign = files.path().join("foreign.db");
    let create = "CREATE TABLE t (a); PRAGMA user_version = 1";
    Connection::open(&foreign)
        .unwrap()
        .execute_batch(create)
        .unwrap();
    let (link, hard_link) = (files.path().join("link"), files.path().join("hard link"));
    symlink(database(&old.dir), &link).unwrap();
    fs::hard_link(database(&old.dir), &hard_link).unwrap();
    let before = contents(&old.dir);
    for (path, words) in [
        (file("damaged.db", &damaged), "is corrupt"),
        (file("short.db", &bytes[..bytes.len() / 2]), "is corrupt"),
        (changed("schema.db", "DROP TABLE sessions"), "sessions"),
        (
            changed("newer.db", "PRAGMA user_version = 9999"),
            "newer version",
        ),
        (
            changed("new.db", "PRAGMA user_version = 0"),
            "isn't a Miniback",
        ),
        (foreign, "isn't a Miniback database"),
        (file("text", b"content"), "isn't a Miniback database"),
        (file("empty", b""), "isn't a Miniback database"),
        (files.path().join("missing"), "doesn’t exist"),
        (files.path().to_owned(), "is a directory"),
        ("/dev/zero".into(), "is a device"),
        (database(&old.dir), "belongs to the database"),
        (link, "belongs to the database"),
        (hard_link.clone(), "belongs to the database"),
        (old.dir.join("miniback.db-wal"), "belongs to the database"),
    ] {
        let line = restore(&old.dir, &path).error_line(1);
        let is_named = line.contains(path.to_str().unwrap());
        assert!(is_named && line.contains(words), "{words}: {line}");
        assert!(contents(&old.dir) == before, "{words}: files were changed");
    }
    fs::remove_file(hard_link).unwrap();
    assert_eq!(projects(&database(&old.dir)), ["Shop", "Later"]);
}

#[test]
fn rejects_a_database_that_is_in_use() {
    let app = App::start();
    app.api().create_project("Shop");
    let backup = app.dir.with_file_name("backup.db");
    app.run(&["backup", backup.to_str().unwrap()], "").success();
    let inode = app.database().metadata().unwrap().ino();
    for change in ["", "miniback.lock"] {
        if !change.is_empty() {
            fs::remove_file(app.dir.join(change)).unwrap();
        }
        let line = restore(&app.dir, &backup).error_line(1);
        let pid = app.pid().to_string();
        assert!(line.contains("stop it") && line.contains(&pid), "{line}");
    }
    assert_eq!(app.database().metadata().unwrap().ino(), inode);
    app.api().create_project("Still here");

    // The database can also be in use by another program or a command.
    let dir = app.dir.clone();
    let (_, _data) = app.sigterm_and_wait();
    let reader = Connection::open(database(&dir)).unwrap();
    reader
        .execute_batch("BEGIN; SELECT count(*) FROM projects")
        .unwrap();
    let line = restore(&dir, &backup).error_line(1);
    assert!(line.contains("another program is using"), "{line}");
    reader.execute_batch("COMMIT").unwrap();
    drop(reader);
    restore(&dir, &backup).success();
    assert_eq!(projects(&database(&dir)), ["Shop"]);
}

#[test]
fn replaces_a_corrupt_database_or_a_wal_without_a_database() {
    let old = crashed_installation();
    let bytes = vec![0xAA; 8_192];
    fs::write(database(&old.dir), &bytes).unwrap();
    fs::write(old.dir.join("miniback.db-wal"), &bytes).unwrap();
    restore(&old.dir, &old.backup).success();
    assert!(fs::read(old.dir.join("miniback.db.before-restore-1")).unwrap() == bytes);
    assert!(!old.dir.join("miniback.db-wal").exists());
    App::builder().with_data_dir(old.data).start();

    // A WAL without its database must not be applied to the new database.
    let other = crashed_installation();
    fs::remove_file(database(&other.dir)).unwrap();
    restore(&other.dir, &other.backup).success();
    assert_eq!(projects(&database(&other.dir)), ["Shop"]);
    assert!(other.dir.join("miniback.db.before-restore-1-wal").exists());
}

#[test]
fn a_full_disk_changes_nothing() {
    let old = crashed_installation();
    let before = contents(&old.dir);
    let kilobytes = fs::metadata(&old.backup).unwrap().len() / 1_024;
    for limit in [8, kilobytes / 2, kilobytes - 1] {
        let mut command = miniback(["restore".as_ref(), old.backup.as_os_str()]);
        command.arg("--data-dir").arg(&old.dir);
        let script = format!("trap '' XFSZ; ulimit -f {limit}; exec \"$0\" \"$@\"");
        let line = run(wrapped_by(&command, "bash", &["-c", &script]), "").error_line(1);
        assert!(line.contains("can't write the new database"), "{line}");
        assert!(contents(&old.dir) == before, "files were changed");
    }
    assert_eq!(projects(&database(&old.dir)), ["Shop", "Later"]);
}

#[test]
fn the_owner_of_the_directory_owns_a_database_that_root_restores() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    const SOMEBODY: u32 = 12_345;
    let old = crashed_installation();
    chown(&old.dir, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    for entry in fs::read_dir(&old.dir).unwrap() {
        chown(entry.unwrap().path(), Some(SOMEBODY), Some(SOMEBODY)).unwrap();
    }
    restore(&old.dir, &old.backup).success();
    for entry in fs::read_dir(&old.dir).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.metadata().unwrap();
        let owner = (metadata.uid(), metadata.gid(), metadata.mode() & 0o777);
        assert_eq!(owner, (SOMEBODY, SOMEBODY, 0o600), "{}", path.display());
    }
}

/// Mounts a disk that contains the files of `source`, all durable.
fn mount_with_files(source: &Path, at: &Path, seed: u64) -> PowerCutFs {
    let fs = PowerCutFs::mount(Disk::new(seed), at);
    let dir = at.join("data");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, PermissionsExt::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        let target = dir.join(entry.file_name());
        fs::copy(entry.path(), &target).unwrap();
        File::open(&target).unwrap().sync_all().unwrap();
    }
    File::open(&dir).unwrap().sync_all().unwrap();
    File::open(at).unwrap().sync_all().unwrap();
    fs
}

/// Cuts the power after a number of changes to the disk, and checks that the database is the old or
/// the new one, and that the next restore succeeds. `seed` decides which changes that weren't
/// synced are lost. Returns whether the database is the new one, or `None` if there was no power
/// cut, because the restore made fewer changes.
fn interrupt_restore(old: &Installation, at: &Path, changes: usize, seed: u64) -> Option<bool> {
    let fs = mount_with_files(&old.dir, at, seed);
    fs.cut_after(CutAfter {
        changes,
        file: None,
    });
    let output = restore(&at.join("data"), &old.backup);
    if fs.cancel_power_cut() {
        output.success();
        fs.unmount();
        return None;
    }
    let (disk, _) = fs.unmount().restart();
    let copy = TempDir::new().unwrap();
    disk.copy_to(copy.path());
    let dir = copy.path().join("data");
    let is_new = match projects(&database(&dir)).as_slice() {
        [shop, later] if shop == "Shop" && later == "Later" => false,
        [shop] if shop == "Shop" => {
            let kept = projects(&dir.join("miniback.db.before-restore-1"));
            assert_eq!(kept, ["Shop", "Later"], "after {changes} changes");
            true
        }
        other => panic!("after {changes} changes: {other:?}"),
    };
    // The next restore succeeds and leaves no rest of this one.
    restore(&dir, &old.backup).success();
    assert_eq!(projects(&database(&dir)), ["Shop"]);
    let rest = |name: &String| name.contains("partial") || name.ends_with("-wal");
    assert!(!names(&dir).iter().any(rest), "{:?}", names(&dir));
    Some(is_new)
}

#[test]
fn an_interruption_leaves_the_old_or_the_new_database() {
    let old = crashed_installation();
    let at = TempDir::new().unwrap();
    // Interrupt the restore after its first change to the disk, its second change, and so on, until
    // it succeeds.
    let interrupt = |changes, seed| interrupt_restore(&old, at.path(), changes, seed);
    let (mut changes, mut olds) = (1, 0);
    while let Some(is_new) = interrupt(changes, changes as u64) {
        assert!(changes < 2_000, "the restore never succeeds");
        olds += usize::from(!is_new);
        changes += 1;
    }
    assert!(olds > 5, "{olds} old databases");
    // The last change is the rename. With some seeds, it reaches the disk before it is synced.
    let is_new = |seed| interrupt(changes - 1, seed) == Some(true);
    assert!((0..50).any(is_new), "no new database");
}
