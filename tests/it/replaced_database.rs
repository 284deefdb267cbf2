//! A running server whose database is replaced, deleted, moved, overwritten, or damaged: it
//! acknowledges no write that would be lost.

use std::fs;
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

use serde_json::{Value, json};

use crate::support::app::{ADMIN, App};
use crate::support::receiver::Receiver;
use crate::support::wait::wait_until;

/// Starts Miniback with a project and a feedback item, and creates a backup next to the data
/// directory.
fn app_with_backup() -> App {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    api.create_feedback("shop", "Before");
    let copy = app.dir.with_file_name("copy.db");
    app.run(&["backup", copy.to_str().unwrap()], "").success();
    app
}

fn healthz(app: &App) -> u16 {
    app.api_without_token().get("/healthz").status
}

/// Returns the log lines at level ERROR.
fn error_lines(app: &App) -> Vec<Value> {
    let lines = app.log.lines();
    let lines = lines.iter().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &Value| line["level"] == "ERROR")
        .collect()
}

/// Checks that writes are rejected, and that `/healthz` and the log report the problem.
#[track_caller]
fn assert_writes_are_rejected(app: &App, change: &str) {
    let api = app.api();
    let body = json!({"project": "shop", "message": "Lost"});
    let problem = api.post("/api/v1/feedback", body).problem(503);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("Nothing was saved"), "{change}: {problem}");
    let widget = json!({"projectSlug": "shop", "message": "Lost"});
    let response = app.api_without_token().post("/api/feedback", widget);
    assert_eq!(response.status, 503, "{change}: {response:?}");
    assert_eq!(healthz(app), 503, "{change}");
    wait_until("the log has an ERROR line", || error_lines(app).pop());
    let errors = error_lines(app);
    assert_eq!(
        errors.len(),
        1,
        "{change}: expected one ERROR line: {errors:#?}"
    );
    let message = errors[0]["message"].as_str().unwrap();
    assert!(message.contains("Nothing is saved"), "{change}: {message}");
    assert!(message.contains("miniback.db"), "{change}: {message}");
}

/// Checks that `miniback check` fails and reports the process id of the running server.
#[track_caller]
fn assert_check_fails(app: &App, change: &str) {
    let check = app.run(&["check"], "");
    assert_eq!(check.code, Some(1), "{change}: {check:?}");
    let pid = format!("process {}", app.pid());
    let is_reported = check
        .stdout
        .lines()
        .any(|line| line.starts_with("FAIL") && line.contains(&pid));
    assert!(is_reported, "{change}: {check:?}");
}

fn truncate_by(path: &Path, bytes: u64) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_len(file.metadata().unwrap().len() - bytes)
        .unwrap();
}

fn stored_messages(app: &App) -> Vec<String> {
    let stored = app.api().get("/api/v1/feedback").json();
    let feedback = stored["data"].as_array().unwrap().iter();
    feedback
        .map(|feedback| feedback["message"].as_str().unwrap().to_owned())
        .collect()
}

fn move_file(from: &Path, to: &Path) {
    fs::rename(from, to).unwrap();
}

