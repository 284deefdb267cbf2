//! `/docs/design` in debug builds: every component of the pages in each of its states.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::deliveries::row::StateLabel;
use super::framework::context::RequestContext;
use super::framework::flash::FlashMessage;
use super::framework::format::DisplayTime;
use super::framework::layout::{Layout, render};
use super::framework::navigation::NavSection;
use super::framework::page_error::PageError;

#[derive(Template)]
#[template(path = "design.html")]
struct DesignPage {
    layout: Layout,
    now: DisplayTime,
    states: Vec<StateLabel>,
}

impl DesignPage {
    /// The CSS variables for spacing, and their values in pixels.
    fn spacings(&self) -> [(&'static str, u32); 7] {
        [
            ("--space-1", 4),
            ("--space-2", 8),
            ("--space-3", 12),
            ("--space-4", 16),
            ("--space-5", 24),
            ("--space-6", 32),
            ("--space-7", 48),
        ]
    }

    /// The CSS variables for colors, without the leading `--`.
    fn colors(&self) -> [&'static str; 11] {
        [
            "page",
            "surface",
            "sunken",
            "ink",
            "ink-soft",
            "accent",
            "good",
            "warn",
            "bad",
            "line-strong",
            "edge",
        ]
    }
}

pub async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    let now = context.app.clock.now();
    let (mut layout, _) = context.build_layout("Design system", NavSection::HelpTopic);
    layout.messages.push(FlashMessage {
        text: "A message about the last action".into(),
        undo: None,
    });
    let state = |css_class, icon, text: &str| StateLabel {
        css_class,
        icon,
        text: text.into(),
        relative_time: None,
        clock_time: None,
        detail: String::new(),
    };
    let page = DesignPage {
        layout,
        now: DisplayTime::new(now, now),
        states: vec![
            state("good", "ok", "Success"),
            state("bad", "bad", "Failing"),
            state("wait", "hold", "On hold"),
            state("wait", "wait", "Pending"),
            state("", "off", "Off"),
        ],
    };
    render(StatusCode::OK, &page)
}
