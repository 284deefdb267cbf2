//! A feedback as it is shown: in the list, opened there, or by itself.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::ADDRESS;
use super::Asked;
use crate::domain::account::Role;
use crate::domain::feedback::{Feedback, FeedbackStatus};
use crate::domain::search::SearchQuery;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::format::DisplayTime;
use crate::pages::framework::layout::Layout;
use crate::pages::framework::page_error::PageError;
use crate::pages::webhooks::row::DeliveryRow;
use crate::store::{FeedbackDelivery, StatusHistoryEntry};

/// So much of a message stands in the list, in characters; all of it, when it is opened.
const SHOWN: usize = 400;
/// A first find further inside than this is shown with what stands around it.
const DEEP: usize = 150;
/// So much stands before it.
const AROUND: usize = 60;

/// A part of a text: what was searched for, or what stands around it.
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) is_hit: bool,
}

pub(super) struct ItemView {
    pub(super) feedback: Feedback,
    pub(super) message: Vec<Piece>,
    pub(super) email: Vec<Piece>,
    /// The page's address, shortened.
    pub(super) page: Vec<Piece>,
    pub(super) at: DisplayTime,
    pub(super) opened: Option<Opened>,
    pub(super) is_alone: bool,
    pub(super) selected: bool,
    /// It is asked whether to delete it.
    pub(super) delete: bool,
    /// Opens it, or closes it.
    pub(super) address: String,
    /// Asks whether to delete it; and away from there.
    pub(super) delete_address: String,
    pub(super) keep_address: String,
    /// The query of the list to go back to.
    pub(super) back: String,
}

/// What stands under an opened one.
pub(super) struct Opened {
    pub(super) exact: String,
    pub(super) reply: Option<String>,
    pub(super) facts: Vec<(String, String)>,
    pub(super) history: Vec<HistoryView>,
    /// `None`: who looks is no admin.
    pub(super) deliveries: Option<Vec<CausedView>>,
}

pub(super) struct HistoryView {
    pub(super) previous: FeedbackStatus,
    pub(super) status: FeedbackStatus,
    pub(super) email: String,
    pub(super) token: Option<String>,
    pub(super) at: DisplayTime,
}

pub(super) struct CausedView {
    pub(super) row: DeliveryRow,
    pub(super) address: String,
    /// Empty where the webhook was deleted.
    pub(super) url: String,
}

impl Opened {
    pub(super) async fn load(
        context: &RequestContext,
        feedback: &Feedback,
    ) -> Result<Self, PageError> {
        let store = &context.app.store;
        let now = context.app.clock.now();
        let is_admin = context.user()?.role == Role::Admin;
        let deliveries = match is_admin {
            true => Some(store.deliveries_of_feedback(feedback.id.clone()).await?),
            false => None,
        };
        let history = store.status_history(feedback.id.clone()).await?;
        let at = DisplayTime::new(feedback.created_at, now);
        let entry = |entry: StatusHistoryEntry| HistoryView {
            previous: entry.previous,
            status: entry.status,
            email: entry.by.email,
            token: entry.by.token,
            at: DisplayTime::new(entry.changed_at, now),
        };
        let caused = |caused: FeedbackDelivery| CausedView {
            row: DeliveryRow::of(
                &caused.record,
                context.app.delivery.max_attempts(caused.retries),
                now,
            ),
            address: context.app.urls.path(&format!(
                "/settings/notifications/{}/deliveries/{}",
                caused.record.webhook, caused.record.id
            )),
            url: caused.url,
        };
        Ok(Self {
            exact: at.exact,
            reply: feedback.email.as_deref().map(|to| reply(to, feedback)),
            facts: facts(feedback),
            history: history.into_iter().map(entry).collect(),
            deliveries: deliveries.map(|all| all.into_iter().map(caused).collect()),
        })
    }
}

impl ItemView {
    pub(super) fn of_list(
        feedback: Feedback,
        layout: &Layout,
        asked: &Asked,
        search: Option<&SearchQuery>,
        opened: Option<Opened>,
    ) -> Self {
        let id = feedback.id.as_str();
        let to = |more| layout.to(format!("{ADDRESS}?{}#{id}", asked.here(more)));
        let address = to((opened.is_none()).then_some(("open", id)));
        Self {
            message: match opened {
                Some(_) => pieces(&feedback.message, search),
                None => excerpt(&feedback.message, search),
            },
            email: pieces(feedback.email.as_deref().unwrap_or_default(), search),
            page: pieces(
                &feedback.url.as_deref().map(path_of).unwrap_or_default(),
                search,
            ),
            at: layout.time(&feedback.created_at),
            is_alone: false,
            selected: asked.all_selected
                || (asked.delete.len() > 1 && asked.delete.contains(&feedback.id)),
            delete: asked.delete == [feedback.id.clone()],
            delete_address: to(Some(("delete", id))),
            keep_address: to(None),
            back: asked.here(None),
            address,
            opened,
            feedback,
        }
    }

