//! Passwords at rest: Argon2id, in the PHC string format (RFC 9106; parameters by the OWASP cheat sheet).
//!
//! Both functions take some 20 ms of one core and 19 MiB: never call them on an async thread.

use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

use crate::random;

/// 19 MiB, two passes, one lane.
fn hasher() -> Argon2<'static> {
    // `Params::DEFAULT` is m = 19 MiB, t = 2, p = 1.
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::DEFAULT)
}

#[derive(Debug, thiserror::Error)]
#[error("the password could not be hashed: {0}")]
pub struct HashError(argon2::password_hash::Error);

/// The PHC string to store for `password`.
pub fn hash(password: &str) -> Result<String, HashError> {
    let salt: [u8; 16] = random::bytes();
    let hash = hasher()
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(HashError)?;
    Ok(hash.to_string())
}

/// Whether `password` is that of `stored`. Without a stored one (an unknown account) it takes as long, and says no.
pub fn verify(password: &str, stored: Option<&str>) -> bool {
    static NOBODY: LazyLock<Option<String>> =
        LazyLock::new(|| hash("nobody has this password").ok());
    let phc = stored.or(NOBODY.as_deref()).unwrap_or_default();
    let matches = PasswordHash::new(phc)
        .is_ok_and(|hash| hasher().verify_password(password.as_bytes(), &hash).is_ok());
    matches && stored.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_stored_as_argon2id_and_verified() {
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
