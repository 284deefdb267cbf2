//! Fills databases with backlogs and histories, and measures the baselines for inserted rows and
//! for commits. All SQL of the benchmark is in this module.
//!
//! The program itself creates the file, its schema, a project, and webhooks. Ids and times are
//! computed from a row's index. After retention deletes rows, the same rows can be inserted again.

use std::path::Path;
use std::time::{Duration, Instant};

use miniback::clock::Timestamp;
use miniback::domain::feedback::{Feedback, FeedbackStatus, ProjectSummary};
use miniback::domain::id::{FeedbackId, Id, ProjectId, WebhookId};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Statement, params};
use ulid::Ulid;

use crate::metrics::Durations;
use crate::{Error, sample};

/// The time of the first row: 2025-01-01, in milliseconds since the Unix epoch. Ids begin with
/// their time, so ids that the program creates are greater than ids created here.
const FIRST_ROW_TIME: i64 = 1_735_689_600_000;
/// The time between two feedback items, in milliseconds. A million items span 23 days.
const FEEDBACK_INTERVAL_MS: i64 = 2_000;
/// The number of feedback items per commit when filling a database.
const COMMIT_SIZE: usize = 10_000;
/// One in this many finished deliveries has failed.
const FAILURE_INTERVAL: usize = 100;

/// One in this many feedback items has an email.
pub const EMAIL_INTERVAL: usize = 10;

const INSERT_FEEDBACK: &str = "INSERT INTO feedback (id, project_id, status, message, created_at,
    email, normalized_email) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)";
const INSERT_EVENT: &str =
    "INSERT OR IGNORE INTO events (number, type, feedback_id, body, created_at)
    VALUES (?1, 'feedback.created', ?2, ?3, ?4)";
const INSERT_DELIVERY: &str =
    "INSERT INTO deliveries (id, event_number, webhook_number, state, due_at, attempts,
    round_attempts, created_at, finished_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8)";
const INSERT_ATTEMPT: &str =
    "INSERT INTO attempts (delivery_number, number, started_at, duration_us, status, error,
    error_code, request_headers, response_headers, response_body, response_truncated, waiting_us)
    VALUES (?1, 1, ?2, 400, ?3, ?4, ?5, ?6, '[]', x'', 0, 300)";

/// Returns the creation time of the feedback with this index, in milliseconds since the Unix epoch.
pub fn feedback_time(index: usize) -> i64 {
    FIRST_ROW_TIME + index as i64 * FEEDBACK_INTERVAL_MS
}

/// Returns the email in feedback whose index is a multiple of [`EMAIL_INTERVAL`]. Other feedback
/// has no email.
pub fn email(index: usize) -> String {
    format!("person{index}@example.com")
}

/// Returns an id for a row. `position`, the webhook's position in the list of webhooks,
/// distinguishes the deliveries of one event.
fn row_id(index: usize, position: usize) -> [u8; 16] {
    let time = u64::try_from(feedback_time(index)).unwrap_or(0);
    let random = ((index as u128) << 16) | position as u128;
    Ulid::from_parts(time, random).to_bytes()
}

/// Returns the number of the event of the feedback with this index.
fn event_number(index: usize) -> i64 {
    index as i64 + 1
}

fn webhook_number(connection: &Connection, id: &str) -> Result<i64, Error> {
    let number = "SELECT number FROM webhooks WHERE id = ?1";
    let id = WebhookId::parse_or_nil(id);
    Ok(connection.query_row(number, [id.as_bytes()], |row| row.get(0))?)
}

fn feedback(index: usize, project: &ProjectSummary) -> Feedback {
    let created_at = Timestamp::from_millis(feedback_time(index));
    Feedback {
        email: index.is_multiple_of(EMAIL_INTERVAL).then(|| email(index)),
        ..sample::feedback(index, feedback_id(index), project.clone(), created_at)
    }
}

/// Statements that insert feedback with its event, deliveries, and attempts.
struct RowInserter<'a> {
    feedback: Statement<'a>,
    event: Statement<'a>,
    delivery: Statement<'a>,
    attempt: Statement<'a>,
    project: ProjectSummary,
}

impl<'a> RowInserter<'a> {
    fn new(connection: &'a Connection, project: ProjectSummary) -> Result<Self, Error> {
        Ok(Self {
            feedback: connection.prepare(INSERT_FEEDBACK)?,
            event: connection.prepare(INSERT_EVENT)?,
            delivery: connection.prepare(INSERT_DELIVERY)?,
            attempt: connection.prepare(INSERT_ATTEMPT)?,
            project,
        })
    }

    fn insert_feedback(&mut self, index: usize, status: FeedbackStatus) -> Result<(), Error> {
        let feedback = feedback(index, &self.project);
        self.feedback.execute(params![
            feedback.id.as_bytes(),
            self.project.id.as_bytes(),
            status.as_str(),
            feedback.message,
            feedback_time(index),
            feedback.email
        ])?;
        Ok(())
    }

