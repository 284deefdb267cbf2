//! What must not be said aloud: after much that went wrong, logs, metrics and error answers hold no
//! path of a webhook's URL, no secret, token, password, e-mail address or message.

use serde_json::json;

use crate::support::api::{attempts, text};
use crate::support::app::{ADMIN, App, AppBuilder, PASSWORD};
use crate::support::http::Response;
use crate::support::receiver::{Receiver, Reply, closed_address};
use crate::support::wait::wait_until;

/// Each stands somewhere in what is sent to the program, and nowhere in what it says.
const HIDDEN: [&str; 18] = [
    "PATH-5f1c",
    "QUERY-5f1c",
    "FRAGMENT-5f1c",
    "LOCATION-5f1c",
    "ANSWER-5f1c",
    "HEADER-5f1c",
    "OWN-SECRET-5f1c",
    "URLUSER",
    "URLPASSWORD",
    "GUESSED-5f1c",
    "MESSAGE-5f1c",
    "METADATA-5f1c",
    "TOKEN-5f1c",
    "DESCRIPTION-5f1c",
    "eve@leak.example",
    "mallory@leak.example",
    ADMIN,
    PASSWORD,
];

const ODD_PATH: &str = "/PATH-5f1c/hook?key=QUERY-5f1c#FRAGMENT-5f1c";

#[test]
fn a_json_log_of_everything_holds_nothing_that_must_not_be_said() {
    says_nothing_it_must_not(App::builder().env("MINIBACK_LOG", "trace"));
}

#[test]
fn a_text_log_for_those_who_look_for_a_fault_holds_nothing_that_must_not_be_said() {
    says_nothing_it_must_not(App::builder().text_log().env("MINIBACK_LOG", "debug"));
}

