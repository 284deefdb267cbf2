//! Databases filled without the program, and all SQL of the benchmark: backlogs, histories, and the limit of inserting.
//!
//! The schema is the program's: it has made the file, with a project and webhooks in it. Ids and times follow from a
//! row's number, so what retention has removed from a history can be put back.

use std::path::Path;
use std::time::{Duration, Instant};

use miniback::clock::Timestamp;
use miniback::domain::event;
use miniback::domain::feedback::{Feedback, FeedbackStatus, ProjectSummary};
use miniback::domain::id::{FeedbackId, ProjectId};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Statement, params};
use ulid::Ulid;

use crate::figures::Series;
use crate::{Fault, limits, sample};

/// When the first row happened: 2025-01-01. Every id of the program's own is greater than those that are built here.
const BEGINNING: i64 = 1_735_689_600_000;
/// Milliseconds from one feedback to the next: a million of them span 23 days.
const STEP: i64 = 2_000;
/// How many feedbacks share a commit of the builder.
const COMMIT: usize = 10_000;
/// One delivery in so many failed.
const FAILED: usize = 100;

const FEEDBACK: &str = "INSERT INTO feedback (id, project_id, status, message, created_at)
    VALUES (?1, ?2, ?3, ?4, ?5)";
const EVENT: &str = "INSERT OR IGNORE INTO events (id, type, feedback_id, body, created_at)
    VALUES (?1, 'feedback.created', ?2, ?3, ?4)";
const DELIVERY: &str =
    "INSERT INTO deliveries (id, event_id, webhook_id, state, due_at, attempts, round_attempts,
    created_at, finished_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, ?7, ?8)";
const ATTEMPT: &str =
    "INSERT INTO attempts (delivery_id, number, started_at, duration_us, status, error, error_code,
    request_headers, response_headers, response_body, response_truncated, waiting_us)
    VALUES (?1, 1, ?2, 400, ?3, ?4, ?5, ?6, '[]', x'', 0, 300)";

/// When feedback number `index` was sent, in milliseconds since the Unix epoch.
pub fn time_of(index: usize) -> i64 {
    BEGINNING + index as i64 * STEP
}

fn id(prefix: &str, index: usize, place: usize) -> String {
    let time = u64::try_from(time_of(index)).unwrap_or(0);
    let random = ((index as u128) << 16) | place as u128;
    format!("{prefix}_{}", Ulid::from_parts(time, random))
}

fn feedback(index: usize, project: &ProjectSummary) -> Feedback {
    Feedback {
        id: FeedbackId::new(id("fb", index, 0)),
        project: project.clone(),
        message: sample::message(index),
        status: FeedbackStatus::New,
        created_at: Timestamp::from_millis(time_of(index)),
        email: None,
        url: None,
        metadata: None,
    }
}

fn any_project() -> ProjectSummary {
    ProjectSummary {
        id: ProjectId::new("prj_01K8X2Y3Z4A5B6C7D8E9F0G1H2"),
        name: "Website".into(),
        slug: "website".into(),
    }
}

/// An event's body like those that the program sends.
pub fn sample_body() -> String {
    let body = event::feedback_created_body(&feedback(0, &any_project()));
    String::from_utf8_lossy(&body).into_owned()
}

/// The statements that store a feedback and what followed from it.
struct Rows<'a> {
    feedback: Statement<'a>,
    event: Statement<'a>,
    delivery: Statement<'a>,
    attempt: Statement<'a>,
    project: ProjectSummary,
}

impl<'a> Rows<'a> {
    fn new(connection: &'a Connection, project: ProjectSummary) -> Result<Self, Fault> {
        Ok(Self {
            feedback: connection.prepare(FEEDBACK)?,
            event: connection.prepare(EVENT)?,
            delivery: connection.prepare(DELIVERY)?,
            attempt: connection.prepare(ATTEMPT)?,
            project,
        })
    }

    fn feedback(&mut self, index: usize, status: FeedbackStatus) -> Result<(), Fault> {
        let feedback = feedback(index, &self.project);
        self.feedback.execute(params![
            feedback.id.as_str(),
            self.project.id.as_str(),
            status.as_str(),
            feedback.message,
            time_of(index)
        ])?;
        Ok(())
    }

