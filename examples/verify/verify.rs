//! Verifies Miniback webhooks. Uses the crates base64 0.22, hex 0.4, hmac 0.13, and sha2 0.11.
use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Returns whether Miniback sent a request. `header` returns a header by name; `body` is the raw
/// body; `now` is in Unix seconds.
pub fn is_genuine<'a>(
    secret: &str,
    header: impl Fn(&str) -> Option<&'a str>,
    body: &[u8],
    now: i64,
) -> bool {
    // `verify_slice` compares in constant time, so a signature can't be guessed byte by byte.
    let is_signature = |key: &[u8], message: &[u8], received: Vec<u8>| {
        let mac = Hmac::<Sha256>::new_from_slice(key);
        mac.is_ok_and(|mac| mac.chain_update(message).verify_slice(&received).is_ok())
    };
    // During a rotation, the second header uses the new secret.
    let is_signed = ["X-Miniback-Signature", "X-Miniback-Signature-Next"]
        .iter()
        .filter_map(|name| hex::decode(header(name)?).ok())
        .any(|received| is_signature(secret.as_bytes(), body, received));
    if !is_signed {
        return false;
    }
    // The key of webhook-signature. The webhook-… headers are sent only for `whsec_` secrets.
    let key = secret
        .strip_prefix("whsec_")
        .and_then(|text| BASE64.decode(text).ok());
    let Some(key) = key.filter(|key| (16..=64).contains(&key.len())) else {
        return true;
    };
    // This signature also covers the delivery id and the time, which prevents replay attacks.
    let sent_at = header("webhook-timestamp").unwrap_or_default();
    let delivery = header("X-Miniback-Delivery").unwrap_or_default();
    let signed = [format!("{delivery}.{sent_at}.").as_bytes(), body].concat();
    let received = header("webhook-signature").unwrap_or_default().split(' ');
    let is_standard_signed = received
        .filter_map(|text| BASE64.decode(text.strip_prefix("v1,")?).ok())
        .any(|received| is_signature(&key, &signed, received));
    is_standard_signed && sent_at.parse().is_ok_and(|at: i64| at.abs_diff(now) <= 300)
}
