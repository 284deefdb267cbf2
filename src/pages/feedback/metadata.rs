//! Describes the metadata of feedback for people, for example as `Firefox 131 on Android`.

use serde_json::{Map, Value};

use super::language_names::language_name;
use crate::domain::context::{BROWSER, LANGUAGE, SYSTEM};

/// Returns the labels and values of metadata. Values other than strings are JSON.
pub(super) fn metadata_entries(metadata: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |name: &str| metadata.get(name).and_then(Value::as_str);
    let browser = text(BROWSER).zip(text(SYSTEM));
    let mut entries = Vec::new();
    for (name, value) in metadata {
        let shown = match (name.as_str(), value) {
            (SYSTEM, _) if browser.is_some() => continue,
            (BROWSER, Value::String(name)) => match browser {
                Some((browser, system)) => format!("{browser} on {system}"),
                None => name.clone(),
            },
            (LANGUAGE, Value::String(tag)) => match language_name(tag) {
                Some(name) => format!("{name} ({tag})"),
                None => tag.clone(),
            },
            (_, Value::String(text)) => text.clone(),
            (_, other) => other.to_string(),
        };
        entries.push((metadata_label(name).to_owned(), shown));
    }
    entries
}

/// Returns the label of a well-known metadata name, regardless of case and punctuation. Returns
/// other names unchanged, because only the website that sends them knows their meaning.
fn metadata_label(name: &str) -> &str {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    match letters.collect::<String>().to_ascii_lowercase().as_str() {
        "browser" => "Browser",
        "os" | "operatingsystem" | "platform" | "system" => "System",
        "window" | "windowsize" | "viewport" => "Window",
        "screen" | "screensize" => "Screen",
        "language" | "lang" | "locale" => "Language",
        "timezone" => "Time zone",
        "useragent" => "User agent",
        "device" => "Device",
        "version" | "appversion" => "Version",
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn describes_the_context_of_the_widget() {
        let shown = |metadata: Value| {
            let entries = metadata_entries(metadata.as_object().unwrap());
            let lines = entries
                .iter()
                .map(|(label, value)| format!("{label}: {value}"));
            lines.collect::<Vec<_>>().join("; ")
        };
        for (metadata, expected) in [
            (
                json!({
                    "browser": "Firefox 131", "system": "Android", "window": "1280 × 720",
                    "language": "de-DE", "plan": "pro",
                }),
                "Browser: Firefox 131 on Android; Window: 1280 × 720; Language: German (de-DE); plan: pro",
            ),
            (json!({"system": "iOS 18"}), "System: iOS 18"),
            (json!({"browser": "Safari 18"}), "Browser: Safari 18"),
            (
                json!({"browser": {"name": "Safari"}, "system": "iOS"}),
                "Browser: {\"name\":\"Safari\"}; System: iOS",
            ),
            (
                json!({"system": 7, "language": "xx"}),
                "System: 7; Language: xx",
            ),
            (json!({}), ""),
        ] {
            assert_eq!(shown(metadata), expected);
        }
    }

    #[test]
    fn labels_well_known_metadata_names() {
        for (name, label) in [
            ("browser", "Browser"),
            ("os", "System"),
            ("user_agent", "User agent"),
            ("timeZone", "Time zone"),
            ("plan", "plan"),
            ("版", "版"),
        ] {
            assert_eq!(metadata_label(name), label);
        }
    }
}
