//! Tests of the receiver: verification, page, event stream, and inbox.

use futures_util::StreamExt;
use ring::hmac;
use serde_json::{Value, json};

use super::{DemoServer, SECRET, bind_listener, get, http_client};
use crate::clock::Timestamp;
use crate::demo::channel::Channel;
use crate::demo::mailbox::Mailbox;
use crate::demo::{inbox::Inbox, receiver};

const SITE_URL: &str = "http://127.0.0.1:4999";

fn start_receiver() -> DemoServer {
    let (channel, mailbox) = (Channel::default(), Mailbox::default());
    receiver::start(
        bind_listener(),
        SECRET.to_owned(),
        channel,
        mailbox,
        SITE_URL,
    )
    .unwrap()
}

fn feedback_event_body(message: &str) -> String {
    let project = json!({"id": "prj_1", "name": "Fernweh", "slug": "fernweh"});
    let feedback = json!({"id": "fb_1", "message": message, "status": "NEW"});
    json!({"event": "feedback.created", "data": {"feedback": feedback, "project": project}})
        .to_string()
}

/// Sends a delivery, signed if there is a `secret`. Returns the status of the response.
async fn send_delivery(
    receiver: &DemoServer,
    delivery: &'static str,
    body: String,
    secret: Option<&str>,
) -> u16 {
    let url = format!("{}{}", receiver.url, receiver::ENDPOINT_PATH);
    let signature = secret.map(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hex::encode(hmac::sign(&key, body.as_bytes()))
    });
    let mut request = http_client()
        .post(url)
        .insert_header(("Content-Type", "application/json"))
        .insert_header(("X-Miniback-Event", "feedback.created"))
        .insert_header(("X-Miniback-Timestamp", "2025-10-31T12:34:56.789Z"))
        .insert_header(("X-Miniback-Delivery", delivery));
    if let Some(signature) = signature {
        request = request.insert_header(("X-Miniback-Signature", signature));
    }
    request.send_body(body).await.unwrap().status().as_u16()
}