#[test]
fn rejects_writes_after_a_file_of_the_database_is_replaced() {
    type Change = (&'static str, fn(&Path, &Path));
    let changes: [Change; 9] = [
        ("a backup was moved over the database", |dir, copy| {
            move_file(copy, &dir.join("miniback.db"));
        }),
        ("the database was deleted and copied", |dir, copy| {
            fs::remove_file(dir.join("miniback.db")).unwrap();
            fs::copy(copy, dir.join("miniback.db")).unwrap();
        }),
        (
            "a backup was copied over the database in place",
            |dir, copy| {
                fs::copy(copy, dir.join("miniback.db")).unwrap();
            },
        ),
        ("the database was emptied in place", |dir, _| {
            fs::write(dir.join("miniback.db"), "").unwrap();
        }),
        ("the WAL was deleted", |dir, _| {
            fs::remove_file(dir.join("miniback.db-wal")).unwrap();
        }),
        ("the WAL was replaced", |dir, _| {
            fs::remove_file(dir.join("miniback.db-wal")).unwrap();
            fs::write(dir.join("miniback.db-wal"), "").unwrap();
        }),
        ("the WAL was cut off", |dir, _| {
            let wal = dir.join("miniback.db-wal");
            truncate_by(&wal, wal.metadata().unwrap().len());
        }),
        ("the end of the database was cut off", |dir, _| {
            let database = rusqlite::Connection::open(dir.join("miniback.db")).unwrap();
            database
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
                .unwrap();
            database.close().unwrap();
            truncate_by(&dir.join("miniback.db"), 8_192);
        }),
        ("the directory was replaced by a copy", |dir, _| {
            let moved = dir.with_file_name("moved");
            move_file(dir, &moved);
            fs::create_dir(dir).unwrap();
            for entry in fs::read_dir(&moved).unwrap() {
                let path = entry.unwrap().path();
                fs::copy(&path, dir.join(path.file_name().unwrap())).unwrap();
            }
        }),
    ];
    for (change, apply) in changes {
        let app = app_with_backup();
        let mut ada = app.signed_in();
        apply(&app.dir, &app.dir.with_file_name("copy.db"));
        assert_writes_are_rejected(&app, change);
        if !change.contains("directory") {
            // `check` finds the running server by its lock on the data directory. A copy of the
            // directory isn't locked.
            assert_check_fails(&app, change);
        }
        if change.contains("in place") || change.contains("cut off") {
            // Reads are rejected too, because they could return wrong data.
            app.api().get("/api/v1/feedback").problem(503);
            assert_eq!(error_lines(&app).len(), 1, "{change}");
        } else {
            // Pages can still be read, and report the problem.
            let page = ada.get("/feedback").expect(200);
            assert!(
                page.text().contains("Nothing is saved"),
                "{change}: {}",
                page.text()
            );
        }
    }
}

#[test]
fn a_restored_database_is_intact_after_a_restart() {
    for kill in [false, true] {
        let app = app_with_backup();
        app.api().create_feedback("shop", "After the backup");
        move_file(&app.dir.with_file_name("copy.db"), &app.database());
        assert_writes_are_rejected(&app, "a backup was moved over the database");
        let data = if kill {
            app.sigkill()
        } else {
            app.sigterm_and_wait().1
        };
        let app = App::builder().with_data_dir(data).start();
        assert_eq!(stored_messages(&app), ["Before"]);
        app.run(&["check"], "").success();
        assert_eq!(healthz(&app), 200);
    }
}

#[test]
fn keeps_writes_from_before_the_deletion_of_the_wal() {
    let app = app_with_backup();
    app.api().create_feedback("shop", "In the WAL only");
    fs::remove_file(app.dir.join("miniback.db-wal")).unwrap();
    assert_writes_are_rejected(&app, "the WAL was deleted");
    let app = App::builder().with_data_dir(app.sigkill()).start();
    let stored = app.api().get("/api/v1/feedback").json();
    assert_eq!(stored["data"][0]["message"], "In the WAL only");
}

#[test]
fn rejects_writes_until_a_moved_database_is_back() {
    let app = app_with_backup();
    let receiver = Receiver::ok();
    let api = app.api();
    api.create_webhook(&receiver.url("/"));
    let away = app.dir.with_file_name("away.db");
    for (from, to) in [
        (app.database(), away),
        (app.dir.clone(), app.dir.with_file_name("moved")),
    ] {
        move_file(&from, &to);
        // The monitor detects the change without a request.
        app.log.wait_for_message(&format!(
            "{} was moved or deleted",
            app.database().display()
        ));
        let body = json!({"project": "shop", "message": "Lost"});
        api.post("/api/v1/feedback", body).problem(503);
        assert_eq!(healthz(&app), 503);
        let metrics = api.get("/metrics").expect(200).text;
        assert!(metrics.contains("miniback_database_ok 0\n"), "{metrics}");
        // Concurrent reads use the database file that is already open, and don't open the path
        // again.
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(app.api().get("/api/v1/feedback?q=Before").status, 200));
            }
        });
        let check = app.run(&["check"], "");
        assert_eq!(check.code, Some(1), "{check:?}");
        move_file(&to, &from);
        wait_until("the server is healthy again", || {
            (healthz(&app) == 200).then_some(())
        });
        api.create_feedback("shop", "Back");
        app.run(&["check"], "").success();
    }
    receiver.wait_for(2);
    let errors = error_lines(&app);
    let errors = errors
        .iter()
        .filter(|line| line["message"].as_str().unwrap().contains("miniback.db"));
    assert_eq!(errors.count(), 2);
    let stored = api.get("/api/v1/feedback").json();
    let count = stored["data"].as_array().unwrap().len();
    assert_eq!(count, 3, "{stored:#}");
}

