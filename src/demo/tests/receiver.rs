//! What the receiver accepts, keeps, shows and streams.

use std::io::{BufRead, BufReader};

use ring::hmac;
use serde_json::{Value, json};

use super::{DemoServer, SECRET, agent, get, listener, run_blocking};
use crate::clock::Timestamp;
use crate::demo::{inbox::Inbox, receiver};

const SITE: &str = "http://127.0.0.1:4999";

fn start_receiver() -> DemoServer {
    receiver::start(listener(), SECRET.to_owned(), SITE).unwrap()
}

fn body(message: &str) -> String {
    let project = json!({"id": "prj_1", "name": "Fernweh", "slug": "fernweh"});
    let feedback = json!({"id": "fb_1", "message": message, "status": "NEW"});
    json!({"event": "feedback.created", "data": {"feedback": feedback, "project": project}})
        .to_string()
}

/// Sends a webhook signed with `secret`, if with any.
async fn deliver(
    to: &DemoServer,
    delivery: &'static str,
    body: String,
    secret: Option<&str>,
) -> u16 {
    let url = receiver::endpoint(&to.url);
    let signature = secret.map(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hex::encode(hmac::sign(&key, body.as_bytes()))
    });
    run_blocking(move || {
        let mut request = agent()
            .post(url)
            .header("Content-Type", "application/json")
            .header("X-Miniback-Event", "feedback.created")
            .header("X-Miniback-Timestamp", "2025-10-31T12:34:56.789Z")
            .header("X-Miniback-Delivery", delivery);
        if let Some(signature) = signature {
            request = request.header("X-Miniback-Signature", signature);
        }
        request.send(body).unwrap().status().as_u16()
    })
    .await
}

#[actix_web::test]
async fn a_webhook_is_verified_over_its_raw_body() {
    let receiver = start_receiver();
    let spaced = "{ \"event\" :\n\"test\" }".to_owned();
    assert_eq!(deliver(&receiver, "dlv_1", spaced, Some(SECRET)).await, 204);
    assert_eq!(
        deliver(&receiver, "dlv_2", body("x"), Some("whsec_another")).await,
        401
    );
    assert_eq!(deliver(&receiver, "dlv_3", body("x"), None).await, 401);

    let list: Value =
        serde_json::from_str(&get(format!("{}/received.json", receiver.url)).await.text).unwrap();
    let told: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["delivery"].clone(), r["valid"].clone()))
        .collect();
    assert_eq!(
        told,
        [
            (json!("dlv_3"), json!(false)),
            (json!("dlv_2"), json!(false)),
            (json!("dlv_1"), json!(true))
        ]
    );
    assert_eq!(list[0]["event"], "feedback.created");
    assert!(list[0]["afterMs"].as_u64().unwrap() > 0);
    receiver.stop().await.unwrap();
}

#[actix_web::test]
async fn a_signature_that_is_no_hex_is_refused_and_nothing_breaks() {
    let receiver = start_receiver();
    for signature in ["", "zz", "abc", "+f", "é", "00"] {
        let url = receiver::endpoint(&receiver.url);
        let status = run_blocking(move || {
            let request = agent().post(url).header("X-Miniback-Signature", signature);
            request.send("{}").unwrap().status().as_u16()
        });
        assert_eq!(status.await, 401, "{signature:?}");
    }
    receiver.stop().await.unwrap();
}

#[actix_web::test]
async fn the_page_shows_what_came_as_text() {
    let receiver = start_receiver();
    let empty = get(format!("{}/", receiver.url)).await;
    assert!(empty.text.contains("<div class=\"empty\">"));

    let message = "<img src=x onerror=alert(1)>";
    deliver(&receiver, "dlv_1", body(message), Some(SECRET)).await;
    deliver(&receiver, "dlv_1", body(message), Some("whsec_another")).await;
    let page = get(format!("{}/", receiver.url)).await;
    assert_eq!(page.status, 200);
    assert!(!page.text.contains("<img"));
    for words in [
        "Verified",
        "INVALID",
        "came before",
        "Fernweh",
        "&#60;img src=x",
        "dlv_1",
        "x-miniback-signature",
    ] {
        assert!(
            page.text.contains(words),
            "{words} is missing in {}",
            page.text
        );
    }
    receiver.stop().await.unwrap();
}

