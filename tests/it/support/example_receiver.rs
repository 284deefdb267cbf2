//! Runs the receivers of `examples/receivers/`. Each receiver is a process on a port chosen by the
//! system.
//!
//! `tests/run` installs their packages into `target/receivers`, from the lock files.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::app::Log;
use super::http;
use super::wait::wait_until;

/// A secret in the format of the Standard Webhooks specification.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The body of an event that a later version of Miniback could send.
pub const UNKNOWN_EVENT: &[u8] =
    br#"{"event":"feedback.archived","timestamp":"2025-10-31T12:34:56.789Z","data":{"feedback":{}}}"#;

pub struct ExampleReceiver {
    child: Child,
    log: Log,
    /// The receiver's URL, without a trailing slash.
    pub url: String,
    /// The directory with the receiver's code. `None` for the Next.js app, whose code is in
    /// `target/receivers/nextjs`.
    _code: Option<TempDir>,
}

/// Reads a file of `examples/receivers/`.
#[track_caller]
pub fn read_example_file(path: &str) -> String {
    let path = examples_directory().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl ExampleReceiver {
    /// Saves a receiver's code in a file with this name and starts the receiver: `.py` files with
    /// Python, other files with Node. `variables` are environment variables.
    #[track_caller]
    pub fn start(name: &str, code: &str, variables: &[(&str, &str)]) -> Self {
        let (lock, installed_lock, program) = if name.ends_with(".py") {
            let installed_lock = installed_packages_path("venv/.lock");
            let python = installed_packages_path("venv/bin/python");
            ("requirements.txt", installed_lock, python)
        } else {
            let installed_lock = installed_packages_path("node_modules/.lock");
            ("package-lock.json", installed_lock, PathBuf::from("node"))
        };
        check_packages(lock, &installed_lock);
        // Node looks for packages in parent directories, so the code must be below the directory
        // that contains `node_modules`.
        let directory = TempDir::with_prefix_in("run-", installed_packages_path(""))
            .expect("create a directory");
        fs::write(directory.path().join(name), code).expect("save the code");
        let mut command = Command::new(program);
        command.arg(name).current_dir(directory.path());
        Self::spawn(command, Some(directory), variables)
    }

    /// Starts the Next.js app with additional routes, given as file paths and contents.
    #[track_caller]
    pub fn start_nextjs(routes: &[(&str, &str)], variables: &[(&str, &str)]) -> Self {
        check_packages(
            "nextjs/package-lock.json",
            &installed_packages_path("nextjs/node_modules/.lock"),
        );
        let directory = installed_packages_path("nextjs");
        for leftover in ["app", ".next"] {
            let _ = fs::remove_dir_all(directory.join(leftover));
        }
        let files = ["app/webhooks/miniback/route.js", "next.config.mjs"];
        let files = files.map(|path| (path, read_example_file(&format!("nextjs/{path}"))));
        let files = files.iter().map(|(path, text)| (*path, text.as_str()));
        for (path, text) in files.chain(routes.iter().copied()) {
            let path = directory.join(path);
            let parent = path.parent().expect("get the route's directory");
            fs::create_dir_all(parent).expect("create the route's directory");
            fs::write(path, text).expect("save the route");
        }
        let mut command = Command::new("node");
        command
            .args(["node_modules/next/dist/bin/next", "dev", "--turbopack"])
            .args(["--hostname", "127.0.0.1"])
            .env("NEXT_TELEMETRY_DISABLED", "1")
            .current_dir(&directory);
        Self::spawn(command, None, variables)
    }

    #[track_caller]
    fn spawn(mut command: Command, code: Option<TempDir>, variables: &[(&str, &str)]) -> Self {
        let guard =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/loopback_only.cjs");
        let (reader, writer) = std::io::pipe().expect("create a pipe");
        command
            .env("NODE_OPTIONS", format!("--require={}", guard.display()))
            .env("PORT", "0")
            .env_remove("MINIBACK_SECRET")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(writer.try_clone().expect("clone the pipe"))
            .stderr(writer)
            // Start a process group, so that the receiver's child processes can be killed too.
            .process_group(0);
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("can't start {command:?} ({error}): run `tests/run` once"),
        };
        // Close the test's copies of the pipe's write end, so that the log ends when the receiver
        // exits.
        drop(command);
        let mut example = Self {
            child,
            log: Log::collect(reader),
            url: String::new(),
            _code: code,
        };
        example.url = wait_until("the receiver prints its URL", || {
            let status = example.child.try_wait().expect("poll the receiver process");
            assert!(status.is_none(), "the receiver exited:\n{}", example.log);
            example.log.lines().iter().find_map(|line| {
                let (_, rest) = line.split_once("http://127.0.0.1:")?;
                let port = rest.chars().take_while(char::is_ascii_digit);
                Some(format!("http://127.0.0.1:{}", port.collect::<String>()))
            })
        });
        example
    }

    pub fn url_of(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Sends a request directly from the test, without Miniback. Returns the response's status.
    #[track_caller]
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> u16 {
        http::send("POST", &self.url_of(path), headers, Some(body)).status
    }

    /// Counts the lines of the receiver's output that contain this text. Omits the bodies of
    /// rejected requests, which are JSON.
    pub fn count_lines(&self, text: &str) -> usize {
        let lines = self.log.lines();
        let lines = lines.iter().filter(|line| !line.starts_with('{'));
        lines.filter(|line| line.contains(text)).count()
    }

    /// Waits until the receiver has printed a rejected request with this body, and returns the
    /// lines from the reason to the body.
    #[track_caller]
    pub fn wait_for_rejected_request(&self, body: &str) -> Vec<String> {
        wait_until(&format!("the receiver prints the body {body:?}"), || {
            let lines = self.log.lines();
            let end = lines.iter().position(|line| line == body)?;
            let start = lines[..end]
                .iter()
                .rposition(|line| line.starts_with("rejected: "))?;
            Some(lines[start..=end].to_vec())
        })
    }

    /// Waits until the receiver's output contains this text.
    #[track_caller]
    pub fn wait_for_output(&self, text: &str) {
        wait_until(&format!("the receiver prints {text:?}"), || {
            (self.count_lines(text) > 0).then_some(())
        });
    }
}

impl Drop for ExampleReceiver {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        // `kill` prints an error if the process group no longer exists, so discard its output.
        let _ = Command::new("kill")
            .args(["-KILL", "--", &group])
            .stderr(Stdio::null())
            .status();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the receiver's output:\n{}", self.log);
        }
    }
}

fn examples_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/receivers")
}

fn installed_packages_path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/receivers")
        .join(path)
}

/// Panics with a hint unless the packages of this lock file are installed.
#[track_caller]
fn check_packages(lock: &str, installed_lock: &Path) {
    let is_installed =
        fs::read(installed_lock).is_ok_and(|copy| copy == read_example_file(lock).into_bytes());
    assert!(
        is_installed,
        "the packages of examples/receivers/{lock} aren't installed: run `tests/run` once"
    );
}
