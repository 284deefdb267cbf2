//! The view of one feedback item: collapsed or expanded in the list, or on its own page.

use super::PATH;
use super::item_details::FeedbackDetails;
use super::metadata::metadata_entries;
use super::query::FeedbackListQuery;
use crate::domain::feedback::{Feedback, FeedbackStatus};
use crate::domain::id::FeedbackId;
use crate::domain::search::SearchQuery;
use crate::pages::framework::format::DisplayTime;
use crate::pages::framework::layout::Layout;

/// The maximum length of a message in the list, in characters. The list shows one line, and an
/// expanded item shows the whole message.
const EXCERPT_MAX_CHARS: usize = 200;
/// If at least this number of characters precedes the first match, the excerpt starts near the
/// match.
const LATE_MATCH_OFFSET_MIN: usize = 30;
/// The maximum number of characters before the match in an excerpt that starts near the match.
const CHARS_BEFORE_MATCH: usize = 15;

/// A segment of text: a match of the search, or text outside the matches.
pub(super) struct TextSegment {
    pub(super) text: String,
    pub(super) is_match: bool,
}

pub(super) struct FeedbackItemView {
    pub(super) feedback: Feedback,
    pub(super) message: Vec<TextSegment>,
    /// The hint in a collapsed item: the first text that matches the search, of the page URL in a
    /// short form (see [`format_page_url`]), the email, and the values of the metadata. If none
    /// matches, the hint is the page URL or, without one, the email.
    pub(super) hint: Vec<TextSegment>,
    pub(super) email: Vec<TextSegment>,
    pub(super) url: Vec<TextSegment>,
    /// The labels and values of the metadata.
    pub(super) metadata: Vec<(String, Vec<TextSegment>)>,
    pub(super) at: DisplayTime,
    pub(super) details: Option<FeedbackDetails>,
    /// Whether the item is on its own page instead of in the list.
    pub(super) is_own_page: bool,
    pub(super) is_selected: bool,
    /// Whether the item asks for confirmation of its deletion.
    pub(super) is_confirming_delete: bool,
    /// The path of the link that expands or collapses the item.
    pub(super) path: String,
    /// The path of the item's own page.
    pub(super) page_path: String,
    /// The path of the page that asks for confirmation of the deletion.
    pub(super) delete_path: String,
    /// The path of the page without the deletion confirmation.
    pub(super) cancel_path: String,
    /// The query string of the list to return to.
    pub(super) back: String,
    /// The query string of the page to return to after a status change. Expanded items stay
    /// expanded.
    pub(super) status_back: String,
}

impl FeedbackItemView {
    pub(super) fn for_list(
        feedback: Feedback,
        layout: &Layout,
        query: &FeedbackListQuery,
        details: Option<FeedbackDetails>,
    ) -> Self {
        let id = &feedback.id.to_string();
        let open = query.open.map(|open| open.to_string());
        let path_with = |extra| layout.path(format!("{PATH}?{}#{id}", query.query_string(extra)));
        Self {
            is_selected: query.all_selected
                || (query.delete.len() > 1 && query.delete.contains(&feedback.id)),
            is_confirming_delete: query.delete == [feedback.id],
            path: path_with(details.is_none().then_some(("open", id))),
            delete_path: path_with(Some(("delete", id))),
            cancel_path: path_with(None),
            back: query.query_string(None),
            status_back: query.query_string(open.as_deref().map(|open| ("open", open))),
            ..Self::new(feedback, layout, query, details)
        }
    }

    pub(super) fn for_page(
        feedback: Feedback,
        layout: &Layout,
        query: &FeedbackListQuery,
        details: FeedbackDetails,
        is_confirming_delete: bool,
    ) -> Self {
        let path_with = |extra| layout.path(item_path(feedback.id, query, extra));
        Self {
            is_own_page: true,
            is_confirming_delete,
            delete_path: path_with(Some(("delete", "1"))),
            cancel_path: path_with(None),
            back: query.query_string_for(query.status, None, None),
            status_back: query.query_string_for(query.status, None, None),
            ..Self::new(feedback, layout, query, Some(details))
        }
    }

    fn new(
        feedback: Feedback,
        layout: &Layout,
        query: &FeedbackListQuery,
        details: Option<FeedbackDetails>,
    ) -> Self {
        let search = query.search.as_ref();
        let metadata = feedback.metadata.as_ref().map(metadata_entries);
        let metadata = metadata.unwrap_or_default();
        let page = feedback.url.as_deref().map(format_page_url);
        let mut hints = vec![
            page.unwrap_or_default(),
            feedback.email.clone().unwrap_or_default(),
        ];
        hints.extend(metadata.iter().map(|(_, value)| value.clone()));
        let highlighted = |(label, value): (String, String)| {
            let value = highlight_matches(&value, search);
            (label, value)
        };
        Self {
            message: match details {
                Some(_) => highlight_matches(&feedback.message, search),
                None => message_excerpt(&feedback.message, search),
            },
            hint: highlight_hint(&hints, search),
            email: highlight_matches(feedback.email.as_deref().unwrap_or_default(), search),
            url: highlight_matches(feedback.url.as_deref().unwrap_or_default(), search),
            metadata: metadata.into_iter().map(highlighted).collect(),
            at: layout.display_time(&feedback.created_at),
            details,
            is_own_page: false,
            is_selected: false,
            is_confirming_delete: false,
            path: String::new(),
            page_path: layout.path(item_path(feedback.id, query, None)),
            delete_path: String::new(),
            cancel_path: String::new(),
            back: String::new(),
            status_back: String::new(),
            feedback,
        }
    }

    pub(super) fn statuses(&self) -> [FeedbackStatus; 3] {
        FeedbackStatus::ALL
    }
}

