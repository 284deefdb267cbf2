//! What commonly happens to a body between the socket and the code that verifies it, told apart and undone.
//!
//! With the body that was sent, what was seen is compared to it; without it, each change is undone on trial, and a
//! signature tells whether that was it. Both know a change by the same name.

use serde_json::{Map, Value};

/// Members in the order in which our events have them, all levels in one: no two of a level stand otherwise.
const ORDER: [&str; 13] = [
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
/// How many characters stand before and after the first difference.
const AROUND: usize = 16;

/// What happened to a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyChange {
    Empty,
    SpaceAtEnd,
    SpaceAround,
    ByteOrderMark,
    Charset,
    /// Lines of text that end otherwise.
    LineEnds,
    KeyOrder,
    /// The same JSON in the same order, written otherwise.
    Rewritten,
    /// JSON as a string within JSON.
    Quoted,
    /// The beginning of what was sent.
    Cut,
    /// Something stands after what was sent.
    Longer,
    Other,
}

impl BodyChange {
    /// `the body …`.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Empty => "it is empty",
            Self::SpaceAtEnd => "white space was added at its end",
            Self::SpaceAround => "white space was added around it",
            Self::ByteOrderMark => "a byte order mark was put before it",
            Self::Charset => "it was read in another character set than UTF-8",
            Self::LineEnds => "its line breaks were changed",
            Self::KeyOrder => {
                "its JSON was read and written again with its members in another order"
            }
            Self::Rewritten => "its JSON was read and written again",
            Self::Quoted => "it was written as a string within JSON",
            Self::Cut => "its end is missing",
            Self::Longer => "something was added at its end",
            Self::Other => "it holds something else than what was sent",
        }
    }

    /// What to do.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Empty => {
                "Something has read it before: take the raw body where the request comes in, before any body parser."
            }
            Self::SpaceAtEnd | Self::SpaceAround => {
                "If it did not come by pasting, hand the bytes on as they came: no println, no template."
            }
            Self::ByteOrderMark => "Read the raw bytes, not a text with a mark of its own.",
            Self::Charset => "Take the raw bytes, or decode them as UTF-8.",
            Self::LineEnds => "Take the raw bytes: something has read them as lines of text.",
            Self::KeyOrder | Self::Rewritten => {
                "Verify the raw bytes, before a framework parses them: what JSON.stringify or json.dumps makes of the parsed object is another text."
            }
            Self::Quoted => "Verify the raw bytes: the text was encoded as JSON once more.",
            Self::Cut => {
                "Look for a limit of the body’s size, or code that verifies before the whole body has come."
            }
            Self::Longer => "Verify the body alone, as long as Content-Length says.",
            Self::Other => {
                "Verify the raw bytes as they came, and check that body and headers are of the same request."
            }
        }
    }
}

/// What makes `seen` of `sent`; `None`: they are the same.
pub fn compare(sent: &[u8], seen: &[u8]) -> Option<BodyChange> {
    if sent == seen {
        return None;
    }
    if seen.trim_ascii().is_empty() {
        return Some(BodyChange::Empty);
    }
    // The order matters: the plainest explanation first.
    if let Some(change) = possible_originals(seen)
        .into_iter()
        .find_map(|(change, body)| (body == sent).then_some(change))
    {
        return Some(change);
    }
    let parsed = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
    if let (Some(was), Some(is)) = (parsed(sent), parsed(seen)) {
        // Members compare without their order.
        if was == is {
            let order = compact(&was) == compact(&is);
            return Some(if order {
                BodyChange::Rewritten
            } else {
                BodyChange::KeyOrder
            });
        }
    }
    Some(if sent.starts_with(seen) {
        BodyChange::Cut
    } else if seen.starts_with(sent) {
        BodyChange::Longer
    } else {
        BodyChange::Other
    })
}

