//! Signatures of deliveries: Miniback's own (hex) and that of the Standard Webhooks specification.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use super::secret::Secret;

/// `X-Miniback-Signature`: HMAC-SHA256 of the raw body, keyed by the whole secret as UTF-8, as 64 lower-case hex digits.
pub fn sign_hex(secret: &Secret, body: &[u8]) -> String {
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, secret.as_str().as_bytes()),
        body,
    );
    ::hex::encode(tag)
}

/// One entry of `webhook-signature`: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`, where `timestamp` is
/// in Unix seconds. `None` where the secret is not of the specification's form.
pub fn sign_standard(secret: &Secret, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    let mut context =
        hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &secret.standard_key()?));
    context.update(format!("{id}.{timestamp}.").as_bytes());
    context.update(body);
    Some(format!("v1,{}", STANDARD.encode(context.sign())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_specifications_own_example_verifies() {
        // From the reference libraries' test vectors.
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
    fn the_hex_signature_is_the_hmac_of_the_raw_body() {
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
