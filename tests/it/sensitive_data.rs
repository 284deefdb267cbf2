//! Logs, metrics, and error responses contain no sensitive data: no path of a webhook's URL, and no
//! secret, token, password, email, or message.

use serde_json::{Value, json};

use crate::support::api::{Api, attempts, text};
use crate::support::app::{ADMIN, App, AppBuilder, PASSWORD};
use crate::support::http::Response;
use crate::support::receiver::{Receiver, Reply, closed_socket_address};
use crate::support::wait::wait_until;

/// Values that the test sends to the program, and that must not occur in any output.
const SENSITIVE: [&str; 18] = [
    "PATH-5f1c",
    "QUERY-5f1c",
    "FRAGMENT-5f1c",
    "LOCATION-5f1c",
    "RESPONSE-5f1c",
    "HEADER-5f1c",
    "CUSTOM-SECRET-5f1c",
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

/// Strings that the log must contain, because operators search for them.
const EXPECTED_IN_LOG: [&str; 5] = [
    "attempt",
    "request handled",
    "webhook",
    "no-such-host.invalid",
    "127.0.0.1",
];

const SENSITIVE_PATH: &str = "/PATH-5f1c/hook?key=QUERY-5f1c#FRAGMENT-5f1c";

#[test]
fn a_json_log_at_level_trace_contains_no_sensitive_data() {
    check_all_output(App::builder().env("MINIBACK_LOG", "trace"));
}

#[test]
fn a_text_log_at_level_debug_contains_no_sensitive_data() {
    check_all_output(App::builder().text_log().env("MINIBACK_LOG", "debug"));
}

/// Causes failures of many kinds, then searches all output for sensitive data.
fn check_all_output(builder: AppBuilder) {
    let app = builder
        .option("--retry-delays", "50ms")
        .option("--timeout", "1s")
        .writes_can_fail()
        .start();
    let api = app.api();
    api.create_project("Shop");
    let receivers = failing_receivers();
    let (urls, mut secrets) = create_failing_webhooks(&api, &receivers);
    for _ in 0..10 {
        api.post("/api/v1/feedback", feedback()).expect(201);
    }
    let mut responses = send_invalid_requests(&app, &api);
    let mut ada = app.signed_in();
    ada.get("/feedback?q=MESSAGE-5f1c").expect(200);
    ada.get("/settings/notifications").expect(200);
    let mut errors = attempt_errors(&api, &urls[0]);
    let webhook_count = errors.len() - 1;

    fill_disk(&app, &api, &mut responses);
    let metrics = app.api().get("/metrics").expect(200).text;
    assert!(
        metrics.contains("no-such-host.invalid"),
        "the metrics don't identify a webhook by its host: {metrics}"
    );
    app.run(&["check"], "");

    app.sigterm();
    secrets.push(app.token(ADMIN, "full"));
    secrets.push(ada.session_cookie().unwrap());
    let log = wait_until("the log is complete", || {
        let log = app.log.to_string();
        log.contains("stopped").then_some(log)
    });
    for word in EXPECTED_IN_LOG {
        assert!(log.contains(word), "{word} isn't in the log: {log}");
    }
    // These two errors deliberately quote the endpoint's response, to help people fix the endpoint.
    let quoting = ["redirects (302)", "Invalid HTTP response"];
    errors.retain(|error| {
        let text = error.as_str().unwrap_or_default();
        !quoting.iter().any(|quoting| text.contains(quoting))
    });
    assert!(errors.len() >= webhook_count - 1, "{errors:?}");
    let outputs = [
        ("the log", log),
        ("the metrics", metrics),
        ("a response", responses.iter().map(full_text).collect()),
        ("an attempt's error", format!("{errors:?}")),
    ];
    for (place, text) in &outputs {
        assert_no_sensitive_data(place, text, &secrets);
    }
}

#[track_caller]
fn assert_no_sensitive_data(place: &str, text: &str, secrets: &[String]) {
    let secrets = secrets.iter().map(String::as_str);
    for value in SENSITIVE.into_iter().chain(secrets) {
        let found = text.lines().find(|line| line.contains(value));
        assert_eq!(found, None, "{value} is in {place}");
    }
}

fn feedback() -> Value {
    json!({
        "project": "shop", "message": "MESSAGE-5f1c", "email": "eve@leak.example",
        "url": "https://a.example/PATH-5f1c", "metadata": {"note": "METADATA-5f1c"},
    })
}

/// Returns six endpoints that fail in different ways.
fn failing_receivers() -> [Receiver; 6] {
    [
        Receiver::script(|_| Reply::body(500, "RESPONSE-5f1c").header("X-Key", "RESPONSE-5f1c")),
        Receiver::script(|_| {
            Reply::status(302).header("Location", "https://a.example/LOCATION-5f1c")
        }),
        Receiver::script(|_| Reply::Bytes(b"RESPONSE-5f1c is not HTTP\r\n\r\n".to_vec())),
        Receiver::script(|_| Reply::Hang),
        Receiver::script(|_| Reply::Close),
        Receiver::script(|_| Reply::body(429, "RESPONSE-5f1c").header("Retry-After", "1")),
    ]
}

/// Creates a webhook for each receiver and for three URLs whose connections fail, and rotates each
/// secret. Returns the URLs and all secrets.
fn create_failing_webhooks(api: &Api, receivers: &[Receiver]) -> (Vec<String>, Vec<String>) {
    let mut urls: Vec<String> = receivers.iter().map(|r| r.url(SENSITIVE_PATH)).collect();
    urls.push(format!(
        "https://{}{SENSITIVE_PATH}",
        receivers[0].address()
    ));
    urls.push(format!(
        "http://{}{SENSITIVE_PATH}",
        closed_socket_address()
    ));
    urls.push(format!("https://no-such-host.invalid{SENSITIVE_PATH}"));
    let mut secrets = Vec::new();
    for (number, url) in urls.iter().enumerate() {
        let mut webhook = json!({
            "url": url, "headers": {"X-Key": "HEADER-5f1c"}, "description": "DESCRIPTION-5f1c",
        });
        if number % 2 == 0 {
            webhook["secret"] = json!("CUSTOM-SECRET-5f1c-0123456789");
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
    (urls, secrets)
}

fn invalid_bodies() -> [(&'static str, Value); 10] {
    let webhooks = "/api/v1/webhooks";
    let feedback = "/api/v1/feedback";
    [
        (
            webhooks,
            json!({"url": "https://URLUSER:URLPASSWORD@a.example/PATH-5f1c"}),
        ),
        (
            webhooks,
            json!({"url": format!("http://10.1.2.3{SENSITIVE_PATH}")}),
        ),
        (
            webhooks,
            json!({"url": format!("ftp://a.example{SENSITIVE_PATH}")}),
        ),
        (webhooks, json!({"url": 5, "secret": "CUSTOM-SECRET-5f1c"})),
        (
            webhooks,
            json!({"url": "https://a.example/", "enabled": "CUSTOM-SECRET-5f1c"}),
        ),
        (
            webhooks,
            json!({"url": "https://a.example/", "secret": "CUSTOM-SECRET-5f1c with spaces"}),
        ),
        (
            webhooks,
            json!({"url": "https://a.example/", "headers": {"X-A": "HEADER-5f1c\nB"}}),
        ),
        (
            feedback,
            json!({"project": "shop", "message": "MESSAGE-5f1c", "email": "no eve@leak.example"}),
        ),
        (
            feedback,
            json!({"project": "unknown", "message": "MESSAGE-5f1c"}),
        ),
        (
            feedback,
            json!({"project": "shop", "message": ["MESSAGE-5f1c"], "metadata": "METADATA-5f1c"}),
        ),
    ]
}

/// Sends invalid API calls, page requests, and sign-ins. Returns all responses except the responses
/// to sign-ins.
fn send_invalid_requests(app: &App, api: &Api) -> Vec<Response> {
    let mut responses = Vec::new();
    for (path, body) in invalid_bodies() {
        let response = api.post(path, body);
        assert!((400..500).contains(&response.status), "{response:?}");
        responses.push(response);
    }
    let truncated = Some(br#"{"message": "MESSAGE-5f1c"#.as_slice());
    let json_type = [("Content-Type", "application/json")];
    responses.push(api.send("POST", "/api/v1/feedback", &json_type, truncated));
    responses.push(api.get("/api/v1/feedback/eve@leak.example"));
    responses.push(api.get("/api/v1/feedback?q=MESSAGE-5f1c&cursor=TOKEN-5f1c"));
    responses.push(app.api_with("mb_TOKEN-5f1c").get("/api/v1/webhooks"));
    let mut visitor = app.visitor();
    for _ in 0..3 {
        visitor.try_sign_in("mallory@leak.example", "GUESSED-5f1c is wrong");
    }
    responses.push(visitor.get("/setup?token=TOKEN-5f1c").response);
    let page = visitor.get("/eve@leak.example?message=MESSAGE-5f1c");
    responses.push(page.response);
    responses
}

/// Tests a URL and waits until each webhook has a failed attempt. Returns the error of the test,
/// followed by the errors of the attempts.
fn attempt_errors(api: &Api, url: &str) -> Vec<Value> {
    let test = api.post(
        "/api/v1/webhooks/test",
        json!({"url": url, "secret": "CUSTOM-SECRET-5f1c-0123456789"}),
    );
    let tested = test.expect(200).json();
    let webhooks = api.get("/api/v1/webhooks?limit=100").json();
    let webhooks = webhooks["data"].as_array().unwrap().clone();
    let mut errors = vec![tested["error"].clone()];
    for webhook in &webhooks {
        errors.push(wait_until("an attempt has failed", || {
            let oldest = api.deliveries(webhook).pop()?;
            attempts(&oldest)
                .first()
                .map(|attempt| attempt["error"].clone())
        }));
    }
    errors
}

/// Makes writes fail as on a full disk, then waits until they work again. Appends the responses
/// during the failure to `responses`.
fn fill_disk(app: &App, api: &Api, responses: &mut Vec<Response>) {
    app.limit_file_size(Some(4_096));
    let full = api.post("/api/v1/feedback", feedback());
    full.problem(507);
    responses.push(full);
    responses.push(api.get("/healthz"));
    app.limit_file_size(None);
    wait_until("the program is healthy again", || {
        (api.get("/healthz").status == 200).then_some(())
    });
}

fn full_text(response: &Response) -> String {
    format!("{:?}\n{}\n", response.headers, response.text)
}
