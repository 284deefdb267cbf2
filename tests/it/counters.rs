//! The counters and histograms of `GET /metrics` change by exactly what happened.

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::api::{Api, text};
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::pages::same_origin_headers;
use crate::support::receiver::{Receiver, Reply, closed_socket_address};
use crate::support::scrape::{Scrape, changes, expected};
use crate::support::wait::wait_until;

/// Posts the public form of the project "shop", and returns the status of the response.
fn submit_form(app: &App, message: &str) -> u16 {
    let fields = [("message".to_owned(), message.to_owned())];
    let headers = same_origin_headers(&app.url);
    let page = app.visitor().post_from("/f/shop", &fields, &headers);
    page.response.status
}

#[test]
fn counts_stored_feedback_and_discarded_spam() {
    let app = App::start();
    let (api, public) = (app.api(), app.api_without_token());
    api.create_project("Shop");
    let accepted = changes(&api, "miniback_feedback_", || {
        let body = json!({"project": "shop", "message": "API"});
        let key = [("Idempotency-Key", "one")];
        for _ in 0..2 {
            api.send_json("POST", "/api/v1/feedback", &key, &body)
                .expect(201);
        }
        public
            .post(
                "/api/feedback",
                json!({"projectSlug": "shop", "message": "Widget"}),
            )
            .expect(201);
        assert!(submit_form(&app, "Form") < 400);
    });
    let three_stored = expected([("miniback_feedback_accepted_total", 3.0)]);
    assert_eq!(accepted, three_stored);

    let spam = json!({"projectSlug": "shop", "message": "Buy", "website": "https://x.example"});
    let discarded = changes(&api, "miniback_feedback_", || {
        public.post("/api/feedback", spam).expect(201);
    });
    let one_discarded = expected([("miniback_feedback_discarded_total", 1.0)]);
    assert_eq!(discarded, one_discarded);
}

/// Checks that `action` receives a response with this status, and that exactly one rejection with
/// this status is counted.
#[track_caller]
fn assert_counts_rejection(api: &Api, status: u16, action: impl FnOnce() -> u16) {
    let rejected = changes(api, "miniback_feedback_", || {
        assert_eq!(action(), status);
    });
    let name = format!("miniback_feedback_rejected_total{{status=\"{status}\"}}");
    assert_eq!(rejected, expected([(&name, 1.0)]));
}

#[test]
fn counts_rejected_feedback_by_status() {
    let app = App::builder()
        .option("--limit-address", "1/1h")
        .writes_can_fail()
        .start();
    let (api, public) = (app.api(), app.api_without_token());
    let project = api.create_project("Shop");
    let widget = |body: Value| public.post("/api/feedback", body).status;
    let valid = || json!({"projectSlug": "shop", "message": "Hello"});
    let create = || json!({"project": "shop", "message": "Hello"});
    let set_project = |change: Value| {
        let path = format!("/api/v1/projects/{}", text(&project, "id"));
        api.patch(&path, change).expect(200);
    };

    assert_counts_rejection(&api, 422, || {
        widget(json!({"projectSlug": "shop", "message": ""}))
    });
    assert_counts_rejection(&api, 422, || submit_form(&app, ""));
    assert_counts_rejection(&api, 401, || {
        public.post("/api/v1/feedback", create()).status
    });
    let json_type = [("Content-Type", "application/json")];
    let send = |headers: &[(&str, &str)], body: &[u8]| {
        public
            .send("POST", "/api/feedback", headers, Some(body))
            .status
    };
    assert_counts_rejection(&api, 400, || send(&json_type, b"{"));
    assert_counts_rejection(&api, 413, || send(&json_type, &[b' '; 70_000]));
    assert_counts_rejection(&api, 415, || send(&[("Content-Type", "text/plain")], b"{}"));
    let unknown = "/f/unknown";
    assert_counts_rejection(&api, 404, || {
        let headers = same_origin_headers(&app.url);
        let page = app.visitor().post_from(unknown, &[], &headers);
        page.response.status
    });

    set_project(json!({"status": "PAUSED"}));
    assert_counts_rejection(&api, 403, || widget(valid()));
    assert_counts_rejection(&api, 403, || api.post("/api/v1/feedback", create()).status);
    set_project(json!({"status": "ACTIVE"}));

    let key = [("Idempotency-Key", "deleted")];
    let with_key = || api.send_json("POST", "/api/v1/feedback", &key, &create());
    let created = with_key().expect(201).json();
    let path = format!("/api/v1/feedback/{}", text(&created, "id"));
    api.delete(&path).expect(204);
    assert_counts_rejection(&api, 409, || with_key().status);

    public.post("/api/feedback", valid()).expect(201);
    assert_counts_rejection(&api, 429, || widget(valid()));

    app.limit_file_size(Some(4_096));
    assert_counts_rejection(&api, 507, || api.post("/api/v1/feedback", create()).status);
    app.limit_file_size(None);
    api.post("/api/v1/feedback", create()).expect(201);

    let locked = Connection::open(app.database()).unwrap();
    locked.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_counts_rejection(&api, 503, || api.post("/api/v1/feedback", create()).status);
    locked.execute_batch("ROLLBACK").unwrap();
}

