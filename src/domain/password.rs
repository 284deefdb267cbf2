//! Password hashes: Argon2id (RFC 9106) in the PHC string format, with the parameters that OWASP
//! recommends.
//!
//! Both functions use about 20 ms of one core and 19 MiB. Don't call them on an async thread.

use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::random;

/// Returns the hasher: 19 MiB, two passes, one lane.
fn hasher() -> Argon2<'static> {
    // `Params::DEFAULT` is m = 19 MiB, t = 2, p = 1.
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

/// Hashing failed.
#[derive(Debug, thiserror::Error)]
#[error("hashing the password failed: {0}")]
pub struct HashError(argon2::password_hash::Error);

/// Hashes a password with a random salt and returns the PHC string to store.
pub fn hash(password: &str) -> Result<String, HashError> {
    let salt: [u8; 16] = random::bytes();
    let hash = hasher()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(HashError)?;
    Ok(hash.to_string())
}

/// Returns whether `password` matches the stored hash. Without a hash (an unknown account), it
/// takes the same time and returns false.
pub fn verify(password: &str, stored: Option<&str>) -> bool {
    static DUMMY_HASH: LazyLock<Option<String>> =
        LazyLock::new(|| hash("nobody has this password").ok());
    let phc = stored.or(DUMMY_HASH.as_deref()).unwrap_or_default();
    let matches = PasswordHash::new(phc)
        .is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok());
    matches && stored.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_with_argon2id_and_verifies() {
        let stored = hash("correct horse battery").unwrap();
        assert!(
            stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{stored}"
        );
        assert!(verify("correct horse battery", Some(&stored)));
        assert!(!verify("correct horse batterx", Some(&stored)));
        assert!(!verify("nobody has this password", None));
    }
}
