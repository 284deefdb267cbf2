//! Random tokens for sessions, API access, and one-time links, and their hashes. Only the hashes
//! are stored.
//!
//! A token has 256 random bits and can't be guessed, so a fast hash is enough.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

use crate::random;

/// Prefix of every API token, so that leaked tokens are easy to recognize.
pub const API_TOKEN_PREFIX: &str = "mb_";

/// Returns a new token: 43 characters of unpadded URL-safe base64.
pub fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(random::bytes::<32>())
}

/// Returns whether the text has the length and the characters of a [`random_token`].
pub fn has_random_token_format(text: &str) -> bool {
    text.len() == 43
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Returns a new API token.
pub fn random_api_token() -> String {
    format!("{API_TOKEN_PREFIX}{}", random_token())
}

/// Returns the SHA-256 hash of a token or other data.
pub fn sha256(data: impl AsRef<[u8]>) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, data.as_ref()).as_ref());
    hash
}
