//! A running server whose database is replaced, deleted, moved, overwritten, or damaged: it
//! acknowledges no write that would be lost.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::app::{ADMIN, App};
use crate::support::receiver::Receiver;
use crate::support::wait::wait_until;

/// Starts Miniback with a project and an item of feedback, and makes a backup next to its data.
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

/// The lines of the log with level ERROR.
fn error_lines(app: &App) -> Vec<Value> {
    let lines = app.log.lines();
    let lines = lines.iter().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|line: &Value| line["level"] == "ERROR")
        .collect()
}

/// Checks that writes are rejected, and that `/healthz`, the log, and `miniback check` report the
/// problem.
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

/// Checks that `miniback check` reports the running server.
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

fn move_file(from: &Path, to: &Path) {
    fs::rename(from, to).unwrap();
}

#[test]
fn rejects_writes_after_a_file_of_the_database_is_replaced() {
    type Change = (&'static str, fn(&Path, &Path));
    let changes: [Change; 7] = [
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
            // No server holds the lock of a copied directory.
            assert_check_fails(&app, change);
        }
        // Pages can still be read, and report the problem.
        if !change.contains("in place") {
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
            app.kill9()
        } else {
            app.sigterm_and_wait().1
        };
        let app = App::builder().with_data(data).start();
        let stored = app.api().get("/api/v1/feedback").json();
        let messages: Vec<&str> = stored["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|feedback| feedback["message"].as_str().unwrap())
            .collect();
        assert_eq!(messages, ["Before"]);
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
    let app = App::builder().with_data(app.kill9()).start();
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
    let stored = api.get("/api/v1/feedback").json();
    let count = stored["data"].as_array().unwrap().len();
    assert_eq!(count, 3, "{stored:#}");
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
        // Another program may move the content of the WAL into the database.
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
    let app = App::builder().with_data(data).start();
    let mut ada = app.signed_in();
    assert_eq!(healthz(&app), 200);
    // Damage all pages after the first 10 in the running server's file.
    let path = app.database();
    let mut bytes = fs::read(&path).unwrap();
    let _ = bytes.split_off(bytes.len() / 2);
    let length = fs::metadata(&path).unwrap().len() as usize;
    bytes.resize(length, 0xAA);
    fs::write(&path, &bytes).unwrap();
    wait_until("a request finds the damage", || {
        app.api().get("/api/v1/feedback?limit=100");
        app.api().get("/api/v1/feedback?q=xxxx");
        (healthz(&app) == 503).then_some(())
    });
    let message = app.log.wait_for_message("the database is damaged");
    assert_eq!(message["level"], "ERROR");
    assert!(
        message["message"]
            .as_str()
            .unwrap()
            .contains("restore a backup")
    );
    let page = ada.get("/settings/account");
    assert!(
        page.text().contains("the database is damaged"),
        "{}",
        page.text()
    );
    assert_check_fails(&app, "damage");
}
