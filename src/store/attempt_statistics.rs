//! Statistics of attempts by webhook and hour.
//!
//! `db::counters` adds up the attempts of a commit, and the writer stores the sums in the same
//! transaction. Reading the attempts themselves would be too slow: a webhook can have millions.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::{Connection, params};

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use crate::clock::Timestamp;
use crate::domain::attempt_statistics::AttemptStatistics;
use crate::domain::id::WebhookId;

/// Maximum age of a webhook's statistics. Older statistics are deleted at the webhook's next
/// attempt.
pub(super) const STATISTICS_LIFETIME: Duration = Duration::from_secs(8 * 24 * 3600);

impl Store {
    /// Returns the statistics of a webhook's attempts in each hour that starts at `since` or later.
    /// The keys are the starts of the hours. Hours without attempts are missing.
    ///
    /// The cost has a limit that doesn't depend on the number of attempts. An hour has at most one
    /// row for each result and each response time, rounded to two significant digits. An hour
    /// usually has 20 to 50 rows, and at most about 600 if attempts time out after 30 s. For
    /// 1,000,000 attempts in seven days, about 5,000 rows are read from one range of the primary
    /// key, in about 2 ms.
    pub async fn attempt_statistics(
        &self,
        webhook: WebhookId,
        since: Timestamp,
    ) -> Result<BTreeMap<Timestamp, AttemptStatistics>, StoreError> {
        self.reader
            .read(move |c| read_statistics(c, &webhook, since))
            .await
    }
}

fn read_statistics(
    connection: &Connection,
    webhook: &WebhookId,
    since: Timestamp,
) -> Result<BTreeMap<Timestamp, AttemptStatistics>, StoreError> {
    let statement = "SELECT hour, is_success, response_ms, count FROM attempt_statistics
        WHERE webhook_id = ?1 AND hour >= ?2";
    let rows: Vec<(Timestamp, bool, i64, u64)> =
        sql::query_all(connection, statement, params![webhook, since], |row| {
            row.try_into()
        })?;
    let mut hours = BTreeMap::<_, AttemptStatistics>::new();
    for (hour, is_success, response_ms, count) in rows {
        let response_ms = u32::try_from(response_ms).ok();
        hours
            .entry(hour)
            .or_default()
            .add(is_success, response_ms, count);
    }
    Ok(hours)
}

#[cfg(test)]
mod tests {
    use super::super::db::counters::{AttemptStatisticsKey, CounterDeltas};
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn database() -> (Connection, WebhookId) {
        let connection = Connection::open_in_memory().unwrap();
        let schema = include_str!("schema/001_first.sql");
        let (_, table) = schema
            .split_once("CREATE TABLE attempt_statistics")
            .unwrap();
        let (columns, _) = table.split_once(") STRICT").unwrap();
        let columns = columns.replace(" REFERENCES webhooks (id)", "");
        connection
            .execute_batch(&format!(
                "CREATE TABLE attempt_statistics {columns}) STRICT"
            ))
            .unwrap();
        (connection, WebhookId::from_bytes([1; 16]))
    }

    /// Stores `count` attempts in each of the hours, with at most `times` different response times.
    /// Some attempts fail, and some have no response.
    fn record(
        connection: &Connection,
        webhook: &WebhookId,
        hours: std::ops::Range<i64>,
        (count, times): (u32, u32),
    ) {
        let mut deltas = CounterDeltas::default();
        for number in 0..count {
            let millis = u64::from(number % times);
            for hour in hours.clone() {
                let key = AttemptStatisticsKey::new(
                    Timestamp::from_millis(hour * HOUR + 59 * 60_000),
                    number % 10 > 0,
                    (number % 10 != 1).then_some(Duration::from_millis(millis)),
                );
                let expired = Timestamp::from_millis((hour - 192) * HOUR);
                deltas.record_attempt(webhook, key, expired);
            }
        }
        deltas.update_attempt_statistics(connection).unwrap();
    }

    #[test]
    fn adds_up_attempts_of_several_commits_by_hour() {
        let (connection, webhook) = database();
        record(&connection, &webhook, 100..102, (10, 5));
        record(&connection, &webhook, 101..102, (10, 5));
        let since = |hour| {
            let since = Timestamp::from_millis(hour * HOUR);
            read_statistics(&connection, &webhook, since).unwrap()
        };
        let hours = since(100);
        assert_eq!(hours.len(), 2);
        let attempts: Vec<_> = hours
            .values()
            .map(|hour| (hour.attempts(), hour.failed))
            .collect();
        assert_eq!(attempts, [(10, 1), (20, 2)]);
        assert_eq!(hours.keys().next().unwrap().millis(), 100 * HOUR);
        assert_eq!(since(101).len(), 1);
        let other = WebhookId::from_bytes([2; 16]);
        let none = read_statistics(&connection, &other, Timestamp::MIN).unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn the_number_of_rows_does_not_grow_with_the_attempts() {
        let rows_after = |attempts| {
            let (connection, webhook) = database();
            record(&connection, &webhook, 0..24, (attempts, 40));
            let statement = "SELECT count(*) FROM attempt_statistics";
            connection
                .query_row(statement, [], |row| row.get::<_, u32>(0))
                .unwrap()
        };
        assert_eq!(rows_after(2_000), rows_after(20_000));
        // There are 24 hours, 2 results, and at most 41 response times, including no response.
        assert!(rows_after(20_000) <= 24 * 41 * 2);
    }

    #[test]
    fn a_new_attempt_deletes_expired_hours() {
        let (connection, webhook) = database();
        record(&connection, &webhook, 100..101, (10, 5));
        record(&connection, &webhook, 292..293, (10, 5));
        let kept = read_statistics(&connection, &webhook, Timestamp::MIN).unwrap();
        assert_eq!(
            kept.keys()
                .map(|hour| hour.millis() / HOUR)
                .collect::<Vec<_>>(),
            [100, 292]
        );
        record(&connection, &webhook, 293..294, (10, 5));
        let kept = read_statistics(&connection, &webhook, Timestamp::MIN).unwrap();
        assert_eq!(
            kept.keys()
                .map(|hour| hour.millis() / HOUR)
                .collect::<Vec<_>>(),
            [292, 293]
        );
    }
}
