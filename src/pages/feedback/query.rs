//! The query parameters of the feedback list: filters, order, cursor, and open items.

use super::PAGE_SIZE;
use super::received_filter::ReceivedFilter;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::{FeedbackId, Id};
use crate::domain::project::Project;
use crate::domain::search::{SearchError, SearchQuery};
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::page_error::PageError;
use crate::store::{FeedbackFilter, FeedbackOrder};

#[derive(Clone, Default)]
pub(super) struct FeedbackListQuery {
    pub(super) project: Option<Project>,
    pub(super) status: Option<FeedbackStatus>,
    /// The search text as entered.
    pub(super) text: String,
    pub(super) search: Option<SearchQuery>,
    /// The reason the search text is invalid.
    pub(super) search_problem: Option<SearchError>,
    pub(super) received: ReceivedFilter,
    pub(super) has_email: bool,
    pub(super) order: FeedbackOrder,
    /// The list starts after the item with this id.
    pub(super) cursor: Option<FeedbackId>,
    /// The id of the expanded item.
    pub(super) open: Option<FeedbackId>,
    /// Ids of the items whose deletion needs confirmation.
    pub(super) delete: Vec<FeedbackId>,
    /// Whether all items on the page are selected.
    pub(super) all_selected: bool,
}

impl FeedbackListQuery {
    pub(super) async fn parse(context: &RequestContext) -> Result<Self, PageError> {
        let param = |name: &str| context.query_param(name).filter(|value| !value.is_empty());
        let project = match param("project") {
            Some(name) => Some(context.project(name).await?),
            None => None,
        };
        let text = param("q").unwrap_or_default();
        let (search, search_problem) = match SearchQuery::parse(&text) {
            Ok(search) => (search, None),
            Err(problem) => (None, Some(problem)),
        };
        let order = match param("sort").as_deref() {
            Some("oldest") => FeedbackOrder::OldestFirst,
            _ => FeedbackOrder::NewestFirst,
        };
        Ok(Self {
            project,
            status: param("status")
                .map(|text| text.parse())
                .transpose()
                .map_err(|_| PageError::InvalidFilter("status"))?,
            text,
            search,
            search_problem,
            received: ReceivedFilter::parse(param, context.app.clock.now()),
            has_email: param("email").is_some(),
            order,
            cursor: param(cursor_param(order)).and_then(|id| FeedbackId::parse(&id)),
            open: param("open").and_then(|id| FeedbackId::parse(&id)),
            delete: parse_feedback_ids(param("delete").unwrap_or_default().split(',')),
            all_selected: context.query_param("select").is_some(),
        })
    }

    pub(super) fn to_feedback_filter(&self) -> FeedbackFilter {
        FeedbackFilter {
            project: self.project.as_ref().map(|project| project.id),
            status: self.status,
            search: self.search.clone(),
            received_from: self.received.days.from,
            received_until: self.received.days.until,
            has_email: self.has_email,
            order: self.order,
        }
    }

    /// Returns the reason a filter is invalid. If a filter is invalid, the list is empty.
    pub(super) fn filter_problem(&self) -> Option<&'static str> {
        let search_problem = self.search_problem.map(SearchError::message);
        search_problem.or(self.received.days.problem)
    }

    /// Returns a query string with the filters and the order of this list, but with `status` as the
    /// status filter. Adds `cursor` and the extra pair, such as `open=ID`.
    pub(super) fn query_string_for(
        &self,
        status: Option<FeedbackStatus>,
        cursor: Option<&str>,
        extra: Option<(&str, &str)>,
    ) -> String {
        let received = &self.received;
        let pairs = [
            (
                "project",
                self.project
                    .as_ref()
                    .map_or("", |project| project.slug.as_str()),
            ),
            ("status", status.map_or("", FeedbackStatus::as_str)),
            ("q", &self.text),
            ("received", received.period),
            ("from", &received.days.first_day),
            ("to", &received.days.last_day),
            ("tz", &received.offsets),
            ("email", if self.has_email { "1" } else { "" }),
            ("sort", if self.is_oldest_first() { "oldest" } else { "" }),
            (cursor_param(self.order), cursor.unwrap_or_default()),
        ];
        let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
        serde_urlencoded::to_string(pairs.chain(extra).collect::<Vec<_>>()).unwrap_or_default()
    }

    /// Returns the query string of this list, with an optional extra pair.
    pub(super) fn query_string(&self, extra: Option<(&str, &str)>) -> String {
        let cursor = self.cursor.map(|id| id.to_string());
        self.query_string_for(self.status, cursor.as_deref(), extra)
    }

    pub(super) fn is_oldest_first(&self) -> bool {
        self.order == FeedbackOrder::OldestFirst
    }

    /// Returns the number of active filters, including the order, that narrow screens hide.
    pub(super) fn hidden_filter_count(&self) -> usize {
        [
            !self.received.period.is_empty(),
            self.has_email,
            self.is_oldest_first(),
        ]
        .into_iter()
        .filter(|is_active| *is_active)
        .count()
    }

    /// Returns whether filters other than the project are active.
    pub(super) fn has_non_project_filters(&self) -> bool {
        let has_period = !self.received.period.is_empty();
        self.status.is_some() || !self.text.is_empty() || has_period || self.has_email
    }

    pub(super) fn is_filtered(&self) -> bool {
        self.project.is_some() || self.has_non_project_filters()
    }
}

/// Returns the name of the query parameter that contains the cursor.
fn cursor_param(order: FeedbackOrder) -> &'static str {
    match order {
        FeedbackOrder::NewestFirst => "before",
        FeedbackOrder::OldestFirst => "after",
    }
}

/// Returns the first [`PAGE_SIZE`] valid feedback ids in `texts`.
pub(super) fn parse_feedback_ids<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<FeedbackId> {
    texts
        .filter_map(FeedbackId::parse)
        .take(PAGE_SIZE)
        .collect()
}
