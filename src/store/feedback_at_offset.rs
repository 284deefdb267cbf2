//! Reads a project's feedback by offset. Only the hosted API paths use offsets; other lists use
//! cursors.

use rusqlite::{Connection, params};

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use super::feedback::{feedback_from_row, list_statement};
use super::feedback_counts::read_count;
use super::feedback_filter::{FeedbackFilter, FeedbackOrder};
use crate::domain::feedback::{Feedback, FeedbackStatus};
use crate::domain::id::ProjectId;

/// A page of a project's feedback, newest first.
#[derive(Clone, Debug)]
pub struct FeedbackAtOffset {
    pub items: Vec<Feedback>,
    /// The number of feedback items on all pages.
    pub total: usize,
}

impl Store {
    /// Returns up to `limit` feedback items of a project, newest first, after skipping the first
    /// `offset`. With a status, reads and counts only feedback with this status.
    pub async fn feedback_at_offset(
        &self,
        project: ProjectId,
        status: Option<FeedbackStatus>,
        limit: usize,
        offset: usize,
    ) -> Result<FeedbackAtOffset, StoreError> {
        let filter = FeedbackFilter {
            project: Some(project),
            status,
            ..FeedbackFilter::default()
        };
        self.reader
            .read_slow(move |c| {
                let total = count(c, &filter)?;
                let items = match find_number(c, &filter, total, offset)? {
                    Some(first) => {
                        let values = params![filter.project, filter.status, 0, first, limit];
                        sql::query_all(c, &list_statement(&filter), values, feedback_from_row)?
                    }
                    None => Vec::new(),
                };
                Ok(FeedbackAtOffset { items, total })
            })
            .await
    }
}

/// Reads the number of feedback items that match the filter from the stored counts.
fn count(connection: &Connection, filter: &FeedbackFilter) -> Result<usize, StoreError> {
    let mut total = 0;
    for status in FeedbackStatus::ALL {
        if filter.status.is_none_or(|only| only == status) {
            total += read_count(connection, filter.project.as_ref(), status)?;
        }
    }
    Ok(usize::try_from(total).unwrap_or(usize::MAX))
}

/// Returns the `number` of the feedback at an offset, or `None` after the end. Skips entries of an
/// index from the nearer end of the list, and reads no feedback.
fn find_number(
    connection: &Connection,
    filter: &FeedbackFilter,
    total: usize,
    offset: usize,
) -> Result<Option<i64>, StoreError> {
    let Some(after) = total.checked_sub(offset).and_then(|n| n.checked_sub(1)) else {
        return Ok(None);
    };
    let (order, skipped) = match after < offset {
        true => (FeedbackOrder::OldestFirst, after),
        false => (FeedbackOrder::NewestFirst, offset),
    };
    let statement = format!(
        "SELECT number FROM feedback WHERE {} number > 0 ORDER BY number {} LIMIT 1 OFFSET ?3",
        filter.sql_conditions(),
        order.sql()
    );
    let values = params![filter.project, filter.status, skipped];
    sql::query_optional(connection, &statement, values, |row| row.get(0))
}
