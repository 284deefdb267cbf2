//! Signatures computed without the program's code: by RustCrypto's HMAC and by the Standard
//! Webhooks library.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use standardwebhooks::Webhook;

use super::receiver::ReceivedRequest;

/// Computes the HMAC-SHA256 of a body in lowercase hex, as the webhook guide describes it.
pub fn hex_signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .expect("create an HMAC: it accepts keys of any length");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// Verifies a request with the Standard Webhooks library. `secret` has the format that the API
/// returns.
pub fn verify_standard_webhook(secret: &str, request: &ReceivedRequest) -> Result<(), String> {
    let mut headers = http1::HeaderMap::new();
    for (name, value) in &request.headers {
        let name = http1::HeaderName::from_bytes(name.as_bytes());
        headers.append(
            name.map_err(|error| error.to_string())?,
            value
                .parse()
                .map_err(|_| format!("invalid header value: {value}"))?,
        );
    }
    Webhook::new(secret)
        .and_then(|webhook| webhook.verify(&request.body, &headers))
        .map_err(|error| error.to_string())
}

/// Computes `webhook-signature` with the Standard Webhooks library.
#[track_caller]
pub fn standard_signature(secret: &str, id: &str, sent_at: i64, body: &[u8]) -> String {
    Webhook::new(secret)
        .and_then(|webhook| webhook.sign(id, sent_at, body))
        .expect("sign with a secret in the format of the specification")
}