#[test]
fn a_database_behind_a_new_link_loses_nothing() {
    for is_moved_back in [true, false] {
        let app = app_with_backup();
        app.api().create_feedback("shop", "In the WAL only");
        let moved = app.dir.with_file_name("moved.db");
        move_file(&app.database(), &moved);
        symlink(&moved, app.database()).unwrap();
        assert_writes_are_rejected(&app, "the database was moved and linked");
        assert_check_fails(&app, "the database was moved and linked");
        let app = if is_moved_back {
            move_file(&moved, &app.database());
            wait_until("the server is healthy again", || {
                (healthz(&app) == 200).then_some(())
            });
            app
        } else {
            App::builder().with_data_dir(app.sigkill()).start()
        };
        app.api().create_feedback("shop", "Last");
        let app = App::builder().with_data_dir(app.sigkill()).start();
        assert_eq!(stored_messages(&app), ["Last", "In the WAL only", "Before"]);
    }
}

#[test]
fn a_directory_behind_a_new_link_is_the_same_directory() {
    let app = app_with_backup();
    let moved = app.dir.with_file_name("moved");
    move_file(&app.dir, &moved);
    symlink(&moved, &app.dir).unwrap();
    app.api().create_feedback("shop", "After");
    assert_eq!(healthz(&app), 200);
    let app = App::builder().with_data_dir(app.sigkill()).start();
    assert_eq!(stored_messages(&app), ["After", "Before"]);
}

#[test]
fn valid_credentials_are_not_rejected_after_an_overwrite() {
    let app = app_with_backup();
    // The backup doesn't contain the token. If the server read the backup, the status would be 401.
    let api = app.api_with(&app.token(ADMIN, "full"));
    fs::copy(app.dir.with_file_name("copy.db"), app.database()).unwrap();
    wait_until("the server reports the overwrite", || {
        let status = api.get("/api/v1/feedback").status;
        assert!([200, 503].contains(&status), "{status}");
        (status == 503).then_some(())
    });
}

#[test]
fn commands_during_serve_do_not_count_as_a_replacement() {
    let app = app_with_backup();
    let copy = app.dir.with_file_name("copy.db");
    for _ in 0..5 {
        app.run(&["backup", copy.to_str().unwrap()], "").success();
        app.run(&["user", "list"], "").success();
        app.run(&["token", "create", "--user", ADMIN, "t"], "")
            .success();
        app.run(&["check"], "").success();
        // Another program can checkpoint the WAL without harm.
        let other = rusqlite::Connection::open(app.database()).unwrap();
        other
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .unwrap();
        other.close().unwrap();
        app.api().create_feedback("shop", "Saved");
    }
    assert_eq!(healthz(&app), 200);
    assert!(error_lines(&app).is_empty());
}

#[test]
fn reports_damage_that_a_request_detects() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for number in 0..60 {
        api.create_feedback("shop", &format!("{number} {}", "x".repeat(9_000)));
    }
    let (_, data) = app.sigterm_and_wait();
    let app = App::builder().with_data_dir(data).start();
    let mut ada = app.signed_in();
    assert_eq!(healthz(&app), 200);
    // Damage the second half of the running server's database file.
    let path = app.database();
    let half = fs::metadata(&path).unwrap().len() / 2;
    let file = fs::File::options().write(true).open(&path).unwrap();
    file.write_all_at(&vec![0xAA; half as usize], half).unwrap();
    wait_until("a request finds the damage", || {
        app.api().get("/api/v1/feedback?limit=100");
        app.api().get("/api/v1/feedback?q=xxxx");
        (healthz(&app) == 503).then_some(())
    });
    let message = app.log.wait_for_message("the database is corrupt");
    assert_eq!(message["level"], "ERROR");
    assert!(
        message["message"]
            .as_str()
            .unwrap()
            .contains("restore a backup")
    );
    let page = ada.get("/settings/account");
    assert!(
        page.text().contains("the database is corrupt"),
        "{}",
        page.text()
    );
    assert_check_fails(&app, "damage");
}
