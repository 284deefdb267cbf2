//! Detects and reverses common changes that happen to a body before an endpoint verifies it.
//!
//! If the sent body is known, it is compared with the received body. Otherwise, each possible
//! change is reversed, and the result is checked against the signature.

use serde_json::{Map, Value};

/// The order of members in Miniback's events. One list suffices, because no two members appear in
/// opposite orders at different nesting levels.
const MEMBER_ORDER: [&str; 13] = [
    "event",
    "timestamp",
    "data",
    "feedback",
    "project",
    "previousStatus",
    "id",
    "message",
    "status",
    "createdAt",
    "name",
    "slug",
    "user",
];
/// Number of characters shown before and after the first difference.
const CONTEXT_CHARS: usize = 28;

/// A change to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyChange {
    Empty,
    TrailingWhitespace,
    SurroundingWhitespace,
    ByteOrderMark,
    WrongCharset,
    /// The line endings were converted.
    LineEndings,
    KeyOrder,
    /// The same JSON with its members in the same order, but formatted differently.
    Reserialized,
    /// The JSON was encoded again, as a JSON string.
    EncodedAsString,
    /// The received body is only the start of the sent body.
    Truncated,
    /// The received body is the sent body, followed by more bytes.
    Extended,
    Other,
}

impl BodyChange {
    /// Returns the end of a sentence that starts with “The body”.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Empty => "is empty",
            Self::TrailingWhitespace => "has trailing whitespace",
            Self::SurroundingWhitespace => "has extra whitespace around it",
            Self::ByteOrderMark => "has a byte order mark at its start",
            Self::WrongCharset => "was decoded or encoded with a character set other than UTF-8",
            Self::LineEndings => "has different line breaks",
            Self::KeyOrder => "was re-serialized with its members in a different order",
            Self::Reserialized => "was re-serialized",
            Self::EncodedAsString => "was encoded as a JSON string",
            Self::Truncated => "is truncated",
            Self::Extended => "has extra content at its end",
            Self::Other => "differs from the sent body",
        }
    }

    /// Returns advice on how to fix the cause of the change.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Empty => {
                "If your server received a body, paste it. Otherwise, the body was already consumed: read the raw body before any body parser runs."
            }
            Self::TrailingWhitespace | Self::SurroundingWhitespace => {
                "If the whitespace wasn’t added by pasting, check that your code passes the bytes on unchanged, without println or templates."
            }
            Self::ByteOrderMark => "Read the raw bytes instead of decoded text.",
            Self::WrongCharset => "Use the raw bytes, or decode them as UTF-8.",
            Self::LineEndings => {
                "Use the raw bytes. Reading the body line by line changes its line breaks."
            }
            Self::KeyOrder | Self::Reserialized => {
                "Verify the raw bytes before a framework parses them. JSON.stringify or json.dumps doesn’t restore the original text."
            }
            Self::EncodedAsString => {
                "Verify the raw bytes. The body was encoded as JSON a second time."
            }
            Self::Truncated => {
                "Check for a limit on the body’s size, or code that verifies before the whole body has arrived."
            }
            Self::Extended => "Verify only the body, up to the length in Content-Length.",
            Self::Other => {
                "Verify the raw bytes as received, and check that the body and headers are from the same request."
            }
        }
    }
}

/// Returns the change that explains the difference between two bodies; `None` if they are equal.
pub fn detect_change(sent: &[u8], received: &[u8]) -> Option<BodyChange> {
    if sent == received {
        return None;
    }
    if received.trim_ascii().is_empty() {
        return Some(BodyChange::Empty);
    }
    // The first change that matches is returned, so the simplest changes are checked first.
    if let Some(change) = possible_original_bodies(received)
        .into_iter()
        .find_map(|(change, body)| (body == sent).then_some(change))
    {
        return Some(change);
    }
    let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    if let (Some(sent), Some(received)) = (parsed(sent), parsed(received)) {
        // Comparing parsed JSON ignores the order of members.
        if sent == received {
            let has_same_order = to_compact_json(&sent) == to_compact_json(&received);
            return Some(if has_same_order {
                BodyChange::Reserialized
            } else {
                BodyChange::KeyOrder
            });
        }
    }
    Some(if sent.starts_with(received) {
        BodyChange::Truncated
    } else if received.starts_with(sent) {
        BodyChange::Extended
    } else {
        BodyChange::Other
    })
}

