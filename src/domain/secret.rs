//! Signing secrets of webhooks.
//!
//! Generated secrets follow the Standard Webhooks specification: `whsec_` and base64. Users can
//! provide a secret in another format. Deliveries that are signed only with such a secret don't
//! have the `webhook-…` headers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Allowed length of a secret that a user provides, in characters.
const CUSTOM_SECRET_LENGTHS: std::ops::RangeInclusive<usize> = 16..=128;
/// The prefix of secrets in the format of Standard Webhooks.
const PREFIX: &str = "whsec_";

/// A signing secret. Its `Debug` output hides the value, to keep secrets out of the log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// The reason a secret that a user provides is invalid.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("A secret must have 16 to 128 characters; this one has {0}.")]
    Length(usize),
    #[error("A secret can contain only printable ASCII characters, without spaces.")]
    Characters,
}

impl Secret {
    /// Creates a secret from 32 random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self::from_key(&bytes)
    }

    /// Creates the secret for a key: `whsec_` and the base64 of the key.
    pub fn from_key(key: &[u8]) -> Self {
        Self(format!("{PREFIX}{}", STANDARD.encode(key)))
    }

    /// Validates a secret that a user provides: 16 to 128 printable ASCII characters without
    /// spaces.
    pub fn parse(text: String) -> Result<Self, SecretError> {
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SecretError::Characters);
        }
        if !CUSTOM_SECRET_LENGTHS.contains(&text.len()) {
            return Err(SecretError::Length(text.len()));
        }
        Ok(Self(text))
    }

    /// Wraps a stored secret without validating it again.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the key as defined by Standard Webhooks: the decoded base64 after `whsec_`.
    ///
    /// Returns `None` if the secret has another format, or if the key is shorter than 16 or longer
    /// than 64 bytes. Libraries couldn't verify the signatures of such secrets.
    pub fn standard_key(&self) -> Option<Vec<u8>> {
        let key = STANDARD.decode(self.0.strip_prefix(PREFIX)?).ok()?;
        (16..=64).contains(&key.len()).then_some(key)
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_secrets_are_valid_and_hidden_in_debug_output() {
        let secret = Secret::from_random([7; 32]);
        assert_eq!(secret.standard_key(), Some(vec![7; 32]));
        assert_eq!(Secret::parse(secret.as_str().to_owned()).unwrap(), secret);
        assert!(!format!("{secret:?}").contains(secret.as_str()));
    }

    #[test]
    fn custom_secrets_are_16_to_128_printable_characters() {
        for (text, is_valid) in [
            ("a".repeat(15), false),
            ("a".repeat(16), true),
            ("~".repeat(128), true),
            ("a".repeat(129), false),
        ] {
            assert_eq!(Secret::parse(text.clone()).is_ok(), is_valid, "{text}");
        }
        for bad in [
            "with a space in it",
            "tab\there-0123456789",
            "ünïcode-0123456789",
        ] {
            assert!(Secret::parse(bad.to_owned()).is_err(), "{bad}");
        }
        // A key of 15 bytes is too short, and libraries reject unpadded base64.
        assert_eq!(
            Secret::parse("whsec_AAAAAAAAAAAAAAAAAAAA".into())
                .unwrap()
                .standard_key(),
            None
        );
        assert_eq!(
            Secret::parse("whsec_AAAAAAAAAAAAAAAAAAAAAA".into())
                .unwrap()
                .standard_key(),
            None
        );
        assert_eq!(
            Secret::parse("whsec_AAAAAAAAAAAAAAAAAAAAAA==".into())
                .unwrap()
                .standard_key(),
            Some(vec![0; 16])
        );
    }
}
