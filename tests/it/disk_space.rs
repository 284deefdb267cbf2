//! Space on the disk: what retention removes is given back, and the write-ahead log does not grow
//! for ever.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::in_process::InProcess;
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait::wait_until;

const MB: u64 = 1024 * 1024;
/// What the log may come to, and a batch of writes more.
const LOG_MAX: u64 = 9 * MB;

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

fn log_size(database: &Path) -> u64 {
    size(&database.with_extension("db-wal"))
}

fn pragma(database: &Path, name: &str) -> u64 {
    let beside = Connection::open(database).unwrap();
    let read = format!("PRAGMA {name}");
    beside.query_row(&read, [], |row| row.get(0)).unwrap()
}

/// Feedback of 40 KB each.
fn fill(api: &Api, count: usize) {
    let message = "🦀".repeat(9_990);
    for number in 0..count {
        api.create_feedback("shop", &format!("{number} {message}"));
    }
}

#[test]
fn what_retention_removes_is_gone_from_the_log_and_its_space_is_given_back() {
    let app = InProcess::start(&["--retention", "1h"]);
    let database = app.database();
    // Each attempt leaves what was answered: 16 KB of it, and the body that was sent.
    let receiver = Receiver::script(|_| Reply::body(200, &"y".repeat(16_384)));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    fill(&api, 100);
    assert_eq!(pragma(&database, "auto_vacuum"), 2, "incremental");
    for delivery in api.deliveries(&webhook) {
        api.wait_for_state(text(&delivery, "id"), "delivered");
    }
    let pages = pragma(&database, "page_count");
    let id = text(&api.deliveries(&webhook)[0], "id").to_owned();

    // What is kept for an hour is gone a minute after that.
    app.advance(Duration::from_secs(3_660));
    wait_until("the deliveries are removed", || {
        api.deliveries(&webhook).is_empty().then_some(())
    });
    api.get(&format!("/api/v1/deliveries/{id}")).problem(404);
    // Feedback stays: about half of all that was there.
    wait_until("free pages are given back", || {
        (pragma(&database, "freelist_count") <= 64).then_some(())
    });
    wait_until("the files are shorter", || {
        let bytes = size(&database) + log_size(&database);
        (bytes < pages * 4_096 * 2 / 3).then_some(())
    });
    let kept = api.get("/api/v1/feedback?limit=100").json();
    assert_eq!(kept["data"].as_array().map(Vec::len), Some(100));
}

#[test]
fn the_write_ahead_log_is_cut_when_the_reader_that_needed_it_is_gone() {
    let app = App::start();
    let database = app.database();
    let api = app.api();
    api.create_project("Shop");
    let reader = Connection::open(&database).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let before: u64 = reader
        .query_row("SELECT count(*) FROM feedback", [], |row| row.get(0))
        .unwrap();
    wait_until("the log has grown", || {
        fill(&api, 20);
        (log_size(&database) > LOG_MAX).then_some(())
    });
    reader.execute_batch("COMMIT").unwrap();
    wait_until("the log is short again", || {
        api.patch("/api/v1/projects/shop", json!({"name": "Shop"}));
        (log_size(&database) < MB).then_some(())
    });
    assert_eq!(before, 0, "it looked at a moment before");
    assert!(api.get("/healthz").status == 200);
}
