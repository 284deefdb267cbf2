//! `GET /metrics`: its content and permissions, and the values that are read for each request.
//! `counters.rs` tests the counters and histograms.

use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::support::api::{Api, text};
use crate::support::app::{ADMIN, App};
use crate::support::event_stream::EventStream;
use crate::support::receiver::Receiver;
use crate::support::scrape::Scrape;
use crate::support::wait::wait_until;

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
    let (id, host) = (text(&webhook, "id"), receiver.address());
    let labels = format!("host=\"{host}\",webhook=\"{id}\"");
    let deliveries = format!("host=\"{host}\",state=\"failed\",webhook=\"{id}\"");
    let none_pending = format!("host=\"{host}\",state=\"pending\",webhook=\"{id}\"");
    for line in [
        "miniback_feedback{status=\"NEW\"} 1".to_owned(),
        format!("miniback_webhook_failing{{{labels}}} 1"),
        format!("miniback_deliveries{{{deliveries}}} 1"),
        format!("miniback_deliveries{{{none_pending}}} 0"),
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
}

#[test]
fn each_metric_has_a_type_and_a_description() {
    let app = App::start();
    let text = app.api().get("/metrics").expect(200).text;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let sample = line.split(['{', ' ']).next().unwrap();
        let suffixes = ["_bucket", "_sum", "_count"];
        let family = suffixes.iter().find_map(|end| sample.strip_suffix(end));
        let is_histogram =
            family.is_some_and(|name| text.contains(&format!("# TYPE {name} histogram\n")));
        let (name, kind) = match family {
            Some(name) if is_histogram => (name, "histogram"),
            _ if sample.ends_with("_total") => (sample, "counter"),
            _ => (sample, "gauge"),
        };
        assert!(text.contains(&format!("# TYPE {name} {kind}\n")), "{line}");
        assert!(text.contains(&format!("# HELP {name} ")), "{line}");
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

#[test]
fn counts_open_live_streams() {
    let app = App::start();
    let api = app.api();
    let streams = |api: &Api| Scrape::new(api).get("miniback_live_streams");
    assert_eq!(streams(&api), 0.0);
    let visitor = app.signed_in();
    let stream = EventStream::open(&app, &visitor, "/live?of=feedback");
    assert_eq!(stream.status, 200);
    assert_eq!(streams(&api), 1.0);
    // A new password ends the session and its streams.
    app.run(&["user", "passwd", ADMIN], "another long password\n")
        .success();
    wait_until("no stream is open", || (streams(&api) == 0.0).then_some(()));
}

#[test]
fn reports_the_sizes_of_the_database_and_its_disk() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let size = |path: &Path| fs::metadata(path).unwrap().len() as f64;
    let sizes = || {
        let database = app.database();
        (size(&database), size(&database.with_extension("db-wal")))
    };
    // The background tasks write too, shortly after the start.
    let ((database, wal), scrape) = wait_until("the files don't change", || {
        let before = sizes();
        let scrape = Scrape::new(&api);
        (sizes() == before).then_some((before, scrape))
    });
    assert_eq!(scrape.get("miniback_database_size_bytes"), database);
    assert_eq!(scrape.get("miniback_wal_size_bytes"), wal);
    let free = scrape.get("miniback_disk_free_bytes");
    assert!(free > 0.0 && free <= scrape.get("miniback_disk_size_bytes"));
    assert!(scrape.get("miniback_writer_queue_jobs") >= 0.0);
}

#[test]
fn reports_the_process_and_the_last_retention_run() {
    let app = App::builder().open_file_limits("400:2000").start();
    let api = app.api();
    let scrape = wait_until("retention has run", || {
        let scrape = Scrape::new(&api);
        let name = "miniback_last_retention_timestamp_seconds";
        scrape.0.contains_key(name).then_some(scrape)
    });
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let started = scrape.get("process_start_time_seconds");
    let retention = scrape.get("miniback_last_retention_timestamp_seconds");
    // Retention rounds down to a second.
    assert!(started - 1.0 <= retention && retention <= now.as_secs_f64());
    assert_eq!(scrape.get("process_max_fds"), 2000.0);
    let open = scrape.get("process_open_fds");
    assert!((3.0..400.0).contains(&open), "{open}");
    let resident = scrape.get("process_resident_memory_bytes");
    assert!(resident > 1_000_000.0, "{resident}");
    assert!(scrape.get("process_virtual_memory_bytes") >= resident);
    let cpu = scrape.get("process_cpu_seconds_total");
    assert!(cpu > 0.0 && Scrape::new(&api).get("process_cpu_seconds_total") >= cpu);
}

#[test]
fn reports_the_last_backup() {
    let app = App::start();
    let api = app.api();
    let name = "miniback_last_backup_timestamp_seconds";
    assert!(!Scrape::new(&api).0.contains_key(name));
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let backup = app.dir.with_file_name("backup.db");
    app.run(&["backup", backup.to_str().unwrap()], "").success();
    // The value is rounded down to a second.
    assert!(Scrape::new(&api).get(name) >= before.as_secs() as f64);
}
