//! Password hashes: Argon2id (RFC 9106) in the PHC string format, with the parameters that OWASP
//! recommends.
//!
//! Computing a hash takes about 20 ms of one core and 19 MiB of memory. Don't compute hashes on an
//! async thread.

use std::borrow::Cow;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Params, Version};
use unicode_normalization::{UnicodeNormalization, is_nfkc};

use crate::random;

/// Length of new salts, in bytes.
const SALT_LEN: usize = 16;

/// The error for a password that can't be hashed.
#[derive(Debug, thiserror::Error)]
#[error("the password can’t be hashed; report this as a bug")]
pub struct HashError(argon2::password_hash::Error);

/// Hashes a password with a random salt and returns the PHC string to store.
pub fn hash(password: &str) -> Result<String, HashError> {
    let salt: [u8; SALT_LEN] = random::bytes();
    // `Params::DEFAULT` is m = 19 MiB, t = 2, p = 1.
    let params = Params::DEFAULT;
    let hash = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(&params).map_err(HashError)?,
        salt: Some(Salt::new(&salt).map_err(|error| HashError(error.into()))?),
        hash: Some(compute_hash(password, &salt, params).map_err(|error| HashError(error.into()))?),
    };
    Ok(hash.to_string())
}

/// Returns whether `password` matches the stored hash. Without a hash (an unknown account), returns
/// false after the same time.
pub fn verify(password: &str, stored: Option<&str>) -> bool {
    let parsed = stored.and_then(parse_hash);
    let (salt, params, expected) = match &parsed {
        Some((salt, params, expected)) => (salt.as_ref(), params.clone(), Some(expected)),
        None => (&[0; SALT_LEN][..], Params::DEFAULT, None),
    };
    let computed = compute_hash(password, salt, params).ok();
    // `Output` compares in constant time.
    computed
        .zip(expected)
        .is_some_and(|(computed, expected)| computed == *expected)
}

fn compute_hash(password: &str, salt: &[u8], params: Params) -> Result<Output, argon2::Error> {
    let len = params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let mut bytes = [0; Output::MAX_LENGTH];
    let bytes = bytes.get_mut(..len).ok_or(argon2::Error::OutputTooLong)?;
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
        normalize_password(password).as_bytes(),
        salt,
        bytes,
    )?;
    Output::new(bytes).map_err(|_| argon2::Error::OutputTooLong)
}

/// Returns the normalized password (NFKC), which is hashed and compared. Keyboards and systems
/// encode the same characters in different ways (NIST SP 800-63B, 3.1.1.2).
pub(super) fn normalize_password(password: &str) -> Cow<'_, str> {
    if is_nfkc(password) {
        Cow::Borrowed(password)
    } else {
        Cow::Owned(password.nfkc().collect())
    }
}

/// Parses a stored hash, and returns its salt, parameters, and expected output. Returns `None` if
/// the hash isn't a complete Argon2id hash of version 0x13.
fn parse_hash(stored: &str) -> Option<(Salt, Params, Output)> {
    let hash = PasswordHash::new(stored).ok()?;
    if hash.algorithm != Algorithm::Argon2id.ident() || hash.version != Some(Version::V0x13.into())
    {
        return None;
    }
    Some((hash.salt?, Params::try_from(&hash).ok()?, hash.hash?))
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
        assert!(!verify("correct horse battery", Some("not a hash")));
    }

    #[test]
    fn all_encodings_of_a_password_are_equal() {
        let spellings = [
            "Größe ﬁnden im Café 1",
            "Gro\u{308}ße finden im Cafe\u{301} 1",
        ];
        let wide = "Ｇｒöße　ﬁｎｄｅｎ im Café １";
        for typed in spellings {
            let stored = hash(typed).unwrap();
            for other in spellings.into_iter().chain([wide]) {
                assert!(verify(other, Some(&stored)), "{other}");
            }
            assert!(!verify("Grosse finden im Cafe 1", Some(&stored)));
        }
    }

    #[test]
    fn verifies_a_hash_of_another_program() {
        // A test vector of the reference implementation, with m = 256 KiB.
        let stored = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$\
            nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert!(verify("password", Some(stored)));
        assert!(!verify("Password", Some(stored)));
    }
}
