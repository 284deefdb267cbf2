//! Security events in the log, with the ids of the user and of the changed object.

use serde_json::{Value, json};

use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::pages::{Visitor, same_origin_headers};
use crate::support::receiver::Receiver;
use crate::support::wait::wait_until;

const MEMBER: &str = "bob@example.com";

/// Waits for a log line with this event and these fields, and returns it.
#[track_caller]
fn wait_for(app: &App, event: &str, fields: &Value) -> Value {
    let fields = fields.as_object().unwrap();
    wait_until(&format!("the log has {event} with {fields:?}"), || {
        app.log.find(|line| {
            line["security_event"] == event
                && fields.iter().all(|(name, value)| line[name] == *value)
        })
    })
}

fn post(app: &App, visitor: &mut Visitor, path: &str, fields: &[(&str, &str)]) {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let page = visitor.post_from(path, &fields, &same_origin_headers(&app.url));
    assert!(page.response.status < 400, "{:?}", page.response);
}

/// Returns the id of the user whose "People" entry contains `email`. Checks that no log line has
/// this email in an `email` field.
fn user_id(app: &App, visitor: &mut Visitor, email: &str) -> String {
    let page = visitor.get("/settings/people").expect(200).response.text;
    let start = page
        .find(&format!("aria-label=\"{email}\""))
        .expect("find the person");
    let id = page[..start].rfind("usr_").unwrap();
    let end = page[id..].find('"').unwrap();
    assert!(app.log.find(|line| line["email"] == email).is_none());
    page[id..id + end].to_owned()
}

#[test]
fn logs_sign_ins_and_failures_with_the_ip_address() {
    let app = App::start();
    let mut visitor = app.visitor();
    let ada = user_id(&app, &mut app.signed_in(), ADMIN);
    let fields = [("email", ADMIN), ("password", "not the password at all")];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut headers = same_origin_headers(&app.url).to_vec();
    headers.push(("X-Forwarded-For", "203.0.113.1"));
    visitor.post_from("/login", &fields, &headers).expect(401);
    let failure = json!({"client_ip": "203.0.113.1", "subject": ada});
    wait_for(&app, "sign_in_failed", &failure);
    visitor.sign_in(ADMIN, PASSWORD);
    wait_for(
        &app,
        "sign_in",
        &json!({"subject": ada, "client_ip": "127.0.0.1"}),
    );
    post(&app, &mut visitor, "/logout", &[]);
    wait_for(&app, "sign_out", &json!({"by": ada}));
}

#[test]
fn logs_changes_of_users_tokens_and_exports_by_ids() {
    let app = App::start();
    app.add_user(MEMBER, "member");
    let mut ada = app.signed_in();
    let (by, bob) = (
        user_id(&app, &mut ada, ADMIN),
        user_id(&app, &mut ada, MEMBER),
    );
    let person = format!("/settings/people/{bob}");
    post(
        &app,
        &mut ada,
        "/settings/people",
        &[("email", "eve@example.com"), ("role", "member")],
    );
    wait_for(&app, "invitation_created", &json!({"by": by}));
    post(&app, &mut ada, &format!("{person}/reset"), &[]);
    wait_for(
        &app,
        "reset_link_created",
        &json!({"by": by, "subject": bob}),
    );
    post(
        &app,
        &mut ada,
        &format!("{person}/role"),
        &[("role", "admin")],
    );
    wait_for(&app, "role_changed", &json!({"by": by, "subject": bob}));
    post(&app, &mut ada, &format!("{person}/remove"), &[]);
    wait_for(&app, "user_removed", &json!({"by": by, "subject": bob}));
    post(
        &app,
        &mut ada,
        "/settings/tokens",
        &[("name", "CI"), ("scope", "full")],
    );
    let created = wait_for(&app, "token_created", &json!({"by": by}));
    let token = created["subject"].as_str().unwrap();
    post(
        &app,
        &mut ada,
        &format!("/settings/tokens/{token}/revoke"),
        &[],
    );
    wait_for(&app, "token_revoked", &json!({"by": by, "subject": token}));
    ada.get("/feedback/export.csv").expect(200);
    wait_for(&app, "feedback_exported", &json!({"by": by}));
    let log = app.log.to_string();
    assert!(!log.contains('@'), "the log contains an email: {log}");
}

