//! Builds the request of a delivery, and signs it in the standard format. No I/O.

use crate::clock::Timestamp;
use crate::domain::delivery::EndpointRequest;
use crate::domain::format::Format;
use crate::domain::request_headers::{
    self, LoggedHeaders, LoggedRequestHeaders, RequestSignatures, RequestSubject,
};
use crate::domain::signature;
use crate::domain::webhook::{CustomHeaders, Secrets};

/// The data that a request is built from.
pub struct RequestParts<'a> {
    pub delivery_id: &'a str,
    pub event: &'a str,
    pub event_at: Timestamp,
    pub format: Format,
    pub body: Vec<u8>,
    /// The secrets active at the time of the attempt.
    pub secrets: &'a Secrets,
    pub headers: &'a CustomHeaders,
}

/// Builds the request of an attempt that starts at `now`, and the headers for the delivery log.
/// `host` is the value of `Host`, which the client adds.
pub fn build_request(
    parts: RequestParts<'_>,
    host: String,
    now: Timestamp,
) -> (EndpointRequest, LoggedHeaders) {
    let subject = RequestSubject {
        delivery_id: parts.delivery_id,
        event: parts.event,
        event_at: parts.event_at,
        sent_at: now,
    };
    let signatures = parts.format.is_signed().then(|| sign(&parts, now));
    let mut headers = request_headers::render_headers(subject, signatures.as_ref());
    let custom = parts.headers.iter();
    headers.extend(custom.map(|(name, value)| (name.clone(), value.clone())));
    let logged = LoggedHeaders::Request(LoggedRequestHeaders {
        host,
        signatures,
        custom: parts.headers.keys().cloned().collect(),
    });
    let request = EndpointRequest {
        headers,
        path_and_query: None,
        body: parts.body,
    };
    (request, logged)
}

fn sign(parts: &RequestParts<'_>, now: Timestamp) -> RequestSignatures {
    let (id, body) = (parts.delivery_id, &parts.body);
    let current = &parts.secrets.current;
    let next = parts.secrets.next.as_ref().map(|next| &next.secret);
    // During an overlap, both secrets sign. A secret that isn't in the format of Standard Webhooks
    // is skipped, because libraries couldn't verify its signature.
    let standard: Vec<String> = std::iter::once(current)
        .chain(next)
        .filter_map(|secret| signature::sign_standard(secret, id, now.seconds(), body))
        .collect();
    RequestSignatures {
        current: signature::sign_hex(current, body),
        next: next.map(|next| signature::sign_hex(next, body)),
        standard: Some(standard.join(" ")).filter(|signatures| !signatures.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::secret::Secret;
    use crate::domain::webhook::NextSecret;

    fn request(secrets: &Secrets) -> (EndpointRequest, LoggedHeaders) {
        let parts = RequestParts {
            delivery_id: "dlv_1",
            event: "feedback.created",
            event_at: Timestamp::from_millis(1_000),
            format: Format::Standard,
            body: b"{}".to_vec(),
            secrets,
            headers: &CustomHeaders::from([("X-Api-Key".to_owned(), "k".to_owned())]),
        };
        build_request(parts, "a.example".into(), Timestamp::from_millis(5_999))
    }

    fn names(request: &EndpointRequest) -> Vec<&str> {
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
            names(&request(&secrets).0),
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
        let (request, logged) = request(&both);
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
        let subject = RequestSubject {
            delivery_id: "dlv_1",
            event: "feedback.created",
            event_at: Timestamp::from_millis(1_000),
            sent_at: Timestamp::from_millis(5_999),
        };
        let shown = logged.render(subject, request.body.len());
        assert_eq!(shown[0], ("Host".to_owned(), "a.example".to_owned()));
        assert_eq!(shown[1], ("Content-Length".to_owned(), "2".to_owned()));
        let (last, sent) = (request.headers.len() - 1, &request.headers);
        assert_eq!(shown[2..2 + last], sent[..last]);
        let masked = ("X-Api-Key".to_owned(), "••••••".to_owned());
        assert_eq!(shown[2 + last..], [masked]);
    }
}
