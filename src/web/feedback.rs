//! Feedback: the list by project and status; a status is changed by one press.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::failure::PageError;
use super::fields::Fields;
use super::page::{Frame, render};
use super::times::thousands;
use super::visit::Visit;
use crate::domain::feedback::{Feedback, Status};
use crate::domain::id::{FeedbackId, ulid_of};
use crate::domain::project::Project;
use crate::store::{FeedbackFilter, PageRequest, StatusCounts};

/// How many stand on a page.
const PAGE: usize = 25;

/// What the address asks for.
#[derive(Clone, Default)]
struct Asked {
    project: Option<Project>,
    status: Option<Status>,
    text: String,
    before: Option<String>,
}

#[derive(Template)]
#[template(path = "feedback.html")]
struct FeedbackPage {
    frame: Frame,
    asked: Asked,
    projects: Vec<Project>,
    items: Vec<Feedback>,
    counts: StatusCounts,
    older: Option<String>,
}

/// A tab over the list.
struct Tab {
    label: &'static str,
    count: String,
    address: String,
    current: bool,
}

impl Asked {
    async fn of(visit: &Visit) -> Result<Self, PageError> {
        let given = |name| visit.query(name).filter(|value| !value.is_empty());
        let project = match given("project") {
            Some(name) => Some(
                visit
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
            before: given("before").filter(|id| id.starts_with("fb_") && ulid_of(id).is_some()),
        })
    }

    fn filter(&self) -> FeedbackFilter {
        FeedbackFilter {
            project: self.project.as_ref().map(|project| project.id.clone()),
            status: self.status,
            text: Some(self.text.clone()).filter(|text| !text.is_empty()),
        }
    }

    /// The query of the same list with another status or beginning.
    fn query(&self, status: Option<Status>, before: Option<&str>) -> String {
        let project = self.project.as_ref().map(|project| project.slug.as_str());
        let text = Some(self.text.as_str()).filter(|text| !text.is_empty());
        let pairs = [
            ("project", project),
            ("status", status.map(Status::as_str)),
            ("q", text),
            ("before", before),
        ];
        let pairs: Vec<_> = pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        serde_urlencoded::to_string(pairs).unwrap_or_default()
    }
}

impl FeedbackPage {
    fn tabs(&self) -> Vec<Tab> {
        let StatusCounts {
            new,
            reviewed,
            resolved,
        } = self.counts;
        let tab = |label, count, status| Tab {
            label,
            count: thousands(count),
            address: self
                .frame
                .to(format!("/feedback?{}", self.asked.query(status, None))),
            current: self.asked.status == status,
        };
        vec![
            tab("All", new + reviewed + resolved, None),
            tab("New", new, Some(Status::New)),
            tab("Reviewed", reviewed, Some(Status::Reviewed)),
            tab("Resolved", resolved, Some(Status::Resolved)),
        ]
    }

    fn statuses(&self) -> [Status; 3] {
        Status::ALL
    }

    /// This list again, after a change.
    fn back(&self) -> String {
        self.asked
            .query(self.asked.status, self.asked.before.as_deref())
    }

    fn older_address(&self) -> Option<String> {
        let before = self.older.as_deref()?;
        Some(self.frame.to(format!(
            "/feedback?{}",
            self.asked.query(self.asked.status, Some(before))
        )))
    }

    fn is_project(&self, project: &Project) -> bool {
        self.asked
            .project
            .as_ref()
            .is_some_and(|asked| asked.id == project.id)
    }

    fn is_status(&self, status: &Status) -> bool {
        self.asked.status == Some(*status)
    }

    fn is_filtered(&self) -> bool {
        self.asked.project.is_some() || self.asked.status.is_some() || !self.asked.text.is_empty()
    }
}

/// The page's address without its host, which the project tells.
fn path_of(url: &str) -> String {
    url::Url::parse(url).map_or_else(
        |_| url.to_owned(),
        |url| url[url::Position::BeforePath..].to_owned(),
    )
}

pub(super) async fn show(visit: Visit) -> Result<HttpResponse, PageError> {
    let asked = Asked::of(&visit).await?;
    let store = &visit.site.store;
    let request = PageRequest {
        limit: PAGE,
        before: asked.before.clone(),
    };
    let (projects, list, counts) = tokio::join!(
        store.projects_by_name(),
        store.feedback_list(asked.filter(), request),
        store.count_feedback(asked.filter())
    );
    let (projects, list, counts) = (projects?, list?, counts?);
    let (frame, _) = visit.frame("Feedback", "feedback");
    let page = FeedbackPage {
        frame,
        asked,
        projects,
        items: list.items,
        counts,
        older: list.next_cursor,
    };
    render(StatusCode::OK, &page)
}

pub(super) async fn set_status(
    visit: Visit,
    id: web::Path<String>,
    fields: Fields,
) -> Result<HttpResponse, PageError> {
    let status: Status = fields
        .get("status")
        .parse()
        .map_err(|_| PageError::BrokenForm)?;
    let id = FeedbackId::new(id.into_inner());
    visit
        .site
        .store
        .set_status(id, status)
        .await?
        .ok_or(PageError::Gone)?;
    visit.say(format!("Marked as {}.", status.label().to_lowercase()));
    // Only ever a query of ours: what comes after the question mark cannot lead elsewhere.
    let back: String = fields
        .get("back")
        .chars()
        .filter(|c| c.is_ascii_graphic())
        .collect();
    Ok(visit.redirect(&format!("/feedback?{back}")))
}
