//! `miniback listen`: the receiver for development.

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

    /// Reads the next line that is `valid` or starts with `INVALID: `.
    #[track_caller]
    fn verdict(&mut self) -> String {
        let is_verdict = |line: &String| line == "valid" || line.starts_with("INVALID: ");
        self.lines
            .by_ref()
            .map(|line| line.expect("read text"))
            .find(is_verdict)
            .expect("find a verdict")
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
fn prints_valid_deliveries_and_the_reason_for_invalid_ones() {
    let app = App::without_retries();
    let mut listen = Listen::start(&[], &[("MINIBACK_SECRET", SECRET)]);
    let api = app.api();
    let matching =
        api.create_webhook_with(json!({"url": format!("{}/hook", listen.url), "secret": SECRET}));
    api.deliver_one(&matching, "delivered");
    assert_eq!(listen.verdict(), "valid");
    api.delete_webhook(&matching);
    let other = api.create_webhook(&format!("{}/hook", listen.url));
    api.create_feedback("delivered", "\u{1b}[31mred");
    let failed = api.wait_for_state(text(&api.only_delivery(&other), "id"), "failed");
    assert_eq!(statuses(&failed), [401]);
    assert!(listen.verdict().contains("secret"));
    assert_eq!(listen.stop(), Some(0));
}

#[test]
fn fails_and_responds_as_its_options_say() {
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
