//! The strings of the widget and the public form in all languages, from
//! `static/translations.json`. The rest of Miniback is in English.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The strings in one language.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Translations {
    /// The language tag.
    pub lang: String,
    pub(super) label: String,
    pub(super) question: String,
    pub(super) placeholder: String,
    pub(super) message: String,
    pub(super) email: String,
    pub(super) optional: String,
    pub(super) send: String,
    close: String,
    pub(super) sent: String,
    pub(super) thanks: String,
    later: String,
    pub(super) paused: String,
    pub(super) failed: String,
    instead: String,
    // Only the public form uses the following strings.
    pub(super) another: String,
    pub(super) too_fast: String,
    pub(super) too_many: String,
    pub(super) not_found_title: String,
    pub(super) not_found: String,
}

/// The names of the widget's strings, in the order in which its script contains them. A site can
/// replace a string with the `data-` attribute of the same name.
pub(super) const WIDGET_STRING_NAMES: [&str; 14] = [
    "label",
    "message",
    "email",
    "optional",
    "send",
    "close",
    "sent",
    "thanks",
    "later",
    "paused",
    "failed",
    "instead",
    "question",
    "placeholder",
];

/// The strings in all languages, English first.
static ALL: LazyLock<Vec<Translations>> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../static/translations.json"))
        .expect("static/translations.json is valid")
});

impl Translations {
    /// Returns the strings in the language that an `Accept-Language` header prefers, or in English.
    pub fn for_accept_language(header: &str) -> &'static Self {
        let mut preferences: Vec<(&str, f32)> = header
            .split(',')
            .filter_map(|preference| {
                let (tag, weight) = preference.split_once(';').unwrap_or((preference, "q=1"));
                // The parameter name `q` is case-insensitive (RFC 9110, section 12.4.2).
                let weight = weight.trim().strip_prefix(['q', 'Q'])?;
                let weight = weight.strip_prefix('=')?.parse().ok()?;
                Some((tag.trim(), weight)).filter(|(_, weight)| *weight > 0.0)
            })
            .collect();
        // The sort is stable, so the first of two languages with equal weights wins.
        preferences.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        preferences
            .into_iter()
            .find_map(|(tag, _)| Self::for_language_tag(tag))
            .unwrap_or(&ALL[0])
    }

    /// Returns the strings in the language of a tag, ignoring its region: `pt` for `pt-BR`.
    fn for_language_tag(tag: &str) -> Option<&'static Self> {
        let language = tag.split(['-', '_']).next().unwrap_or_default();
        ALL.iter()
            .find(|strings| strings.lang.eq_ignore_ascii_case(language))
    }
}

/// Returns the widget's strings in the format that its script reads: for each language, all strings
/// joined with `|`.
pub(super) fn widget_strings() -> Value {
    let in_language = |translations: &Translations| {
        let all = serde_json::to_value(translations).unwrap_or_default();
        let strings = WIDGET_STRING_NAMES.map(|name| all[name].as_str().unwrap_or_default());
        Value::from(strings.join("|"))
    };
    let languages: Map<String, Value> = ALL
        .iter()
        .map(|translations| (translations.lang.clone(), in_language(translations)))
        .collect();
    Value::Object(languages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chooses_the_most_preferred_available_language() {
        for (header, lang) in [
            ("", "en"),
            ("de", "de"),
            ("pt-BR,pt;q=0.9,en;q=0.8", "pt"),
            ("nl,fr;q=0.5,ja;q=0.7", "ja"),
            ("DE-at", "de"),
            ("de;Q=0.5, pt;Q=0.9", "pt"),
            ("de;q=0, es", "es"),
            ("*", "en"),
            ("xx;q=nonsense, ,;;", "en"),
        ] {
            let chosen = Translations::for_accept_language(header);
            assert_eq!(chosen.lang, lang, "{header}");
        }
    }

    #[test]
    fn no_string_is_missing_in_any_language() {
        let languages: Vec<&str> = ALL.iter().map(|strings| strings.lang.as_str()).collect();
        assert_eq!(languages, ["en", "de", "fr", "es", "pt", "ja"]);
        for translations in ALL.iter() {
            let strings = serde_json::to_value(translations).unwrap();
            for (name, text) in strings.as_object().unwrap() {
                assert_ne!(text, "", "{name} in {}", translations.lang);
            }
        }
        let widget = widget_strings();
        for language in languages {
            let strings = widget[language].as_str().unwrap().split('|');
            assert_eq!(strings.count(), WIDGET_STRING_NAMES.len());
        }
        assert_eq!(
            widget["de"].as_str().unwrap().split('|').nth(4).unwrap(),
            Translations::for_language_tag("de").unwrap().send,
            "in the order of their names"
        );
        assert_eq!(WIDGET_STRING_NAMES[4], "send");
    }
}
