//! A webhook's own headers as lines of a text field: `Name: value`.
//!
//! A stored value is never shown again: `…` stands for it, and keeps it where it is sent back.

use std::collections::BTreeMap;

use crate::domain::webhook::{self, CustomHeaders, WebhookError};

/// Stands for a value that is stored.
const STORED_VALUE: &str = "…";

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum HeaderLineError {
    #[error("“{0}” is not of the form Name: value.")]
    MissingColon(String),
    #[error(transparent)]
    Header(#[from] WebhookError),
}

/// The lines as the field shows them.
pub(super) fn format_headers(stored: &CustomHeaders) -> String {
    stored
        .keys()
        .map(|name| format!("{name}: {STORED_VALUE}\n"))
        .collect()
}

/// What the lines change; `None` as a value keeps the stored one.
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
        let is_stored = || stored.keys().any(|known| known.eq_ignore_ascii_case(name));
        let value = match value {
            STORED_VALUE if is_stored() => None,
            STORED_VALUE => return Err(WebhookError::NoStoredValue(name.to_owned()).into()),
            value => Some(value.to_owned()),
        };
        if headers.insert(name.to_owned(), value).is_some() {
            return Err(WebhookError::DuplicateHeader(name.to_owned()).into());
        }
    }
    webhook::check_headers(&headers)?;
    Ok(headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_keeps_what_is_stored_and_what_is_typed_replaces_it() {
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
        for wrong in [
            "X-Key",
            "X-New: …",
            "X-Key: a\nX-Key: b",
            "Host: a",
            "X Key: a",
        ] {
            assert!(parse_headers(wrong, &stored).is_err(), "{wrong}");
        }
    }
}