fn says_nothing_it_must_not(setup: AppBuilder) {
    let app = setup
        .option("--retry-delays", "50ms")
        .option("--timeout", "1s")
        .writes_can_fail()
        .start();
    let api = app.api();
    let mut responses = Vec::new();
    api.create_project("Shop");

    let receivers = [
        Receiver::script(|_| Reply::body(500, "ANSWER-5f1c").header("X-Key", "ANSWER-5f1c")),
        Receiver::script(|_| {
            Reply::status(302).header("Location", "https://a.example/LOCATION-5f1c")
        }),
        Receiver::script(|_| Reply::Bytes(b"ANSWER-5f1c is not HTTP\r\n\r\n".to_vec())),
        Receiver::script(|_| Reply::Hang),
        Receiver::script(|_| Reply::Close),
        Receiver::script(|_| Reply::body(429, "ANSWER-5f1c").header("Retry-After", "1")),
    ];
    let mut urls: Vec<String> = receivers.iter().map(|r| r.url(ODD_PATH)).collect();
    urls.push(format!("https://{}{ODD_PATH}", receivers[0].address()));
    urls.push(format!("http://{}{ODD_PATH}", closed_address()));
    urls.push(format!("https://no-such-host.invalid{ODD_PATH}"));
    let mut secrets = Vec::new();
    for (number, url) in urls.iter().enumerate() {
        let mut webhook = json!({"url": url, "headers": {"X-Key": "HEADER-5f1c"}, "description": "DESCRIPTION-5f1c"});
        if number % 2 == 0 {
            webhook["secret"] = json!("OWN-SECRET-5f1c-0123456789");
        }
        let webhook = api.create_webhook_with(webhook);
        let path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
        let rotated = api
            .post(&format!("{path}/secret/rotate"), json!({"overlapHours": 1}))
            .expect(200);
        secrets.extend([
            text(&webhook, "secret").to_owned(),
            text(&rotated.json(), "nextSecret").to_owned(),
        ]);
    }

    // A storm of what they all stumble over, and pages, calls and sign-ins that go wrong.
    let feedback = json!({
        "project": "shop", "message": "MESSAGE-5f1c", "email": "eve@leak.example",
        "url": "https://a.example/PATH-5f1c", "metadata": {"note": "METADATA-5f1c"},
    });
    for _ in 0..10 {
        api.post("/api/v1/feedback", feedback.clone()).expect(201);
    }
    let refusals = [
        (
            "/api/v1/webhooks",
            json!({"url": "https://URLUSER:URLPASSWORD@a.example/PATH-5f1c"}),
        ),
        (
            "/api/v1/webhooks",
            json!({"url": format!("http://10.1.2.3{ODD_PATH}")}),
        ),
        (
            "/api/v1/webhooks",
            json!({"url": format!("ftp://a.example{ODD_PATH}")}),
        ),
        (
            "/api/v1/webhooks",
            json!({"url": 5, "secret": "OWN-SECRET-5f1c"}),
        ),
        (
            "/api/v1/webhooks",
            json!({"url": "https://a.example/", "enabled": "OWN-SECRET-5f1c"}),
        ),
        (
            "/api/v1/webhooks",
            json!({"url": "https://a.example/", "secret": "OWN-SECRET-5f1c with spaces"}),
        ),
        (
            "/api/v1/webhooks",
            json!({"url": "https://a.example/", "headers": {"X-A": "HEADER-5f1c\nB"}}),
        ),
        (
            "/api/v1/feedback",
            json!({"project": "shop", "message": "MESSAGE-5f1c", "email": "no eve@leak.example"}),
        ),
        (
            "/api/v1/feedback",
            json!({"project": "nothere", "message": "MESSAGE-5f1c"}),
        ),
        (
            "/api/v1/feedback",
            json!({"project": "shop", "message": ["MESSAGE-5f1c"], "metadata": "METADATA-5f1c"}),
        ),
    ];
    for (path, body) in refusals {
        let response = api.post(path, body);
        assert!((400..500).contains(&response.status), "{response:?}");
        responses.push(response);
    }
    let broken = Some(br#"{"message": "MESSAGE-5f1c"#.as_slice());
    let json_type = [("Content-Type", "application/json")];
    responses.push(api.send("POST", "/api/v1/feedback", &json_type, broken));
    responses.push(api.get("/api/v1/feedback/eve@leak.example"));
    responses.push(api.get("/api/v1/feedback?q=MESSAGE-5f1c&cursor=TOKEN-5f1c"));
    responses.push(app.api_with("mb_TOKEN-5f1c").get("/api/v1/webhooks"));
    let mut visitor = app.visitor();
    for _ in 0..3 {
        visitor.try_sign_in("mallory@leak.example", "GUESSED-5f1c is wrong");
    }
    responses.push(visitor.get("/setup?token=TOKEN-5f1c").response);
    responses.push(
        visitor
            .get("/eve@leak.example?message=MESSAGE-5f1c")
            .response,
    );
    let mut ada = app.signed_in();
    ada.get("/feedback?q=MESSAGE-5f1c").expect(200);
    ada.get("/settings/notifications").expect(200);
    let test = api.post(
        "/api/v1/webhooks/test",
        json!({"url": urls[0], "secret": "OWN-SECRET-5f1c-0123456789"}),
    );
    let tested = test.expect(200).json();

    // All of it has failed, and some could not be stored for a while.
    let webhooks = api.get("/api/v1/webhooks?limit=100").json();
    let webhooks = webhooks["data"].as_array().unwrap().clone();
    let mut errors = vec![tested["error"].clone()];
    for webhook in &webhooks {
        errors.push(wait_until("an attempt has failed", || {
            let newest = api.deliveries(webhook).pop()?;
            attempts(&newest)
                .first()
                .map(|attempt| attempt["error"].clone())
        }));
    }
    app.limit_file_size(Some(4_096));
    let full = api.post("/api/v1/feedback", feedback);
    full.problem(507);
    responses.push(full);
    responses.push(api.get("/healthz"));
    app.limit_file_size(None);
    wait_until("it is well again", || {
        (api.get("/healthz").status == 200).then_some(())
    });
    let metrics = app.api().get("/metrics").expect(200).text;
    assert!(
        metrics.contains("no-such-host.invalid"),
        "a webhook is named by its host: {metrics}"
    );
    app.run(&["check"], "");

    app.sigterm();
    let token = app.token(ADMIN, "full");
    secrets.push(token);
    secrets.push(ada.session().unwrap());
    let log = wait_until("the log is whole", || {
        let log = app.log.to_string();
        log.contains("stopped").then_some(log)
    });
    // The log says what happened at all, and the lines are those that somebody looks for.
    for word in [
        "attempt",
        "request handled",
        "webhook",
        "no-such-host.invalid",
        "127.0.0.1",
    ] {
        assert!(log.contains(word), "{word} is not in the log: {log}");
    }
    // These two repeat what the endpoint itself said, for who mends it.
    let repeats = ["redirects (302)", "Invalid HTTP response"];
    errors.retain(|error| {
        let text = error.as_str().unwrap_or_default();
        !repeats.iter().any(|repeats| text.contains(repeats))
    });
    assert!(errors.len() >= webhooks.len() - 1, "{errors:?}");
    let said = [
        ("the log", log),
        ("the metrics", metrics),
        ("an answer", responses.iter().map(said_by).collect()),
        ("an attempt's error", format!("{errors:?}")),
    ];
    for (place, text) in &said {
        for hidden in HIDDEN.into_iter().chain(secrets.iter().map(String::as_str)) {
            let found = text.lines().find(|line| line.contains(hidden));
            assert_eq!(found, None, "{hidden} is in {place}");
        }
    }
}

fn said_by(response: &Response) -> String {
    format!("{:?}\n{}\n", response.headers, response.text)
}
