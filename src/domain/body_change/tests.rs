//! Tests that changes are detected when the sent body is known, and reversed when it is unknown.

use super::*;

const SENT_BODY: &str = r#"{"event":"feedback.created","timestamp":"2025-10-31T12:34:56.789Z","data":{"feedback":{"id":"fb_1","message":"Grüße – „so“\n","status":"NEW","createdAt":"2025-10-31T12:34:56.789Z"},"project":{"id":"prj_1","name":"Shop","slug":"shop"}}}"#;

fn received_body(change: &str) -> Vec<u8> {
    let value: Value = serde_json::from_str(SENT_BODY).unwrap();
    match change {
        "trailing newline" => format!("{SENT_BODY}\n").into_bytes(),
        "surrounding whitespace" => format!("\n  {SENT_BODY}\r\n").into_bytes(),
        "byte order mark" => [b"\xef\xbb\xbf", SENT_BODY.as_bytes()].concat(),
        "Latin-1" => SENT_BODY
            .bytes()
            .map(char::from)
            .collect::<String>()
            .into_bytes(),
        "pretty-printed" => serde_json::to_string_pretty(&value).unwrap().into_bytes(),
        "escaped" => SENT_BODY
            .replace('ü', "\\u00fc")
            .replace('/', "\\/")
            .into_bytes(),
        "sorted members" => {
            let sorted: std::collections::BTreeMap<String, Value> =
                serde_json::from_value(value).unwrap();
            serde_json::to_vec(&sorted).unwrap()
        }
        "JSON string" => serde_json::to_vec(SENT_BODY).unwrap(),
        "truncated" => SENT_BODY.as_bytes()[..100].to_vec(),
        "extended" => format!("{SENT_BODY}&more=1").into_bytes(),
        "other" => SENT_BODY.replace("Shop", "Store").into_bytes(),
        "empty" => Vec::new(),
        _ => SENT_BODY.as_bytes().to_vec(),
    }
}

#[test]
fn detects_each_kind_of_change() {
    use BodyChange::*;
    for (change, expected) in [
        ("none", None),
        ("trailing newline", Some(TrailingWhitespace)),
        ("surrounding whitespace", Some(SurroundingWhitespace)),
        ("byte order mark", Some(ByteOrderMark)),
        ("Latin-1", Some(WrongCharset)),
        ("pretty-printed", Some(Reserialized)),
        ("escaped", Some(Reserialized)),
        ("sorted members", Some(KeyOrder)),
        ("JSON string", Some(EncodedAsString)),
        ("truncated", Some(Truncated)),
        ("extended", Some(Extended)),
        ("other", Some(Other)),
        ("empty", Some(Empty)),
    ] {
        assert_eq!(
            detect_change(SENT_BODY.as_bytes(), &received_body(change)),
            expected,
            "{change}"
        );
    }
}

#[test]
fn reverses_most_changes_without_the_sent_body() {
    for change in [
        "trailing newline",
        "surrounding whitespace",
        "byte order mark",
        "Latin-1",
        "pretty-printed",
        "escaped",
        "sorted members",
        "JSON string",
    ] {
        let originals = possible_original_bodies(&received_body(change));
        assert!(
            originals
                .iter()
                .any(|(_, body)| body == SENT_BODY.as_bytes()),
            "{change}"
        );
    }
}

#[test]
fn detects_text_decoded_as_windows_1252() {
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
        detect_change("Grüße – „so“".as_bytes(), mangled.as_bytes()),
        Some(BodyChange::WrongCharset)
    );
}

#[test]
fn shows_the_first_difference() {
    let difference = |sent: &str, received: &str| {
        let (offset, sent, received) = first_difference(sent.as_bytes(), received.as_bytes());
        let format = |part: Excerpt| format!("{}[{}]{}", part.before, part.differs, part.after);
        (offset, format(sent), format(received))
    };
    let (offset, sent, received) = difference(r#"{"event":"test"}"#, r#"{"event": "test"}"#);
    assert_eq!(offset, 9);
    assert_eq!(sent, r#"{"event":["]test"}"#);
    assert_eq!(received, r#"{"event":[ ]"test"}"#);
    let (offset, sent, received) = difference("{}", "{}\r\n");
    assert_eq!(
        (offset, sent.as_str(), received.as_str()),
        (2, "{}[]", r"{}[\r]\n")
    );
    let (offset, sent, received) = difference("für", "fär");
    assert_eq!(
        (offset, sent.as_str(), received.as_str()),
        (2, "f[ü]r", "f[ä]r")
    );
    let long = "ü".repeat(40);
    let (_, sent, received) = difference(&long, &format!("{long}x{long}"));
    assert_eq!(sent, format!("…{}[]", "ü".repeat(28)));
    assert_eq!(
        received,
        format!("…{}[x]{}…", "ü".repeat(28), "ü".repeat(28))
    );
}
