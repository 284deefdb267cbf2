//! Builds the JSON of a chat service: cuts a message to the limits of the service, and escapes its
//! texts.
//!
//! Each service lists its safeguards in a table, so that a test can remove one at a time and check
//! that the strict stub of the service notices.

use std::borrow::Cow;

use serde_json::Value;
use unicode_segmentation::UnicodeSegmentation;

use super::message::{Message, Part};
use super::{discord, google_chat, mattermost, ntfy, slack, teams};
use crate::domain::format::Format;

/// A rule that keeps messages within the limits of a service, or text from visitors plain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Safeguard {
    /// Replaces a character that the service could interpret as markup.
    Escape {
        from: char,
        to: &'static str,
        at: Position,
    },
    /// The maximum size of a part, in the unit of the service.
    Limit { part: Part, max: usize },
    /// A member of the JSON that disables a feature of the service.
    Member {
        name: &'static str,
        json: &'static str,
    },
}

/// The positions at which a character has a meaning in a service's markup.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Position {
    Anywhere,
    /// Only white space is before the character on its line.
    LineStart,
    /// Only white space and a number are before the character on its line, as in an ordered list.
    AfterLineNumber,
    /// The next character isn't white space.
    BeforeText,
    /// The next character is the same.
    BeforeSame,
}

/// A chat service.
pub(super) struct Service {
    pub(super) safeguards: &'static [Safeguard],
    /// Returns the size of an escaped text in the unit of the service's limits.
    pub(super) size: fn(&str) -> usize,
    /// Returns the size of the JSON, in the unit of the limit of [`Part::WholeMessage`].
    pub(super) total_size: fn(&Value) -> usize,
    /// Returns the share of an escaped text in the size of the JSON.
    pub(super) share: fn(&str) -> usize,
    pub(super) build: fn(&Message, &Rules<'_>) -> Value,
}

/// Returns the chat service of a format; `None` for `standard` and `email`.
fn service(format: Format) -> Option<&'static Service> {
    match format {
        Format::Standard | Format::Email => None,
        Format::Slack => Some(&slack::SERVICE),
        Format::Discord => Some(&discord::SERVICE),
        Format::Teams => Some(&teams::SERVICE),
        Format::GoogleChat => Some(&google_chat::SERVICE),
        Format::Mattermost => Some(&mattermost::SERVICE),
        Format::Ntfy => Some(&ntfy::SERVICE),
    }
}

/// Returns the safeguards of a chat format. Other formats have none.
pub fn safeguards(format: Format) -> &'static [Safeguard] {
    service(format).map_or(&[], |service| service.safeguards)
}

/// Renders a message as the JSON of a chat service. Only tests pass other `safeguards` than
/// [`safeguards(format)`](safeguards). Returns an empty body for other formats.
pub fn render_message(format: Format, message: &Message, safeguards: &[Safeguard]) -> Vec<u8> {
    let Some(service) = service(format) else {
        return Vec::new();
    };
    let rules = Rules::new(service, safeguards);
    let json = (service.build)(&rules.cut_message(message), &rules);
    // Can't fail: a `Value` has only strings as keys.
    serde_json::to_vec(&json).unwrap_or_default()
}

/// Cuts a message to the limits of a chat service. Only tests pass other `safeguards` than
/// [`safeguards(format)`](safeguards). Returns `None` for `standard` and `email`.
pub fn cut_message(format: Format, message: &Message, safeguards: &[Safeguard]) -> Option<Message> {
    Some(Rules::new(service(format)?, safeguards).cut_message(message))
}

/// The safeguards of a service, applied to the parts of a message.
pub(super) struct Rules<'a> {
    service: &'a Service,
    safeguards: &'a [Safeguard],
    escapes: Vec<(char, &'static str, Position)>,
    /// The ASCII characters that have an escape. Nearly all characters have none.
    escaped_ascii: [bool; 128],
}

impl<'a> Rules<'a> {
    fn new(service: &'a Service, safeguards: &'a [Safeguard]) -> Self {
        let escapes = safeguards.iter().filter_map(|safeguard| match safeguard {
            Safeguard::Escape { from, to, at } => Some((*from, *to, *at)),
            _ => None,
        });
        let escapes: Vec<_> = escapes.collect();
        let mut escaped_ascii = [false; 128];
        for (from, _, _) in escapes.iter().filter(|(from, _, _)| from.is_ascii()) {
            escaped_ascii[*from as usize] = true;
        }
        Self {
            service,
            safeguards,
            escapes,
            escaped_ascii,
        }
    }

