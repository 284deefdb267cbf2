//! `/docs`: the start page of the documentation, which is public. Each topic has a short section
//! with links to the pages that it describes.

pub mod event_schemas;
pub mod sidebar;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::framework::context::RequestContext;
use super::framework::layout::{Layout, render};
use super::framework::navigation::NavSection;
use super::framework::page_error::PageError;
use crate::domain::explanation::format_duration;
use sidebar::{DocsPage, DocsSidebar};

/// Anchors and titles of the sections, in order.
const SECTIONS: [(&str, &str); 11] = [
    ("getting-started", "Getting started"),
    ("widget", "Widget"),
    ("projects", "Projects"),
    ("feedback", "Feedback"),
    ("webhooks", "Webhooks"),
    ("deliveries", "Deliveries and retries"),
    ("privacy", "Privacy and erasure"),
    ("roles", "Roles"),
    ("shortcuts", "Keyboard shortcuts"),
    ("operations", "Backup and upgrade"),
    ("api", "API"),
];

#[derive(Template)]
#[template(path = "docs.html")]
struct DocsStartPage {
    layout: Layout,
    sidebar: DocsSidebar,
    /// The public URL of this installation.
    base_url: String,
    /// The time limit for an endpoint's response.
    timeout: String,
}

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    let (layout, _) = context.build_layout("Documentation", NavSection::HelpTopic);
    let page = DocsStartPage {
        layout,
        sidebar: DocsSidebar::new(DocsPage::Start, SECTIONS),
        base_url: context.absolute_url(""),
        timeout: format_duration(context.app.delivery.timeout()),
    };
    render(StatusCode::OK, &page)
}