/// What `seen` may have been before, with the change that made it what it is.
pub fn possible_originals(seen: &[u8]) -> Vec<(BodyChange, Vec<u8>)> {
    let mut candidates = Vec::new();
    let mut add = |change, body: Vec<u8>| {
        if body != seen && !body.is_empty() {
            candidates.push((change, body));
        }
    };
    add(BodyChange::SpaceAtEnd, seen.trim_ascii_end().to_vec());
    add(BodyChange::SpaceAround, seen.trim_ascii().to_vec());
    if let Some(rest) = seen.strip_prefix(b"\xef\xbb\xbf") {
        add(BodyChange::ByteOrderMark, rest.to_vec());
    }
    let text = String::from_utf8_lossy(seen);
    let latin1: Option<Vec<u8>> = text.chars().map(windows_1252).collect();
    if let Some(bytes) = latin1 {
        add(BodyChange::Charset, bytes);
    }
    // UTF-8 that was made Latin-1 by something that took it for such.
    if std::str::from_utf8(seen).is_err() {
        let utf8: String = seen.iter().map(|byte| char::from(*byte)).collect();
        add(BodyChange::Charset, utf8.into_bytes());
    }
    add(
        BodyChange::LineEnds,
        text.replace("\r\n", "\n").into_bytes(),
    );
    add(
        BodyChange::LineEnds,
        text.replace("\r\n", "\n")
            .replace('\n', "\r\n")
            .into_bytes(),
    );
    if let Ok(value) = serde_json::from_slice::<Value>(seen.trim_ascii()) {
        add(BodyChange::Rewritten, compact(&value));
        add(BodyChange::KeyOrder, compact(&in_order(value.clone())));
        if let Value::String(inner) = value {
            add(BodyChange::Quoted, inner.into_bytes());
        }
    }
    candidates
}

/// A part of a body around the place where it begins to be another one; what cannot be seen is written as in code.
#[derive(Debug, PartialEq, Eq)]
pub struct Excerpt {
    pub before: String,
    /// The first character that is not the same; empty at the end of the body.
    pub differs: String,
    pub after: String,
}

/// Where two bodies begin to differ, in bytes, and what stands there in each.
pub fn first_difference(sent: &[u8], seen: &[u8]) -> (usize, Excerpt, Excerpt) {
    let at = sent
        .iter()
        .zip(seen)
        .position(|(a, b)| a != b)
        .unwrap_or_else(|| sent.len().min(seen.len()));
    (at, Excerpt::of(sent, at), Excerpt::of(seen, at))
}

impl Excerpt {
    fn of(bytes: &[u8], at: usize) -> Self {
        // A letter of several bytes may differ in its last: it is shown whole.
        let is_inside = |at: usize| bytes.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        let start = (0..=at).rev().find(|at| !is_inside(*at)).unwrap_or(0);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let before = text(&bytes[..start]);
        let skip = before.chars().count().saturating_sub(AROUND);
        let cut = if skip > 0 { "…" } else { "" };
        let before: String = before.chars().skip(skip).map(visible).collect();
        let rest = text(&bytes[start..bytes.len().min(start + 4 * (AROUND + 2))]);
        let mut rest = rest.chars();
        let differs = rest.next().map(visible).unwrap_or_default();
        let mut after: String = rest.by_ref().take(AROUND).map(visible).collect();
        if rest.next().is_some() {
            after.push('…');
        }
        Self {
            before: format!("{cut}{before}"),
            differs,
            after,
        }
    }
}

fn visible(c: char) -> String {
    if c.is_control() || c == '\u{feff}' {
        c.escape_default().to_string()
    } else {
        c.to_string()
    }
}

/// The byte that stands for `c` where UTF-8 was read as Windows-1252, or as Latin-1.
fn windows_1252(c: char) -> Option<u8> {
    const HIGH: &str = "€\u{81}‚ƒ„…†‡ˆ‰Š‹Œ\u{8d}Ž\u{8f}\u{90}‘’“”•–—˜™š›œ\u{9d}žŸ";
    if let Ok(byte) = u8::try_from(u32::from(c)) {
        return Some(byte);
    }
    let index = HIGH.chars().position(|high| high == c)?;
    u8::try_from(0x80 + index).ok()
}

