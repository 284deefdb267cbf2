//! The context of feedback from the widget and the public form: the browser, and the fields that a
//! website adds. It is stored as metadata.
//!
//! Invalid members are omitted, because a mistake of the website must not prevent feedback. The
//! widget shows the context before it is sent, so `updateContext` in `static/widget.js` must omit
//! the same members.

use serde_json::{Map, Value, json};
use utoipa::openapi::schema::{Object, ObjectBuilder, SchemaType, Type};

use super::feedback::METADATA_MAX_BYTES;
use super::user_agent::UserAgent;

/// The maximum length of a name, in characters.
pub const NAME_MAX_CHARS: usize = 40;
/// The maximum length of a string, in Unicode scalar values.
pub const TEXT_MAX_CHARS: usize = 200;
/// The name of the member that contains the browser, such as `Firefox 131`.
pub const BROWSER: &str = "browser";
/// The name of the member that contains the operating system, such as `iOS 18`.
pub const SYSTEM: &str = "system";
/// The name of the member that contains the size of the window, such as `1280 × 720`.
pub const WINDOW: &str = "window";
/// The name of the member that contains the browser's language, such as `de-DE`.
pub const LANGUAGE: &str = "language";

/// Returns the OpenAPI schema of a context.
pub fn context_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(SchemaType::from_iter([Type::Object, Type::Null]))
        .description(Some(
            "Stored as the feedback’s metadata, after the browser and the operating system from \
             the `User-Agent` header. Names are 1 to 40 letters, digits, `_`, or `-`, and texts \
             have at most 200 characters. Members that are invalid or don’t fit into 4 KiB of JSON \
             are omitted.",
        ))
        .examples([json!({"window": "1280 × 720", "language": "de-DE", "plan": "pro"})])
        .build()
}

/// Returns the members that the server derives from the `User-Agent` header.
pub fn derived_members(agent: &UserAgent) -> Vec<(&'static str, String)> {
    [(BROWSER, agent.browser()), (SYSTEM, agent.system())]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// Returns the metadata of feedback: the derived members, then the members that the client sent.
/// Omits invalid members, and members that don't fit into 4 KiB. Derived members replace sent
/// members with the same name.
///
/// Values other than strings are only limited by the total size. The widget doesn't send them, but
/// forms of other websites can.
pub fn context_metadata(
    agent: &UserAgent,
    sent: Option<Map<String, Value>>,
) -> Option<Map<String, Value>> {
    let derived = derived_members(agent).into_iter();
    let derived = derived.map(|(name, value)| (name.to_owned(), Value::from(value)));
    let is_sent = sent.is_some();
    let mut metadata = Map::new();
    let mut bytes = "{}".len();
    for (name, value) in derived.chain(sent.into_iter().flatten()) {
        let member_bytes = json_bytes(&name) + ":".len() + json_bytes(&value);
        let total = bytes + member_bytes + usize::from(!metadata.is_empty());
        let is_valid = is_valid_name(&name) && is_valid_value(&value);
        if is_valid && total <= METADATA_MAX_BYTES && !metadata.contains_key(&name) {
            metadata.insert(name, value);
            bytes = total;
        }
    }
    (is_sent || !metadata.is_empty()).then_some(metadata)
}

fn json_bytes(value: &impl serde::Serialize) -> usize {
    serde_json::to_string(value).map_or(usize::MAX / 4, |json| json.len())
}

fn is_valid_name(name: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=NAME_MAX_CHARS).contains(&name.len()) && name.bytes().all(is_allowed)
}

fn is_valid_value(value: &Value) -> bool {
    value
        .as_str()
        .is_none_or(|text| text.chars().count() <= TEXT_MAX_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::feedback::check_metadata;
    use proptest::prelude::*;

    const FIREFOX: &str = "Mozilla/5.0 (Android 14; Mobile; rv:131.0) Gecko/131.0 Firefox/131.0";

    fn metadata(header: &str, sent: Value) -> Value {
        let sent = sent.as_object().cloned();
        context_metadata(&UserAgent::parse(header), sent).map_or(Value::Null, Value::Object)
    }

    #[test]
    fn derived_members_come_first_and_replace_sent_ones() {
        let sent = json!({"plan": "pro", "system": "Mine", "window": "1280 × 720"});
        let expected =
            r#"{"browser":"Firefox 131","system":"Android","plan":"pro","window":"1280 × 720"}"#;
        assert_eq!(metadata(FIREFOX, sent.clone()).to_string(), expected);
        assert_eq!(metadata("curl/8", sent.clone()), sent);
        assert_eq!(metadata("curl/8", json!({})), json!({}));
        assert_eq!(metadata("curl/8", Value::Null), Value::Null);
        let derived = json!({"browser": "Firefox 131", "system": "Android"});
        assert_eq!(metadata(FIREFOX, Value::Null), derived);
    }

    #[test]
    fn omits_invalid_members_and_keeps_the_others() {
        for (name, value) in [
            ("", json!("a")),
            ("a b", json!("a")),
            ("ü", json!("a")),
            ("a.b", json!("a")),
            (&"a".repeat(41), json!("a")),
            ("a", json!("x".repeat(201))),
        ] {
            let mut sent = Map::new();
            sent.insert(name.to_owned(), value.clone());
            sent.insert("plan".to_owned(), json!("pro"));
            assert_eq!(
                metadata("", sent.into()),
                json!({"plan": "pro"}),
                "{name}: {value}"
            );
        }
        for (name, value) in [
            ("__proto__", json!("<b>\"&\u{0}\n")),
            (&"a".repeat(40), json!("👋".repeat(200))),
            ("empty", json!("")),
            ("number", json!(1)),
            ("cart", json!({"items": [null, true, "x".repeat(300)]})),
        ] {
            let sent = json!({ name: value });
            assert_eq!(metadata("", sent.clone()), sent);
        }
    }

    #[test]
    fn omits_members_that_do_not_fit_into_4_kib() {
        let large: Map<String, Value> = (0..30)
            .map(|number| (format!("field-{number}"), json!("x".repeat(200))))
            .chain([("small".to_owned(), json!("x"))])
            .collect();
        let stored = metadata(FIREFOX, large.into());
        assert_eq!(stored["browser"], "Firefox 131");
        assert_eq!(stored["field-0"], "x".repeat(200));
        assert_eq!(stored["small"], "x");
        assert_eq!(stored.get("field-29"), None);
        let size = stored.to_string().len();
        assert!((3_800..=METADATA_MAX_BYTES).contains(&size), "{size}");
    }

    proptest! {
        #[test]
        fn any_context_becomes_valid_metadata(
            members in prop::collection::vec(("[a-c_-]{0,3}|.{0,50}", ".{0,210}|x{150,210}"), 0..60),
        ) {
            let sent = members.into_iter().map(|(name, value)| (name, Value::from(value)));
            let stored = context_metadata(&UserAgent::parse(FIREFOX), Some(sent.collect()));
            let stored = stored.unwrap();
            prop_assert!(check_metadata(stored.clone()).is_ok());
            prop_assert!(stored.keys().all(|name| is_valid_name(name)));
        }
    }
}
