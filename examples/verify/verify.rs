//! Verifies Miniback's webhooks, with the crates `base64` 0.22, `hex` 0.4, `hmac` 0.13 and `sha2` 0.11.
use base64::{Engine, prelude::BASE64_STANDARD as BASE64};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// `header` looks a header up by its name; `body` is the raw body; `now` is in Unix seconds.
pub fn is_genuine<'a>(
    secret: &str,
    header: impl Fn(&str) -> Option<&'a str>,
    body: &[u8],
    now: i64,
) -> bool {
    // `verify_slice` takes the same time wherever the two differ: else a signature could be guessed byte by byte.
    let is_by = |key: &[u8], message: &[u8], given: Vec<u8>| {
        let mac = Hmac::<Sha256>::new_from_slice(key);
        mac.is_ok_and(|mac| mac.chain_update(message).verify_slice(&given).is_ok())
    };
    // While the secret is being rotated, each event is signed by the old one and by the next one.
    let is_signed = ["X-Miniback-Signature", "X-Miniback-Signature-Next"]
        .iter()
        .filter_map(|name| hex::decode(header(name)?).ok())
        .any(|given| is_by(secret.as_bytes(), body, given));
    if !is_signed {
        return false;
    }
    let key = secret
        .strip_prefix("whsec_")
        .and_then(|text| BASE64.decode(text).ok());
    let Some(key) = key.filter(|key| (16..=64).contains(&key.len())) else {
        return true; // a secret of another form: the webhook-… headers are not sent
    };
    // This signature is over id and time of sending too, so a recording that somebody plays back is refused.
    let sent_at = header("webhook-timestamp").unwrap_or_default();
    let delivery = header("X-Miniback-Delivery").unwrap_or_default();
    let signed = [format!("{delivery}.{sent_at}.").as_bytes(), body].concat();
    let given = header("webhook-signature").unwrap_or_default().split(' ');
    let is_stamped = given
        .filter_map(|one| BASE64.decode(one.strip_prefix("v1,")?).ok())
        .any(|given| is_by(&key, &signed, given));
    is_stamped && sent_at.parse().is_ok_and(|at: i64| at.abs_diff(now) <= 300)
}
