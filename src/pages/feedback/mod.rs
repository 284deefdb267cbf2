//! The feedback list with its filters, and the page of one item.
//!
//! Filters and open items are query parameters (`?status=`, `?q=`, `?open=ID`, `?delete=ID,ID`).
//! Every state of the list can therefore be reloaded and linked to, and works without JavaScript.

mod actions;
pub mod csv_cells;
mod detail;
mod export;
mod item;
mod item_details;
mod language_names;
mod metadata;
mod query;
mod received_filter;

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
use super::getting_started::Checklist;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::{FeedbackId, Id};
use crate::domain::project::Project;
use crate::server::html;
use crate::server::long_reads::run_blocking;
use crate::store::{FeedbackFilter, Page, PageRequest, StatusCounts};
use item::FeedbackItemView;
use item_details::FeedbackDetails;
use query::FeedbackListQuery;

const PATH: &str = "/feedback";
/// The maximum number of items on a page.
const PAGE_SIZE: usize = 25;

#[derive(Template)]
#[template(path = "feedback.html")]
struct FeedbackPage {
    layout: Layout,
    query: FeedbackListQuery,
    getting_started: Option<Checklist>,
    projects: Vec<Project>,
    items: Vec<FeedbackItemView>,
    /// For each status, the number of items that match all filters except the status filter.
    counts: StatusCounts,
    /// The limit of each count; `None` if the counts are exact.
    count_max: Option<u64>,
    /// Whether any project has feedback. If no project has feedback, there is nothing to filter or
    /// export.
    has_feedback: bool,
    /// The cursor of the next page.
    next: Option<String>,
    /// The absolute URL of the widget's script.
    widget_url: String,
}

/// An option of the "Status" list.
struct StatusOption {
    label: &'static str,
    count: String,
    value: &'static str,
    is_selected: bool,
}

impl FeedbackPage {
    fn status_options(&self) -> Vec<StatusOption> {
        let option = |label, status: Option<FeedbackStatus>| StatusOption {
            label,
            count: self.status_count(status),
            value: status.map_or("", FeedbackStatus::as_str),
            is_selected: self.query.status == status,
        };
        let with_status = FeedbackStatus::ALL.map(|status| option(status.label(), Some(status)));
        let all = option("Any status", None);
        std::iter::once(all).chain(with_status).collect()
    }

    /// Returns the number of items with a status, or with any status. A number that isn't exact
    /// ends with `+`.
    fn status_count(&self, status: Option<FeedbackStatus>) -> String {
        let StatusCounts {
            new,
            reviewed,
            resolved,
        } = self.counts;
        let counts = match status {
            None => vec![new, reviewed, resolved],
            Some(FeedbackStatus::New) => vec![new],
            Some(FeedbackStatus::Reviewed) => vec![reviewed],
            Some(FeedbackStatus::Resolved) => vec![resolved],
        };
        let is_capped = |max| counts.iter().any(|count| *count >= max);
        let plus = if self.count_max.is_some_and(is_capped) {
            "+"
        } else {
            ""
        };
        format!("{}{plus}", group_digits(counts.iter().sum()))
    }

    /// Returns the number of listed items on all pages, such as `13 items`.
    fn item_count_text(&self) -> String {
        match self.status_count(self.query.status).as_str() {
            "1" => "1 item".to_owned(),
            count => format!("{count} items"),
        }
    }

    /// Returns the path of the list of new items, and their number. Returns `None` unless this list
    /// contains both new items and items with another status.
    fn new_items_link(&self) -> Option<(String, String)> {
        let StatusCounts {
            new,
            reviewed,
            resolved,
        } = self.counts;
        let is_mixed = self.query.status.is_none() && new > 0 && reviewed + resolved > 0;
        let new = Some(FeedbackStatus::New);
        let path = || self.list_path(&self.query.query_string_for(new, None, None));
        is_mixed.then(|| (path(), self.status_count(new)))
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

    /// Returns the query string of this list. After a form is processed, its handler redirects to
    /// the list with this query string.
    fn redirect_query(&self) -> String {
        self.query.query_string(None)
    }

    fn page_path(&self, cursor: Option<&str>) -> String {
        self.list_path(&self.query.query_string_for(self.query.status, cursor, None))
    }

    fn next_page_path(&self) -> Option<String> {
        let cursor = self.next.as_deref()?;
        Some(self.page_path(Some(cursor)))
    }

    fn first_page_path(&self) -> Option<String> {
        self.query.cursor.as_ref()?;
        Some(self.page_path(None))
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

    /// Returns the project whose snippet an empty list shows: the selected project or, without a
    /// selection, the first project. If any project has feedback, returns `None` unless a project
    /// without feedback is the only filter.
    fn snippet_project(&self) -> Option<&Project> {
        let StatusCounts {
            new,
            reviewed,
            resolved,
        } = self.counts;
        match (&self.query.project, self.has_feedback) {
            (Some(project), false) => Some(project),
            (None, false) => self.projects.first(),
            (project, true) => project.as_ref().filter(|_| {
                new + reviewed + resolved == 0 && !self.query.has_non_project_filters()
            }),
        }
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
    let status = match query.filter_problem() {
        Some(_) => StatusCode::UNPROCESSABLE_ENTITY,
        None => StatusCode::OK,
    };
    let user = context.user()?.id;
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
    let count_max = filter.count_max();
    let request = PageRequest {
        limit: PAGE_SIZE,
        before: query.cursor.map(Id::ulid),
    };
    let projects = store.projects_by_name().await?;
    let list = match query.filter_problem() {
        Some(_) => Page::default(),
        None => store.feedback_list(filter.clone(), request).await?,
    };
    let counts = store.count_feedback(filter).await?;
    let total = store.count_feedback(FeedbackFilter::default()).await?;
    let getting_started = Checklist::load(&context, PATH).await?;
    let mut items = Vec::with_capacity(list.items.len());
    for feedback in list.items {
        let details = match query.open == Some(feedback.id) {
            true => Some(FeedbackDetails::load(&context, &feedback).await?),
            false => None,
        };
        items.push((feedback, details));
    }
    let title = match total.new {
        0 => "Feedback".to_owned(),
        count => format!("({}) Feedback", group_digits(count)),
    };
    let (layout, _) = context.build_layout(&title, NavSection::Feedback);
    let own_origin = context.trusted_proxies().own_origin(&context.request);
    let widget_url = context.app.urls.absolute_url(&own_origin, "/widget.js");
    let next = list.next_cursor;
    let rendered = run_blocking(move || {
        let view =
            |(feedback, details)| FeedbackItemView::for_list(feedback, &layout, &query, details);
        let items = items.into_iter().map(view).collect();
        let page = FeedbackPage {
            widget_url,
            layout,
            query,
            getting_started,
            projects,
            items,
            counts,
            count_max,
            has_feedback: total.new + total.reviewed + total.resolved > 0,
            next,
        };
        page.render()
    });
    rendered
        .await?
        .map_err(|error| PageError::Internal(error.to_string()))
}
