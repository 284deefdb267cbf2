//! Validates the custom headers of a webhook.

use std::collections::BTreeMap;

use super::{CUSTOM_HEADERS_MAX, CustomHeaders, HEADER_VALUE_MAX_BYTES, WebhookError};

/// Checks the number, names, and values of custom headers. The value `None` means the stored value,
/// which isn't checked again.
pub fn check_custom_headers(
    headers: &BTreeMap<String, Option<String>>,
) -> Result<(), WebhookError> {
    if headers.len() > CUSTOM_HEADERS_MAX {
        return Err(WebhookError::TooManyHeaders);
    }
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in headers {
        let lowercase_name = name.to_ascii_lowercase();
        if name.is_empty()
            || name.len() > 64
            || !name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        {
            return Err(WebhookError::InvalidHeaderName(name.clone()));
        }
        if is_reserved_header(&lowercase_name) {
            return Err(WebhookError::ReservedHeader(name.clone()));
        }
        if seen.contains(&lowercase_name) {
            return Err(WebhookError::DuplicateHeader(name.clone()));
        }
        let is_valid_value = |v: &String| {
            v.len() <= HEADER_VALUE_MAX_BYTES
                && v.bytes().all(|b| b == b' ' || b.is_ascii_graphic())
                && v.trim() == v
        };
        if value.as_ref().is_some_and(|v| !is_valid_value(v)) {
            return Err(WebhookError::InvalidHeaderValue(name.clone()));
        }
        seen.push(lowercase_name);
    }
    Ok(())
}

/// Returns the headers that replace all stored headers. A header without a value keeps the stored
/// value of the header with the same name. Names are compared without regard to case.
pub fn merge_custom_headers(
    new: BTreeMap<String, Option<String>>,
    stored: &CustomHeaders,
) -> Result<CustomHeaders, WebhookError> {
    let stored_value = |name: &str| {
        stored
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
    };
    new.into_iter()
        .map(
            |(name, value)| match value.or_else(|| stored_value(&name)) {
                Some(value) => Ok((name, value)),
                None => Err(WebhookError::NoStoredValue(name)),
            },
        )
        .collect()
}

/// Returns whether a name can't be used for a custom header. Miniback sets these headers, or HTTP
/// uses them for framing, routing, or negotiation (RFC 9110, RFC 9112).
fn is_reserved_header(lowercase_name: &str) -> bool {
    const RESERVED_HEADER_NAMES: [&str; 15] = [
        "host",
        "date",
        "user-agent",
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "accept-encoding",
        "http2-settings",
        "proxy-authorization",
        "forwarded",
    ];
    RESERVED_HEADER_NAMES.contains(&lowercase_name)
        || lowercase_name.starts_with("content-")
        || lowercase_name.starts_with("x-miniback-")
        || lowercase_name.starts_with("x-forwarded-")
        || lowercase_name.starts_with("webhook-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one_header(name: &str, value: &str) -> BTreeMap<String, Option<String>> {
        BTreeMap::from([(name.to_owned(), Some(value.to_owned()))])
    }

    #[test]
    fn rejects_reserved_and_invalid_headers() {
        for name in [
            "X-Miniback-Event",
            "webhook-id",
            "User-Agent",
            "Content-Type",
            "content-length",
            "HOST",
            "Connection",
            "Transfer-Encoding",
        ] {
            assert_eq!(
                check_custom_headers(&one_header(name, "x")),
                Err(WebhookError::ReservedHeader(name.to_owned()))
            );
        }
        assert_eq!(
            check_custom_headers(&one_header("Authorization", "Bearer abc")),
            Ok(())
        );
        for name in ["", "a b", "a:b", "a\r\nb", "ü"] {
            assert!(
                check_custom_headers(&one_header(name, "x")).is_err(),
                "{name:?}"
            );
        }
        for value in ["a\r\nX: b", "a\0", " a", "ü", &"a".repeat(1025)] {
            assert!(
                check_custom_headers(&one_header("X-Key", value)).is_err(),
                "{value:?}"
            );
        }
        let twice = BTreeMap::from([("X-Key".to_owned(), None), ("x-key".to_owned(), None)]);
        assert!(matches!(
            check_custom_headers(&twice),
            Err(WebhookError::DuplicateHeader(_))
        ));
        let eleven = (0..11).map(|i| (format!("X-{i}"), None)).collect();
        assert_eq!(
            check_custom_headers(&eleven),
            Err(WebhookError::TooManyHeaders)
        );
    }
}
