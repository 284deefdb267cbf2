//! Converts a webhook's custom headers to and from the lines of a text field, `Name: value`.
//!
//! Stored values are never shown again. The field shows `…` instead, and a submitted `…` keeps the
//! stored value.

use std::collections::BTreeMap;

use crate::domain::webhook::{self, CustomHeaders, WebhookError};

/// Placeholder for a stored value.
const STORED_VALUE_PLACEHOLDER: &str = "…";

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum HeaderLineError {
    #[error("“{0}” isn’t a header. Use the format “Name: value”.")]
    MissingColon(String),
    #[error(transparent)]
    Header(#[from] WebhookError),
}

/// Formats the stored headers for the field, with placeholders instead of values.
pub(super) fn format_headers(stored: &CustomHeaders) -> String {
    stored
        .keys()
        .map(|name| format!("{name}: {STORED_VALUE_PLACEHOLDER}\n"))
        .collect()
}

/// Parses the field's lines into names and values. A value of `None` keeps the stored value.
pub(super) fn parse_headers(
    text: &str,
    stored: &CustomHeaders,
) -> Result<BTreeMap<String, Option<String>>, HeaderLineError> {
    let mut headers = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| HeaderLineError::MissingColon(line.to_owned()))?;
        let (name, value) = (name.trim_end(), value.trim());
        let has_stored_value = || stored.keys().any(|known| known.eq_ignore_ascii_case(name));
        let value = match value {
            STORED_VALUE_PLACEHOLDER if has_stored_value() => None,
            STORED_VALUE_PLACEHOLDER => {
                return Err(WebhookError::NoStoredValue(name.to_owned()).into());
            }
            value => Some(value.to_owned()),
        };
        if headers.insert(name.to_owned(), value).is_some() {
            return Err(WebhookError::DuplicateHeader(name.to_owned()).into());
        }
    }
    webhook::check_custom_headers(&headers)?;
    Ok(headers)
}

/// Returns whether saving the field's lines would leave the stored headers unchanged.
pub(super) fn are_headers_unchanged(text: &str, stored: &CustomHeaders) -> bool {
    parse_headers(text, stored).is_ok_and(|headers| {
        headers.len() == stored.len()
            && headers
                .iter()
                .all(|(name, value)| value.is_none() || value.as_ref() == stored.get(name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_keep_stored_values_and_new_values_replace_them() {
        let stored = CustomHeaders::from([("X-Key".to_owned(), "secret".to_owned())]);
        assert_eq!(format_headers(&stored), "X-Key: …\n");
        assert_eq!(
            parse_headers(&format_headers(&stored), &stored),
            Ok(BTreeMap::from([("X-Key".to_owned(), None)]))
        );
        let typed = parse_headers("\r\n Authorization: Bearer a:b \r\nx-key: …", &stored).unwrap();
        assert_eq!(typed["Authorization"], Some("Bearer a:b".to_owned()));
        assert_eq!(typed["x-key"], None);
        assert!(parse_headers("", &stored).unwrap().is_empty());
        for invalid in [
            "X-Key",
            "X-New: …",
            "X-Key: a\nX-Key: b",
            "Host: a",
            "X Key: a",
        ] {
            assert!(parse_headers(invalid, &stored).is_err(), "{invalid}");
        }
    }
}
