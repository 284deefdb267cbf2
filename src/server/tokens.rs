//! Random tokens that are shown once (sessions, API tokens, one-time links), and the hash by which they are found.
//!
//! A token has 256 random bits, so a fast hash is enough: there is nothing to guess.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest;

use crate::random;

/// Begins every API token, so that one is recognised where it should not stand.
pub const API_TOKEN_PREFIX: &str = "mb_";

/// A new token: 43 characters that need no escaping anywhere.
pub fn random_token() -> String {
    URL_SAFE_NO_PAD.encode(random::bytes::<32>())
}

/// A new API token.
pub fn random_api_token() -> String {
    format!("{API_TOKEN_PREFIX}{}", random_token())
}

/// SHA-256, the form in which a token is stored and found.
pub fn sha256(token: impl AsRef<[u8]>) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, token.as_ref()).as_ref());
    hash
}