#[actix_web::test]
async fn verifies_the_signature_of_the_raw_body() {
    let receiver = start_receiver();
    let body_with_spaces = "{ \"event\" :\n\"test\" }".to_owned();
    assert_eq!(
        send_delivery(&receiver, "dlv_1", body_with_spaces, Some(SECRET)).await,
        204
    );
    assert_eq!(
        send_delivery(
            &receiver,
            "dlv_2",
            feedback_event_body("x"),
            Some("whsec_another")
        )
        .await,
        401
    );
    assert_eq!(
        send_delivery(&receiver, "dlv_3", feedback_event_body("x"), None).await,
        401
    );

    let list: Value =
        serde_json::from_str(&get(format!("{}/received.json", receiver.url)).await.text).unwrap();
    let results: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["delivery"].clone(), r["valid"].clone()))
        .collect();
    assert_eq!(
        results,
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
async fn rejects_a_signature_that_is_not_valid_hex() {
    let receiver = start_receiver();
    for signature in ["", "zz", "abc", "+f", "é", "00"] {
        let url = format!("{}{}", receiver.url, receiver::ENDPOINT_PATH);
        let request = http_client()
            .post(url)
            .insert_header(("X-Miniback-Signature", signature));
        let response = request.send_body("{}").await.unwrap();
        assert_eq!(response.status().as_u16(), 401, "{signature:?}");
    }
    receiver.stop().await.unwrap();
}

#[actix_web::test]
async fn shows_received_content_as_text() {
    let receiver = start_receiver();
    let empty = get(format!("{}/", receiver.url)).await;
    assert!(empty.text.contains("<div class=\"empty\">"));

    let message = "<img src=x onerror=alert(1)>";
    send_delivery(
        &receiver,
        "dlv_1",
        feedback_event_body(message),
        Some(SECRET),
    )
    .await;
    send_delivery(
        &receiver,
        "dlv_1",
        feedback_event_body(message),
        Some("whsec_another"),
    )
    .await;
    let page = get(format!("{}/", receiver.url)).await;
    assert_eq!(page.status, 200);
    assert!(!page.text.contains("<img"));
    for text in [
        "Verified",
        "Invalid",
        "received before",
        "Fernweh",
        "&#60;img src=x",
        "dlv_1",
        "x-miniback-signature",
    ] {
        assert!(
            page.text.contains(text),
            "{text} is missing in {}",
            page.text
        );
    }
    receiver.stop().await.unwrap();
}

#[actix_web::test]
async fn allows_framing_only_by_the_site_and_no_inline_scripts() {
    let receiver = start_receiver();
    for path in ["/", "/nowhere", "/received.json"] {
        let response = get(format!("{}{path}", receiver.url)).await;
        let policy = response.header("content-security-policy");
        assert!(
            policy.ends_with("frame-ancestors http://127.0.0.1:4999 http://localhost:4999"),
            "{policy}"
        );
        assert!(!policy.contains("unsafe"));
    }
    receiver.stop().await.unwrap();
}

/// Reads the first `count` events of a stream. Returns their ids and data.
async fn read_events(url: String, last: Option<String>, count: usize) -> Vec<(String, String)> {
    let mut request = http_client().get(url);
    if let Some(last) = last {
        request = request.insert_header(("Last-Event-ID", last));
    }
    let mut stream = request.send().await.unwrap();
    let mut text = Vec::new();
    loop {
        text.extend(stream.next().await.unwrap().unwrap());
        let events = parse_events(&text);
        if events.len() >= count {
            return events.into_iter().take(count).collect();
        }
    }
}

/// Parses the complete events of a stream. Returns their ids and data.
fn parse_events(text: &[u8]) -> Vec<(String, String)> {
    let text = String::from_utf8_lossy(text);
    let complete = text.rfind("\n\n").map_or("", |end| &text[..end]);
    let field = |event: &str, name: &str| {
        let value = event.lines().find_map(|line| line.strip_prefix(name));
        value.map(str::to_owned)
    };
    complete
        .split("\n\n")
        .filter_map(|event| {
            let id = field(event, "id: ").unwrap_or_default();
            Some((id, field(event, "data: ")?))
        })
        .collect()
}

#[actix_web::test]
async fn continues_the_event_stream_after_the_last_seen_event() {
    let receiver = start_receiver();
    let url = format!("{}/events", receiver.url);
    send_delivery(
        &receiver,
        "dlv_1",
        feedback_event_body("first\r\r\n\nid: 99"),
        Some(SECRET),
    )
    .await;
    send_delivery(
        &receiver,
        "dlv_2",
        feedback_event_body("second"),
        Some(SECRET),
    )
    .await;

    let both = read_events(url.clone(), None, 2).await;
    // Line breaks of a message stay inside the JSON string.
    let card: String = serde_json::from_str(&both[0].1).unwrap();
    assert!(card.contains("first\r\r\n\nid: 99"));
    let missed = read_events(url.clone(), Some(both[0].0.clone()), 1).await;
    assert_eq!(missed, both[1..]);

    // An open stream receives later events.
    let open = actix_web::rt::spawn(read_events(url.clone(), Some(both[1].0.clone()), 1));
    send_delivery(
        &receiver,
        "dlv_3",
        feedback_event_body("third"),
        Some(SECRET),
    )
    .await;
    assert!(open.await.unwrap()[0].1.contains("third"));

    // An id from an earlier run makes the page reload.
    let reset = read_events(url, Some("123-7".to_owned()), 1).await;
    assert_eq!(reset, [(String::new(), "restarted".to_owned())]);
    receiver.stop().await.unwrap();
}

#[actix_web::test]
async fn stopping_ends_an_open_event_stream() {
    let receiver = start_receiver();
    let url = format!("{}/events", receiver.url);
    send_delivery(&receiver, "dlv_1", feedback_event_body("x"), Some(SECRET)).await;
    let mut stream = http_client().get(url).send().await.unwrap();
    stream.next().await.unwrap().unwrap();
    // If the connection were aborted, the stream would end with an error.
    let rest = actix_web::rt::spawn(async move {
        let chunks: Vec<_> = stream.collect().await;
        chunks.iter().all(Result::is_ok)
    });
    receiver.stop().await.unwrap();
    assert!(rest.await.unwrap());
}

#[actix_web::test]
async fn stores_the_last_100_requests() {
    let inbox = Inbox::new(Timestamp::from_millis(0));
    for _ in 0..130 {
        inbox.record_request(
            Timestamp::from_millis(1),
            true,
            Vec::new(),
            b"\xff not JSON",
        );
    }
    let stored = inbox.requests_after(0);
    assert_eq!(
        (stored.len(), stored[0].number, stored[99].number),
        (100, 31, 130)
    );
    assert_eq!(stored[0].body, "\u{fffd} not JSON");
}
