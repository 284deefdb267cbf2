//! The feedback list, filtered by project, status, and search, and the page of one item.
//!
//! Filters and open items are query parameters (`?status=`, `?q=`, `?open=ID`, `?delete=ID,ID`).
//! Every state of the list can therefore be reloaded and linked to, and works without JavaScript.

mod actions;
pub mod csv_cells;
mod detail;
mod export;
mod item;

pub(super) use actions::{
    delete, request_delete_confirmation, set_status, set_statuses, undo_status_changes,
};
pub(super) use detail::show as show_detail;
pub(super) use export::{export_csv, export_json};

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::framework::context::RequestContext;
use super::framework::format::group_digits;
use super::framework::layout::Layout;
use super::framework::navigation::NavSection;
use super::framework::page_error::PageError;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::{FeedbackId, parse_ulid};
use crate::domain::project::Project;
use crate::domain::search::{SearchError, SearchQuery};
use crate::server::html;
use crate::server::long_reads::run_blocking;
use crate::store::{FeedbackFilter, Page, PageRequest, SEARCH_COUNT_MAX, StatusCounts};
use item::{FeedbackDetails, FeedbackItemView};

const PATH: &str = "/feedback";
/// The maximum number of items on a page.
const PAGE_SIZE: usize = 25;

/// The query parameters of the list.
#[derive(Clone, Default)]
struct FeedbackListQuery {
    project: Option<Project>,
    status: Option<FeedbackStatus>,
    /// The search text as entered.
    text: String,
    search: Option<SearchQuery>,
    /// The reason the search text is invalid. If the text is invalid, the list is empty.
    problem: Option<SearchError>,
    before: Option<String>,
    open: Option<String>,
    /// Ids of the items whose deletion needs confirmation.
    delete: Vec<FeedbackId>,
    all_selected: bool,
}

#[derive(Template)]
#[template(path = "feedback.html")]
struct FeedbackPage {
    layout: Layout,
    query: FeedbackListQuery,
    projects: Vec<Project>,
    items: Vec<FeedbackItemView>,
    counts: StatusCounts,
    /// The cursor of the "Older" link.
    older: Option<String>,
    /// The absolute URL of the widget's script.
    widget_url: String,
}

/// A tab above the list.
struct StatusTab {
    label: &'static str,
    count: String,
    path: String,
    is_current: bool,
}

impl FeedbackListQuery {
    async fn parse(context: &RequestContext) -> Result<Self, PageError> {
        let param = |name| context.query_param(name).filter(|value| !value.is_empty());
        let project = match param("project") {
            Some(name) => Some(
                context
                    .app
                    .store
                    .project(name)
                    .await?
                    .ok_or(PageError::ItemNotFound)?,
            ),
            None => None,
        };
        let text = param("q").unwrap_or_default();
        let (search, problem) = match SearchQuery::parse(&text) {
            Ok(search) => (search, None),
            Err(problem) => (None, Some(problem)),
        };
        Ok(Self {
            project,
            status: param("status")
                .map(|text| text.parse())
                .transpose()
                .map_err(|_| PageError::NotFound)?,
            text,
            search,
            problem,
            before: param("before").filter(|id| is_feedback_id(id)),
            open: param("open").filter(|id| is_feedback_id(id)),
            delete: parse_feedback_ids(param("delete").unwrap_or_default().split(',')),
            all_selected: context.query_param("select").is_some(),
        })
    }

    fn to_feedback_filter(&self) -> FeedbackFilter {
        FeedbackFilter {
            project: self.project.as_ref().map(|project| project.id.clone()),
            status: self.status,
            search: self.search.clone(),
        }
    }

    /// Returns a query string with the project and search of this list, and with the given status,
    /// cursor, and extra pair, such as `open=ID`.
    fn query_string_for(
        &self,
        status: Option<FeedbackStatus>,
        before: Option<&str>,
        extra: Option<(&str, &str)>,
    ) -> String {
        let project = self.project.as_ref().map(|project| project.slug.as_str());
        let text = Some(self.text.as_str()).filter(|text| !text.is_empty());
        let pairs = [
            ("project", project),
            ("status", status.map(FeedbackStatus::as_str)),
            ("q", text),
            ("before", before),
        ];
        let pairs: Vec<_> = pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .chain(extra)
            .collect();
        serde_urlencoded::to_string(pairs).unwrap_or_default()
    }

    /// Returns the query string of this list, with an optional extra pair.
    fn query_string(&self, extra: Option<(&str, &str)>) -> String {
        self.query_string_for(self.status, self.before.as_deref(), extra)
    }

    fn is_filtered(&self) -> bool {
        self.status.is_some() || !self.text.is_empty()
    }
}

fn is_feedback_id(text: &str) -> bool {
    text.starts_with("fb_") && parse_ulid(text).is_some()
}

/// Returns the first [`PAGE_SIZE`] valid feedback ids in `texts`.
fn parse_feedback_ids<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<FeedbackId> {
    texts
        .filter(|id| is_feedback_id(id))
        .take(PAGE_SIZE)
        .map(FeedbackId::new)
        .collect()
}

