//! Every command that reads a file explains every kind of broken file in one sentence.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::command::{self, miniback, run, with_file_modes_enforced};
use crate::support::tls_endpoint::Certificates;

const PASSWORD: &str = "correct horse battery staple";

/// Strings from Rust's error and debug output. No error message may contain them.
const INTERNALS: [&str; 12] = [
    "os error",
    "Err(",
    "Some(",
    "Os {",
    "called",
    "panicked",
    "src/",
    "::",
    "Error",
    "None",
    "unwrap",
    "StoreError",
];

/// Returns the paths of broken files, each with a description. Creates the files in `dir`, except
/// missing files and devices. One of the created files is 1 byte longer than `limit`.
fn broken_files(dir: &Path, limit: usize) -> Vec<(&'static str, PathBuf)> {
    let file = |name: &'static str, content: &[u8]| {
        let path = dir.join(name);
        std::fs::write(&path, content).unwrap();
        (name, path)
    };
    let unreadable = file("unreadable", b"content");
    std::fs::set_permissions(&unreadable.1, PermissionsExt::from_mode(0o000)).unwrap();
    let socket = dir.join("socket");
    drop(UnixListener::bind(&socket).unwrap());
    let link = dir.join("link");
    std::os::unix::fs::symlink(dir.join("missing"), &link).unwrap();
    std::fs::create_dir(dir.join("directory")).unwrap();
    let parent = file("file", b"");
    vec![
        ("missing", dir.join("missing")),
        ("dangling link", link),
        ("below a file", parent.1.join("below")),
        ("directory", dir.join("directory")),
        ("socket", socket),
        ("endless device", "/dev/zero".into()),
        ("null device", "/dev/null".into()),
        unreadable,
        file("empty", b""),
        file("blank line", b"\n\ncontent"),
        file("too large", &vec![b'x'; limit + 1]),
        file("only a byte order mark", b"\xef\xbb\xbf"),
        file("UTF-16", b"\xff\xfes\0e\0c\0r\0e\0t\0"),
        file("invalid UTF-8", b"sixteen characters \xff\xfe and more"),
        file("NUL", b"sixteen characters\0and more"),
    ]
}

/// Checks that the command exits with one of `codes` and prints a one-line error without
/// [`INTERNALS`]. Returns the error. Ignores output lines that start with `ok `.
#[track_caller]
fn expect_one_sentence(command: Command, codes: &[i32], what: &str) -> String {
    let output = run(command, "");
    let code = output.code.filter(|code| codes.contains(code));
    assert!(code.is_some(), "{what}: {output:#?}");
    let lines: Vec<_> = output.stderr.lines().chain(output.stdout.lines()).collect();
    let lines: Vec<_> = lines
        .iter()
        .filter(|line| !line.starts_with("ok "))
        .collect();
    assert_eq!(lines.len(), 1, "{what}: {output:#?}");
    let line = (*lines[0]).to_owned();
    for part in INTERNALS {
        assert!(!line.contains(part), "{what}: {part:?} is in {line:?}");
    }
    assert!(
        line.starts_with("miniback: ") && line.len() < 400,
        "{what}: {line}"
    );
    line
}