#[test]
fn logs_changes_of_webhooks_with_the_api_token() {
    let app = App::start();
    let api = app.api();
    let new = json!({"url": "http://localhost:9/"});
    let webhook = api.post("/api/v1/webhooks", new).expect(201).json();
    let id = webhook["id"].as_str().unwrap();
    let created = wait_for(&app, "webhook_created", &json!({"subject": id}));
    assert!(created["token"].is_string(), "{created}");
    api.get(&format!("/api/v1/webhooks/{id}/secret"))
        .expect(200);
    wait_for(
        &app,
        "secret_revealed",
        &json!({"subject": id, "token": created["token"]}),
    );
    let mut ada = app.signed_in();
    ada.get(&format!("/settings/notifications?reveal={id}"))
        .expect(200);
    wait_for(
        &app,
        "secret_revealed",
        &json!({"subject": id, "token": null}),
    );
    post(
        &app,
        &mut ada,
        &format!("/settings/notifications/{id}/delete"),
        &[],
    );
    wait_for(&app, "webhook_removed", &json!({"subject": id}));
    let secret = webhook["secret"].as_str().unwrap();
    assert!(!app.log.to_string().contains(secret));
}

#[test]
fn logs_whether_a_webhook_was_enabled_or_disabled() {
    let app = App::start();
    let (api, mut ada) = (app.api(), app.signed_in());
    let webhook = api.create_webhook("http://localhost:9/");
    let id = webhook["id"].as_str().unwrap();
    let fields = |change: Value| json!({"subject": id, "change": change});
    let path = format!("/settings/notifications/{id}/enabled");
    post(&app, &mut ada, &path, &[("enabled", "false")]);
    wait_for(&app, "webhook_changed", &fields(json!("disabled")));
    api.patch_webhook(&webhook, json!({"enabled": true}));
    wait_for(&app, "webhook_changed", &fields(json!("enabled")));
    api.patch_webhook(&webhook, json!({"description": "Orders"}));
    wait_for(&app, "webhook_changed", &fields(Value::Null));
}

#[test]
fn logs_redeliveries_of_all_failed_deliveries() {
    let (app, receiver) = (App::without_retries(), Receiver::status(500));
    let (api, mut ada) = (app.api(), app.signed_in());
    let webhook = api.create_webhook(&receiver.url("/"));
    api.deliver_one(&webhook, "failed");
    let id = webhook["id"].as_str().unwrap();
    let since = "2025-01-01T00:00:00Z";
    for (path, subject) in [
        (format!("/settings/notifications/{id}/recover"), json!(id)),
        ("/settings/notifications/recover".to_owned(), Value::Null),
    ] {
        post(&app, &mut ada, &path, &[("since", since)]);
        let fields = json!({"subject": subject, "count": 1, "token": null});
        wait_for(&app, "deliveries_redelivered", &fields);
        api.wait_until_none_pending(&webhook);
    }
    let body = json!({"since": since});
    api.post(&format!("/api/v1/webhooks/{id}/recover"), body)
        .expect(202);
    let logged = || {
        let of_api = |line: &Value| {
            line["security_event"] == "deliveries_redelivered" && line["token"].is_string()
        };
        app.log.find(of_api)
    };
    let logged = wait_until("the log contains the call", logged);
    assert_eq!(
        (&logged["subject"], &logged["count"]),
        (&json!(id), &json!(1))
    );
}

#[test]
fn does_not_log_rejected_requests_as_events() {
    let app = App::start();
    app.add_user(MEMBER, "member");
    let mut bob = app.visitor();
    bob.sign_in(MEMBER, PASSWORD);
    let fields = [("name".to_owned(), "CI".to_owned())];
    let headers = same_origin_headers(&app.url);
    bob.post_from("/settings/tokens", &fields, &headers)
        .expect(403);
    app.visitor().get("/feedback/export.csv").expect(303);
    app.signed_in();
    wait_for(&app, "sign_in", &json!({}));
    for event in ["token_created", "feedback_exported"] {
        assert!(
            app.log
                .find(|line| line["security_event"] == event)
                .is_none()
        );
    }
}

#[test]
fn commands_log_events_to_standard_error() {
    let app = App::start();
    let added = app
        .run(&["user", "add", MEMBER], &format!("{PASSWORD}\n"))
        .success();
    let line: Value = serde_json::from_str(added.stderr.trim()).unwrap();
    assert_eq!(line["security_event"], "user_added");
    assert_eq!(line["by"], "command_line");
    assert!(line["subject"].as_str().unwrap().starts_with("usr_"));
    let removed = app.run(&["user", "remove", MEMBER], "").success();
    assert!(
        removed.stderr.contains("user_removed"),
        "{}",
        removed.stderr
    );
}

#[test]
fn logs_the_id_of_a_project_that_was_deleted_by_its_slug() {
    let app = App::start();
    let api = app.api();
    let id = api.create_project("Shop")["id"].clone();
    api.delete("/api/v1/projects/shop").expect(204);
    wait_for(&app, "project_removed", &json!({"subject": id}));
}