    fn event(&mut self, index: usize) -> Result<(), Fault> {
        let feedback = feedback(index, &self.project);
        let body = event::feedback_created_body(&feedback);
        let id = id("evt", index, 0);
        self.event
            .execute(params![id, feedback.id.as_str(), body, time_of(index)])?;
        Ok(())
    }

    fn pending(&mut self, index: usize, place: usize, webhook: &str) -> Result<(), Fault> {
        let (id, event) = (id("dlv", index, place), id("evt", index, 0));
        let at = time_of(index);
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

    /// A finished delivery with its one attempt. `headers`: what the log keeps of the request.
    fn finished(
        &mut self,
        index: usize,
        place: usize,
        webhook: &str,
        headers: Option<&str>,
    ) -> Result<(), Fault> {
        let (id, event) = (id("dlv", index, place), id("evt", index, 0));
        let at = time_of(index);
        let end = at + place as i64 + 1;
        let failed = (index * 7 + place).is_multiple_of(FAILED);
        let state = if failed { "failed" } else { "delivered" };
        self.delivery
            .execute(params![id, event, webhook, state, None::<i64>, 1, at, end])?;
        let (status, error) = if failed {
            (500, Some("The endpoint answered 500."))
        } else {
            (204, None)
        };
        let code = error.map(|_| "status");
        self.attempt
            .execute(params![id, at, status, error, code, headers])?;
        Ok(())
    }
}

fn project(connection: &Connection) -> Result<ProjectSummary, Fault> {
    let first = "SELECT id, name, slug FROM projects ORDER BY id LIMIT 1";
    Ok(connection.query_row(first, [], |row| {
        Ok(ProjectSummary {
            id: ProjectId::new(row.get::<_, String>(0)?),
            name: row.get(1)?,
            slug: row.get(2)?,
        })
    })?)
}

/// Opens a file that nobody serves, to fill it: what a crash would lose is built again.
fn builder(path: &Path) -> Result<Connection, Fault> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    connection.pragma_update(None, "cache_size", -256 * 1024)?;
    connection.pragma_update(None, "foreign_keys", false)?;
    Ok(connection)
}

fn in_commits(
    connection: &Connection,
    from: usize,
    to: usize,
    mut row: impl FnMut(usize) -> Result<(), Fault>,
) -> Result<(), Fault> {
    for first in (from..to).step_by(COMMIT) {
        connection.execute_batch("BEGIN")?;
        (first..to.min(first + COMMIT)).try_for_each(&mut row)?;
        connection.execute_batch("COMMIT")?;
    }
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

/// Stores `count` feedbacks, each with a delivery to `webhook` that is due.
pub fn build_backlog(path: &Path, webhook: &str, count: usize) -> Result<(), Fault> {
    let connection = builder(path)?;
    let mut rows = Rows::new(&connection, project(&connection)?)?;
    in_commits(&connection, 0, count, |index| {
        rows.feedback(index, FeedbackStatus::New)?;
        rows.event(index)?;
        rows.pending(index, 0, webhook)
    })?;
    count_rows(&connection)
}

/// The counts that the program keeps beside its rows.
fn count_rows(connection: &Connection) -> Result<(), Fault> {
    Ok(connection.execute_batch(
        "UPDATE webhook_accounting AS a SET removed = 0, canceled = 0,
           events = (SELECT count(*) FROM deliveries WHERE webhook_id = a.webhook_id),
           pending = (SELECT count(*) FROM deliveries WHERE webhook_id = a.webhook_id AND state = 'pending'),
           failed = (SELECT count(*) FROM deliveries WHERE webhook_id = a.webhook_id AND state = 'failed');
         UPDATE webhook_accounting SET delivered = events - pending - failed;
         DELETE FROM feedback_counts;
         INSERT INTO feedback_counts SELECT project_id, status, count(*) FROM feedback GROUP BY project_id, status;",
    )?)
}

/// Stores `count` feedbacks, each with a finished delivery to each webhook; in a file that has them already, what
/// retention took away. The requests' headers are left out, which no list shows: they would double the file.
pub fn build_history(path: &Path, webhooks: &[String], count: usize) -> Result<(), Fault> {
    let connection = builder(path)?;
    let mut rows = Rows::new(&connection, project(&connection)?)?;
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    let stored = usize::try_from(number("SELECT count(*) FROM feedback")?)?;
    in_commits(&connection, stored, count, |index| {
        rows.feedback(index, FeedbackStatus::ALL[index % 10 % 3])
    })?;
    // Retention removes the oldest: all after the first that is left are there. Of its own event some may be missing.
    let first = number("SELECT created_at FROM deliveries ORDER BY id LIMIT 1").optional()?;
    let is_missing = |index: &usize| first.is_none_or(|first| time_of(*index) <= first);
    let missing = (0..count).take_while(is_missing).count();
    let left = "DELETE FROM deliveries WHERE created_at <= ?1 AND id <= ?2";
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.execute(left, params![first, id("dlv", missing, 0)])?;
    connection.pragma_update(None, "foreign_keys", false)?;
    in_commits(&connection, 0, missing, |index| {
        rows.event(index)?;
        (0..webhooks.len())
            .try_for_each(|place| rows.finished(index, place, &webhooks[place], None))
    })?;
    count_rows(&connection)
}

/// What tells one schema from another.
pub fn schema(path: &Path) -> Result<String, Fault> {
    let all = "SELECT group_concat(coalesce(sql, name), ';') FROM (SELECT * FROM sqlite_schema ORDER BY name)";
    Ok(open_to_read(path)?.query_row(all, [], |row| row.get(0))?)
}

fn open_to_read(path: &Path) -> Result<Connection, Fault> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    Ok(connection)
}

