//! Feedback: the list by project, status and words, and one by itself.
//!
//! What is shown and what is open stands in the address (`?status=`, `?q=`, `?open=ID`, `?delete=ID,ID`), so each state
//! of the page survives a reload, can be linked to and works without a script.

mod actions;
mod detail;
mod export;
mod item;

pub(super) use actions::{ask_to_delete, delete, set_status, set_statuses, undo};
pub(super) use detail::show as show_one;
pub(super) use export::{csv, json};

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::framework::context::RequestContext;
use super::framework::format::thousands;
use super::framework::layout::{Layout, render};
use super::framework::page_error::PageError;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::{FeedbackId, parse_ulid};
use crate::domain::project::Project;
use crate::domain::search::SearchQuery;
use crate::store::{COUNT_MAX, FeedbackFilter, PageRequest, StatusCounts};
use item::{ItemView, Opened};

const ADDRESS: &str = "/feedback";
/// How many stand on a page.
const PAGE: usize = 25;

/// What the address asks for.
#[derive(Clone, Default)]
struct Asked {
    project: Option<Project>,
    status: Option<FeedbackStatus>,
    /// As it was written.
    text: String,
    before: Option<String>,
    open: Option<String>,
    /// Those that are to be deleted, if it is confirmed.
    delete: Vec<FeedbackId>,
    all_selected: bool,
}

#[derive(Template)]
#[template(path = "feedback.html")]
struct FeedbackPage {
    layout: Layout,
    asked: Asked,
    projects: Vec<Project>,
    items: Vec<ItemView>,
    counts: StatusCounts,
    older: Option<String>,
    /// Of the widget, whole.
    widget: String,
}

/// A tab over the list.
struct Tab {
    label: &'static str,
    count: String,
    address: String,
    current: bool,
}

impl Asked {
    async fn of(context: &RequestContext) -> Result<Self, PageError> {
        let given = |name| context.query(name).filter(|value| !value.is_empty());
        let project = match given("project") {
            Some(name) => Some(
                context
                    .site
                    .store
                    .project(name)
                    .await?
                    .ok_or(PageError::Gone)?,
            ),
            None => None,
        };
        Ok(Self {
            project,
            status: given("status")
                .map(|text| text.parse())
                .transpose()
                .map_err(|_| PageError::NotFound)?,
            text: given("q").unwrap_or_default(),
            before: given("before").filter(|id| is_id(id)),
            open: given("open").filter(|id| is_id(id)),
            delete: ids(given("delete").unwrap_or_default().split(',')),
            all_selected: context.query("select").is_some(),
        })
    }

    fn filter(&self) -> FeedbackFilter {
        FeedbackFilter {
            project: self.project.as_ref().map(|project| project.id.clone()),
            status: self.status,
            search: SearchQuery::parse(&self.text),
        }
    }

    /// The query of the same list with another status and beginning, and with one thing more, as `open=ID`.
    fn query(
        &self,
        status: Option<FeedbackStatus>,
        before: Option<&str>,
        more: Option<(&str, &str)>,
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
            .chain(more)
            .collect();
        serde_urlencoded::to_string(pairs).unwrap_or_default()
    }

    /// The query of this list, with one thing more.
    fn here(&self, more: Option<(&str, &str)>) -> String {
        self.query(self.status, self.before.as_deref(), more)
    }

    fn is_filtered(&self) -> bool {
        self.status.is_some() || !self.text.is_empty()
    }
}

fn is_id(text: &str) -> bool {
    text.starts_with("fb_") && parse_ulid(text).is_some()
}

/// The ids among the texts, at most as many as a page has.
fn ids<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<FeedbackId> {
    texts
        .filter(|id| is_id(id))
        .take(PAGE)
        .map(FeedbackId::new)
        .collect()
}