impl FeedbackPage {
    fn status_tabs(&self) -> Vec<StatusTab> {
        let StatusCounts {
            new,
            reviewed,
            resolved,
        } = self.counts;
        let is_search = !self.query.text.is_empty();
        let tab = |label, counts: &[u64], status| {
            // Searches stop counting at `SEARCH_COUNT_MAX`.
            let is_capped = is_search && counts.iter().any(|count| *count >= SEARCH_COUNT_MAX);
            let sum: u64 = counts.iter().sum();
            StatusTab {
                label,
                count: match is_capped {
                    true => format!("{}+", group_digits(sum)),
                    false => group_digits(sum),
                },
                path: self.list_path(&self.query.query_string_for(status, None, None)),
                is_current: self.query.status == status,
            }
        };
        vec![
            tab("All", &[new, reviewed, resolved], None),
            tab("New", &[new], Some(FeedbackStatus::New)),
            tab("Reviewed", &[reviewed], Some(FeedbackStatus::Reviewed)),
            tab("Resolved", &[resolved], Some(FeedbackStatus::Resolved)),
        ]
    }

    fn list_path(&self, query: &str) -> String {
        self.layout.path(match query {
            "" => PATH.to_owned(),
            query => format!("{PATH}?{query}"),
        })
    }

    fn statuses(&self) -> [FeedbackStatus; 3] {
        FeedbackStatus::ALL
    }

    /// Returns the query string of this list. Forms redirect to it after they are processed.
    fn redirect_query(&self) -> String {
        self.query.query_string(None)
    }

    fn older_page_path(&self) -> Option<String> {
        let before = self.older.as_deref()?;
        Some(
            self.list_path(
                &self
                    .query
                    .query_string_for(self.query.status, Some(before), None),
            ),
        )
    }

    fn newest_page_path(&self) -> Option<String> {
        self.query.before.as_ref()?;
        Some(self.list_path(&self.query.query_string_for(self.query.status, None, None)))
    }

    fn export_path(&self, format: &str) -> String {
        let query = self.query.query_string_for(self.query.status, None, None);
        self.layout.path(format!("{PATH}/export.{format}?{query}"))
    }

    fn select_all_path(&self) -> String {
        self.list_path(&self.query.query_string(Some(("select", "all"))))
    }

    fn is_selected_project(&self, project: &Project) -> bool {
        self.query
            .project
            .as_ref()
            .is_some_and(|query| query.id == project.id)
    }

    fn is_selected_status(&self, status: &FeedbackStatus) -> bool {
        self.query.status == Some(*status)
    }

    /// Returns the project whose snippet an empty list shows: the selected project or, if none is
    /// selected, the first project. Returns `None` if there is feedback or search text.
    fn snippet_project(&self) -> Option<&Project> {
        let StatusCounts {
            new,
            reviewed,
            resolved,
        } = self.counts;
        let is_empty = new + reviewed + resolved == 0 && self.query.text.is_empty();
        let project = self.query.project.as_ref().or(self.projects.first());
        project.filter(|_| is_empty)
    }

    /// Returns the ids for the delete confirmation above the list. If only one item is to be
    /// deleted, the item itself shows the confirmation.
    fn ids_to_delete(&self) -> &[FeedbackId] {
        match &self.query.delete[..] {
            [_single] => &[],
            ids => ids,
        }
    }
}

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    let query = FeedbackListQuery::parse(&context).await?;
    let status = match query.problem {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    let user = context.user()?.id.clone();
    let app = context.app.clone();
    let page = app
        .long_reads
        .run(&user, render_page(context, query))
        .await?;
    Ok(html::response(status, page))
}

/// Reads and renders the page. Highlighting matches in long messages takes time, so the page is
/// rendered on a blocking thread.
async fn render_page(
    context: RequestContext,
    query: FeedbackListQuery,
) -> Result<String, PageError> {
    let store = &context.app.store;
    let filter = query.to_feedback_filter();
    let request = PageRequest {
        limit: PAGE_SIZE,
        before: query.before.clone(),
    };
    let projects = store.projects_by_name().await?;
    let list = match query.problem {
        Some(_) => Page::default(),
        None => store.feedback_list(filter.clone(), request).await?,
    };
    let counts = store.count_feedback(filter).await?;
    let mut items = Vec::with_capacity(list.items.len());
    for feedback in list.items {
        let details = match query.open.as_deref() == Some(feedback.id.as_str()) {
            true => Some(FeedbackDetails::load(&context, &feedback).await?),
            false => None,
        };
        items.push((feedback, details));
    }
    let (layout, _) = context.build_layout("Feedback", NavSection::Feedback);
    let own_origin = context.trusted_proxies().own_origin(&context.request);
    let widget_url = context.app.urls.absolute_url(&own_origin, "/widget.js");
    let older = list.next_cursor;
    let rendered = run_blocking(move || {
        let view =
            |(feedback, details)| FeedbackItemView::for_list(feedback, &layout, &query, details);
        let items = items.into_iter().map(view).collect();
        let page = FeedbackPage {
            widget_url,
            layout,
            query,
            projects,
            items,
            counts,
            older,
        };
        page.render()
    });
    rendered
        .await?
        .map_err(|error| PageError::Internal(error.to_string()))
}