    fn limit(&self, part: Part) -> usize {
        let limits = self
            .safeguards
            .iter()
            .filter_map(|safeguard| match safeguard {
                Safeguard::Limit { part: of, max } if *of == part => Some(*max),
                _ => None,
            });
        limits.min().unwrap_or(usize::MAX)
    }

    /// Escapes all characters that have a meaning in the service's markup.
    pub(super) fn escape(&self, text: &str) -> String {
        let mut escaped = String::with_capacity(text.len() + 16);
        let mut line = LineStart::Blank;
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let next = chars.peek().copied();
            let has_escape = self.escaped_ascii.get(c as usize).copied();
            let mut escapes = self.escapes.iter().filter(|_| has_escape != Some(false));
            let replacement = escapes.find(|(from, _, at)| *from == c && at.applies(line, c, next));
            match replacement {
                Some((_, to, _)) => escaped.push_str(to),
                None => escaped.push(c),
            }
            line = line.after(c);
        }
        escaped
    }

    /// Cuts a text to the limit of `part`, with `…` at the end.
    fn cut<'t>(&self, part: Part, text: &'t str) -> Cow<'t, str> {
        let limit = self.limit(part);
        cut_while(text, |text| {
            (self.service.size)(&self.escape(text)) <= limit
        })
    }

    /// Adds the members that disable features of the service.
    pub(super) fn add_members(&self, json: &mut Value) {
        for safeguard in self.safeguards {
            if let Safeguard::Member { name, json: value } = safeguard {
                json[*name] = serde_json::from_str(value).unwrap_or_default();
            }
        }
    }

    fn cut_message(&self, message: &Message) -> Message {
        let mut cut = message.clone();
        cut.title = self.cut(Part::Title, &message.title).into_owned();
        for field in &mut cut.fields {
            field.value = self.cut(field.part, &field.value).into_owned();
        }
        let Some(text) = &message.text else {
            return cut;
        };
        let text = self.cut(Part::Text, text);
        cut.text = Some(text.clone().into_owned());
        let share = |text: &str| (self.service.share)(&self.escape(text));
        let total = (self.service.total_size)(&(self.service.build)(&cut, self));
        let limit = self.limit(Part::WholeMessage);
        if total > limit {
            let available = limit.saturating_sub(total - share(&text));
            let fitting = cut_while(&text, |text| share(text) <= available);
            cut.text = Some(fitting.into_owned());
        }
        cut
    }
}

/// Returns the text if it fits, else the longest part of it that fits, with `…` at the end. The
/// text isn't cut within a grapheme.
fn cut_while(text: &str, mut fits: impl FnMut(&str) -> bool) -> Cow<'_, str> {
    if fits(text) {
        return Cow::Borrowed(text);
    }
    let with_ellipsis = |end: usize| format!("{}…", text[..end].trim_end());
    let ends: Vec<usize> = text
        .grapheme_indices(true)
        .map(|(start, _)| start)
        .collect();
    // Binary search. The first `fitting` ends fit, the rest from `too_long` on don't.
    let (mut fitting, mut too_long) = (0, ends.len());
    while fitting + 1 < too_long {
        let middle = usize::midpoint(fitting, too_long);
        match fits(&with_ellipsis(ends[middle])) {
            true => fitting = middle,
            false => too_long = middle,
        }
    }
    Cow::Owned(with_ellipsis(ends.get(fitting).copied().unwrap_or(0)))
}

/// Cuts a text to a number of bytes.
pub(super) fn shorten(text: &str, bytes: usize) -> Cow<'_, str> {
    cut_while(text, |text| text.len() <= bytes)
}

/// The kind of text before a character on its line.
#[derive(Clone, Copy, PartialEq)]
enum LineStart {
    Blank,
    Number,
    Text,
}

impl LineStart {
    fn after(self, c: char) -> Self {
        match (self, c) {
            (_, '\n' | '\r') => Self::Blank,
            (Self::Blank, c) if c.is_whitespace() => Self::Blank,
            (Self::Blank | Self::Number, '0'..='9') => Self::Number,
            _ => Self::Text,
        }
    }
}

impl Position {
    fn applies(self, line: LineStart, c: char, next: Option<char>) -> bool {
        match self {
            Self::Anywhere => true,
            Self::LineStart => line == LineStart::Blank,
            Self::AfterLineNumber => line == LineStart::Number,
            Self::BeforeText => next.is_some_and(|next| !next.is_whitespace()),
            Self::BeforeSame => next == Some(c),
        }
    }
}

/// Returns the number of UTF-16 code units. Services that count characters count at most these.
pub(super) fn utf16_units(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Returns a text as a JSON string.
pub(super) fn json_string(text: &str) -> String {
    // Can't fail: a string is always valid JSON.
    serde_json::to_string(text).unwrap_or_default()
}
