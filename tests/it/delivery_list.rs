//! Lists of deliveries filtered by state, with more deliveries than fit on a page.

use crate::support::api::text;
use crate::support::app::{App, database};
use crate::support::receiver::Receiver;

/// The number of finished deliveries that are newer than the pending deliveries. This number must
/// exceed 2,000, because Miniback searches the newest 2,000 deliveries before it uses the index of
/// pending deliveries.
const NEWER_COUNT: u32 = 2_100;

#[test]
fn lists_pending_deliveries_older_than_2100_finished_deliveries() {
    let app = App::builder().option("--retry-delays", "1h").start();
    let receiver = Receiver::status(500);
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    for number in 1..=3 {
        api.create_feedback("shop", &format!("Message {number}"));
    }
    receiver.wait_for(3);
    let mut ids: Vec<String> = api
        .deliveries(&webhook)
        .iter()
        .map(|delivery| text(delivery, "id").to_owned())
        .collect();
    let data = app.sigkill();
    let connection = rusqlite::Connection::open(database(&data.path().join("data"))).unwrap();
    let insert = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {NEWER_COUNT})
         INSERT INTO deliveries (id, event_number, webhook_number, state, attempts, round_attempts,
             created_at, finished_at)
         SELECT unhex('FF' || printf('%030d', i)), event_number, webhook_number, 'delivered', 1, 1,
             created_at, created_at
         FROM n, (SELECT * FROM deliveries LIMIT 1);
         UPDATE delivery_totals SET events = events + {NEWER_COUNT},
             delivered = delivered + {NEWER_COUNT};"
    );
    connection.execute_batch(&insert).unwrap();
    drop(connection);

    let app = App::builder()
        .option("--retry-delays", "1h")
        .with_data_dir(data)
        .start();
    let api = app.api();
    let page = |query: &str| {
        let path = format!(
            "/api/v1/webhooks/{}/deliveries?{query}",
            text(&webhook, "id")
        );
        let page = api.get(&path).expect(200).json();
        let listed: Vec<String> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|delivery| text(delivery, "id").to_owned())
            .collect();
        (listed, page["nextCursor"].as_str().map(str::to_owned))
    };
    let (newest, cursor) = page("state=pending&limit=2");
    assert_eq!(newest, ids[..2]);
    let (oldest, end) = page(&format!("state=pending&limit=2&cursor={}", cursor.unwrap()));
    assert_eq!((oldest, end), (ids.split_off(2), None));
    assert_eq!(page("state=pending&event=feedback.created").0.len(), 3);
    assert_eq!(page("state=pending&event=test").0.len(), 0);
    assert_eq!(page("state=delivered&limit=100").0.len(), 100);
}
