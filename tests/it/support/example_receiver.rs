//! The receivers of `examples/receivers/`, each started as a process of its own on a port that the system picks.
//!
//! The packages that they need stand in `target/receivers`, where `tests/run` installs them from the lock files.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::app::Log;
use super::http::Client;
use super::wait::until;

/// A secret of the form of the Standard Webhooks specification.
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub struct Example {
    child: Child,
    log: Log,
    /// Where it listens, without a slash at the end.
    pub url: String,
    /// Its code, as it was saved; `None` for the app of Next.js, which stands beside its packages.
    _code: Option<TempDir>,
}

/// The text of a file of `examples/receivers/`.
#[track_caller]
pub fn file(path: &str) -> String {
    let path = examples().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl Example {
    /// Saves the code of a receiver under its name, and starts it: a `.mjs` with Node, a `.py` with Python.
    #[track_caller]
    pub fn start(name: &str, code: &str, variables: &[(&str, &str)]) -> Self {
        let (lock, stamp, program) = if name.ends_with(".py") {
            let stamp = installed("venv/.lock");
            ("requirements.txt", stamp, installed("venv/bin/python"))
        } else {
            let stamp = installed("node_modules/.lock");
            ("package-lock.json", stamp, PathBuf::from("node"))
        };
        check_packages(lock, &stamp);
        // Beneath the packages: Node looks for them in the directories above.
        let directory = TempDir::with_prefix_in("run-", installed("")).expect("a directory");
        fs::write(directory.path().join(name), code).expect("the code is saved");
        let mut command = Command::new(program);
        command.arg(name).current_dir(directory.path());
        Self::spawn(command, Some(directory), variables)
    }

    /// The app of Next.js with more routes than its own, each a file's path and text.
    #[track_caller]
    pub fn next(routes: &[(&str, &str)], variables: &[(&str, &str)]) -> Self {
        check_packages(
            "nextjs/package-lock.json",
            &installed("nextjs/node_modules/.lock"),
        );
        let directory = installed("nextjs");
        for left in ["app", ".next"] {
            let _ = fs::remove_dir_all(directory.join(left));
        }
        let own = ["app/webhooks/miniback/route.js", "next.config.mjs"];
        let own = own.map(|path| (path, file(&format!("nextjs/{path}"))));
        let own = own.iter().map(|(path, text)| (*path, text.as_str()));
        for (path, text) in own.chain(routes.iter().copied()) {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().expect("a directory")).expect("it is made");
            fs::write(path, text).expect("the route is saved");
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
        let (reader, writer) = std::io::pipe().expect("a pipe");
        command
            .env("NODE_OPTIONS", format!("--require={}", guard.display()))
            .env("PORT", "0")
            .env_remove("MINIBACK_SECRET")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stdout(writer.try_clone().expect("a pipe"))
            .stderr(writer)
            // A group of its own, so that what it starts ends with it.
            .process_group(0);
        let child = match command.spawn() {
            Ok(child) => child,
            Err(error) => panic!("{command:?} does not start ({error}): run `tests/run` once"),
        };
        // The pipe ends when the last who could write to it is gone.
        drop(command);
        let mut example = Self {
            child,
            log: Log::collect(reader),
            url: String::new(),
            _code: code,
        };
        example.url = until("the receiver says where it listens", || {
            let ended = example.child.try_wait().expect("it can be waited for");
            assert!(ended.is_none(), "it ended at once:\n{}", example.log);
            example.log.lines().iter().find_map(|line| {
                let address = &line[line.find("http://127.0.0.1:")?..];
                let port = address["http://127.0.0.1:".len()..]
                    .chars()
                    .take_while(char::is_ascii_digit);
                Some(format!("http://127.0.0.1:{}", port.collect::<String>()))
            })
        });
        example
    }

    pub fn address(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// The status that it answers to a request of the test's own.
    #[track_caller]
    pub fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> u16 {
        Client::new()
            .send("POST", &self.address(path), headers, Some(body))
            .status
    }

    /// How many lines of what it printed hold this text.
    pub fn printed(&self, text: &str) -> usize {
        let lines = self.log.lines();
        lines.iter().filter(|line| line.contains(text)).count()
    }

    /// Waits until what it printed holds this text.
    #[track_caller]
    pub fn prints(&self, text: &str) {
        until(&format!("the receiver prints {text:?}"), || {
            (self.printed(text) > 0).then_some(())
        });
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        // One that ended by itself leaves no group, of which `kill` would complain.
        let _ = Command::new("kill")
            .args(["-KILL", "--", &group])
            .stderr(Stdio::null())
            .status();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("what the receiver printed:\n{}", self.log);
        }
    }
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/receivers")
}

fn installed(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/receivers")
        .join(path)
}

/// Fails with what to do where the packages of a lock file are not there, or are those of another.
#[track_caller]
fn check_packages(lock: &str, stamp: &Path) {
    let is_installed = fs::read(stamp).is_ok_and(|copy| copy == file(lock).into_bytes());
    assert!(
        is_installed,
        "the packages of examples/receivers/{lock} are not installed: run `tests/run` once, which installs them"
    );
}
