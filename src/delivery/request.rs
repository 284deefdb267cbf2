//! Builds and signs the request of a delivery. No I/O.

use crate::clock::Timestamp;
use crate::domain::delivery::SignedRequest;
use crate::domain::signature;
use crate::domain::webhook::{CustomHeaders, Secrets};

const USER_AGENT: &str = "Miniback-Webhook/1.0";
/// The replacement for the values of custom headers in the delivery log. Miniback never shows these
/// values, because they can be secrets.
const MASKED_VALUE: &str = "••••••";

/// The data that a request is built from.
pub struct RequestParts<'a> {
    pub delivery_id: &'a str,
    pub event: &'a str,
    pub event_at: Timestamp,
    pub body: Vec<u8>,
    /// The secrets active at the time of the attempt.
    pub secrets: &'a Secrets,
    pub headers: &'a CustomHeaders,
}

/// Builds and signs the request of an attempt that starts at `now`. The client adds `Host`, `Date`,
/// and `Content-Length`.
pub fn build_signed_request(parts: RequestParts<'_>, now: Timestamp) -> SignedRequest {
    let body = parts.body;
    let id = parts.delivery_id;
    let secrets = parts.secrets;
    let next = secrets.next.as_ref().map(|next| &next.secret);
    let mut headers: Vec<(String, String)> = Vec::with_capacity(12);
    let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
    add("Content-Type", "application/json".into());
    add("User-Agent", USER_AGENT.into());
    add("X-Miniback-Event", parts.event.into());
    add("X-Miniback-Delivery", id.into());
    add("X-Miniback-Timestamp", parts.event_at.to_string());
    add(
        "X-Miniback-Signature",
        signature::sign_hex(&secrets.current, &body),
    );
    if let Some(next) = next {
        add(
            "X-Miniback-Signature-Next",
            signature::sign_hex(next, &body),
        );
    }
    // During an overlap, both secrets sign. A secret that isn't in the format of Standard Webhooks
    // is skipped, because libraries couldn't verify its signature.
    let standard: Vec<String> = std::iter::once(&secrets.current)
        .chain(next)
        .filter_map(|secret| signature::sign_standard(secret, id, now.seconds(), &body))
        .collect();
    if !standard.is_empty() {
        add("webhook-id", id.into());
        add("webhook-timestamp", now.seconds().to_string());
        add("webhook-signature", standard.join(" "));
    }
    for (name, value) in parts.headers {
        add(name, value.clone());
    }
    SignedRequest { headers, body }
}

/// Returns the headers for the delivery log. Includes `Host` and `Content-Length`, which the client
/// adds, and masks the values of custom headers.
pub fn headers_for_log(
    request: &SignedRequest,
    custom_headers: &CustomHeaders,
    host: String,
) -> Vec<(String, String)> {
    let client_headers = [
        ("Host".to_owned(), host),
        ("Content-Length".to_owned(), request.body.len().to_string()),
    ];
    let mask = |(name, value): &(String, String)| {
        let shown = if custom_headers.contains_key(name) {
            MASKED_VALUE
        } else {
            value
        };
        (name.clone(), shown.to_owned())
    };
    client_headers
        .into_iter()
        .chain(request.headers.iter().map(mask))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;
    use crate::domain::webhook::NextSecret;

    fn request(secrets: &Secrets) -> SignedRequest {
        let parts = RequestParts {
            delivery_id: "dlv_1",
            event: "feedback.created",
            event_at: Timestamp::from_millis(1_000),
            body: b"{}".to_vec(),
            secrets,
            headers: &CustomHeaders::from([("X-Api-Key".to_owned(), "k".to_owned())]),
        };
        build_signed_request(parts, Timestamp::from_millis(5_999))
    }

    fn names(request: &SignedRequest) -> Vec<&str> {
        request
            .headers
            .iter()
            .map(|(name, _)| name.as_str())
            .collect()
    }

    #[test]
    fn omits_standard_webhooks_headers_for_a_secret_in_another_format() {
        let secrets = Secrets {
            current: Secret::from_stored("a-secret-of-my-own".into()),
            next: None,
        };
        assert_eq!(
            names(&request(&secrets)),
            [
                "Content-Type",
                "User-Agent",
                "X-Miniback-Event",
                "X-Miniback-Delivery",
                "X-Miniback-Timestamp",
                "X-Miniback-Signature",
                "X-Api-Key"
            ]
        );
    }

    #[test]
    fn both_secrets_sign_during_an_overlap() {
        let (old, new) = (Secret::from_random([1; 32]), Secret::from_random([2; 32]));
        let overlap_ends_at = Timestamp::from_millis(9_000);
        let both = Secrets {
            current: old.clone(),
            next: Some(NextSecret {
                secret: new.clone(),
                overlap_ends_at,
            }),
        };
        let request = request(&both);
        let value = |name: &str| {
            request
                .headers
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.clone())
                .unwrap()
        };
        assert_eq!(
            value("X-Miniback-Signature"),
            signature::sign_hex(&old, b"{}")
        );
        assert_eq!(
            value("X-Miniback-Signature-Next"),
            signature::sign_hex(&new, b"{}")
        );
        assert_eq!(value("webhook-timestamp"), "5");
        assert_eq!(value("webhook-signature").split(' ').count(), 2);
        let custom_headers = &CustomHeaders::from([("X-Api-Key".to_owned(), "k".to_owned())]);
        let logged = headers_for_log(&request, custom_headers, "a.example".into());
        assert_eq!(logged[0], ("Host".to_owned(), "a.example".to_owned()));
        assert_eq!(
            logged.last().unwrap(),
            &("X-Api-Key".to_owned(), MASKED_VALUE.to_owned())
        );
    }
}