#[test]
fn counts_responses_and_their_duration() {
    let app = App::start();
    let (api, public) = (app.api(), app.api_without_token());
    api.create_project("Shop");
    let before = Scrape::new(&api);
    public.get("/login").expect(200);
    public.get("/").expect(303);
    public.get("/no-such-page").expect(404);
    api.create_feedback("shop", "Hello");
    let after = Scrape::new(&api);
    // The first request for metrics is counted between the two readings.
    let responses = after.changes_since(&before, "miniback_http_responses_total");
    assert_eq!(
        responses,
        expected([
            ("miniback_http_responses_total{class=\"2xx\"}", 3.0),
            ("miniback_http_responses_total{class=\"3xx\"}", 1.0),
            ("miniback_http_responses_total{class=\"4xx\"}", 1.0),
        ])
    );
    let duration = "miniback_http_request_duration_seconds_count";
    let durations = after.changes_since(&before, duration);
    let feedback = format!("{duration}{{kind=\"feedback\"}}");
    let other = format!("{duration}{{kind=\"other\"}}");
    assert_eq!(durations, expected([(&feedback, 1.0), (&other, 4.0)]));
    assert!(after.get("miniback_commit_duration_seconds_count") >= 1.0);
    assert!(after.get("miniback_committed_jobs_total") >= 1.0);
}

/// Waits until `count` deliveries in this state are counted, and returns the metrics.
#[track_caller]
fn wait_for_finished(api: &Api, state: &str, count: f64) -> Scrape {
    let name = format!("miniback_deliveries_finished_total{{state=\"{state}\"}}");
    wait_until(&format!("{name} is {count}"), || {
        Some(Scrape::new(api)).filter(|scrape| scrape.get(&name) == count)
    })
}

