//! Projects: what feedback is about.

use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

use super::id::ProjectId;
use crate::clock::Timestamp;

/// The longest name of a project (and of a token), in Unicode scalar values.
pub const NAME_MAX_CHARS: usize = 100;
/// The longest slug, in bytes.
pub const SLUG_MAX_BYTES: usize = 64;
/// The most origins that a project can list.
pub const ORIGINS_MAX: usize = 50;

/// A paused project takes no feedback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum ProjectStatus {
    Active,
    Paused,
}

impl ProjectStatus {
    pub const ALL: [Self; 2] = [Self::Active, Self::Paused];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Paused => "PAUSED",
        }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    pub id: ProjectId,
    #[schema(example = "My Website")]
    pub name: String,
    /// Fixed once made.
    #[schema(example = "my-website")]
    pub slug: String,
    pub status: ProjectStatus,
    /// The web origins whose widget may send feedback; empty = all.
    #[schema(example = json!(["https://example.com"]))]
    pub allowed_origins: Vec<String>,
    pub created_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error("Give it a name: 1 to {NAME_MAX_CHARS} characters.")]
    NameEmpty,
    #[error("The name has {0} characters; at most {NAME_MAX_CHARS} are taken.")]
    NameTooLong(usize),
    #[error("The name holds a control character.")]
    NameControl,
    #[error("A slug is 1 to {SLUG_MAX_BYTES} of the characters a to z, 0 to 9 and -.")]
    Slug,
    #[error("“{0}” is not an origin; write one as https://example.com, without a path.")]
    Origin(String),
    #[error("At most {ORIGINS_MAX} origins can be listed.")]
    TooManyOrigins,
}

/// A name: 1 to 100 characters without control characters, trimmed.
pub fn check_name(text: &str) -> Result<String, ProjectError> {
    let name = text.trim();
    if name.is_empty() {
        return Err(ProjectError::NameEmpty);
    }
    if name.chars().any(char::is_control) {
        return Err(ProjectError::NameControl);
    }
    match name.chars().count() {
        0..=NAME_MAX_CHARS => Ok(name.to_owned()),
        chars => Err(ProjectError::NameTooLong(chars)),
    }
}

/// A slug as somebody chose it: `[a-z0-9-]{1,64}`.
pub fn check_slug(text: String) -> Result<String, ProjectError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=SLUG_MAX_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text)
    } else {
        Err(ProjectError::Slug)
    }
}

/// A slug made from a name: its ASCII letters and digits, all else as single hyphens; `project` where nothing is left.
/// It leaves room for the `-2` of the next one.
pub fn slug_from_name(name: &str) -> String {
    let mut slug = String::new();
    for c in name.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(SLUG_MAX_BYTES - 8);
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() {
        "project".to_owned()
    } else {
        slug.to_owned()
    }
}

/// Web origins, each as a browser writes it in `Origin`, without repetition.
pub fn check_origins(list: Vec<String>) -> Result<Vec<String>, ProjectError> {
    if list.len() > ORIGINS_MAX {
        return Err(ProjectError::TooManyOrigins);
    }
    let mut origins: Vec<String> = Vec::new();
    for text in list {
        let origin = match Url::parse(text.trim()) {
            Ok(url)
                if matches!(url.scheme(), "http" | "https")
                    && url.path() == "/"
                    && url.query().is_none()
                    && url.fragment().is_none()
                    && url.username().is_empty()
                    && url.password().is_none()
                    // No pattern: a browser never sends one, so it would allow nothing.
                    && !text.contains('*') =>
            {
                url.origin().ascii_serialization()
            }
            _ => return Err(ProjectError::Origin(text)),
        };
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    Ok(origins)
}

/// The web origin of an address, as a browser writes it; `None` for what has none.
pub fn origin_of(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    let is_web = matches!(url.scheme(), "http" | "https");
    is_web.then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_is_made_from_a_name() {
        assert_eq!(slug_from_name("My Website"), "my-website");
        assert_eq!(slug_from_name("  Äpfel & Birnen!  "), "pfel-birnen");
        assert_eq!(slug_from_name("日本"), "project");
        assert!(check_slug(slug_from_name(&"a b".repeat(60))).is_ok());
        for bad in ["", "My", "a_b", "prj_01", &"a".repeat(65)] {
            assert!(check_slug(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn origins_are_normalised_and_bare() {
        let list = vec![
            "https://Example.com/".into(),
            "https://example.com:443".into(),
            "http://a.test:81".into(),
        ];
        assert_eq!(
            check_origins(list).unwrap(),
            ["https://example.com", "http://a.test:81"]
        );
        for bad in [
            "example.com",
            "https://example.com/x",
            "null",
            "ftp://a.b",
            "https://u:p@a.b",
            "https://*.example.com",
        ] {
            assert!(check_origins(vec![bad.into()]).is_err(), "{bad}");
        }
    }
}