    fn insert_event(&mut self, index: usize) -> Result<(), Error> {
        let feedback = feedback(index, &self.project);
        let body = sample::created_body(&feedback);
        self.event.execute(params![
            event_number(index),
            feedback.id.as_bytes(),
            body,
            feedback_time(index)
        ])?;
        Ok(())
    }

    fn insert_pending_delivery(
        &mut self,
        index: usize,
        position: usize,
        webhook: i64,
    ) -> Result<(), Error> {
        let (id, event) = (row_id(index, position), event_number(index));
        let at = feedback_time(index);
        self.delivery.execute(params![
            id,
            event,
            webhook,
            "pending",
            at,
            0,
            at,
            None::<i64>
        ])?;
        Ok(())
    }

    /// Inserts a finished delivery with its only attempt. `headers` are the request headers in the
    /// delivery log.
    fn insert_finished_delivery(
        &mut self,
        index: usize,
        position: usize,
        webhook: i64,
        headers: Option<&str>,
    ) -> Result<(), Error> {
        let (id, event) = (row_id(index, position), event_number(index));
        let at = feedback_time(index);
        let end = at + position as i64 + 1;
        let failed = (index * 7 + position).is_multiple_of(FAILURE_INTERVAL);
        let state = if failed { "failed" } else { "delivered" };
        let number =
            self.delivery
                .insert(params![id, event, webhook, state, None::<i64>, 1, at, end])?;
        let (status, error) = if failed {
            (
                500,
                Some("The endpoint responded with 500 Internal Server Error."),
            )
        } else {
            (204, None)
        };
        let code = error.map(|_| "status");
        self.attempt
            .execute(params![number, at, status, error, code, headers])?;
        Ok(())
    }
}

fn read_project(connection: &Connection) -> Result<ProjectSummary, Error> {
    let first = "SELECT id, name, slug FROM projects ORDER BY id LIMIT 1";
    Ok(connection.query_row(first, [], |row| {
        Ok(ProjectSummary {
            id: ProjectId::from_bytes(row.get(0)?),
            name: row.get(1)?,
            slug: row.get(2)?,
        })
    })?)
}

/// Opens a database with settings for fast writes. With these settings, a power failure can damage
/// the file.
fn open_for_filling(path: &Path) -> Result<Connection, Error> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "cache_size", -256 * 1024)?;
    connection.pragma_update(None, "foreign_keys", false)?;
    Ok(connection)
}

