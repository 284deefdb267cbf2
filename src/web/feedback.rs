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
/// A message of more characters is cut to three lines until it is pressed.
const LONG: usize = 180;

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
    /// Where feedback is sent to, whole.
    api_address: String,
}

/// A part of a message: what was searched for, or what stands around it.
struct Piece<'a> {
    text: &'a str,
    is_hit: bool,
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

    fn is_long(&self, message: &str) -> bool {
        message.chars().nth(LONG).is_some() || message.trim_end().contains('\n')
    }

    fn pieces<'a>(&self, message: &'a str) -> Vec<Piece<'a>> {
        pieces(message, &self.asked.text)
    }

    fn is_filtered(&self) -> bool {
        self.asked.project.is_some() || self.asked.status.is_some() || !self.asked.text.is_empty()
    }
}

/// The page's address without its host, which the project tells, in the letters that people typed; of a site's first
/// page the host alone.
fn path_of(url: &str) -> String {
    let Ok(parsed) = url::Url::parse(url) else {
        return url.to_owned();
    };
    let path = &parsed[url::Position::BeforePath..];
    if path == "/" {
        return parsed[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
    }
    percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .map_or_else(|_| path.to_owned(), |letters| letters.into_owned())
}

/// The message cut where the searched words begin and end; like the search itself, ASCII letters match in either case.
fn pieces<'a>(message: &'a str, searched: &str) -> Vec<Piece<'a>> {
    let mut pieces = Vec::new();
    let mut add = |text: &'a str, is_hit| {
        if !text.is_empty() {
            pieces.push(Piece { text, is_hit });
        }
    };
    let mut from = 0;
    if !searched.is_empty() {
        let lower = message.to_ascii_lowercase();
        for (at, hit) in lower.match_indices(&searched.to_ascii_lowercase()) {
            add(&message[from..at], false);
            from = at + hit.len();
            add(&message[at..from], true);
        }
    }
    add(&message[from..], false);
    pieces
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
    let seen_origin = visit.proxies().seen_origin(&visit.request);
    let page = FeedbackPage {
        api_address: visit.site.links.absolute(&seen_origin, "/api/v1/feedback"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_searched_for_is_marked() {
        let marked = |message, searched| -> String {
            pieces(message, searched)
                .iter()
                .map(|piece| match piece.is_hit {
                    true => format!("[{}]", piece.text),
                    false => piece.text.to_owned(),
                })
                .collect()
        };
        assert_eq!(marked("Button, button", "button"), "[Button], [button]");
        assert_eq!(marked("Grün und grün", "grün"), "[Grün] und [grün]");
        assert_eq!(marked("nothing", "else"), "nothing");
        assert_eq!(marked("all", ""), "all");
    }

    #[test]
    fn a_path_is_told_in_its_own_letters() {
        assert_eq!(path_of("https://example.com/a%20b?c=%C3%BC"), "/a b?c=ü");
        assert_eq!(path_of("https://example.com/%ff"), "/%ff");
        assert_eq!(path_of("https://example.com:8443"), "example.com:8443");
    }
}
