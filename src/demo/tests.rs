//! Both servers over real sockets on loopback, against an API that only writes down what it is asked.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use ring::hmac;
use serde_json::{Value, json};
use ureq::Agent;

use super::{Api, DemoServer, receiver, seed, site};

const SECRET: &str = "whsec_c2VjcmV0IG9mIHRoZSBkZW1vJ3MgdGVzdHMuLi4=";
const SITE: &str = "http://127.0.0.1:4999";

// What is asked of the servers, off the async thread

fn agent() -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(10)));
    config.build().into()
}

async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Status, headers and text of an answer.
struct Answer {
    status: u16,
    headers: ureq::http::HeaderMap,
    text: String,
}

impl From<ureq::http::Response<ureq::Body>> for Answer {
    fn from(mut answer: ureq::http::Response<ureq::Body>) -> Self {
        Self {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            text: answer.body_mut().read_to_string().unwrap(),
        }
    }
}

async fn get(url: String) -> Answer {
    off_thread(move || agent().get(url).call().unwrap().into()).await
}

async fn post_form(url: String, fields: &'static [(&str, &str)]) -> Answer {
    off_thread(move || {
        agent()
            .post(url)
            .send_form(fields.iter().copied())
            .unwrap()
            .into()
    })
    .await
}

fn listener() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

// The receiver

