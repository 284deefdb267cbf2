//! Shows a text with the markup of a service.

use super::Shown;

/// The markup of a service. The functions get the rest of the text, and return a length in bytes.
pub(super) struct Syntax {
    /// Finds an escaped character. Returns the text that is shown.
    pub(super) escape: fn(&str) -> Option<(String, usize)>,
    /// Finds a marker at the start of a line, such as a list item's.
    pub(super) block: fn(&str) -> Option<usize>,
    /// Finds markup within a line, given the character before it.
    pub(super) inline: FindInline,
    /// Checks a text without markup, as it is written.
    pub(super) plain: fn(&str, &mut Shown),
}

type FindInline = fn(&str, Option<char>) -> Option<(Found, usize)>;

pub(super) enum Found {
    /// Text that is formatted, and can contain markup.
    Formatted(String),
    /// Text that is formatted, and is shown as it is.
    Code(String),
    Link {
        url: String,
        label: String,
    },
    Mention(String),
}

/// Adds everything in `text` to `shown`. Returns the text that a person reads.
pub(super) fn show(text: &str, syntax: &Syntax, shown: &mut Shown) -> String {
    let mut visible = String::new();
    let mut plain = String::new();
    let mut rest = text;
    let mut before = None;
    let mut is_line_start = true;
    while let Some(c) = rest.chars().next() {
        let marker = is_line_start.then(|| (syntax.block)(rest)).flatten();
        let mut length = c.len_utf8();
        if let Some(marker) = marker {
            shown
                .formatted
                .push(rest.lines().next().unwrap_or_default().to_owned());
            length = marker;
        } else if let Some((text, escaped)) = (syntax.escape)(rest) {
            visible.push_str(&text);
            plain.push_str(&rest[..escaped]);
            length = escaped;
        } else if let Some((found, markup)) = (syntax.inline)(rest, before) {
            (syntax.plain)(&std::mem::take(&mut plain), shown);
            visible.push_str(&show_found(found, syntax, shown));
            length = markup;
        } else {
            visible.push(c);
            plain.push(c);
        }
        is_line_start = c == '\n' || (is_line_start && c.is_whitespace());
        before = rest[..length].chars().next_back();
        rest = &rest[length..];
    }
    (syntax.plain)(&plain, shown);
    visible
}

fn show_found(found: Found, syntax: &Syntax, shown: &mut Shown) -> String {
    match found {
        Found::Formatted(inner) => {
            let text = show(&inner, syntax, shown);
            shown.formatted.push(text.clone());
            text
        }
        Found::Code(text) => {
            shown.formatted.push(text.clone());
            text
        }
        Found::Link { url, label } => {
            shown.links.push(url);
            label
        }
        Found::Mention(text) => {
            shown.mentions.push(text.clone());
            text
        }
    }
}

/// Finds a text between two delimiters, such as `**`. An escaped delimiter doesn't end it.
pub(super) fn delimited(text: &str, delimiter: &str) -> Option<(Found, usize)> {
    let inner = text.strip_prefix(delimiter)?;
    let mut end = 0;
    while !inner[end..].starts_with(delimiter) {
        let mut chars = inner[end..].chars();
        let c = chars.next()?;
        end += c.len_utf8();
        if c == '\\' {
            end += chars.next()?.len_utf8();
        }
    }
    let length = delimiter.len() + end + delimiter.len();
    (end > 0).then(|| (Found::Formatted(inner[..end].to_owned()), length))
}

/// Finds a text between backticks.
pub(super) fn code(text: &str) -> Option<(Found, usize)> {
    let ticks = text.len() - text.trim_start_matches('`').len();
    let fence = "`".repeat(ticks);
    let inner = &text[ticks..];
    let end = (ticks > 0).then(|| inner.find(&fence))??;
    let length = ticks + end + ticks;
    (end > 0).then(|| (Found::Code(inner[..end].to_owned()), length))
}

/// Finds `[label](URL)`, also with the URL in angle brackets.
pub(super) fn masked_link(text: &str) -> Option<(Found, usize)> {
    let inner = text.strip_prefix('[')?;
    let (label, rest) = inner.split_once("](")?;
    let (url, length) = match rest.strip_prefix('<') {
        Some(rest) => rest.split_once(">)").map(|(url, _)| (url, url.len() + 3))?,
        None => rest.split_once(')').map(|(url, _)| (url, url.len() + 1))?,
    };
    let link = Found::Link {
        url: url.to_owned(),
        label: label.to_owned(),
    };
    Some((link, 1 + label.len() + 2 + length))
}

/// Finds a URL that is linked by itself.
pub(super) fn bare_url(text: &str) -> Option<(Found, usize)> {
    let has_scheme = ["http://", "https://"].iter().any(|scheme| {
        let start = text.get(..scheme.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(scheme))
    });
    let url = has_scheme.then(|| text.split(char::is_whitespace).next())??;
    let link = Found::Link {
        url: url.to_owned(),
        label: url.to_owned(),
    };
    Some((link, url.len()))
}

/// Finds `:name:`.
pub(super) fn emoji(text: &str) -> Option<(Found, usize)> {
    let (name, _) = text.strip_prefix(':')?.split_once(':')?;
    let is_name = !name.is_empty() && !name.contains(char::is_whitespace);
    is_name.then(|| (Found::Code(format!(":{name}:")), name.len() + 2))
}

/// Returns the length of the first of these markers that the text starts with.
pub(super) fn marker(text: &str, markers: &[&str]) -> Option<usize> {
    let found = markers.iter().find(|marker| text.starts_with(**marker));
    found.map(|marker| marker.len())
}

/// Returns the length of the marker of an ordered list, such as `1. `.
pub(super) fn number_marker(text: &str, ends: &[&str]) -> Option<usize> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let end = (digits > 0).then(|| marker(&text[digits..], ends))??;
    Some(digits + end)
}

/// Decodes a character reference, such as `&amp;` or `&#42;`.
pub(super) fn character_reference(text: &str) -> Option<(String, usize)> {
    let (name, _) = text.strip_prefix('&')?.split_once(';')?;
    let c = match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => '\u{a0}',
        _ => char::from_u32(name.strip_prefix('#')?.parse().ok()?)?,
    };
    Some((c.to_string(), name.len() + 2))
}
