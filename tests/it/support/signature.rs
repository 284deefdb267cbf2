//! Signatures, worked out with other code than the program's: RustCrypto's HMAC, and the Standard Webhooks library.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use standardwebhooks::Webhook;

use super::receiver::Received;

/// HMAC-SHA256 of a body, in lower-case hex, as the webhook guide tells receivers to work it out.
pub fn hex_signature(secret: &str, body: &[u8]) -> String {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// Whether the Standard Webhooks library accepts a request, with a secret as the API shows it.
pub fn standard_webhooks(secret: &str, request: &Received) -> Result<(), String> {
    let mut headers = ureq::http::HeaderMap::new();
    for (name, value) in &request.headers {
        let name = ureq::http::HeaderName::from_bytes(name.as_bytes());
        headers.append(
            name.map_err(|error| error.to_string())?,
            value
                .parse()
                .map_err(|_| format!("not a header: {value}"))?,
        );
    }
    Webhook::new(secret)
        .and_then(|webhook| webhook.verify(&request.body, &headers))
        .map_err(|error| error.to_string())
}

/// `webhook-signature` as the Standard Webhooks library works it out.
#[track_caller]
pub fn standard_signature(secret: &str, id: &str, sent_at: i64, body: &[u8]) -> String {
    Webhook::new(secret)
        .and_then(|webhook| webhook.sign(id, sent_at, body))
        .expect("a secret of the specification's form")
}
