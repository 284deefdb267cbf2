//! Handles jumps of the system clock, during a run and between runs: moves the stored deadlines, so
//! that every wait keeps its remaining length.
//!
//! The writer stores readings of the clock. If the clock is behind the last reading when the server
//! starts, the clock was set back. If the clock is far ahead of the last trusted reading, either
//! the server was stopped for a long time or the clock is wrong. In both cases, the clock isn't
//! trusted at first.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::error::StoreError;
use super::sql;
use crate::clock::{Clock, ClockJump, Timestamp};
use crate::store::{idempotency, sessions};

/// Maximum age of the stored reading after a commit that changes data. The commit replaces an older
/// reading.
const CLOCK_READING_AGE_MAX: Duration = Duration::from_secs(1);
/// Maximum age of the stored reading after a commit without changes.
const IDLE_CLOCK_READING_AGE_MAX: Duration = Duration::from_secs(5 * 60);
/// Maximum age of the last trusted reading when the server starts. If the reading is older, the
/// clock isn't trusted at first.
const TRUSTED_READING_AGE_MAX: Duration = Duration::from_secs(10 * 60);
/// Maximum age of a `failing_since` that is moved after a clock jump. An older `failing_since`
/// stays unchanged.
const FAILING_SINCE_AGE_MAX: Duration = Duration::from_secs(24 * 3600);

/// Handles jumps of the system clock for the server's writer.
pub(in crate::store) struct ClockJumpHandler {
    clock: Clock,
    /// The time of the stored reading; `None` if a new reading must be stored.
    stored_at: Option<Timestamp>,
    /// Whether the last idle check found a jump.
    has_jumped: bool,
    /// Whether handling the current jump has failed. Repeated failures aren't logged.
    has_failed: bool,
}

impl ClockJumpHandler {
    /// Creates a handler, and compares the clock with the stored readings of the last run. If the
    /// system clock was set back, `clock` continues at the last reading, and the writer handles the
    /// jump. After a long downtime, the clock isn't trusted at first.
    pub(in crate::store) fn start(
        connection: &Connection,
        clock: Clock,
    ) -> Result<Self, StoreError> {
        let last = "SELECT read_at, trusted_at FROM clock_readings";
        let last: Option<(Timestamp, Option<Timestamp>)> =
            sql::query_optional(connection, last, [], |row| row.try_into())?;
        if let Some((read_at, trusted_at)) = last {
            let now = clock.now();
            if now < read_at && ClockJump::detect(read_at, now).is_some() {
                clock.set_current_time(read_at);
            }
            if trusted_at
                .is_none_or(|trusted_at| clock.now().since(trusted_at) > TRUSTED_READING_AGE_MAX)
            {
                let away = ClockJump {
                    from: read_at,
                    to: clock.now(),
                };
                tracing::info!(
                    last_run = %read_at,
                    ahead_ms = away.millis(),
                    "system clock isn't trusted for the next hour; during this hour, expired data isn't deleted"
                );
                clock.distrust_system_clock();
                // An endpoint may have recovered during the downtime, so delay its alert.
                if let Err(error) = shift_failing_since(connection, read_at, away.millis()) {
                    // The disk may be full, for example. The server can start anyway.
                    tracing::warn!(
                        %error,
                        "recording the downtime failed; alerts may be sent too early"
                    );
                }
            }
        }
        Ok(Self {
            clock,
            stored_at: None,
            has_jumped: false,
            has_failed: false,
        })
    }

    /// Like [`handle_jump`](Self::handle_jump), but does nothing unless the previous check found a
    /// jump too. This way, a clock that is set in several steps is handled only once.
    pub(super) fn handle_jump_if_confirmed(&mut self, connection: &Connection) -> bool {
        let has_jumped = self.clock.pending_jump().is_some();
        std::mem::replace(&mut self.has_jumped, has_jumped) && self.handle_jump(connection)
    }

    /// If the system clock has jumped, handles the jump in a separate transaction. If the
    /// transaction fails, the jump isn't handled yet. Returns `true` if a jump was handled.
    pub(super) fn handle_jump(&mut self, connection: &Connection) -> bool {
        let Some(jump) = self.clock.pending_jump() else {
            return false;
        };
        let shift_deadlines = || self.shift_deadlines(connection, jump);
        if let Err(error) = self.clock.apply_jump(jump, shift_deadlines) {
            if !std::mem::replace(&mut self.has_failed, true) {
                tracing::error!(
                    %error,
                    "shifting the deadlines after a jump of the system clock failed; trying again"
                );
            }
            return false;
        }
        (self.stored_at, self.has_jumped, self.has_failed) = (None, false, false);
        tracing::warn!(
            from = %jump.from,
            to = %jump.to,
            jump_ms = jump.millis(),
            "system clock jumped"
        );
        true
    }

