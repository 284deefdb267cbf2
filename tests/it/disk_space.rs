//! Disk space: retention shrinks the database file, and the size of the WAL is limited.

use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::in_process::InProcess;
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait::wait_until;

const MIB: u64 = 1024 * 1024;
/// The maximum size of the WAL, in bytes. Miniback truncates the WAL when it exceeds 8 MiB. The
/// additional 1 MiB allows for writes before the truncation.
const WAL_MAX: u64 = 9 * MIB;

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

fn wal_size(database: &Path) -> u64 {
    size(&database.with_extension("db-wal"))
}

fn pragma(database: &Path, name: &str) -> u64 {
    let connection = Connection::open(database).unwrap();
    let query = format!("PRAGMA {name}");
    connection.query_row(&query, [], |row| row.get(0)).unwrap()
}

/// Creates `count` feedback items of 40 KB each.
fn create_feedback(api: &Api, count: usize) {
    let message = "🦀".repeat(9_990);
    for number in 0..count {
        api.create_feedback("shop", &format!("{number} {message}"));
    }
}

#[test]
fn retention_deletes_deliveries_and_shrinks_the_database() {
    let app = InProcess::start(&["--retention", "1h"]);
    let database = app.database();
    // Miniback stores up to 16 KiB of each response, in addition to the request body.
    let receiver = Receiver::script(|_| Reply::body(200, &"y".repeat(16_384)));
    let api = app.api();
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_project("Shop");
    create_feedback(&api, 100);
    assert_eq!(
        pragma(&database, "auto_vacuum"),
        2,
        "auto_vacuum isn't 2 (incremental)"
    );
    for delivery in api.deliveries(&webhook) {
        api.wait_for_state(text(&delivery, "id"), "delivered");
    }
    let pages = pragma(&database, "page_count");
    let id = text(&api.deliveries(&webhook)[0], "id").to_owned();

    // Deliveries are deleted within a minute after the retention period of one hour.
    app.advance(Duration::from_secs(3_660));
    wait_until("the deliveries are deleted", || {
        api.deliveries(&webhook).is_empty().then_some(())
    });
    api.get(&format!("/api/v1/deliveries/{id}")).problem(404);
    // Only the feedback remains: about half of the data.
    wait_until("the free pages are released", || {
        (pragma(&database, "freelist_count") <= 64).then_some(())
    });
    wait_until("the files are smaller", || {
        let bytes = size(&database) + wal_size(&database);
        (bytes < pages * 4_096 * 2 / 3).then_some(())
    });
    let feedback = api.get("/api/v1/feedback?limit=100").json();
    assert_eq!(feedback["data"].as_array().map(Vec::len), Some(100));
}

#[test]
fn truncates_the_wal_after_a_long_running_reader_ends() {
    let app = App::start();
    let database = app.database();
    let api = app.api();
    api.create_project("Shop");
    let reader = Connection::open(&database).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    let count: u64 = reader
        .query_row("SELECT count(*) FROM feedback", [], |row| row.get(0))
        .unwrap();
    wait_until("the WAL has grown", || {
        create_feedback(&api, 20);
        (wal_size(&database) > WAL_MAX).then_some(())
    });
    reader.execute_batch("COMMIT").unwrap();
    wait_until("the WAL is truncated", || {
        api.patch("/api/v1/projects/shop", json!({"name": "Shop"}));
        (wal_size(&database) < MIB).then_some(())
    });
    assert_eq!(count, 0, "the reader's snapshot isn't empty");
    api.get("/healthz").expect(200);
}
