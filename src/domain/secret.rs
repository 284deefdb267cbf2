//! Signing secrets of webhooks.
//!
//! A secret that Miniback makes follows the Standard Webhooks specification: `whsec_` and base64. A user may also
//! bring one of their own; where that is of another form, the `webhook-…` headers are left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The fewest and the most characters of a secret that a user brings.
pub const GIVEN_CHARS: std::ops::RangeInclusive<usize> = 16..=128;
/// What a shown secret is hidden behind.
const PREFIX: &str = "whsec_";

/// A signing secret. Never in a log: its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("A secret has 16 to 128 characters; this one has {0}.")]
    Length(usize),
    #[error("A secret is made of printable ASCII characters without spaces.")]
    Characters,
}

impl Secret {
    /// A secret of our own making, from 32 random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        Self::from_key(&bytes)
    }

    /// The secret that stands for a key of our own.
    pub fn from_key(key: &[u8]) -> Self {
        Self(format!("{PREFIX}{}", STANDARD.encode(key)))
    }

    /// A secret that a user gives: 16 to 128 printable ASCII characters without spaces.
    pub fn parse(text: String) -> Result<Self, SecretError> {
        if !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SecretError::Characters);
        }
        if !GIVEN_CHARS.contains(&text.len()) {
            return Err(SecretError::Length(text.len()));
        }
        Ok(Self(text))
    }

    /// One that the store gives back: it was checked when it was made.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key by the Standard Webhooks specification: what the base64 after `whsec_` stands for, if that is 16 to 64
    /// bytes. `None`: no library could verify a `webhook-signature` made with this secret.
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
    fn a_made_secret_has_a_standard_key_and_passes_its_own_check() {
        let secret = Secret::from_random([7; 32]);
        assert_eq!(secret.standard_key(), Some(vec![7; 32]));
        assert_eq!(Secret::parse(secret.as_str().to_owned()).unwrap(), secret);
        assert!(!format!("{secret:?}").contains(secret.as_str()));
    }

    #[test]
    fn given_secrets_are_16_to_128_printable_characters() {
        for (text, good) in [
            ("a".repeat(15), false),
            ("a".repeat(16), true),
            ("~".repeat(128), true),
            ("a".repeat(129), false),
        ] {
            assert_eq!(Secret::parse(text.clone()).is_ok(), good, "{text}");
        }
        for bad in [
            "with a space in it",
            "tab\there-0123456789",
            "ünïcode-0123456789",
        ] {
            assert!(Secret::parse(bad.to_owned()).is_err(), "{bad}");
        }
        // 15 bytes of key are too few, and unpadded base64 is not what libraries take.
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