    fn shift_deadlines(&self, connection: &Connection, jump: ClockJump) -> Result<(), StoreError> {
        sql::execute(connection, "BEGIN IMMEDIATE", [])?;
        // Store the new time too, so that a start after a crash doesn't move the deadlines again.
        let reading = "UPDATE clock_readings SET read_at = ?1";
        let result = shift_deadlines(connection, jump, self.clock.is_trusted())
            .and_then(|()| sql::execute(connection, reading, [jump.to]))
            .and_then(|_| sql::execute(connection, "COMMIT", []).map(|_| ()));
        if result.is_err() && !connection.is_autocommit() {
            sql::execute(connection, "ROLLBACK", [])?;
        }
        result
    }

    /// Stores a reading of the clock in the current transaction, unless a recent reading is stored.
    pub(super) fn store_reading_if_outdated(
        &mut self,
        connection: &Connection,
        has_changes: bool,
    ) -> Result<(), StoreError> {
        let age_max = if has_changes {
            CLOCK_READING_AGE_MAX
        } else {
            IDLE_CLOCK_READING_AGE_MAX
        };
        let now = self.clock.now();
        if self.stored_at.is_some_and(|at| now.since(at) < age_max) {
            return Ok(());
        }
        self.store_reading(connection)
    }

    pub(super) fn store_reading(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let now = self.clock.now();
        let trusted_at = self.clock.is_trusted().then_some(now);
        // While the clock isn't trusted, keep the last trusted reading, because the next start
        // compares the clock with it.
        let statement = "INSERT INTO clock_readings (id, read_at, trusted_at) VALUES (1, ?1, ?2)
            ON CONFLICT DO UPDATE SET read_at = ?1, trusted_at = coalesce(?2, trusted_at)";
        sql::execute(connection, statement, params![now, trusted_at])?;
        self.stored_at = Some(now);
        Ok(())
    }
}

/// Moves all deadlines that haven't passed at `jump.from`, so that their remaining time stays the
/// same at `jump.to`. Also moves each recent `failing_since`, which determines when an alert is
/// due.
///
/// If the clock was set back, rows that were due stay due. Expired rows stay expired if the clock
/// was trusted before the jump (`was_trusted`). Otherwise, the time before the jump was probably
/// wrong, and rows that expire after `jump.to` are valid again.
fn shift_deadlines(
    connection: &Connection,
    jump: ClockJump,
    was_trusted: bool,
) -> Result<(), StoreError> {
    let (from, by) = (jump.from, jump.millis());
    let earliest = from.min(jump.to);
    // A wait with at most 1 s left ends immediately, because the stored reading can be 1 s old.
    let negligible = i64::try_from(CLOCK_READING_AGE_MAX.as_millis()).unwrap_or(0);
    let waits = [
        "UPDATE deliveries SET due_at = iif(due_at <= ?2 + ?4, ?2, due_at) + ?3
         WHERE webhook_number IN (SELECT number FROM webhooks) AND state = 'pending' AND due_at > ?1",
        "UPDATE webhooks SET held_until = iif(held_until <= ?2 + ?4, ?2, held_until) + ?3
         WHERE held_until > ?1",
        "UPDATE alerts SET due_at = iif(due_at <= ?2 + ?4, ?2, due_at) + ?3 WHERE due_at > ?1",
    ];
    for statement in waits {
        sql::execute(
            connection,
            statement,
            params![earliest, from, by, negligible],
        )?;
    }
    let after = if was_trusted { earliest } else { from };
    let overlaps =
        "UPDATE webhooks SET overlap_ends_at = overlap_ends_at + ?2 WHERE overlap_ends_at > ?1";
    sql::execute(connection, overlaps, params![after, by])?;
    shift_failing_since(connection, after, by)?;
    let links = "UPDATE one_time_links SET created_at = created_at + ?2,
        expires_at = expires_at + ?2 WHERE expires_at > ?1";
    sql::execute(connection, links, params![after, by])?;
    sessions::shift_active_sessions(connection, after, by)?;
    idempotency::shift_valid_keys(connection, after, by)
}

fn shift_failing_since(
    connection: &Connection,
    time: Timestamp,
    by: i64,
) -> Result<(), StoreError> {
    let statement =
        "UPDATE webhooks SET failing_since = failing_since + ?2 WHERE failing_since > ?1";
    let values = params![time.minus(FAILING_SINCE_AGE_MAX), by];
    sql::execute(connection, statement, values).map(|_| ())
}
