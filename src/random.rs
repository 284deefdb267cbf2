//! The only source of randomness: the operating system's generator, through the `ring` crate.

use ring::rand::{SecureRandom, SystemRandom};

/// Returns `N` random bytes, suitable for keys.
///
/// # Panics
///
/// Panics if the system's generator fails, because no safe key can be created without it.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the system's random number generator failed");
    bytes
}
