//! Filters and orders of feedback lists, and their SQL.
//!
//! Ids contain the time when they were created, and numbers ascend like ids, so a period is a range
//! of numbers. Therefore, a list for a period uses the same indexes as other lists, and reads only
//! rows of the period.

use rusqlite::Connection;
use ulid::Ulid;

use super::db::error::StoreError;
use super::db::sql;
use super::search::SEARCH_COUNT_MAX;
use crate::clock::Timestamp;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::{ProjectId, lowest_ulid_at};
use crate::domain::search::SearchQuery;

/// Maximum number of items that are counted for each status if the filter has a period or requires
/// an email.
pub const FILTERED_COUNT_MAX: u64 = 10_000;

/// A filter for feedback, and the order of the list. The default is all feedback, newest first.
#[derive(Clone, Debug, Default)]
pub struct FeedbackFilter {
    pub project: Option<ProjectId>,
    pub status: Option<FeedbackStatus>,
    pub search: Option<SearchQuery>,
    /// The start of the period when the feedback was received, inclusive.
    pub received_from: Option<Timestamp>,
    /// The end of the period, exclusive.
    pub received_until: Option<Timestamp>,
    /// Whether the feedback must have an email.
    pub has_email: bool,
    pub order: FeedbackOrder,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeedbackOrder {
    #[default]
    NewestFirst,
    OldestFirst,
}

impl FeedbackOrder {
    pub const fn reversed(self) -> Self {
        match self {
            Self::NewestFirst => Self::OldestFirst,
            Self::OldestFirst => Self::NewestFirst,
        }
    }

    pub(super) const fn sql(self) -> &'static str {
        match self {
            Self::NewestFirst => "DESC",
            Self::OldestFirst => "ASC",
        }
    }
}

impl FeedbackFilter {
    /// Returns the maximum number of items that are counted for each status. `None` means that all
    /// items are counted.
    pub fn count_max(&self) -> Option<u64> {
        if self.search.is_some() {
            return Some(SEARCH_COUNT_MAX);
        }
        self.needs_index_count().then_some(FILTERED_COUNT_MAX)
    }

    /// Returns whether the filter has a period or requires an email. The table `feedback_counts`
    /// has no counts for such a filter, so the matches must be counted in an index.
    pub(super) fn needs_index_count(&self) -> bool {
        self.has_email || self.received_from.is_some() || self.received_until.is_some()
    }

    /// Returns SQL conditions for the project (`?1`), the status (`?2`), and the email, each
    /// followed by `AND`. Bind both values, even if the filter has no project or no status.
    pub(super) fn sql_conditions(&self) -> String {
        let project = self.project.as_ref().map_or("", |_| "project_id = ?1 AND ");
        let status = self.status.map_or("", |_| "feedback.status = ?2 AND ");
        let email = match self.has_email {
            true => "feedback.email IS NOT NULL AND ",
            false => "",
        };
        format!("{project}{status}{email}")
    }

    /// Returns the table for `FROM`, with the index if the filter requires an email. Without
    /// `INDEXED BY`, SQLite would choose another index and also read feedback without an email.
    pub(super) fn sql_table(&self) -> &'static str {
        match self.has_email {
            true => "feedback INDEXED BY feedback_with_email",
            false => "feedback",
        }
    }

    /// Returns the first and the last `number` of the feedback that is in the period and follows
    /// the cursor in the order of the list. If there is no such feedback, the first number is
    /// greater than the last.
    pub(super) fn number_range(
        &self,
        connection: &Connection,
        cursor: Option<Ulid>,
    ) -> Result<(i64, i64), StoreError> {
        let (mut after, mut before) = (None, self.received_until.map(lowest_ulid_at));
        match self.order {
            FeedbackOrder::NewestFirst => before = before.into_iter().chain(cursor).min(),
            FeedbackOrder::OldestFirst => after = cursor,
        }
        // The cursor is excluded, but the start of the period is included.
        let from = self.received_from.map(lowest_ulid_at);
        let from = from.max(after.map(|after| Ulid(after.0.saturating_add(1))));
        let first = match from {
            None => 0,
            Some(from) => {
                let first = "SELECT number FROM feedback WHERE id >= ?1 ORDER BY id LIMIT 1";
                find_number(connection, first, from)?.unwrap_or(i64::MAX)
            }
        };
        Ok((first, last_number_before(connection, before)?))
    }
}

/// Returns the `number` of the last feedback whose id is less than `before`, or a number that is
/// less than all numbers. If `before` is `None`, returns a number that is greater than all numbers.
pub(super) fn last_number_before(
    connection: &Connection,
    before: Option<Ulid>,
) -> Result<i64, StoreError> {
    let Some(before) = before else {
        return Ok(i64::MAX);
    };
    let last = "SELECT number FROM feedback WHERE id < ?1 ORDER BY id DESC LIMIT 1";
    Ok(find_number(connection, last, before)?.unwrap_or(0))
}

fn find_number(
    connection: &Connection,
    statement: &str,
    id: Ulid,
) -> Result<Option<i64>, StoreError> {
    sql::query_optional(connection, statement, [id.to_bytes()], |row| row.get(0))
}
