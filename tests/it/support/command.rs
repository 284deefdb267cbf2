//! Running the executable to its end: every command but `serve`.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;

use super::wait::until;

/// What a finished command left.
#[derive(Debug)]
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    /// Checks that the command succeeded, and goes on.
    #[track_caller]
    pub fn success(self) -> Self {
        assert_eq!(self.code, Some(0), "the command failed: {self:#?}");
        self
    }

    /// Checks the exit code and that standard error is one line, which it returns.
    #[track_caller]
    pub fn refusal(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "another exit code: {self:#?}");
        let lines: Vec<&str> = self.stderr.lines().collect();
        assert_eq!(lines.len(), 1, "one line says what is wrong: {self:#?}");
        lines[0].to_owned()
    }
}

/// The executable, with an environment that says nothing about Miniback.
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

/// The same command, started by another one that it is given to.
pub fn started_by(command: &Command, program: &str, args: &[&str]) -> Command {
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

/// The same command, for which files' modes count also where the tests run as root.
pub fn heeding_modes(command: Command) -> Command {
    let me = Command::new("id").arg("-u").output().expect("id is there");
    if me.stdout != b"0\n" {
        return command;
    }
    let without = "-dac_override,-dac_read_search";
    started_by(&command, "setpriv", &["--bounding-set", without])
}

/// Runs a command to its end. What is given as `input` is its whole standard input.
#[track_caller]
pub fn run(mut command: Command, input: &str) -> Finished {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the executable starts");
    let mut stdin = child.stdin.take().expect("standard input is a pipe");
    // A command that does not read its input may be gone already: no failure of the test.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    let stdout = read_in_background(child.stdout.take().expect("standard output is a pipe"));
    let stderr = read_in_background(child.stderr.take().expect("standard error is a pipe"));
    let status = wait_for_exit(&mut child, "the command ends");
    Finished {
        code: status.code(),
        stdout: stdout.join().expect("standard output was read"),
        stderr: stderr.join().expect("standard error was read"),
    }
}

/// Runs a subcommand on a data directory.
#[track_caller]
pub fn run_on(data: &Path, args: &[&str], input: &str) -> Finished {
    let mut command = miniback(args);
    command.arg("--data-dir").arg(data);
    run(command, input)
}

/// Waits for a child to end; one that does not is killed before the test fails.
#[track_caller]
pub fn wait_for_exit(child: &mut Child, what: &str) -> ExitStatus {
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        until(what, || {
            child.try_wait().expect("the child can be waited for")
        })
    }));
    match ended {
        Ok(status) => status,
        Err(_) => {
            let _ = child.kill();
            panic!("waited in vain: {what}");
        }
    }
}

/// Sends a signal by its name, with the system's own `kill`.
pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .status()
        .expect("the kill command is installed");
    assert!(status.success(), "kill -{name} {pid} failed");
}

fn read_in_background(mut from: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = from.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