fn a_receiver() -> DemoServer {
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
    off_thread(move || {
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
    let receiver = a_receiver();
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
    let receiver = a_receiver();
    for signature in ["", "zz", "abc", "+f", "é", "00"] {
        let url = receiver::endpoint(&receiver.url);
        let status = off_thread(move || {
            let request = agent().post(url).header("X-Miniback-Signature", signature);
            request.send("{}").unwrap().status().as_u16()
        });
        assert_eq!(status.await, 401, "{signature:?}");
    }
    receiver.stop().await.unwrap();
}

#[actix_web::test]
async fn the_page_shows_what_came_as_text() {
    let receiver = a_receiver();
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
    let receiver = a_receiver();
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
    off_thread(move || {
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
    let receiver = a_receiver();
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
    let receiver = a_receiver();
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
    let inbox = super::inbox::Inbox::new(crate::clock::Timestamp::from_millis(0));
    for _ in 0..130 {
        inbox.keep(
            crate::clock::Timestamp::from_millis(1),
            true,
            Vec::new(),
            b"\xff not JSON",
        );
    }
    let kept = inbox.after(0);
    assert_eq!(
        (kept.len(), kept[0].number, kept[99].number),
        (100, 31, 130)
    );
    assert_eq!(kept[0].body, "\u{fffd} not JSON");
}

// An API that writes down what it is asked

type Calls = Arc<Mutex<Vec<Call>>>;

#[derive(Clone)]
struct Call {
    what: String,
    authorization: String,
    idempotency_key: Option<String>,
    body: Value,
}

/// Answers each call with `status` and what the API would say; the server's address, and the calls.
fn an_api(status: u16) -> (Api, Calls) {
    let calls = Calls::default();
    let (listener, noted) = (listener(), calls.clone());
    let base = format!("http://{}", listener.local_addr().unwrap());
    let server = HttpServer::new(move || {
        let noted = noted.clone();
        App::new().default_service(web::to(move |request: HttpRequest, body: web::Bytes| {
            let header = |name: &str| {
                request
                    .headers()
                    .get(name)
                    .map(|value| value.to_str().unwrap().to_owned())
            };
            let mut noted = noted.lock().unwrap();
            noted.push(Call {
                what: format!("{} {}", request.method(), request.path()),
                authorization: header("Authorization").unwrap_or_default(),
                idempotency_key: header("Idempotency-Key"),
                body: serde_json::from_slice(&body).unwrap(),
            });
            let answer = if status < 300 {
                json!({"id": format!("id_{}", noted.len()), "slug": "a"})
            } else {
                json!({"title": "No", "detail": "Look at the fields.",
                       "errors": [{"field": "email", "message": "This is no e-mail address."}]})
            };
            let mut response = HttpResponse::build(status.try_into().unwrap());
            async move { response.json(answer) }
        }))
    });
    tokio::spawn(
        server
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run(),
    );
    (Api::new(base, "mb_token"), calls)
}

#[actix_web::test]
async fn samples_come_before_the_webhook_and_one_feedback_after_it() {
    let (api, calls) = an_api(201);
    let seeded = off_thread(move || seed(&api, "http://127.0.0.1:3000/webhooks/miniback", SECRET))
        .await
        .unwrap();
    let calls = calls.lock().unwrap();
    let whats: Vec<_> = calls.iter().map(|call| call.what.as_str()).collect();
    let made = |what: &str| whats.iter().filter(|each| **each == what).count();
    assert_eq!(made("POST /api/v1/projects"), seeded.projects);
    assert_eq!(made("POST /api/v1/feedback"), seeded.feedback);
    assert_eq!(
        whats[whats.len() - 2..],
        ["POST /api/v1/webhooks", "POST /api/v1/feedback"]
    );
    assert!(
        calls
            .iter()
            .all(|call| call.authorization == "Bearer mb_token")
    );
    let webhook = &calls[calls.len() - 2].body;
    assert_eq!(
        (&webhook["url"], &webhook["secret"]),
        (
            &json!("http://127.0.0.1:3000/webhooks/miniback"),
            &json!(SECRET)
        )
    );
    let longest = calls
        .iter()
        .filter_map(|call| call.body["message"].as_str())
        .map(|m| m.chars().count())
        .max();
    assert!(longest.is_some_and(|chars| (600..10_000).contains(&chars)));
}

#[actix_web::test]
async fn a_refused_sample_is_explained() {
    let (api, _) = an_api(409);
    let error = off_thread(move || seed(&api, "http://127.0.0.1:3000/", SECRET))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "The demo's sample projects could not be made. Miniback refused POST /api/v1/projects with 409: Look at the fields."
    );
}

// The site

fn a_site(api: Api) -> DemoServer {
    site::start(
        listener(),
        api,
        "fernweh".to_owned(),
        "http://127.0.0.1:4998".to_owned(),
    )
    .unwrap()
}

#[actix_web::test]
async fn the_form_goes_to_the_api_and_then_to_a_page_that_says_thanks() {
    let (api, calls) = an_api(201);
    let site = a_site(api);
    let to = format!("{}/feedback", site.url);
    let form = &[
        ("key", "k"),
        ("message", "two\r\nlines"),
        ("email", " ada@example.com "),
    ];
    let answer = post_form(to.clone(), form).await;
    assert_eq!(
        (answer.status, &answer.headers["location"]),
        (303, &"/?sent#feedback".parse().unwrap())
    );
    assert!(
        get(format!("{}/?sent", site.url))
            .await
            .text
            .contains("Thank you")
    );

    post_form(to.clone(), form).await;
    post_form(
        to,
        &[("key", "k"), ("message", "other words"), ("email", "")],
    )
    .await;
    let calls = calls.lock().unwrap();
    let expected = json!({"project": "fernweh", "message": "two\nlines", "email": "ada@example.com", "url": site.url});
    assert_eq!(
        (calls[0].what.as_str(), &calls[0].body),
        ("POST /api/v1/feedback", &expected)
    );
    assert!(calls[2].body.get("email").is_none());
    // Two presses are one feedback; other words are another.
    let keys: Vec<_> = calls
        .iter()
        .map(|call| call.idempotency_key.clone().unwrap())
        .collect();
    assert!(keys[0] == keys[1] && keys[1] != keys[2]);
}

#[actix_web::test]
async fn what_the_api_refuses_is_said_at_the_field_and_the_words_stay() {
    let (api, _) = an_api(422);
    let site = a_site(api);
    let answer = post_form(
        format!("{}/feedback", site.url),
        &[("message", "a </textarea><b>"), ("email", "ada@")],
    )
    .await;
    assert_eq!(answer.status, 422);
    assert!(
        answer
            .text
            .contains("<p class=\"error\" id=\"email-error\">This is no e-mail address.</p>")
    );
    assert!(
        answer
            .text
            .contains("a &#60;/textarea&#62;&#60;b&#62;</textarea>")
    );
    site.stop().await.unwrap();
}

#[actix_web::test]
async fn the_words_stay_when_miniback_is_away() {
    let closed = format!("http://{}", listener().local_addr().unwrap());
    let site = a_site(Api::new(closed, "mb_token"));
    let answer = post_form(
        format!("{}/feedback", site.url),
        &[("message", "hello there")],
    )
    .await;
    assert_eq!(answer.status, 502);
    assert!(answer.text.contains("did not get through") && answer.text.contains("hello there"));
    site.stop().await.unwrap();
}

#[actix_web::test]
async fn the_site_frames_the_receiver_and_nothing_else() {
    let site = a_site(Api::new("http://127.0.0.1:9", "mb_token"));
    let page = get(format!("{}/", site.url)).await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("frame-src http://127.0.0.1:4998;") && !policy.contains("unsafe"));
    assert!(page.text.contains("<iframe src=\"http://127.0.0.1:4998/\""));
    assert!(!page.text.contains(" style=") && !page.text.contains("<script>"));
    assert_eq!(get(format!("{}/nowhere", site.url)).await.status, 404);
    for file in ["demo.css", "demo.js", "icon.svg"] {
        assert_eq!(get(format!("{}/{file}", site.url)).await.status, 200);
    }
    site.stop().await.unwrap();
}
