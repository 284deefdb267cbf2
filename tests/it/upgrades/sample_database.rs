//! Creates the sample database of a release: `tests/fixtures/VERSION.db.gz`.

use std::fs::{self, File};
use std::io;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::check_sample;
use crate::people::{GRACE, invite, reset_link};
use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::http;
use crate::support::receiver::{Receiver, Reply, closed_socket_address};
use crate::support::source_files::repo_root;
use crate::support::wait::wait_until;

#[test]
fn creates_the_sample_database_of_this_version() {
    let app = App::builder()
        .option("--retry-delays", "none")
        .option("--alert-url", "http://127.0.0.1:9/")
        .start();
    let api = app.api();
    create_people(&app);
    create_projects(&app, &api);
    let receivers = create_webhooks(&api);
    create_events(&app, &api);
    create_unsuccessful_deliveries(&api, &receivers);
    wait_until("the feedback is indexed", || {
        let found = api
            .get("/api/v1/feedback?q=cr%C3%A8me+br%C3%BBl%C3%A9e")
            .json();
        let count = found["data"].as_array().map(Vec::len);
        (count == Some(1)).then_some(())
    });
    let sample = app.dir.with_file_name("sample.db");
    app.run(&["backup", sample.to_str().unwrap()], "").success();
    check_sample(&rusqlite::Connection::open(&sample).unwrap());
    if std::env::var_os("WRITE_SAMPLE_DATABASE").is_none() {
        return;
    }
    let name = format!("tests/fixtures/{}.db.gz", env!("CARGO_PKG_VERSION"));
    let target = File::create(repo_root().join(name)).unwrap();
    let mut target = GzEncoder::new(target, Compression::best());
    io::copy(&mut fs::File::open(sample).unwrap(), &mut target).unwrap();
    target.finish().unwrap();
}

fn create_people(app: &App) {
    app.add_user("mel@example.com", "member");
    app.token("mel@example.com", "submit");
    let mut ada = app.signed_in();
    invite(&mut ada, "member");
    assert_ne!(GRACE, "mel@example.com");
    reset_link(&mut ada, "mel@example.com");
}

fn create_projects(app: &App, api: &Api) {
    api.create_project("Shop");
    api.create_project("Blog");
    let paused = json!({"status": "PAUSED", "allowedOrigins": ["https://blog.example.com"]});
    api.patch("/api/v1/projects/blog", paused).expect(200);
    let script = format!("{}/widget.js?project=shop", app.url);
    let referrer = [("Referer", "https://shop.example.com/")];
    http::send("GET", &script, &referrer, None).expect(200);
    let allowed = json!({"allowedOrigins": ["https://shop.example.com"]});
    api.patch("/api/v1/projects/shop", allowed).expect(200);
    for (origin, status) in [
        ("https://shop.example.com", 201),
        ("https://evil.example", 403),
    ] {
        let body = json!({"projectSlug": "shop", "message": "From the widget"}).to_string();
        let headers = [("Origin", origin), ("Content-Type", "application/json")];
        let url = format!("{}/api/feedback", app.url);
        http::send("POST", &url, &headers, Some(body.as_bytes())).expect(status);
    }
}

/// The endpoints of the sample's webhooks, which must run until the sample is complete.
struct Webhooks {
    held: Value,
    patient: Value,
    failing: Value,
    disabled: Value,
    deleted: Value,
    _receivers: Vec<Receiver>,
}

fn create_webhooks(api: &Api) -> Webhooks {
    let ok = Receiver::ok();
    let busy = Receiver::script(|_| Reply::status(503).header("Retry-After", "3600"));
    let closed = format!("http://{}/", closed_socket_address());
    let project = text(&api.get("/api/v1/projects/shop").json(), "id").to_owned();
    let rotated = api.create_webhook_with(json!({
        "url": ok.url("/rotated"), "projects": [project], "description": "Rotated"
    }));
    let rotate = format!("/api/v1/webhooks/{}/secret/rotate", text(&rotated, "id"));
    api.post(&rotate, json!({"overlapHours": 168})).expect(200);
    for format in ["slack", "standard"] {
        let url = ok.url(&format!("/{format}"));
        api.create_webhook_with(json!({"url": url, "format": format, "details": true}));
    }
    let patient = |url: &str| api.create_webhook_with(json!({"url": url, "retries": "patient"}));
    Webhooks {
        held: patient(&busy.url("/held")),
        patient: patient(&closed),
        failing: api.create_webhook(&closed),
        disabled: patient(&busy.url("/disabled")),
        deleted: patient(&busy.url("/deleted")),
        _receivers: vec![ok, busy],
    }
}

/// Creates feedback, status changes, a test event, and an idempotency key.
fn create_events(app: &App, api: &Api) {
    let body = json!({
        "project": "shop", "message": "The crème brûlée was cold", "email": "Bob@example.org",
        "url": "https://shop.example.com/menu", "metadata": {"table": 7}
    });
    let key = [("Idempotency-Key", "order-7")];
    api.send_json("POST", "/api/v1/feedback", &key, &body)
        .expect(201);
    for number in 0..12 {
        let feedback = api.create_feedback("shop", &format!("Number {number}"));
        match number % 3 {
            0 => {}
            1 => {
                api.set_status(&feedback, "REVIEWED");
            }
            _ => {
                api.set_status(&feedback, "RESOLVED");
            }
        }
    }
    let webhooks = api.get("/api/v1/webhooks").json();
    let id = text(&webhooks["data"][0], "id").to_owned();
    api.post_empty(&format!("/api/v1/webhooks/{id}/test"));
    app.log.wait_for_message("webhook failing");
}

fn create_unsuccessful_deliveries(api: &Api, webhooks: &Webhooks) {
    let states = |webhook: &Value| -> Vec<String> {
        let deliveries = api.deliveries(webhook);
        deliveries
            .iter()
            .map(|d| text(d, "state").to_owned())
            .collect()
    };
    wait_until("the webhooks fail", || {
        let is_held = !api.held_until(&webhooks.held).is_null();
        let failed = states(&webhooks.failing)
            .iter()
            .all(|state| state == "failed");
        let pending = states(&webhooks.patient)
            .iter()
            .any(|state| state == "pending");
        (is_held && failed && pending).then_some(())
    });
    api.patch_webhook(&webhooks.disabled, json!({"enabled": false}));
    api.delete_webhook(&webhooks.deleted);
    wait_until("an alert is pending", || {
        let metrics = api.get("/metrics").text;
        (!metrics.contains("miniback_alerts_pending 0\n")).then_some(())
    });
}
