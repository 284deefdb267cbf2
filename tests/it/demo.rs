//! `miniback demo` works without any setup and deletes its data when it exits.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::command::{miniback, signal, wait_for_exit};
use crate::support::http;
use crate::support::in_process::{DEMO_TOKEN, InProcess};
use crate::support::pages::{Page, Visitor};
use crate::support::wait::wait_until;

struct Demo {
    child: Child,
    /// The directory that contains the demo's data directory.
    temporary: TempDir,
    sign_in_url: String,
    site_url: String,
    receiver_url: String,
}

impl Demo {
    #[track_caller]
    fn start(arguments: &[&str]) -> Self {
        let temporary = TempDir::new().expect("create a temporary directory");
        let mut command = miniback(["demo"]);
        command
            .args(arguments)
            .env("TMPDIR", temporary.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut child = command.spawn().expect("start the executable");
        let mut lines =
            BufReader::new(child.stdout.take().expect("take the standard output pipe")).lines();
        let mut next = || {
            lines
                .next()
                .expect("find another line")
                .expect("read a line")
        };
        let (sign_in_url, site_url, receiver_url) = (next(), next(), next());
        Self {
            child,
            temporary,
            sign_in_url,
            site_url,
            receiver_url,
        }
    }

    /// Returns the deliveries that the demo's receiver lists, newest first.
    fn received(&self) -> Vec<Value> {
        let response = http::send(
            "GET",
            &format!("{}/received.json", self.receiver_url),
            &[],
            None,
        );
        response.json().as_array().cloned().unwrap_or_default()
    }

    /// Sends feedback as the widget on the sample site does.
    #[track_caller]
    fn send_as_widget(&self, message: &str) {
        let page = Visitor::new(&self.site_url)
            .get("/")
            .expect(200)
            .response
            .text;
        let html = scraper::Html::parse_document(&page);
        let tag = scraper::Selector::parse("script[data-project]").unwrap();
        let script = html.select(&tag).next().expect("find the widget's script");
        let url = script.attr("src").unwrap_or_default();
        http::send("GET", url, &[], None).expect(200);
        let body = json!({"projectSlug": script.attr("data-project"), "message": message});
        let headers = [
            ("Content-Type", "application/json"),
            ("Origin", self.site_url.as_str()),
        ];
        let endpoint = url.replace("widget.js", "api/feedback");
        let body = body.to_string();
        http::send("POST", &endpoint, &headers, Some(body.as_bytes())).expect(201);
    }

    fn count_data_directories(&self) -> usize {
        std::fs::read_dir(self.temporary.path()).unwrap().count()
    }

    fn stop(&mut self) -> Option<i32> {
        signal(self.child.id(), "INT");
        wait_for_exit(&mut self.child, "the demo exits").code()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Splits a URL after its origin. The second string begins with the path.
fn split_origin(url: &str) -> (&str, &str) {
    let third_slash = url.match_indices('/').nth(2);
    url.split_at(third_slash.map_or(url.len(), |(index, _)| index))
}

#[test]
fn signs_in_receives_feedback_verifies_webhooks_and_cleans_up() {
    let mut demo = Demo::start(&[]);
    let (origin, link) = split_origin(&demo.sign_in_url);

    // `HEAD` requests, which programs send to preview links, don't use up the link.
    for _ in 0..2 {
        let preview = http::send("HEAD", &demo.sign_in_url, &[], None);
        assert_eq!(preview.expect(303).header("set-cookie"), None);
    }
    let mut visitor = Visitor::new(origin);
    let signed_in = visitor.get(link).expect(303);
    visitor.follow(&signed_in).expect(200);
    assert!(
        visitor.get("/feedback").text().contains("Resolved"),
        "the demo has no sample feedback"
    );
    let webhooks = visitor.get("/settings/notifications").expect(200);
    assert!(
        webhooks
            .response
            .text
            .contains(&format!("{}/webhooks/miniback", demo.receiver_url))
    );
    // The link works in any browser on this computer, but not through a proxy.
    let mut second_browser = Visitor::new(origin);
    second_browser.get(link).expect(303);
    second_browser.get("/feedback").expect(200);
    let proxied = [("X-Forwarded-For", "192.0.2.1")];
    http::send("GET", &demo.sign_in_url, &proxied, None).expect(410);
    Visitor::new(origin).get(&format!("{link}x")).expect(410);

    let before = demo.received().len();
    demo.send_as_widget("The checkout is fast now");
    let received = wait_until("the delivery has arrived", || {
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
            .contains("The checkout is fast now")
    );

    assert_eq!(demo.count_data_directories(), 1);
    assert_eq!(demo.stop(), Some(0));
    assert_eq!(demo.count_data_directories(), 0);
}

#[test]
fn shows_several_days_of_feedback_and_failed_deliveries() {
    let mut demo = Demo::start(&[]);
    let (origin, link) = split_origin(&demo.sign_in_url);
    let mut visitor = Visitor::new(origin);
    visitor.get(link).expect(303);
    for status in ["NEW", "REVIEWED", "RESOLVED"] {
        let page = visitor.get(&format!("/feedback?status={status}"));
        assert!(page.expect(200).text().contains("days ago"), "{status}");
    }
    let page = visitor.get("/settings/notifications").expect(200);
    for (webhook, state, expected) in [
        ("/webhooks/tickets", "failed", "500"),
        ("/webhooks/tickets", "pending", "503"),
        ("/webhooks/tickets", "delivered", "3"),
        ("/webhooks/customers", "pending", "401"),
        ("/services/fernweh", "delivered", "3"),
    ] {
        let path = format!("{}?state={state}", deliveries_path(&page, webhook));
        let text = visitor.get(&path).expect(200).text();
        assert!(text.contains(expected), "{webhook}, {state}: {text}");
        assert!(
            !text.contains("No deliveries match"),
            "{webhook}, {state}: {text}"
        );
    }
    let text = page.text();
    assert!(text.contains("Failing since"), "{text}");
    assert_eq!(
        demo.received().len(),
        1,
        "the receiver shows deliveries of the history"
    );
    assert_eq!(demo.stop(), Some(0));
}

/// Returns the path of the deliveries of the webhook whose URL contains `url`.
#[track_caller]
fn deliveries_path(page: &Page, url: &str) -> String {
    let mut articles = page.response.text.split("<article").skip(1);
    let article = articles.find(|article| article.contains(url));
    let article = article.expect("find the webhook");
    let mut links = article.split("href=\"").skip(1);
    let link = links.find_map(|rest| {
        let (path, _) = rest.split('"').next()?.split_once("/deliveries")?;
        Some(format!("{path}/deliveries"))
    });
    link.expect("find the link to the deliveries")
}

#[test]
fn the_chat_channel_shows_the_history_and_new_feedback() {
    let mut demo = Demo::start(&[]);
    let channel = format!("{}/channel", demo.receiver_url);
    let read = || http::send("GET", &channel, &[], None).expect(200).text;
    assert!(
        read().contains("The barcode scanner reads my oat milk"),
        "{}",
        read()
    );
    demo.send_as_widget("<b>Everyone</b> @here <!channel>");
    let page = wait_until("the message has arrived", || {
        let page = read();
        page.contains("@here").then_some(page)
    });
    let shown = "&#60;b&#62;Everyone&#60;/b&#62; @here &#60;!channel&#62;";
    assert!(page.contains(shown), "{page}");
    let (miniback, _) = split_origin(&demo.sign_in_url);
    assert!(
        page.contains(&format!("href=\"{miniback}/feedback/fb_")),
        "{page}"
    );
    assert_eq!(demo.stop(), Some(0));
}

#[test]
fn the_inbox_shows_the_history_and_new_feedback() {
    let mut demo = Demo::start(&[]);
    let get = |path: &str| {
        let url = format!("{}{path}", demo.receiver_url);
        http::send("GET", &url, &[], None).expect(200)
    };
    let first = get("/inbox").text;
    assert!(
        first.contains("The barcode scanner reads my oat milk"),
        "{first}"
    );
    assert!(first.contains("Replies go to"), "{first}");
    demo.send_as_widget("<b>A new entry</b> for the inbox");
    let page = wait_until("the email has arrived", || {
        let page = get("/inbox").text;
        page.contains("for the inbox").then_some(page)
    });
    let frame = page.split("<iframe src=\"").nth(1).expect("find the frame");
    let (path, rest) = frame.split_once('"').unwrap();
    assert!(rest.starts_with(" sandbox "), "{rest}");
    let html = get(path);
    let policy = html.header("content-security-policy").unwrap_or_default();
    assert!(policy.contains("sandbox"), "{policy}");
    let shown = "&#60;b&#62;A new entry&#60;/b&#62; for the inbox";
    assert!(html.text.contains(shown), "{}", html.text);
    assert!(page.contains(shown), "{page}");
    let (miniback, _) = split_origin(&demo.sign_in_url);
    assert!(
        html.text
            .contains(&format!("href=\"{miniback}/feedback/fb_")),
        "{}",
        html.text
    );
    http::send(
        "GET",
        &format!("{}/inbox/1000", demo.receiver_url),
        &[],
        None,
    )
    .expect(404);
    assert_eq!(demo.stop(), Some(0));
}

#[test]
fn the_sign_in_link_works_until_the_demo_stops() {
    let app = InProcess::start(&[]);
    let link = format!("/sign-in?token={DEMO_TOKEN}");
    // The setup URL expires after 1 h, and a session after 14 days without use.
    for days in [0, 1, 15, 100] {
        app.advance(Duration::from_secs(days * 24 * 3600));
        let mut visitor = app.visitor();
        let signed_in = visitor.get(&link).expect(303);
        visitor.follow(&signed_in).expect(200);
    }
}

#[test]
fn logs_nothing_by_default() {
    let mut command = miniback(["demo"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("start the executable");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let last = lines.find(|line| line.as_ref().is_ok_and(|line| line.contains("Ctrl-C")));
    assert!(last.is_some());
    signal(child.id(), "INT");
    let log = std::io::read_to_string(child.stderr.take().unwrap()).unwrap();
    wait_for_exit(&mut child, "the demo exits");
    assert_eq!(log, "");
}

#[test]
fn the_receiver_and_the_site_accept_only_their_own_host() {
    let mut demo = Demo::start(&[]);
    for url in [&demo.receiver_url, &demo.site_url] {
        for path in ["/", "/received.json", "/webhooks/miniback"] {
            let url = format!("{url}{path}");
            let host = [("Host", "rebound.example")];
            http::send("GET", &url, &host, None).expect(421);
        }
        http::send("GET", &format!("{url}/"), &[], None).expect(200);
        let (_, port) = url.rsplit_once(':').unwrap();
        let localhost = format!("localhost:{port}");
        let own = [("Host", localhost.as_str())];
        http::send("GET", &format!("{url}/"), &own, None).expect(200);
    }
    assert_eq!(demo.stop(), Some(0));
}

#[test]
fn the_keep_option_preserves_the_data() {
    let mut demo = Demo::start(&["--keep"]);
    assert_eq!(demo.stop(), Some(0));
    assert_eq!(demo.count_data_directories(), 1);
}
