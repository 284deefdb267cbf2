//! Counts feedback by status.

use rusqlite::{Connection, params};

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use super::feedback_filter::{FILTERED_COUNT_MAX, FeedbackFilter};
use super::search::Search;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::ProjectId;

/// The number of feedback items with each status.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatusCounts {
    pub new: u64,
    pub reviewed: u64,
    pub resolved: u64,
}

impl Store {
    /// Counts the feedback that matches the filter, by status. The filter's status is ignored. Each
    /// count stops at [`FeedbackFilter::count_max`], if there is a maximum.
    pub async fn count_feedback(&self, filter: FeedbackFilter) -> Result<StatusCounts, StoreError> {
        self.reader
            .read_slow(move |c| {
                let mut counts = StatusCounts::default();
                let query = filter.search.as_ref();
                let search = query.map(|query| Search::prepare(c, query)).transpose()?;
                for status in FeedbackStatus::ALL {
                    let filter = FeedbackFilter {
                        status: Some(status),
                        ..filter.clone()
                    };
                    *counts.count_mut(status) = match &search {
                        Some(search) => search.count_matches(&filter)?,
                        None if filter.needs_index_count() => count_in_index(c, &filter)?,
                        None => read_count(c, filter.project.as_ref(), status)?,
                    };
                }
                Ok(counts)
            })
            .await
    }
}

impl StatusCounts {
    pub(super) fn count_mut(&mut self, status: FeedbackStatus) -> &mut u64 {
        match status {
            FeedbackStatus::New => &mut self.new,
            FeedbackStatus::Reviewed => &mut self.reviewed,
            FeedbackStatus::Resolved => &mut self.resolved,
        }
    }
}

pub(super) fn count_statement(filter: &FeedbackFilter) -> String {
    let (table, conditions) = (filter.sql_table(), filter.sql_conditions());
    format!(
        "SELECT count(*) FROM (SELECT 1 FROM {table}
         WHERE {conditions} number >= ?3 AND number <= ?4 LIMIT ?5)"
    )
}

/// Counts the feedback that matches a filter with a period or an email, up to
/// [`FILTERED_COUNT_MAX`].
fn count_in_index(connection: &Connection, filter: &FeedbackFilter) -> Result<u64, StoreError> {
    let (first, last) = filter.number_range(connection, None)?;
    let values = params![
        filter.project,
        filter.status,
        first,
        last,
        FILTERED_COUNT_MAX
    ];
    sql::query_value(connection, &count_statement(filter), values)
}

/// Reads the number of feedback items with a status, of a project or of all projects.
pub(super) fn read_count(
    connection: &Connection,
    project: Option<&ProjectId>,
    status: FeedbackStatus,
) -> Result<u64, StoreError> {
    let statement = "SELECT coalesce(sum(count), 0) FROM feedback_counts
        WHERE status = ?1 AND project_id = coalesce(?2, project_id)";
    sql::query_value(connection, statement, params![status, project])
}
