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
        let mut child = command.spawn().expect("the executable starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let first = lines.next().expect("a line").expect("text");
        let url = first
            .strip_prefix("listening on ")
            .expect(&first)
            .to_owned();
        Self { child, lines, url }
    }

    /// The next line that says `valid` or `INVALID: …`.
    #[track_caller]
    fn verdict(&mut self) -> String {
        let is_verdict = |line: &String| line == "valid" || line.starts_with("INVALID: ");
        self.lines
            .by_ref()
            .map(|line| line.expect("text"))
            .find(is_verdict)
            .expect("a verdict")
    }

    fn end(&mut self) -> Option<i32> {
        signal(self.child.id(), "TERM");
        wait_for_exit(&mut self.child, "it ends").code()
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
fn a_delivery_is_printed_as_valid_and_one_with_another_secret_as_invalid_with_the_reason() {
    let app = App::without_retries();
    let mut listen = Listen::start(&[], &[("MINIBACK_SECRET", SECRET)]);
    let api = app.api();
    let right =
        api.create_webhook_with(json!({"url": format!("{}/hook", listen.url), "secret": SECRET}));
    api.deliver_one(&right, "delivered");
    assert_eq!(listen.verdict(), "valid");
    api.delete_webhook(&right);
    let wrong = api.create_webhook(&format!("{}/hook", listen.url));
    api.create_feedback("delivered", "\u{1b}[31mred");
    let failed = api.wait_for_state(text(&api.only_delivery(&wrong), "id"), "failed");
    assert_eq!(statuses(&failed), [401]);
    assert!(listen.verdict().contains("secret"));
    assert_eq!(listen.end(), Some(0));
}

#[test]
fn it_misbehaves_when_it_is_asked_to() {
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
fn without_a_secret_it_says_where_to_find_one() {
    let line = run(miniback(["listen", "--port", "0"]), "").error_line(2);
    assert!(line.contains("--secret"), "{line}");
}
