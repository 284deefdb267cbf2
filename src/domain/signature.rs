//! Signatures of deliveries: `X-Miniback-Signature` and `webhook-signature` (Standard Webhooks).
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use super::secret::Secret;

/// Computes `X-Miniback-Signature`: the HMAC-SHA256 of the raw body as 64 lowercase hex digits. The
/// key is the whole secret as UTF-8.
pub fn sign_hex(secret: &Secret, body: &[u8]) -> String {
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, secret.as_str().as_bytes()),
        body,
    );
    ::hex::encode(tag)
}

/// Computes one entry of `webhook-signature`: `v1,` and the base64 of the HMAC-SHA256 of
/// `id.timestamp.body`. `timestamp` is in Unix seconds.
///
/// Returns `None` if the secret isn't in the format of Standard Webhooks.
pub fn sign_standard(secret: &Secret, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    let mut context =
        hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &secret.standard_key()?));
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body);
    Some(format!("v1,{}", STANDARD.encode(context.sign())))
}

/// Returns whether `entry`, one entry of `webhook-signature`, is valid. Compares in constant time.
pub(super) fn is_valid_standard_signature(
    secret: &Secret,
    (id, timestamp): (&str, i64),
    body: &[u8],
    entry: &str,
) -> bool {
    let tag = entry.strip_prefix("v1,").map(|text| STANDARD.decode(text));
    let (Some(Ok(tag)), Some(key)) = (tag, secret.standard_key()) else {
        return false;
    };
    let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), &signed, &tag).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_the_test_vector_of_standard_webhooks() {
        // From the test vectors of the reference libraries.
        let secret = Secret::from_stored("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into());
        let signed = sign_standard(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(
            signed.as_deref(),
            Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        );
        assert_eq!(
            sign_standard(
                &Secret::from_stored("a-secret-of-my-own".into()),
                "m",
                0,
                b""
            ),
            None
        );
    }

    #[test]
    fn matches_the_test_vector_of_rfc_4231() {
        // RFC 4231, test case 2.
        let signed = sign_hex(
            &Secret::from_stored("Jefe".into()),
            b"what do ya want for nothing?",
        );
        assert_eq!(
            signed,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }
}