/// How many deliveries finished before `time`, in a file that may be served.
pub fn finished_before(path: &Path, time: i64) -> Result<usize, Fault> {
    let count = "SELECT count(*) FROM deliveries WHERE finished_at < ?1";
    let count: i64 = open_to_read(path)?.query_row(count, [time], |row| row.get(0))?;
    Ok(usize::try_from(count)?)
}

/// The file's size and what of it is free, in MiB.
pub fn size(path: &Path) -> Result<(f64, f64), Fault> {
    let connection = open_to_read(path)?;
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let page = pragma("page_size")? as f64 / (1024.0 * 1024.0);
    Ok((
        pragma("page_count")? as f64 * page,
        pragma("freelist_count")? as f64 * page,
    ))
}

/// Until the running program has taken all feedback into its search.
pub fn wait_for_search(path: &Path, at_most: Duration) -> Result<Duration, Fault> {
    let connection = open_to_read(path)?;
    let waits = "SELECT max(number) > (SELECT until FROM feedback_searchable) FROM feedback";
    let begun = Instant::now();
    while connection.query_row(waits, [], |row| row.get::<_, Option<bool>>(0))? == Some(true) {
        if begun.elapsed() > at_most {
            return Err("the search was not ready in time".into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(begun.elapsed())
}

/// As the program opens its file.
fn durable(path: &Path) -> Result<Connection, Fault> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    // The rows belong to no project and no webhook.
    connection.pragma_update(None, "foreign_keys", false)?;
    Ok(connection)
}

/// A delivered feedback is four rows: feedback, event, delivery, attempt. 25 of them a commit.
pub fn rows_per_second(path: &Path, time: Duration) -> Result<f64, Fault> {
    let connection = durable(path)?;
    let mut rows = Rows::new(&connection, any_project())?;
    let webhook = "wh_01K8X2Y3Z4A5B6C7D8E9F0G1H2";
    let headers = serde_json::to_string(&limits::headers(&sample_body()))?;
    let begun = Instant::now();
    let mut index = 0;
    while begun.elapsed() < time {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for _ in 0..25 {
            rows.feedback(index, FeedbackStatus::New)?;
            rows.event(index)?;
            rows.finished(index, 0, webhook, Some(&headers))?;
            index += 1;
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(index as f64 * 4.0 / begun.elapsed().as_secs_f64())
}

/// How long a commit of one row takes.
pub fn commit_times(path: &Path, time: Duration) -> Result<Series, Fault> {
    let connection = durable(path)?;
    let mut rows = Rows::new(&connection, any_project())?;
    let begun = Instant::now();
    let mut nanos = Vec::new();
    while begun.elapsed() < time {
        let from = Instant::now();
        rows.feedback(nanos.len(), FeedbackStatus::New)?;
        nanos.push(u64::try_from(from.elapsed().as_nanos())?);
    }
    Ok(Series::new(nanos))
}

/// The id of feedback number `index`.
pub fn feedback_id(index: usize) -> String {
    id("fb", index, 0)
}