/// Calls `insert` for each index in `from..to`, with [`COMMIT_SIZE`] calls per transaction. Then
/// checkpoints the WAL.
fn insert_in_batches(
    connection: &Connection,
    from: usize,
    to: usize,
    mut insert: impl FnMut(usize) -> Result<(), Error>,
) -> Result<(), Error> {
    for first in (from..to).step_by(COMMIT_SIZE) {
        connection.execute_batch("BEGIN")?;
        (first..to.min(first + COMMIT_SIZE)).try_for_each(&mut insert)?;
        connection.execute_batch("COMMIT")?;
    }
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

/// Inserts `count` feedback items, each with a due delivery to `webhook`.
pub fn build_backlog(path: &Path, webhook: &str, count: usize) -> Result<(), Error> {
    let connection = open_for_filling(path)?;
    let webhook = webhook_number(&connection, webhook)?;
    let mut rows = RowInserter::new(&connection, read_project(&connection)?)?;
    insert_in_batches(&connection, 0, count, |index| {
        rows.insert_feedback(index, FeedbackStatus::New)?;
        rows.insert_event(index)?;
        rows.insert_pending_delivery(index, 0, webhook)
    })?;
    update_counters(&connection)
}

/// Recomputes the delivery totals and the feedback counts, which the program stores in addition to
/// the rows.
fn update_counters(connection: &Connection) -> Result<(), Error> {
    Ok(connection.execute_batch(
        "UPDATE delivery_totals AS a SET deleted = 0, canceled = 0,
           events = (SELECT count(*) FROM deliveries WHERE webhook_id = a.webhook_id),
           pending = (SELECT count(*) FROM deliveries
             WHERE webhook_id = a.webhook_id AND state = 'pending'),
           failed = (SELECT count(*) FROM deliveries
             WHERE webhook_id = a.webhook_id AND state = 'failed');
         UPDATE delivery_totals SET delivered = events - pending - failed;
         DELETE FROM feedback_counts;
         INSERT INTO feedback_counts
           SELECT project_id, status, count(*) FROM feedback GROUP BY project_id, status;",
    )?)
}

/// Inserts `count` feedback items, each with a finished delivery to each webhook. In an existing
/// file, inserts only the missing rows. Request headers are omitted: no list shows them, and they
/// would double the size of the file.
pub fn build_history(path: &Path, webhooks: &[String], count: usize) -> Result<(), Error> {
    let connection = open_for_filling(path)?;
    let webhooks: Vec<i64> = webhooks
        .iter()
        .map(|id| webhook_number(&connection, id))
        .collect::<Result<_, _>>()?;
    let mut rows = RowInserter::new(&connection, read_project(&connection)?)?;
    let query_number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let stored = usize::try_from(query_number("SELECT count(*) FROM feedback")?)?;
    insert_in_batches(&connection, stored, count, |index| {
        rows.insert_feedback(index, FeedbackStatus::ALL[index % 10 % 3])
    })?;
    // Retention deletes the oldest rows first. The event of the first remaining delivery may have
    // lost some deliveries, so delete its remaining deliveries and insert all of them again.
    let first = query_number("SELECT created_at FROM deliveries ORDER BY id LIMIT 1").optional()?;
    let is_missing = |index: &usize| first.is_none_or(|first| feedback_time(*index) <= first);
    let missing = (0..count).take_while(is_missing).count();
    let delete_incomplete = "DELETE FROM deliveries WHERE created_at <= ?1 AND id <= ?2";
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.execute(delete_incomplete, params![first, row_id(missing, 0)])?;
    connection.pragma_update(None, "foreign_keys", false)?;
    insert_in_batches(&connection, 0, missing, |index| {
        rows.insert_event(index)?;
        (0..webhooks.len()).try_for_each(|position| {
            rows.insert_finished_delivery(index, position, webhooks[position], None)
        })
    })?;
    // If the last reading is old, the program wouldn't trust the clock, and retention wouldn't run.
    connection.execute("DELETE FROM clock_readings", [])?;
    update_counters(&connection)
}

/// Returns the schema as text.
pub fn read_schema(path: &Path) -> Result<String, Error> {
    let all = "SELECT group_concat(coalesce(sql, name), ';')
        FROM (SELECT * FROM sqlite_schema ORDER BY name)";
    Ok(open_read_only(path)?.query_row(all, [], |row| row.get(0))?)
}

fn open_read_only(path: &Path) -> Result<Connection, Error> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

/// Counts the deliveries that finished before `time`, in milliseconds since the Unix epoch. Works
/// while the program is running.
pub fn count_finished_before(path: &Path, time: i64) -> Result<usize, Error> {
    let count = "SELECT count(*) FROM deliveries WHERE finished_at < ?1";
    let count: i64 = open_read_only(path)?.query_row(count, [time], |row| row.get(0))?;
    Ok(usize::try_from(count)?)
}

/// Returns the size of the file and of its free pages, in MiB.
pub fn database_size(path: &Path) -> Result<(f64, f64), Error> {
    let connection = open_read_only(path)?;
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let page = pragma("page_size")? as f64 / (1024.0 * 1024.0);
    Ok((
        pragma("page_count")? as f64 * page,
        pragma("freelist_count")? as f64 * page,
    ))
}

/// Waits until the running program has indexed all feedback for search. Returns the waiting time.
pub fn wait_for_search(path: &Path, timeout: Duration) -> Result<Duration, Error> {
    let connection = open_read_only(path)?;
    let is_behind =
        "SELECT max(number) > (SELECT indexed_until FROM feedback_index_state) FROM feedback";
    let started = Instant::now();
    while connection.query_row(is_behind, [], |row| row.get::<_, Option<bool>>(0))? == Some(true) {
        if started.elapsed() > timeout {
            return Err("search indexing timed out".into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(started.elapsed())
}

/// Opens a database with the program's settings for durability.
fn open_durable(path: &Path) -> Result<Connection, Error> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // Disable foreign keys, because the inserted rows refer to a project and a webhook that don't
    // exist.
    connection.pragma_update(None, "foreign_keys", false)?;
    Ok(connection)
}

/// Measures inserted rows per second, with 100 rows per commit. Each delivered feedback item has
/// four rows: feedback, event, delivery, and attempt.
pub fn measure_rows_per_second(path: &Path, time: Duration) -> Result<f64, Error> {
    let connection = open_durable(path)?;
    let mut rows = RowInserter::new(&connection, sample::project())?;
    let headers = serde_json::to_string(&sample::logged_headers())?;
    let started = Instant::now();
    let mut index = 0;
    while started.elapsed() < time {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for _ in 0..25 {
            rows.insert_feedback(index, FeedbackStatus::New)?;
            rows.insert_event(index)?;
            rows.insert_finished_delivery(index, 0, 1, Some(&headers))?;
            index += 1;
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(index as f64 * 4.0 / started.elapsed().as_secs_f64())
}

/// Measures how long a commit of one row takes.
pub fn measure_commit_times(path: &Path, time: Duration) -> Result<Durations, Error> {
    let connection = open_durable(path)?;
    let mut rows = RowInserter::new(&connection, sample::project())?;
    let started = Instant::now();
    let mut nanos = Vec::new();
    while started.elapsed() < time {
        let from = Instant::now();
        rows.insert_feedback(nanos.len(), FeedbackStatus::New)?;
        nanos.push(u64::try_from(from.elapsed().as_nanos())?);
    }
    Ok(Durations::new(nanos))
}

/// Returns the id of the feedback with this index.
pub fn feedback_id(index: usize) -> FeedbackId {
    FeedbackId::from_bytes(row_id(index, 0))
}