    pub(super) fn alone(feedback: Feedback, layout: &Layout, opened: Opened, delete: bool) -> Self {
        let address = layout.to(format!("{ADDRESS}/{}", feedback.id));
        Self {
            message: pieces(&feedback.message, None),
            email: pieces(feedback.email.as_deref().unwrap_or_default(), None),
            page: pieces(
                &feedback.url.as_deref().map(path_of).unwrap_or_default(),
                None,
            ),
            at: layout.time(&feedback.created_at),
            opened: Some(opened),
            is_alone: true,
            selected: false,
            delete,
            delete_address: format!("{address}?delete"),
            keep_address: address.clone(),
            address,
            back: String::new(),
            feedback,
        }
    }

    pub(super) fn statuses(&self) -> [FeedbackStatus; 3] {
        FeedbackStatus::ALL
    }
}

/// A letter to who wrote, with their words in it.
fn reply(to: &str, feedback: &Feedback) -> String {
    let words: String = feedback.message.chars().take(1000).collect();
    let quoted: String = words.lines().map(|line| format!("> {line}\r\n")).collect();
    let encoded = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    format!(
        "mailto:{}?subject={}&body={}",
        encoded(to),
        encoded(&format!("Your feedback on {}", feedback.project.name)),
        encoded(&format!("\r\n\r\n{quoted}"))
    )
}

/// The metadata by name; what is nested is shown as JSON.
fn facts(feedback: &Feedback) -> Vec<(String, String)> {
    let shown = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let all = feedback.metadata.iter().flatten();
    all.map(|(name, value)| (name.clone(), shown(value)))
        .collect()
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

/// The text cut where what was searched for begins and ends.
fn pieces(text: &str, search: Option<&SearchQuery>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut add = |text: &str, is_hit| {
        if !text.is_empty() {
            pieces.push(Piece {
                text: text.to_owned(),
                is_hit,
            });
        }
    };
    let mut from = 0;
    for mark in search
        .map(|search| search.highlights(text))
        .unwrap_or_default()
    {
        add(&text[from..mark.start], false);
        from = mark.end;
        add(&text[mark], true);
    }
    add(&text[from..], false);
    pieces
}

/// The beginning of a message, or what stands around the first find where that is far inside.
fn excerpt(message: &str, search: Option<&SearchQuery>) -> Vec<Piece> {
    let first = search
        .and_then(|search| search.highlights(message).first().cloned())
        .map_or(0, |mark| message[..mark.start].chars().count());
    let skipped = match first {
        DEEP.. => first - AROUND,
        _ => 0,
    };
    let shown: String = message.chars().skip(skipped).take(SHOWN).collect();
    let is_cut = message.chars().nth(skipped + SHOWN).is_some();
    let shown = match skipped {
        0 => shown,
        // From the next word on, where one begins soon.
        _ => match shown.split_once(char::is_whitespace) {
            Some((part, rest)) if part.chars().count() < AROUND / 3 => format!("… {rest}"),
            _ => format!("…{shown}"),
        },
    };
    pieces(&if is_cut { shown + "…" } else { shown }, search)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(pieces: &[Piece]) -> String {
        let shown = |piece: &Piece| match piece.is_hit {
            true => format!("[{}]", piece.text),
            false => piece.text.clone(),
        };
        pieces.iter().map(shown).collect()
    }

    #[test]
    fn what_was_searched_for_is_marked() {
        let search = SearchQuery::parse("button");
        assert_eq!(
            text(&pieces("Button, button", search.as_ref())),
            "[Button], [button]"
        );
        assert_eq!(text(&pieces("all", None)), "all");
    }

    #[test]
    fn a_find_far_inside_is_shown_with_what_stands_around_it() {
        let search = SearchQuery::parse("needle");
        let long = format!("{}needle {}", "hay ".repeat(100), "straw ".repeat(100));
        let shown = text(&excerpt(&long, search.as_ref()));
        assert!(shown.starts_with("… hay hay"), "{shown}");
        assert!(
            shown.contains("hay [needle] straw") && shown.ends_with('…'),
            "{shown}"
        );
        assert!(text(&excerpt(&long, None)).starts_with("hay hay"));
        let unspaced = format!("{}写真", "の".repeat(500));
        let shown = text(&excerpt(&unspaced, SearchQuery::parse("写真").as_ref()));
        assert!(
            shown.starts_with("…の") && shown.ends_with("[写真]"),
            "{shown}"
        );
    }

    #[test]
    fn a_path_is_told_in_its_own_letters() {
        assert_eq!(path_of("https://example.com/a%20b?c=%C3%BC"), "/a b?c=ü");
        assert_eq!(path_of("https://example.com/%ff"), "/%ff");
        assert_eq!(path_of("https://example.com:8443"), "example.com:8443");
    }
}
