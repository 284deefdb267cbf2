//! `miniback backup` and `miniback check`, with and without a running server.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use serde_json::json;
use tempfile::TempDir;

use crate::support::app::App;
use crate::support::command::{miniback, run, run_on_data_dir, wrapped_by};
use crate::support::receiver::Receiver;

#[test]
fn a_backup_contains_all_feedback_acknowledged_before_it_started() {
    let app = App::start();
    let receiver = Receiver::ok();
    let api = app.api();
    api.create_project("Shop");
    api.create_webhook(&receiver.url("/"));
    let copies = TempDir::new().unwrap();
    let copy = copies.path().join("copy.db");
    let stop = AtomicBool::new(false);
    let (acknowledged, received) = mpsc::channel();

    let before: Vec<String> = std::thread::scope(|scope| {
        for sender in 0..4 {
            let (api, acknowledged, stop) = (&api, acknowledged.clone(), &stop);
            scope.spawn(move || {
                for number in 0..2_000 {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let message = format!("{sender}-{number}");
                    api.create_feedback("shop", &message);
                    acknowledged.send(message).unwrap();
                }
            });
        }
        let before = received.iter().take(200).collect();
        let output = app.run(&["backup", copy.to_str().unwrap()], "").success();
        assert!(output.stdout.contains("Wrote and checked"), "{output:?}");
        stop.store(true, Ordering::Relaxed);
        before
    });
    app.sigkill();
    let mode = std::fs::metadata(&copy).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(
        std::fs::read_dir(copies.path()).unwrap().count(),
        1,
        "temporary files remain next to the backup"
    );

    // Restore the backup as documented: copy the file to a new data directory as `miniback.db`.
    let restored = Arc::new(TempDir::new().unwrap());
    std::fs::create_dir(restored.path().join("data")).unwrap();
    std::fs::copy(&copy, restored.path().join("data/miniback.db")).unwrap();
    let app = App::builder().with_data_dir(restored).start();
    let api = app.api();
    for message in &before {
        let found = api.get(&format!("/api/v1/feedback?q={message}")).json();
        let is_restored = found["data"]
            .as_array()
            .unwrap()
            .iter()
            .any(|feedback| feedback["message"] == **message);
        assert!(
            is_restored,
            "{message} was acknowledged before the backup, but isn't in it"
        );
    }
}

#[test]
fn a_backup_replaces_a_file_completely_or_not_at_all() {
    let app = App::start();
    let copies = TempDir::new().unwrap();
    let copy = copies.path().join("copy.db");
    std::fs::write(&copy, "previous content").unwrap();
    app.run(&["backup", copy.to_str().unwrap()], "").success();
    assert!(
        std::fs::read(&copy)
            .unwrap()
            .starts_with(b"SQLite format 3\0")
    );

    let missing = copies.path().join("missing/copy.db");
    let line = app
        .run(&["backup", missing.to_str().unwrap()], "")
        .error_line(1);
    assert!(line.contains("missing/copy.db"), "{line}");
    let empty = TempDir::new().unwrap();
    let before = std::fs::read(&copy).unwrap();
    run_on_data_dir(empty.path(), &["backup", copy.to_str().unwrap()], "").error_line(1);
    assert_eq!(std::fs::read(&copy).unwrap(), before);
}

#[test]
fn a_backup_to_standard_output_is_complete_or_fails() {
    let app = App::start();
    app.api().create_project("Shop");
    let (copies, temporary) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let copy = copies.path().join("copy.db");
    let backup_to = |target: &str| {
        let mut backup = miniback(["backup", "-", "--data-dir"]);
        backup.arg(&app.dir);
        backup.env("TMPDIR", temporary.path());
        let redirect = ["-c", "exec \"$@\" > \"$0\"", target];
        let mut command = wrapped_by(&backup, "sh", &redirect);
        command.current_dir(copies.path());
        run(command, "")
    };
    let output = backup_to(copy.to_str().unwrap()).success();
    assert_eq!(output.stdout, "");
    assert!(output.stderr.contains(": 1 project, "), "{output:?}");
    let restored = TempDir::new().unwrap();
    let database = restored.path().join("miniback.db");
    std::fs::copy(&copy, &database).unwrap();
    // The shell created the copy with the default mode of new files, which can be too permissive.
    std::fs::set_permissions(&database, std::fs::Permissions::from_mode(0o600)).unwrap();
    let checked = run_on_data_dir(restored.path(), &["check"], "").success();
    assert!(checked.stdout.contains("1 project, "), "{checked:?}");

    let line = backup_to("/dev/full").error_line(1);
    assert!(line.contains("to standard output"), "{line}");
    let files = std::fs::read_dir(copies.path()).unwrap().count();
    assert_eq!(files, 1, "a file named “-” was created");
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

#[test]
fn check_reports_unreachable_webhooks_and_sends_nothing() {
    let app = App::start();
    let receiver = Receiver::ok();
    let api = app.api();
    api.create_webhook(&receiver.url("/secret-path"));
    let healthy = app.run(&["check"], "").success();
    assert!(
        healthy.stdout.contains("reachable") && healthy.stdout.contains("database"),
        "{healthy:?}"
    );
    assert!(
        !healthy.stdout.contains("secret-path"),
        "the output contains a webhook's path"
    );

    api.create_webhook("http://127.0.0.1:9/");
    api.create_webhook_with(json!({"url": "http://127.0.0.1:10/", "enabled": false}));
    let failing = app.run(&["check"], "");
    assert_eq!(failing.code, Some(1));
    let failures: Vec<&str> = failing
        .stdout
        .lines()
        .filter(|line| line.starts_with("FAIL"))
        .collect();
    assert_eq!(failures.len(), 1, "{failing:?}");
    assert!(
        failures[0].contains("127.0.0.1:9") && failures[0].contains("refused"),
        "{failures:?}"
    );
    assert!(receiver.received().is_empty());
}

#[test]
fn check_detects_a_corrupt_database() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for number in 0..200 {
        api.create_feedback("shop", &format!("{number} {}", "x".repeat(2_000)));
    }
    let (_, data) = app.sigterm_and_wait();
    let path = data.path().join("data/miniback.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 8_192].fill(0xAA);
    std::fs::write(&path, bytes).unwrap();
    let output = run_on_data_dir(&data.path().join("data"), &["check"], "");
    assert_eq!(output.code, Some(1), "{output:?}");
    assert!(output.stdout.contains("restore a backup"), "{output:?}");
}