/// As our own events are written.
fn compact(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// The same value with the members in the order of our events; others come last, as they stand.
fn in_order(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let rank = |name: &str| {
                ORDER
                    .iter()
                    .position(|known| *known == name)
                    .unwrap_or(ORDER.len())
            };
            let mut members: Vec<(String, Value)> = members.into_iter().collect();
            members.sort_by_key(|(name, _)| rank(name));
            let members = members
                .into_iter()
                .map(|(name, value)| (name, in_order(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = r#"{"event":"feedback.created","timestamp":"2025-10-31T12:34:56.789Z","data":{"feedback":{"id":"fb_1","message":"Grüße – „so“\n","status":"NEW","createdAt":"2025-10-31T12:34:56.789Z"},"project":{"id":"prj_1","name":"Shop","slug":"shop"}}}"#;

    fn seen(change: &str) -> Vec<u8> {
        let value: Value = serde_json::from_str(SENT).unwrap();
        match change {
            "line" => format!("{SENT}\n").into_bytes(),
            "around" => format!("\n  {SENT}\r\n").into_bytes(),
            "mark" => [b"\xef\xbb\xbf", SENT.as_bytes()].concat(),
            "latin" => SENT
                .bytes()
                .map(char::from)
                .collect::<String>()
                .into_bytes(),
            "spaced" => serde_json::to_string_pretty(&value).unwrap().into_bytes(),
            "escaped" => SENT
                .replace('ü', "\\u00fc")
                .replace('/', "\\/")
                .into_bytes(),
            "sorted" => {
                let sorted: std::collections::BTreeMap<String, Value> =
                    serde_json::from_value(value).unwrap();
                serde_json::to_vec(&sorted).unwrap()
            }
            "quoted" => serde_json::to_vec(SENT).unwrap(),
            "cut" => SENT.as_bytes()[..100].to_vec(),
            "longer" => format!("{SENT}&more=1").into_bytes(),
            "other" => SENT.replace("Shop", "Store").into_bytes(),
            "empty" => Vec::new(),
            _ => SENT.as_bytes().to_vec(),
        }
    }

    #[test]
    fn each_change_is_known_by_comparing() {
        use BodyChange::*;
        for (change, expected) in [
            ("none", None),
            ("line", Some(SpaceAtEnd)),
            ("around", Some(SpaceAround)),
            ("mark", Some(ByteOrderMark)),
            ("latin", Some(Charset)),
            ("spaced", Some(Rewritten)),
            ("escaped", Some(Rewritten)),
            ("sorted", Some(KeyOrder)),
            ("quoted", Some(Quoted)),
            ("cut", Some(Cut)),
            ("longer", Some(Longer)),
            ("other", Some(Other)),
            ("empty", Some(Empty)),
        ] {
            assert_eq!(
                compare(SENT.as_bytes(), &seen(change)),
                expected,
                "{change}"
            );
        }
    }

    #[test]
    fn most_changes_can_be_undone_without_knowing_what_was_sent() {
        for change in [
            "line", "around", "mark", "latin", "spaced", "escaped", "sorted", "quoted",
        ] {
            let tried = possible_originals(&seen(change));
            assert!(
                tried.iter().any(|(_, body)| body == SENT.as_bytes()),
                "{change}"
            );
        }
    }

    #[test]
    fn windows_1252_is_undone_too() {
        let mangled = "Grüße – „so“".bytes().map(|byte| match byte {
            0x80 => '€',
            0x93 => '“',
            0x9c => 'œ',
            0x9e => 'ž',
            0x9f => 'Ÿ',
            other => char::from(other),
        });
        let mangled: String = mangled.collect();
        assert_eq!(
            compare("Grüße – „so“".as_bytes(), mangled.as_bytes()),
            Some(BodyChange::Charset)
        );
    }

    #[test]
    fn the_first_difference_is_pointed_at() {
        let told = |sent: &str, seen: &str| {
            let (at, sent, seen) = first_difference(sent.as_bytes(), seen.as_bytes());
            let write = |part: Excerpt| format!("{}[{}]{}", part.before, part.differs, part.after);
            (at, write(sent), write(seen))
        };
        let (at, sent, seen) = told(r#"{"event":"test"}"#, r#"{"event": "test"}"#);
        assert_eq!(at, 9);
        assert_eq!(sent, r#"{"event":["]test"}"#);
        assert_eq!(seen, r#"{"event":[ ]"test"}"#);
        let (at, sent, seen) = told("{}", "{}\r\n");
        assert_eq!((at, sent.as_str(), seen.as_str()), (2, "{}[]", r"{}[\r]\n"));
        let (at, sent, seen) = told("für", "fär");
        assert_eq!((at, sent.as_str(), seen.as_str()), (2, "f[ü]r", "f[ä]r"));
        let long = "ü".repeat(40);
        let (_, sent, seen) = told(&long, &format!("{long}x{long}"));
        assert_eq!(sent, format!("…{}[]", "ü".repeat(16)));
        assert_eq!(seen, format!("…{}[x]{}…", "ü".repeat(16), "ü".repeat(16)));
    }
}
