//! Log lines in systemd's journal begin with their priority, and refusals have the format of the
//! log.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::command::{self, miniback, run};
use crate::support::notify_socket::NotifySocket;

/// Runs a command whose standard error is the journal, and returns the lines.
fn journal_lines(mut command: Command) -> Vec<String> {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal");
    let file = File::create(&path).unwrap();
    let metadata = file.metadata().unwrap();
    let stream = format!("{}:{}", metadata.dev(), metadata.ino());
    let mut child = command
        .env("JOURNAL_STREAM", stream)
        .stderr(file)
        .spawn()
        .unwrap();
    command::wait_for_exit(&mut child, "the command exits");
    let text = fs::read_to_string(&path).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn lines_in_the_journal_begin_with_their_priority() {
    let notify = NotifySocket::new();
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("data");
    let mut serve = miniback(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    serve
        .arg(&data)
        .env("MINIBACK_LOG", "debug")
        .env("MINIBACK_UNKNOWN", "1")
        .env("NOTIFY_SOCKET", notify.path())
        .stdout(Stdio::null());
    // Stop the server as soon as it is ready.
    let lines = std::thread::scope(|scope| {
        let lines = scope.spawn(|| journal_lines(serve));
        notify.wait_for("READY=1");
        let lock = fs::read_to_string(data.join("miniback.lock")).unwrap();
        let pid = lock.split_whitespace().nth(1).unwrap();
        command::signal(pid.parse().unwrap(), "TERM");
        lines.join().unwrap()
    });
    let mut priorities = BTreeSet::new();
    for line in &lines {
        let (priority, json) = line.split_at(3);
        let json: Value = serde_json::from_str(json).expect(line);
        let expected = match json["level"].as_str() {
            Some("ERROR") => "<3>",
            Some("WARN") => "<4>",
            Some("INFO") => "<6>",
            _ => "<7>",
        };
        assert_eq!(priority, expected, "{line}");
        priorities.insert(expected);
    }
    assert!(
        priorities.contains("<4>") && priorities.contains("<6>"),
        "{lines:#?}"
    );
}

#[test]
fn refusals_in_the_journal_have_the_priority_of_errors() {
    let lines = journal_lines(miniback(["serve", "--listen", "8080"]));
    let [line] = &lines[..] else {
        panic!("expected one line: {lines:?}")
    };
    let json: Value = serde_json::from_str(line.strip_prefix("<3>").expect(line)).unwrap();
    let message = json["message"].as_str().unwrap();
    assert!(message.contains("--listen"), "{line}");
    let dir = TempDir::new().unwrap();
    let mut list = miniback(["user", "list", "--data-dir"]);
    list.arg(dir.path()).env("MINIBACK_UNKNOWN", "1");
    let lines = journal_lines(list);
    assert!(lines[0].starts_with("<4>miniback: warning: "), "{lines:?}");
    assert!(
        lines[1].starts_with("<3>miniback: --data-dir: "),
        "{lines:?}"
    );
}

#[test]
fn lines_outside_the_journal_have_no_priority() {
    let mut command = miniback(["serve", "--listen", "8080", "--log-format", "text"]);
    command.env("JOURNAL_STREAM", "1:1");
    let line = run(command, "").error_line(2);
    assert!(line.starts_with("miniback: "), "{line}");
}

#[test]
fn refusals_have_the_format_of_the_log() {
    for (args, is_json) in [
        (&["--listen", "8080"][..], true),
        (&["--listen", "8080", "--log-format", "json"], true),
        (&["--listen", "8080", "--log-format=text"], false),
        (&["--data-dir", "/dev/null"], true),
        (&["--data-dir", "/dev/null", "--log-format", "text"], false),
    ] {
        let stderr = run(miniback(["serve"].iter().chain(args)), "").stderr;
        let message = if is_json {
            let json: Value = serde_json::from_str(&stderr).expect(&stderr);
            assert_eq!(json["level"], "ERROR", "{stderr}");
            json["message"].as_str().unwrap_or_default().to_owned()
        } else {
            assert!(stderr.starts_with("miniback: "), "{stderr}");
            stderr
        };
        assert!(message.contains(args[0]), "{message}");
    }
    let mut command = miniback(["serve", "--listen", "8080"]);
    command.env("MINIBACK_LOG_FORMAT", "text");
    let stderr = run(command, "").stderr;
    assert!(stderr.starts_with("miniback: "), "{stderr}");
}
