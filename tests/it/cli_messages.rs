//! Error messages of commands. They contain no text from libraries. If a fix is known, the message
//! describes the fix.

use std::net::TcpListener;
use std::path::Path;

use tempfile::TempDir;

use crate::support::command::{miniback, run};

/// Runs a command that fails, and returns the line that the command prints to standard error.
/// Checks that the line contains no text from a library.
#[track_caller]
fn error_line(args: &[&str], env: &[(&str, &str)], code: i32) -> String {
    let mut command = miniback(args);
    command.envs(env.iter().copied());
    let line = run(command, "").error_line(code);
    for part in ["os error", "Error", "{", "Os(", "called `", "Some("] {
        assert!(!line.contains(part), "{part:?} is in {line:?}");
    }
    line
}

fn text(path: &Path) -> &str {
    path.to_str().expect("read the path as UTF-8")
}

#[test]
fn errors_about_files_contain_the_reason() {
    let temp = TempDir::new().unwrap();
    let dir = temp.path().join("data");
    let dir = text(&dir);
    let file = temp.path().join("file");
    std::fs::write(&file, "not a certificate").unwrap();
    let file = text(&file);
    let missing = temp.path().join("missing");
    let missing = text(&missing);
    let serve = ["serve", "--listen", "127.0.0.1:0", "--data-dir"];
    for (args, part) in [
        ([dir, "--ca-file", missing], "it doesn’t exist"),
        ([dir, "--ca-file", text(temp.path())], "it is a directory"),
        ([dir, "--ca-file", file], "no PEM certificate"),
    ] {
        let line = error_line(&[&serve[..], &args[..]].concat(), &[], 2);
        assert!(line.contains("--ca-file") && line.contains(part), "{line}");
    }
    let line = error_line(&[&serve[..], &[file]].concat(), &[], 2);
    assert!(line.contains("--data-dir"), "{line}");
    let admin = [
        ("MINIBACK_ADMIN_EMAIL", "ada@example.com"),
        ("MINIBACK_ADMIN_PASSWORD_FILE", missing),
    ];
    let line = error_line(&[&serve[..], &[dir]].concat(), &admin, 2);
    assert!(line.contains("it doesn’t exist"), "{line}");
}

#[test]
fn the_error_for_a_port_in_use_contains_the_port() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let temp = TempDir::new().unwrap();
    let dir = temp.path().join("data");
    let listen = address.to_string();
    let args = ["serve", "--listen", &listen, "--data-dir", text(&dir)];
    let line = error_line(&args, &[], 1);
    assert!(line.contains("the port is already in use"), "{line}");
    let port = address.port().to_string();
    let line = error_line(
        &["listen", "--port", &port, "--secret", "sixteen-characters"],
        &[],
        1,
    );
    assert!(line.contains("the port is already in use"), "{line}");
}

#[test]
fn a_typo_causes_a_one_line_error_with_a_suggestion() {
    for (args, tip) in [
        (["serve", "--lsten=127.0.0.1:1"], "'--listen'"),
        (["user", "lst"], "'list'"),
        (["servve", ""], "'serve'"),
    ] {
        let line = error_line(&args, &[], 2);
        assert!(line.contains("similar") && line.contains(tip), "{line}");
    }
}

#[test]
fn help_describes_arguments_and_lists_only_what_a_command_uses() {
    let help = |args: &[&str]| {
        let text = run(miniback(args), "").success().stdout;
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let add = help(&["user", "add", "--help"]);
    assert!(add.contains("email that the user signs in with"), "{add}");
    assert!(add.contains("see and handle feedback"), "{add}");
    let check = help(&["check", "--help"]);
    for option in [
        "--data-dir",
        "--ca-file",
        "--allow-target",
        "--timeout",
        "--alert-url",
    ] {
        assert!(check.contains(option), "no {option}: {check}");
    }
    for option in [
        "--retention",
        "--retry-delays",
        "--limit-address",
        "--log-format",
    ] {
        assert!(!check.contains(option), "{option}: {check}");
    }
    // `check` accepts these options although its help doesn't list them, because it checks the
    // configuration of `serve`.
    let temp = TempDir::new().unwrap();
    let dir = temp.path().join("data");
    let args = ["check", "--data-dir", text(&dir), "--retention", "often"];
    let line = error_line(&args, &[], 2);
    assert!(line.contains("--retention"), "{line}");
}