#[test]
fn counts_attempts_retries_and_deliveries() {
    let app = App::builder()
        .option("--retry-delays", "100ms,100ms")
        .start();
    let api = app.api();
    api.create_project("Shop");
    let receiver = Receiver::queue(vec![
        Reply::status(500),
        Reply::status(302).header("Location", "/elsewhere"),
        Reply::status(200),
    ]);
    let webhook = api.create_webhook(&receiver.url("/"));
    let before = Scrape::new(&api);
    api.create_feedback("shop", "Hello");
    let after = wait_for_finished(&api, "delivered", 1.0);
    assert_eq!(
        after.changes_since(&before, "miniback_attempts_total"),
        expected([
            ("miniback_attempts_total{outcome=\"redirect\"}", 1.0),
            ("miniback_attempts_total{outcome=\"status\"}", 1.0),
            ("miniback_attempts_total{outcome=\"success\"}", 1.0),
        ])
    );
    for (name, count) in [
        ("miniback_retries_total", 2.0),
        ("miniback_attempt_duration_seconds_count", 3.0),
        ("miniback_first_attempt_delay_seconds_count", 1.0),
        ("miniback_delivery_duration_seconds_count", 1.0),
    ] {
        assert_eq!(after.get(name) - before.get(name), count, "{name}");
    }
    // The retries took at least 200 ms.
    assert!(after.get("miniback_delivery_duration_seconds_sum") >= 0.2);
    let failed = "miniback_deliveries_finished_total{state=\"failed\"}";
    assert_eq!(after.get(failed), 0.0);

    // Tests aren't counted.
    let path = format!("/api/v1/webhooks/{}/test", text(&webhook, "id"));
    api.post_empty(&path).expect(200);
    let tested = Scrape::new(&api);
    for prefix in [
        "miniback_attempt",
        "miniback_retries",
        "miniback_deliveries_finished",
    ] {
        assert_eq!(tested.changes_since(&after, prefix), expected([]));
    }
}

#[test]
fn counts_each_reason_for_a_failed_attempt() {
    let app = App::builder()
        .option("--retry-delays", "none")
        .option("--timeout", "1s")
        .start();
    let api = app.api();
    api.create_project("Shop");
    let plain = Receiver::ok();
    let endpoints = [
        ("timeout", Receiver::script(|_| Reply::Hang)),
        ("connection_closed", Receiver::script(|_| Reply::Close)),
        (
            "broken_answer",
            Receiver::script(|_| Reply::Bytes(b"not HTTP".to_vec())),
        ),
    ];
    let mut urls: Vec<(&str, String)> = endpoints
        .iter()
        .map(|(code, receiver)| (*code, receiver.url("/")))
        .collect();
    let refused = format!("http://{}/", closed_socket_address());
    urls.push(("connection_refused", refused));
    urls.push(("name_not_found", "https://no-such-host.invalid/".to_owned()));
    urls.push(("tls_plain_http", format!("https://{}/", plain.address())));
    let mut failed = 0.0;
    for (code, url) in urls {
        let webhook = api.create_webhook(&url);
        let before = Scrape::new(&api);
        api.create_feedback("shop", "Hello");
        failed += 1.0;
        let after = wait_for_finished(&api, "failed", failed);
        let changed = after.changes_since(&before, "miniback_attempts_total");
        let name = format!("miniback_attempts_total{{outcome=\"{code}\"}}");
        assert_eq!(changed, expected([(&name, 1.0)]));
        assert!(before.0.contains_key(&name), "{name} isn't 0 at the start");
        api.delete_webhook(&webhook);
    }
}

#[test]
fn counts_sign_ins_by_result() {
    let app = App::start();
    let api = app.api();
    let attempt = |password: &str| {
        let fields = [("email", ADMIN), ("password", password)];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let headers = same_origin_headers(&app.url);
        let page = app.visitor().post_from("/login", &fields, &headers);
        page.response.status
    };
    let mut statuses = Vec::new();
    let counted = changes(&api, "miniback_sign_ins_total", || {
        statuses.push(attempt(PASSWORD));
        statuses.push(attempt("not the password at all"));
    });
    assert_eq!(statuses, [303, 401]);
    let sign_ins = |result: &str| format!("miniback_sign_ins_total{{result=\"{result}\"}}");
    let one_of_each = [(&*sign_ins("success"), 1.0), (&*sign_ins("failure"), 1.0)];
    assert_eq!(counted, expected(one_of_each));

    while attempt("not the password at all") != 429 {}
    let rejected = changes(&api, "miniback_sign_ins_total", || {
        assert_eq!(attempt(PASSWORD), 429);
    });
    assert_eq!(rejected, expected([(&*sign_ins("rejected"), 1.0)]));
}