/// Returns the path of an item's own page. Its query string contains the filters and the order of
/// the list, for the links to the previous and the next item.
pub(super) fn item_path(
    id: FeedbackId,
    query: &FeedbackListQuery,
    extra: Option<(&str, &str)>,
) -> String {
    match query.query_string_for(query.status, None, extra).as_str() {
        "" => format!("{PATH}/{id}"),
        query => format!("{PATH}/{id}?{query}"),
    }
}

/// Returns the decoded path, query, and fragment of a URL or, for a site's home page, the host and
/// port. The host of any other page is omitted, because the project usually implies the host. An
/// invalid URL is returned unchanged.
fn format_page_url(url: &str) -> String {
    let Ok(parsed) = url::Url::parse(url) else {
        return url.to_owned();
    };
    let path = &parsed[url::Position::BeforePath..];
    if path == "/" {
        return parsed[url::Position::BeforeHost..url::Position::AfterPort].to_owned();
    }
    percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .map_or_else(|_| path.to_owned(), |decoded| decoded.into_owned())
}

/// Returns the first text with a match. Without a match, returns the first of the two texts at the
/// beginning that isn't empty.
fn highlight_hint(texts: &[String], search: Option<&SearchQuery>) -> Vec<TextSegment> {
    let has_match =
        |text: &&String| search.is_some_and(|search| !search.highlights(text).is_empty());
    let by_default = || texts.iter().take(2).find(|text| !text.is_empty());
    let hint = texts.iter().find(has_match).or_else(by_default);
    highlight_matches(hint.map_or("", String::as_str), search)
}

/// Splits the text at the start and end of each match.
fn highlight_matches(text: &str, search: Option<&SearchQuery>) -> Vec<TextSegment> {
    let mut segments = Vec::new();
    let mut add = |text: &str, is_match| {
        if !text.is_empty() {
            segments.push(TextSegment {
                text: text.to_owned(),
                is_match,
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
    segments
}

/// Returns the beginning of a message or, if the first match is far from it, the text around the
/// match.
fn message_excerpt(message: &str, search: Option<&SearchQuery>) -> Vec<TextSegment> {
    let first = search
        .and_then(|search| search.highlights(message).first().cloned())
        .map_or(0, |mark| message[..mark.start].chars().count());
    let skipped = match first {
        LATE_MATCH_OFFSET_MIN.. => first - CHARS_BEFORE_MATCH,
        _ => 0,
    };
    let shown: String = message
        .chars()
        .skip(skipped)
        .take(EXCERPT_MAX_CHARS)
        .collect();
    let is_cut = message.chars().nth(skipped + EXCERPT_MAX_CHARS).is_some();
    let shown = match skipped {
        0 => shown,
        // Start at the next word if it is near.
        _ => match shown.split_once(char::is_whitespace) {
            Some((part, rest)) if part.chars().count() < CHARS_BEFORE_MATCH / 3 => {
                format!("… {rest}")
            }
            _ => format!("…{shown}"),
        },
    };
    highlight_matches(&if is_cut { shown + "…" } else { shown }, search)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(segments: &[TextSegment]) -> String {
        let shown = |piece: &TextSegment| match piece.is_match {
            true => format!("[{}]", piece.text),
            false => piece.text.clone(),
        };
        segments.iter().map(shown).collect()
    }

    #[test]
    fn highlights_matches() {
        let search = SearchQuery::parse("button").unwrap();
        assert_eq!(
            text(&highlight_matches("Button, button", search.as_ref())),
            "[Button], [button]"
        );
        assert_eq!(text(&highlight_matches("all", None)), "all");
    }

    #[test]
    fn shows_the_text_around_a_distant_match() {
        let search = SearchQuery::parse("needle").unwrap();
        let long = format!("{}needle {}", "hay ".repeat(100), "straw ".repeat(100));
        let shown = text(&message_excerpt(&long, search.as_ref()));
        assert!(shown.starts_with("… hay hay"), "{shown}");
        assert!(
            shown.contains("hay [needle] straw") && shown.ends_with('…'),
            "{shown}"
        );
        assert!(text(&message_excerpt(&long, None)).starts_with("hay hay"));
        let unspaced = format!("{}写真", "の".repeat(500));
        let shown = text(&message_excerpt(
            &unspaced,
            SearchQuery::parse("写真").unwrap().as_ref(),
        ));
        assert!(
            shown.starts_with("…の") && shown.ends_with("[写真]"),
            "{shown}"
        );
    }

    #[test]
    fn the_hint_is_the_first_text_with_a_match() {
        let texts = ["/cart", "sam@example.com", "Firefox 131 on Android", "pro"];
        let texts = texts.map(str::to_owned);
        for (query, hint) in [
            ("", "/cart"),
            ("absent", "/cart"),
            ("sam", "[sam]@example.com"),
            ("firefox", "[Firefox] 131 on Android"),
            ("pro", "[pro]"),
        ] {
            let search = SearchQuery::parse(query).unwrap();
            assert_eq!(text(&highlight_hint(&texts, search.as_ref())), hint);
        }
        let without_page = [String::new(), "sam@example.com".into(), "pro".into()];
        assert_eq!(
            text(&highlight_hint(&without_page, None)),
            "sam@example.com"
        );
        assert_eq!(
            text(&highlight_hint(
                &[String::new(), String::new(), "pro".into()],
                None
            )),
            ""
        );
    }

    #[test]
    fn decodes_paths_for_display() {
        assert_eq!(
            format_page_url("https://example.com/a%20b?c=%C3%BC"),
            "/a b?c=ü"
        );
        assert_eq!(format_page_url("https://example.com/%ff"), "/%ff");
        assert_eq!(
            format_page_url("https://example.com:8443"),
            "example.com:8443"
        );
    }
}