fn serve(dir: &Path) -> Command {
    let mut command = miniback(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
    command.arg(dir.join("data")).args(["--log-format", "text"]);
    command
}

fn check(dir: &Path) -> Command {
    let mut command = miniback(["check", "--data-dir"]);
    command.arg(dir.join("data"));
    command
}

#[test]
fn broken_secret_files_are_explained() {
    let temp = TempDir::new().unwrap();
    let files = broken_files(temp.path(), 64 * 1024);
    type BuildCommand = fn(&Path) -> Command;
    let readers: [(&str, BuildCommand); 5] = [
        ("MINIBACK_ADMIN_PASSWORD_FILE", serve),
        ("MINIBACK_ADMIN_PASSWORD_FILE", check),
        ("MINIBACK_ALERT_SECRET_FILE", serve),
        ("MINIBACK_ALERT_SECRET_FILE", check),
        ("MINIBACK_SECRET_FILE", |_| {
            miniback(["listen", "--port", "0"])
        }),
    ];
    for (kind, file) in &files {
        for (variable, build) in readers {
            let mut command = build(temp.path());
            command.env(variable, file);
            if variable == "MINIBACK_ADMIN_PASSWORD_FILE" {
                command.env("MINIBACK_ADMIN_EMAIL", "ada@example.com");
            }
            if variable == "MINIBACK_ALERT_SECRET_FILE" {
                command.env("MINIBACK_ALERT_URL", "http://127.0.0.1:9/");
            }
            let command = with_file_modes_enforced(command);
            let what = format!("{variable}, {kind}");
            let line = expect_one_sentence(command, &[2], &what);
            let option = variable.contains("ALERT").then_some("--alert-secret");
            let is_named = line.contains(variable) || option.is_some_and(|o| line.contains(o));
            assert!(is_named, "{what}: {line}");
        }
    }
}

#[test]
fn broken_ca_files_are_explained() {
    let temp = TempDir::new().unwrap();
    for (kind, file) in broken_files(temp.path(), 8 * 1024 * 1024) {
        for build in [serve, check] {
            let mut command = build(temp.path());
            command.arg("--ca-file").arg(&file);
            let command = with_file_modes_enforced(command);
            let line = expect_one_sentence(command, &[2], kind);
            assert!(line.contains("--ca-file"), "{kind}: {line}");
        }
    }
}

#[test]
fn broken_databases_are_explained() {
    let temp = TempDir::new().unwrap();
    let commands: [&[&str]; 9] = [
        &["serve", "--listen", "127.0.0.1:0", "--log-format", "text"],
        &["init"],
        &["check"],
        &["backup", "/dev/null/backup"],
        &["user", "list"],
        &["user", "remove", "ada@example.com"],
        &["token", "list"],
        &["token", "revoke", "tok_1"],
        &["token", "create", "--user", "ada@example.com", "CI"],
    ];
    for (kind, file) in broken_files(temp.path(), 4096) {
        // Skip files that can't be moved, and files that don't prevent the creation of a database.
        if kind.ends_with("device")
            || ["missing", "empty", "below a file", "dangling link"].contains(&kind)
        {
            continue;
        }
        for arguments in commands {
            let data = temp.path().join("data");
            let _ = std::fs::remove_dir_all(&data);
            std::fs::create_dir(&data).unwrap();
            std::fs::set_permissions(&data, PermissionsExt::from_mode(0o700)).unwrap();
            let database = data.join("miniback.db");
            std::fs::rename(&file, &database).expect(kind);
            let mut command = miniback(arguments);
            command.arg("--data-dir").arg(&data);
            let command = with_file_modes_enforced(command);
            expect_one_sentence(command, &[1, 2], &format!("{arguments:?}, {kind}"));
            std::fs::rename(&database, &file).unwrap();
        }
    }
}

#[test]
fn broken_standard_input_is_explained() {
    let temp = TempDir::new().unwrap();
    let data = temp.path().join("data");
    command::run_on_data_dir(&data, &["init"], "").success();
    let files = broken_files(temp.path(), 64 * 1024);
    for (kind, file) in files {
        let Ok(input) = std::fs::File::open(&file) else {
            continue;
        };
        let mut command = miniback(["user", "add", "ada@example.com", "--data-dir"]);
        command.arg(&data).stdin(Stdio::from(input));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = command.output().unwrap();
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(
            matches!(output.status.code(), Some(1 | 2)),
            "{kind}: {line}"
        );
        assert_eq!(line.lines().count(), 1, "{kind}: {line}");
        let part = INTERNALS.iter().find(|part| line.contains(**part));
        assert_eq!(part, None, "{kind}: {line}");
    }
}

#[test]
fn secret_files_can_be_pipes_and_come_from_any_editor() {
    let temp = TempDir::new().unwrap();
    let data = temp.path().join("data");
    command::run_on_data_dir(&data, &["init"], "").success();
    let windows = temp.path().join("windows");
    std::fs::write(&windows, format!("\u{feff}{PASSWORD}\r\n\r\n")).unwrap();
    let run_in_bash = |script: &str| {
        let mut command = Command::new("bash");
        command.arg("-c").arg(script).env("DATA", &data);
        command.env("FILE", &windows).env("PASSWORD", PASSWORD);
        command.env("BIN", env!("CARGO_BIN_EXE_miniback"));
        run(command, "")
    };
    let check = "MINIBACK_ADMIN_EMAIL=ada@example.com $BIN check --data-dir $DATA";
    for script in [
        format!("MINIBACK_ADMIN_PASSWORD_FILE=$FILE {check}"),
        format!("MINIBACK_ADMIN_PASSWORD_FILE=<(echo $PASSWORD) {check}"),
        format!("echo $PASSWORD | MINIBACK_ADMIN_PASSWORD_FILE=/dev/stdin {check}"),
        format!("MINIBACK_ADMIN_PASSWORD_FILE=/dev/stdin {check} < $FILE"),
        // The pipe stays open after the first line.
        format!("(echo $PASSWORD; sleep 2) | MINIBACK_ADMIN_PASSWORD_FILE=/dev/stdin {check}"),
        "$BIN user add bob@example.com --data-dir $DATA < $FILE".to_owned(),
    ] {
        run_in_bash(&script).success();
    }
}

#[test]
fn ca_files_can_begin_with_a_byte_order_mark() {
    let temp = TempDir::new().unwrap();
    let data = temp.path().join("data");
    command::run_on_data_dir(&data, &["init"], "").success();
    let pem = std::fs::read_to_string(Certificates::new().path("ca.pem")).unwrap();
    for text in [
        pem.clone(),
        format!("\u{feff}{pem}"),
        format!("\u{feff}{}", pem.replace('\n', "\r\n")),
        format!("A comment\n{pem}"),
    ] {
        let file = temp.path().join("ca.pem");
        std::fs::write(&file, text).unwrap();
        let mut command = check(temp.path());
        command.arg("--ca-file").arg(&file);
        run(command, "").success();
    }
}
