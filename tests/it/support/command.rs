//! Creates commands for the executable, runs commands until they exit, and sends signals to
//! processes.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use serde_json::Value;

use super::wait::{DEADLINE, poll};

/// The exit code and output of a finished command.
#[derive(Debug)]
pub struct CommandOutput {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl CommandOutput {
    /// Checks that the command succeeded, and returns its output.
    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "the command failed: {self:#?}");
        self
    }

    /// Checks the exit code and that standard error is a single line, and returns that line. If the
    /// line is JSON, because the log of `serve` is JSON, returns the line as the text log shows it.
    #[track_caller]
    pub fn error_line(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "unexpected exit code: {self:#?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "expected a one-line error: {self:#?}");
        match serde_json::from_str::<Value>(lines[0]) {
            Ok(line) if line["level"] == "ERROR" => {
                let message = line["message"].as_str();
                format!("miniback: {}", message.expect("find the message"))
            }
            _ => lines[0].to_owned(),
        }
    }
}

/// Returns a command that runs the executable without `MINIBACK_…` environment variables.
pub fn miniback<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_miniback"));
    command.args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("MINIBACK_") {
            command.env_remove(name);
        }
    }
    command
}

/// Returns a command that runs `program` with `args`, followed by the original command.
pub fn wrapped_by(command: &Command, program: &str, args: &[&str]) -> Command {
    let mut outer = Command::new(program);
    outer
        .args(args)
        .arg(command.get_program())
        .args(command.get_args())
        .stdin(Stdio::null());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(name, value),
            None => outer.env_remove(name),
        };
    }
    outer
}

/// Returns a command that obeys file permissions even if the tests run as root.
pub fn with_file_modes_enforced(command: Command) -> Command {
    let user = Command::new("id").arg("-u").output().expect("run id");
    if user.stdout != b"0\n" {
        return command;
    }
    let dropped = "-dac_override,-dac_read_search";
    wrapped_by(&command, "setpriv", &["--bounding-set", dropped])
}

/// Runs a command until it exits. `input` is its complete standard input.
#[track_caller]
pub fn run(mut command: Command, input: &str) -> CommandOutput {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("start the executable");
    let mut stdin = child.stdin.take().expect("take the standard input pipe");
    // Ignore errors: a command that doesn't read its input may have exited already.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let stdout = read_in_background(child.stdout.take().expect("take the standard output pipe"));
    let stderr = read_in_background(child.stderr.take().expect("take the standard error pipe"));
    let status = wait_for_exit(&mut child, "the command exits");
    CommandOutput {
        code: status.code(),
        stdout: stdout.join().expect("read standard output"),
        stderr: stderr.join().expect("read standard error"),
    }
}

/// Runs a subcommand with `--data-dir`.
#[track_caller]
pub fn run_on_data_dir(data: &Path, args: &[&str], input: &str) -> CommandOutput {
    let mut command = miniback(args);
    command.arg("--data-dir").arg(data);
    run(command, input)
}

/// Waits for a child to exit. If the child doesn't exit in time, kills it and fails the test.
#[track_caller]
pub fn wait_for_exit(child: &mut Child, what: &str) -> ExitStatus {
    let exited = poll(DEADLINE, || {
        child.try_wait().expect("poll the child process")
    });
    exited.unwrap_or_else(|| {
        let _ = child.kill();
        panic!("timed out waiting until {what}");
    })
}

/// Sends a signal by name, with the system's `kill`.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status()
        .expect("run kill");
    assert!(status.success(), "kill -{name} {pid} failed");
}

fn read_in_background(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
