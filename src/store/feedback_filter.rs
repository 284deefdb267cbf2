//! Filters and orders of feedback lists, and their SQL.
//!
//! Ids contain the time when they were created, so a period is a range of ids. Therefore, a list
//! for a period uses the same indexes as other lists, and reads only rows of the period.

use ulid::Ulid;

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

/// A range of ids. Both bounds are exclusive; `None` means no bound.
#[derive(Debug)]
pub(super) struct IdRange {
    pub(super) lower: Option<Ulid>,
    pub(super) upper: Option<Ulid>,
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

    /// Returns the range of ids that are in the period and follow the cursor in the order of the
    /// list.
    pub(super) fn id_range(&self, cursor: Option<Ulid>) -> IdRange {
        // The lower bound is exclusive, so it is the ULID before the first one of the period.
        let before = |first: Ulid| Ulid(first.0.saturating_sub(1));
        let mut lower = self.received_from.map(lowest_ulid_at).map(before);
        let mut upper = self.received_until.map(lowest_ulid_at);
        match self.order {
            FeedbackOrder::NewestFirst => {
                upper = upper.into_iter().chain(cursor).min();
            }
            FeedbackOrder::OldestFirst => lower = lower.max(cursor),
        }
        IdRange { lower, upper }
    }
}

impl IdRange {
    /// Returns the lower bound, as ids are stored.
    pub(super) fn lower_bound(&self) -> [u8; 16] {
        self.lower.unwrap_or(Ulid(u128::MIN)).to_bytes()
    }

    /// Returns the upper bound, as ids are stored.
    pub(super) fn upper_bound(&self) -> [u8; 16] {
        self.upper.unwrap_or(Ulid(u128::MAX)).to_bytes()
    }
}
