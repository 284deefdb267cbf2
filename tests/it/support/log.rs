//! The lines that a process writes to its log.

use std::io::{BufRead, BufReader};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::Value;

use super::wait::{DEADLINE, poll};

/// Waits for a condition like [`wait_until`](super::wait::wait_until). The panic message contains
/// the log.
#[track_caller]
pub fn wait_until_or_print_log<T>(log: &Log, what: &str, check: impl FnMut() -> Option<T>) -> T {
    poll(DEADLINE, check)
        .unwrap_or_else(|| panic!("timed out waiting until {what}; the log:\n{log}"))
}

/// The lines that a process has written so far.
#[derive(Clone)]
pub struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub fn collect(from: impl std::io::Read + Send + 'static) -> Self {
        let log = Self(Arc::default());
        let lines = Arc::clone(&log.0);
        thread::spawn(move || {
            for line in BufReader::new(from).lines() {
                let Ok(line) = line else { break };
                lines.lock().expect("lock the log").push(line);
            }
        });
        log
    }

    pub fn lines(&self) -> Vec<String> {
        self.0.lock().expect("lock the log").clone()
    }

    /// Returns the first JSON line for which `test` returns true.
    pub fn find(&self, test: impl Fn(&Value) -> bool) -> Option<Value> {
        let lines = self.lines();
        let mut parsed = lines
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.find(|line| test(line))
    }

    /// Waits for a JSON line whose message starts with `prefix`.
    #[track_caller]
    pub fn wait_for_message(&self, prefix: &str) -> Value {
        let what = format!("the log has a message {prefix:?}");
        wait_until_or_print_log(self, &what, || {
            self.find(|line| {
                let message = line["message"].as_str();
                message.is_some_and(|message| message.starts_with(prefix))
            })
        })
    }

    /// Waits for the one-time setup URL in the log and returns its path and query.
    #[track_caller]
    pub fn setup_path(&self) -> String {
        wait_until_or_print_log(self, "the log contains a setup URL", || {
            self.lines().iter().find_map(|line| {
                let path = &line[line.find("/setup?token=")?..];
                let end = path.find(['"', ' ', '\\']).unwrap_or(path.len());
                Some(path[..end].to_owned())
            })
        })
    }
}

impl std::fmt::Display for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.lines()
            .iter()
            .try_for_each(|line| writeln!(f, "{line}"))
    }
}