/// Returns possible original bodies of `received`, each with the change that it implies.
pub fn possible_original_bodies(received: &[u8]) -> Vec<(BodyChange, Vec<u8>)> {
    let mut candidates = Vec::new();
    let mut add = |change, body: Vec<u8>| {
        if body != received && !body.is_empty() {
            candidates.push((change, body));
        }
    };
    add(
        BodyChange::TrailingWhitespace,
        received.trim_ascii_end().to_vec(),
    );
    add(
        BodyChange::SurroundingWhitespace,
        received.trim_ascii().to_vec(),
    );
    if let Some(rest) = received.strip_prefix(b"\xef\xbb\xbf") {
        add(BodyChange::ByteOrderMark, rest.to_vec());
    }
    let text = String::from_utf8_lossy(received);
    let latin1: Option<Vec<u8>> = text.chars().map(windows_1252_byte).collect();
    if let Some(bytes) = latin1 {
        add(BodyChange::WrongCharset, bytes);
    }
    // Invalid UTF-8 can be text that was re-encoded as Latin-1.
    if std::str::from_utf8(received).is_err() {
        let utf8: String = received.iter().map(|byte| char::from(*byte)).collect();
        add(BodyChange::WrongCharset, utf8.into_bytes());
    }
    add(
        BodyChange::LineEndings,
        text.replace("\r\n", "\n").into_bytes(),
    );
    add(
        BodyChange::LineEndings,
        text.replace("\r\n", "\n")
            .replace('\n', "\r\n")
            .into_bytes(),
    );
    if let Ok(value) = serde_json::from_slice::<Value>(received.trim_ascii()) {
        add(BodyChange::Reserialized, to_compact_json(&value));
        add(
            BodyChange::KeyOrder,
            to_compact_json(&sort_members(value.clone())),
        );
        if let Value::String(inner) = value {
            add(BodyChange::EncodedAsString, inner.into_bytes());
        }
    }
    candidates
}

/// An excerpt of a body around the first difference. Control characters and byte order marks are
/// escaped.
#[derive(Debug, PartialEq, Eq)]
pub struct Excerpt {
    pub before: String,
    /// The first character that differs; empty at the end of the body.
    pub differs: String,
    pub after: String,
}

/// Returns the byte offset of the first difference, and an excerpt of each body around this offset.
pub fn first_difference(sent: &[u8], received: &[u8]) -> (usize, Excerpt, Excerpt) {
    let offset = sent
        .iter()
        .zip(received)
        .position(|(a, b)| a != b)
        .unwrap_or_else(|| sent.len().min(received.len()));
    (
        offset,
        Excerpt::around_offset(sent, offset),
        Excerpt::around_offset(received, offset),
    )
}

impl Excerpt {
    fn around_offset(bytes: &[u8], offset: usize) -> Self {
        // The difference can be inside a multibyte character. Start at the character's first byte.
        let is_continuation = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        let start = (0..=offset)
            .rev()
            .find(|at| !is_continuation(*at))
            .unwrap_or(0);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let before = text(&bytes[..start]);
        let skip = before.chars().count().saturating_sub(CONTEXT_CHARS);
        let ellipsis = if skip > 0 { "…" } else { "" };
        let before: String = before.chars().skip(skip).map(escape_invisible).collect();
        let rest = text(&bytes[start..bytes.len().min(start + 4 * (CONTEXT_CHARS + 2))]);
        let mut rest = rest.chars();
        let differs = rest.next().map(escape_invisible).unwrap_or_default();
        let mut after: String = rest
            .by_ref()
            .take(CONTEXT_CHARS)
            .map(escape_invisible)
            .collect();
        if rest.next().is_some() {
            after.push('…');
        }
        Self {
            before: format!("{ellipsis}{before}"),
            differs,
            after,
        }
    }
}

fn escape_invisible(c: char) -> String {
    if c.is_control() || c == '\u{feff}' {
        c.escape_default().to_string()
    } else {
        c.to_string()
    }
}

/// Returns the byte that Windows-1252 or Latin-1 decodes as `c`, if there is such a byte.
fn windows_1252_byte(c: char) -> Option<u8> {
    const WINDOWS_1252_0X80_TO_0X9F: &str =
        "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";
    if let Ok(byte) = u8::try_from(u32::from(c)) {
        return Some(byte);
    }
    let index = WINDOWS_1252_0X80_TO_0X9F
        .chars()
        .position(|high| high == c)?;
    u8::try_from(0x80 + index).ok()
}

/// Serializes JSON in the format of Miniback's events.
fn to_compact_json(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// Sorts the members in the order of [`MEMBER_ORDER`]. Unknown members come last, in their original
/// order.
fn sort_members(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let rank = |name: &str| {
                MEMBER_ORDER
                    .iter()
                    .position(|known| *known == name)
                    .unwrap_or(MEMBER_ORDER.len())
            };
            let mut members: Vec<(String, Value)> = members.into_iter().collect();
            members.sort_by_key(|(name, _)| rank(name));
            let members = members
                .into_iter()
                .map(|(name, value)| (name, sort_members(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
