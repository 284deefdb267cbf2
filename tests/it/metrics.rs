//! `GET /metrics`: its content and permissions.

use serde_json::json;

use crate::support::api::text;
use crate::support::app::{ADMIN, App};
use crate::support::receiver::Receiver;

#[test]
fn metrics_identify_webhooks_only_by_id_and_host() {
    let app = App::without_retries();
    let receiver = Receiver::status(500);
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/secret-path?key=1"));
    api.deliver_one(&webhook, "failed");
    let response = app
        .api_with(&app.token(ADMIN, "metrics"))
        .get("/metrics")
        .expect(200);
    assert!(
        response
            .header("content-type")
            .unwrap()
            .starts_with("text/plain; version=0.0.4")
    );
    let id = text(&webhook, "id");
    let host = receiver.address();
    for line in [
        "miniback_feedback{status=\"NEW\"} 1".to_owned(),
        format!("miniback_webhook_failing{{webhook=\"{id}\",host=\"{host}\"}} 1"),
        format!("miniback_deliveries{{webhook=\"{id}\",host=\"{host}\",state=\"failed\"}} 1"),
        format!("miniback_deliveries{{webhook=\"{id}\",host=\"{host}\",state=\"pending\"}} 0"),
    ] {
        assert!(
            response.text.lines().any(|found| found == line),
            "{line}\n{}",
            response.text
        );
    }
    assert!(
        !response.text.contains("secret-path"),
        "the metrics contain the path of a webhook's URL"
    );
    // Each metric has a `# TYPE` line that declares a gauge.
    for line in response.text.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        assert!(
            response.text.contains(&format!("# TYPE {name} gauge\n")),
            "{line}"
        );
    }
}

#[test]
fn metrics_require_an_admin_or_a_metrics_token() {
    let app = App::start();
    app.api_without_token().get("/metrics").problem(401);
    app.add_user("member@example.com", "member");
    app.api_with(&app.token("member@example.com", "full"))
        .get("/metrics")
        .problem(403);
    app.api_with(&app.token(ADMIN, "submit"))
        .get("/metrics")
        .problem(403);
    app.api_with(&app.token(ADMIN, "full"))
        .get("/metrics")
        .expect(200);
}

#[test]
fn a_metrics_token_can_only_read_metrics() {
    let app = App::start();
    let api = app.api_with(&app.token(ADMIN, "metrics"));
    api.get("/metrics").expect(200);
    api.get("/api/v1/projects").problem(403);
    api.get("/api/v1/webhooks").problem(403);
    let body = json!({"project": "shop", "message": "Hello"});
    api.post("/api/v1/feedback", body).problem(403);
}
