//! `miniback demo`: one command, and everything that a newcomer tries works; at the end nothing is left.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{miniback, signal, wait_for_exit};
use crate::support::http::Client;
use crate::support::pages::Visitor;
use crate::support::wait::wait_until;

struct Demo {
    child: Child,
    /// Where it may put its data.
    temporary: TempDir,
    sign_in: String,
    site: String,
    receiver: String,
}

impl Demo {
    #[track_caller]
    fn start(arguments: &[&str]) -> Self {
        let temporary = TempDir::new().expect("a temporary directory");
        let mut command = miniback(["demo"]);
        command
            .args(arguments)
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut child = command.spawn().expect("the executable starts");
        let mut lines =
            BufReader::new(child.stdout.take().expect("standard output is a pipe")).lines();
        let mut next = || lines.next().expect("an address").expect("text");
        let (sign_in, site, receiver) = (next(), next(), next());
        Self {
            child,
            temporary,
            sign_in,
            site,
            receiver,
        }
    }

    fn received(&self) -> Vec<Value> {
        let response = Client::new().send(
            "GET",
            &format!("{}/received.json", self.receiver),
            &[],
            None,
        );
        response.json().as_array().cloned().unwrap_or_default()
    }

    /// Sends feedback as the widget does that the sample site carries.
    #[track_caller]
    fn send_as_its_widget(&self, message: &str) {
        let page = Visitor::new(&self.site).get("/").expect(200).response.text;
        let html = scraper::Html::parse_document(&page);
        let tag = scraper::Selector::parse("script[data-project]").unwrap();
        let script = html.select(&tag).next().expect("the widget");
        let address = script.attr("src").unwrap_or_default();
        Client::new().send("GET", address, &[], None).expect(200);
        let body = json!({"projectSlug": script.attr("data-project"), "message": message});
        let headers = [
            ("Content-Type", "application/json"),
            ("Origin", self.site.as_str()),
        ];
        let door = address.replace("widget.js", "api/feedback");
        let body = body.to_string();
        Client::new()
            .send("POST", &door, &headers, Some(body.as_bytes()))
            .expect(201);
    }

    fn left_behind(&self) -> usize {
        std::fs::read_dir(self.temporary.path()).unwrap().count()
    }

    fn end(&mut self) -> Option<i32> {
        signal(self.child.id(), "INT");
        wait_for_exit(&mut self.child, "the demo ends").code()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn path_of(address: &str) -> (&str, String) {
    let slash = address[8..].find('/').map_or(address.len(), |at| at + 8);
    (&address[..slash], address[slash..].to_owned())
}

#[test]
fn the_demo_signs_in_takes_feedback_shows_its_webhook_verified_and_leaves_nothing() {
    let mut demo = Demo::start(&[]);
    let (origin, link) = path_of(&demo.sign_in);

    let mut visitor = Visitor::new(origin);
    let signed_in = visitor.get(&link).expect(303);
    visitor.follow(&signed_in).expect(200);
    assert!(
        visitor.get("/feedback").text().contains("Resolved"),
        "there are samples"
    );
    let webhooks = visitor.get("/settings/notifications").expect(200);
    assert!(
        webhooks
            .response
            .text
            .contains(&format!("{}/webhooks/miniback", demo.receiver))
    );
    Visitor::new(origin).get(&link).expect(410);

    let before = demo.received().len();
    demo.send_as_its_widget("The tests like it");
    let received = wait_until("the webhook has arrived", || {
        let received = demo.received();
        (received.len() > before).then_some(received)
    });
    assert_eq!(received[0]["event"], "feedback.created");
    assert!(
        received.iter().all(|event| event["valid"] == true),
        "{received:?}"
    );
    assert!(
        visitor
            .get("/feedback")
            .text()
            .contains("The tests like it")
    );

    assert_eq!(demo.left_behind(), 1);
    assert_eq!(demo.end(), Some(0));
    assert_eq!(demo.left_behind(), 0);
}

#[test]
fn the_demo_keeps_its_data_when_it_is_asked_to() {
    let mut demo = Demo::start(&["--keep"]);
    assert_eq!(demo.end(), Some(0));
    assert_eq!(demo.left_behind(), 1);
}
