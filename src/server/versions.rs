//! Versions of objects: a version changes when an editable field changes.
//!
//! A version is a keyed hash, so it reveals nothing about hidden values such as custom headers.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::Serialize;

use crate::domain::feedback::Feedback;
use crate::domain::project::Project;
use crate::domain::webhook::{CustomHeaders, Webhook};

/// The length of the hash in a version, in bytes.
const VERSION_BYTES: usize = 18;

/// Computes versions with a key that is stored in the database.
#[derive(Clone)]
pub struct VersionHasher(hmac::Key);

/// An object with a version.
pub trait Versioned {
    fn version(&self, versions: &VersionHasher) -> String;
}

impl VersionHasher {
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Returns the version of a webhook's custom headers.
    pub fn headers_version(&self, headers: &CustomHeaders) -> String {
        self.hash(&("headers", headers))
    }

    fn hash(&self, editable: &impl Serialize) -> String {
        // This can't fail, because all keys of maps are strings.
        let json = serde_json::to_vec(editable).unwrap_or_default();
        let hash = hmac::sign(&self.0, &json);
        URL_SAFE_NO_PAD.encode(&hash.as_ref()[..VERSION_BYTES])
    }
}

impl Versioned for Project {
    fn version(&self, versions: &VersionHasher) -> String {
        versions.hash(&(&self.id, &self.name, self.status, &self.allowed_origins))
    }
}

impl Versioned for Feedback {
    fn version(&self, versions: &VersionHasher) -> String {
        versions.hash(&(&self.id, self.status))
    }
}

impl Versioned for Webhook {
    fn version(&self, versions: &VersionHasher) -> String {
        // The pattern lists every field, so that a new field causes a compile error here.
        let Self {
            id,
            url,
            format,
            details,
            description,
            topics,
            projects,
            enabled,
            retries,
            headers,
            failing_since: _,
            held_until: _,
            created_at: _,
        } = self;
        let url = url.as_str();
        versions.hash(&(
            (id, url, format, details, description, topics),
            (projects, enabled, retries, headers),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_headers_depends_on_their_values_and_on_the_key() {
        let headers = |value: &str| CustomHeaders::from([("X-Key".into(), value.into())]);
        let versions = VersionHasher::new(&[1; 32]);
        let version = versions.headers_version(&headers("one"));
        assert_eq!(version, versions.headers_version(&headers("one")));
        assert_ne!(version, versions.headers_version(&headers("two")));
        assert_ne!(
            version,
            VersionHasher::new(&[2; 32]).headers_version(&headers("one"))
        );
    }
}
