//! The egress policy: Miniback checks a URL when it's saved and again before each request.
//!
//! The policy's unit tests cover the complete table of IP addresses.

use serde_json::json;

use crate::support::api::{attempts, text};
use crate::support::app::App;
use crate::support::receiver::Receiver;

/// Checks that a webhook with this URL is rejected and not stored. Returns the error message.
#[track_caller]
fn rejection(app: &App, url: &str) -> String {
    let api = app.api();
    let message = api
        .post("/api/v1/webhooks", json!({"url": url}))
        .problem_at("url");
    let listed = api.get("/api/v1/webhooks").expect(200).json();
    assert_eq!(
        listed["data"],
        json!([]),
        "a rejected webhook was stored: {url}"
    );
    message
}

#[test]
fn rejects_urls_that_are_not_public_https() {
    let app = App::start();
    let long = format!("https://example.com/{}", "a".repeat(2_048));
    for url in [
        "",
        "   ",
        "example.com/webhook",
        "//example.com/webhook",
        "https:example.com",
        "https:///example.com",
        "https://",
        "ftp://example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "data:text/plain,hello",
        "http://example.com/webhook",
        "https://user:password@example.com/",
        "https://user@example.com/",
        "https://exa mple.com/",
        "https://example.com:99999/",
        &long,
    ] {
        let message = rejection(&app, url);
        assert!(
            message.len() > 10,
            "the error for {url:?} is too short: {message:?}"
        );
    }
}

#[test]
fn rejects_ip_addresses_that_are_not_globally_reachable() {
    let app = App::start();
    for url in [
        "https://10.0.0.1/",
        "https://172.16.0.1/",
        "https://192.168.1.1/",
        "https://169.254.169.254/latest/meta-data/",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://224.0.0.1/",
        "https://255.255.255.255/",
        "https://[fe80::1]/",
        "https://[fc00::1]/",
        "https://[::]/",
        "https://[::ffff:10.0.0.1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://167772161/",
        "https://0x0a.0.0.1/",
        "https://012.0.0.1/",
    ] {
        let message = rejection(&app, url);
        assert!(message.contains("--allow-target"), "{url}: {message}");
    }
}

#[test]
fn allows_plain_http_to_localhost() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let port = receiver.address().port();
    for host in ["localhost", "127.0.0.1", "127.8.8.8", "[::1]"] {
        for scheme in ["http", "https"] {
            let webhook = api.create_webhook(&format!("{scheme}://{host}:{port}/"));
            api.delete_webhook(&webhook);
        }
    }
    let webhook = api.create_webhook(&format!("http://localhost:{port}/named"));
    api.deliver_one(&webhook, "delivered");
    let request = receiver.first();
    assert_eq!(request.path(), "/named");
    assert_eq!(request.header("Host"), format!("localhost:{port}"));
}

#[test]
fn a_numeric_host_counts_as_an_ip_address() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    // 2130706433 is 127.0.0.1 as an integer. The egress policy of this installation allows
    // 127.0.0.1.
    let url = format!("http://2130706433:{}/", receiver.address().port());
    let webhook = api.create_webhook(&url);
    assert_eq!(webhook["url"], url.as_str(), "the URL was changed");
    api.deliver_one(&webhook, "delivered");
    receiver.first();
}

#[test]
fn a_url_is_trimmed_and_otherwise_stored_unchanged() {
    let app = App::start();
    let webhook = app
        .api()
        .create_webhook("  https://EXAMPLE.com:443/a/../b?x=1#frag \n");
    assert_eq!(webhook["url"], "https://EXAMPLE.com:443/a/../b?x=1#frag");
}

#[test]
fn rejects_urls_of_miniback_itself() {
    let app = App::start();
    rejection(&app, &format!("http://localhost:{}/x", app.port()));
}

#[test]
fn allow_target_does_not_allow_miniback_itself() {
    let app = App::builder()
        .option("--allow-target", "127.0.0.0/8")
        .option("--retry-delays", "none")
        .start();
    let url = format!("http://127.0.0.1:{}/healthz", app.port());
    let response = app.api().post("/api/v1/webhooks/test", json!({"url": url}));
    response.problem_at("url");
}

#[test]
fn deny_localhost_rejects_localhost() {
    let receiver = Receiver::ok();
    let port = receiver.address().port();
    for app in [
        App::builder().arg("--deny-localhost").start(),
        App::builder().env("MINIBACK_DENY_LOCALHOST", "1").start(),
        App::builder().env("MINIBACK_DENY_LOCALHOST", "yes").start(),
    ] {
        for host in ["localhost", "127.0.0.1", "[::1]"] {
            let message = rejection(&app, &format!("http://{host}:{port}/"));
            assert!(message.contains("localhost"), "{message}");
            rejection(&app, &format!("https://{host}:{port}/"));
        }
    }
}

#[test]
fn deny_localhost_applies_to_existing_webhooks() {
    let receiver = Receiver::ok();
    let app = App::without_retries();
    let webhook = app.api().create_webhook(&receiver.url("/"));
    let data = app.sigkill();
    let app = App::builder()
        .option("--retry-delays", "none")
        .arg("--deny-localhost")
        .with_data_dir(data)
        .start();
    let failed = app.api().deliver_one(&webhook, "failed");
    let attempt = &attempts(&failed)[0];
    assert!(text(attempt, "error").contains("--deny-localhost"));
    assert!(receiver.received().is_empty());
}

#[test]
fn allow_target_also_allows_plain_http() {
    let receiver = Receiver::ok();
    let port = receiver.address().port();
    let app = App::builder()
        .arg("--deny-localhost")
        .option("--allow-target", "127.0.0.1/32")
        .option("--allow-target", "10.1.2.0/24")
        .start();
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_webhook("http://10.1.2.3/");
    let rejection = api.post("/api/v1/webhooks", json!({"url": "http://10.1.3.3/"}));
    rejection.problem_at("url");
    let other = format!("http://127.0.0.2:{port}/");
    api.post("/api/v1/webhooks", json!({"url": other}))
        .problem_at("url");
    api.deliver_one(&webhook, "delivered");
}

#[test]
fn the_allow_target_variable_accepts_a_list() {
    let app = App::builder()
        .env("MINIBACK_ALLOW_TARGET", "10.1.2.3:80,intranet.example:8080")
        .start();
    let api = app.api();
    api.create_webhook("http://10.1.2.3/");
    api.create_webhook("http://intranet.example:8080/");
    api.post(
        "/api/v1/webhooks",
        json!({"url": "http://intranet.example:81/"}),
    )
    .problem_at("url");
}

#[test]
fn checks_the_new_url_when_a_webhook_is_updated() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/old"));
    let path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    api.patch(&path, json!({"url": "https://10.0.0.1/"}))
        .problem_at("url");
    assert_eq!(api.get(&path).json()["url"], webhook["url"]);
    api.patch_webhook(&webhook, json!({"url": receiver.url("/new")}));
    api.deliver_one(&webhook, "delivered");
    assert_eq!(receiver.first().path(), "/new");
}

#[test]
fn ignores_proxy_environment_variables() {
    let (proxy, receiver) = (Receiver::status(500), Receiver::ok());
    let mut builder = App::builder();
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        builder = builder.env(name, &proxy.url(""));
    }
    let app = builder.start();
    let webhook = app.api().create_webhook(&receiver.url("/"));
    app.api().deliver_one(&webhook, "delivered");
    assert!(proxy.received().is_empty());
}
