//! `miniback listen`, the receiver for development.

use std::io::{BufRead, BufReader, Lines};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::{Value, json};

use crate::support::api::{attempts, text};
use crate::support::app::App;
use crate::support::command::{miniback, run, signal, wait_for_exit};

struct Listen {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    url: String,
}

impl Listen {
    #[track_caller]
    fn start(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = miniback(["listen", "--port", "0"]);
        command
            .args(arguments)
            .envs(variables.iter().copied())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("start the executable");
        let mut lines =
            BufReader::new(child.stdout.take().expect("take the standard output pipe")).lines();
        let first = lines.next().expect("read a line").expect("read text");
        let url = first
            .strip_prefix("listening on ")
            .expect(&first)
            .to_owned();
        Self { child, lines, url }
    }

    /// Reads lines up to the next result and returns it: `valid`, or a line that starts with
    /// `INVALID: `.
    #[track_caller]
    fn next_result(&mut self) -> String {
        let is_result = |line: &String| line == "valid" || line.starts_with("INVALID: ");
        self.lines
            .by_ref()
            .map(|line| line.expect("read text"))
            .find(is_result)
            .expect("find a result")
    }

    fn stop(&mut self) -> Option<i32> {
        signal(self.child.id(), "TERM");
        wait_for_exit(&mut self.child, "miniback listen exits").code()
    }
}

impl Drop for Listen {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn statuses(delivery: &Value) -> Vec<Value> {
    attempts(delivery)
        .iter()
        .map(|attempt| attempt["status"].clone())
        .collect()
}

#[test]
fn prints_valid_deliveries_and_explains_invalid_deliveries() {
    let app = App::without_retries();
    let mut listen = Listen::start(&[], &[("MINIBACK_SECRET", SECRET)]);
    let api = app.api();
    let with_same_secret =
        api.create_webhook_with(json!({"url": format!("{}/hook", listen.url), "secret": SECRET}));
    api.deliver_one(&with_same_secret, "delivered");
    assert_eq!(listen.next_result(), "valid");
    api.delete_webhook(&with_same_secret);
    let with_other_secret = api.create_webhook(&format!("{}/hook", listen.url));
    api.create_feedback("delivered", "\u{1b}[31mred");
    let failed = api.wait_for_state(text(&api.only_delivery(&with_other_secret), "id"), "failed");
    assert_eq!(statuses(&failed), [401]);
    assert!(listen.next_result().contains("secret"));
    assert_eq!(listen.stop(), Some(0));
}

#[test]
fn options_set_the_number_of_failures_and_the_response_status() {
    let app = App::builder()
        .option("--retry-delays", "10ms,10ms,10ms")
        .start();
    let listen = Listen::start(
        &[
            "--secret", SECRET, "--fail", "2", "--status", "202", "--delay", "0",
        ],
        &[],
    );
    let api = app.api();
    let webhook = api.create_webhook_with(json!({"url": listen.url, "secret": SECRET}));
    assert_eq!(
        statuses(&api.deliver_one(&webhook, "delivered")),
        [500, 500, 202]
    );
}

#[test]
fn requires_a_secret() {
    let line = run(miniback(["listen", "--port", "0"]), "").error_line(2);
    assert!(line.contains("--secret"), "{line}");
}