#[actix_web::test]
async fn only_the_site_may_frame_the_receiver_and_no_inline_script_runs() {
    let receiver = start_receiver();
    for path in ["/", "/nowhere", "/received.json"] {
        let answer = get(format!("{}{path}", receiver.url)).await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.ends_with("frame-ancestors http://127.0.0.1:4999 http://localhost:4999"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"));
    }
    receiver.stop().await.unwrap();
}

/// Reads the event stream until `wanted` events with an id came; their ids and data.
async fn read_events(url: String, last: Option<String>, wanted: usize) -> Vec<(String, String)> {
    run_blocking(move || {
        let mut request = agent().get(url);
        if let Some(last) = last {
            request = request.header("Last-Event-ID", last);
        }
        let lines = BufReader::new(request.call().unwrap().into_body().into_reader()).lines();
        let mut events = Vec::new();
        let mut id = String::new();
        for line in lines.map(Result::unwrap) {
            if let Some(text) = line.strip_prefix("id: ") {
                id = text.to_owned();
            } else if let Some(data) = line.strip_prefix("data: ") {
                events.push((id.clone(), data.to_owned()));
                if events.len() == wanted {
                    break;
                }
            }
        }
        events
    })
    .await
}

#[actix_web::test]
async fn the_event_stream_goes_on_after_the_last_event_that_was_seen() {
    let receiver = start_receiver();
    let url = format!("{}/events", receiver.url);
    deliver(
        &receiver,
        "dlv_1",
        body("first\r\r\n\nid: 99"),
        Some(SECRET),
    )
    .await;
    deliver(&receiver, "dlv_2", body("second"), Some(SECRET)).await;

    let both = read_events(url.clone(), None, 2).await;
    // Line ends of a message stay inside the JSON string.
    let card: String = serde_json::from_str(&both[0].1).unwrap();
    assert!(card.contains("first\r\r\n\nid: 99"));
    let missed = read_events(url.clone(), Some(both[0].0.clone()), 1).await;
    assert_eq!(missed, both[1..]);

    // One that is already open is told of what comes later.
    let open = tokio::spawn(read_events(url.clone(), Some(both[1].0.clone()), 1));
    deliver(&receiver, "dlv_3", body("third"), Some(SECRET)).await;
    assert!(open.await.unwrap()[0].1.contains("third"));

    // An id of an earlier run: the page is to be loaded anew.
    let gone = read_events(url, Some("123-7".to_owned()), 1).await;
    assert_eq!(gone, [(String::new(), "gone".to_owned())]);
    receiver.stop().await.unwrap();
}

#[actix_web::test]
async fn stopping_ends_an_open_event_stream() {
    let receiver = start_receiver();
    let url = format!("{}/events", receiver.url);
    deliver(&receiver, "dlv_1", body("x"), Some(SECRET)).await;
    let (seen, opened) = tokio::sync::oneshot::channel();
    let stream = tokio::task::spawn_blocking(move || {
        let answer = agent().get(url).call().unwrap();
        let mut lines = BufReader::new(answer.into_body().into_reader()).lines();
        lines.next().unwrap().unwrap();
        seen.send(()).unwrap();
        // Ends, and in good order: with an error if the connection was cut.
        lines.all(|line| line.is_ok())
    });
    opened.await.unwrap();
    receiver.stop().await.unwrap();
    assert!(stream.await.unwrap());
}

#[actix_web::test]
async fn the_inbox_keeps_the_last_hundred() {
    let inbox = Inbox::new(Timestamp::from_millis(0));
    for _ in 0..130 {
        inbox.record(
            Timestamp::from_millis(1),
            true,
            Vec::new(),
            b"\xff not JSON",
        );
    }
    let kept = inbox.received_after(0);
    assert_eq!(
        (kept.len(), kept[0].number, kept[99].number),
        (100, 31, 130)
    );
    assert_eq!(kept[0].body, "\u{fffd} not JSON");
}