impl FeedbackPage {
    fn tabs(&self) -> Vec<Tab> {
        let StatusCounts {
            new,
            reviewed,
            resolved,
        } = self.counts;
        let searched = !self.asked.text.is_empty();
        let tab = |label, counts: &[u64], status| {
            // A search counts no further than this.
            let more = searched && counts.iter().any(|count| *count >= COUNT_MAX);
            let sum: u64 = counts.iter().sum();
            Tab {
                label,
                count: match more {
                    true => format!("{}+", thousands(sum)),
                    false => thousands(sum),
                },
                address: self.to(&self.asked.query(status, None, None)),
                current: self.asked.status == status,
            }
        };
        vec![
            tab("All", &[new, reviewed, resolved], None),
            tab("New", &[new], Some(FeedbackStatus::New)),
            tab("Reviewed", &[reviewed], Some(FeedbackStatus::Reviewed)),
            tab("Resolved", &[resolved], Some(FeedbackStatus::Resolved)),
        ]
    }

    fn to(&self, query: &str) -> String {
        self.layout.to(match query {
            "" => ADDRESS.to_owned(),
            query => format!("{ADDRESS}?{query}"),
        })
    }

    fn statuses(&self) -> [FeedbackStatus; 3] {
        FeedbackStatus::ALL
    }

    /// This list again, after a change.
    fn back(&self) -> String {
        self.asked.here(None)
    }

    fn older_address(&self) -> Option<String> {
        let before = self.older.as_deref()?;
        Some(self.to(&self.asked.query(self.asked.status, Some(before), None)))
    }

    fn newest_address(&self) -> Option<String> {
        self.asked.before.as_ref()?;
        Some(self.to(&self.asked.query(self.asked.status, None, None)))
    }

    fn export_address(&self, format: &str) -> String {
        let query = self.asked.query(self.asked.status, None, None);
        self.layout.to(format!("{ADDRESS}/export.{format}?{query}"))
    }

    fn select_address(&self) -> String {
        self.to(&self.asked.here(Some(("select", "all"))))
    }

    fn is_project(&self, project: &Project) -> bool {
        self.asked
            .project
            .as_ref()
            .is_some_and(|asked| asked.id == project.id)
    }

    fn is_status(&self, status: &FeedbackStatus) -> bool {
        self.asked.status == Some(*status)
    }

    /// The project whose first feedback is waited for: where there is none yet, whatever the filter.
    fn waits_for(&self) -> Option<&Project> {
        let StatusCounts {
            new,
            reviewed,
            resolved,
        } = self.counts;
        let none = new + reviewed + resolved == 0 && self.asked.text.is_empty();
        let project = self.asked.project.as_ref().or(self.projects.first());
        project.filter(|_| none)
    }

    /// Those that are asked about, where there are several: of one, its own row asks.
    fn asked_to_delete(&self) -> &[FeedbackId] {
        match &self.asked.delete[..] {
            [_] => &[],
            several => several,
        }
    }
}

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    let asked = Asked::of(&context).await?;
    let store = &context.site.store;
    let filter = asked.filter();
    let request = PageRequest {
        limit: PAGE,
        before: asked.before.clone(),
    };
    let (projects, list, counts) = tokio::join!(
        store.projects_by_name(),
        store.feedback_list(filter.clone(), request),
        store.count_feedback(filter.clone())
    );
    let (projects, list, counts) = (projects?, list?, counts?);
    let (layout, _) = context.layout("Feedback", "feedback");
    let mut items = Vec::with_capacity(list.items.len());
    for feedback in list.items {
        let id = feedback.id.as_str();
        let opened = match asked.open.as_deref() == Some(id) {
            true => Some(Opened::load(&context, &feedback).await?),
            false => None,
        };
        items.push(ItemView::of_list(
            feedback,
            &layout,
            &asked,
            filter.search.as_ref(),
            opened,
        ));
    }
    let seen_origin = context.proxies().seen_origin(&context.request);
    let page = FeedbackPage {
        widget: context.site.links.absolute(&seen_origin, "/widget.js"),
        layout,
        asked,
        projects,
        items,
        counts,
        older: list.next_cursor,
    };
    render(StatusCode::OK, &page)
}
