//! A webhook's own headers as lines of a text field: `Name: value`.
//!
//! A stored value is never shown again: `…` stands for it, and keeps it where it is sent back.

use std::collections::BTreeMap;

use crate::domain::webhook::{self, CustomHeaders, WebhookError};

/// Stands for a value that is stored.
const KEPT: &str = "…";

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum LineError {
    #[error("“{0}” is not of the form Name: value.")]
    NoColon(String),
    #[error(transparent)]
    Header(#[from] WebhookError),
}

/// The lines as the field shows them.
pub(super) fn show(stored: &CustomHeaders) -> String {
    stored
        .keys()
        .map(|name| format!("{name}: {KEPT}\n"))
        .collect()
}

/// What the lines change; `None` as a value keeps the stored one.
pub(super) fn read(
    text: &str,
    stored: &CustomHeaders,
) -> Result<BTreeMap<String, Option<String>>, LineError> {
    let mut headers = BTreeMap::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| LineError::NoColon(line.to_owned()))?;
        let (name, value) = (name.trim_end(), value.trim());
        let is_stored = || stored.keys().any(|known| known.eq_ignore_ascii_case(name));
        let value = match value {
            KEPT if is_stored() => None,
            KEPT => return Err(WebhookError::HeaderNotStored(name.to_owned()).into()),
            value => Some(value.to_owned()),
        };
        if headers.insert(name.to_owned(), value).is_some() {
            return Err(WebhookError::HeaderTwice(name.to_owned()).into());
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
        assert_eq!(show(&stored), "X-Key: …\n");
        assert_eq!(
            read(&show(&stored), &stored),
            Ok(BTreeMap::from([("X-Key".to_owned(), None)]))
        );
        let typed = read("\r\n Authorization: Bearer a:b \r\nx-key: …", &stored).unwrap();
        assert_eq!(typed["Authorization"], Some("Bearer a:b".to_owned()));
        assert_eq!(typed["x-key"], None);
        assert!(read("", &stored).unwrap().is_empty());
        for wrong in [
            "X-Key",
            "X-New: …",
            "X-Key: a\nX-Key: b",
            "Host: a",
            "X Key: a",
        ] {
            assert!(read(wrong, &stored).is_err(), "{wrong}");
        }
    }
}
