//! Projects: their names, slugs, and allowed origins.

use deunicode::deunicode_with_tofu;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use url::Url;
use utoipa::ToSchema;

use super::id::ProjectId;
use super::text::is_invisible;
use super::validation::{SingleLineError, check_single_line};
use crate::clock::Timestamp;

/// The maximum length of a name of a project or an API token, in Unicode scalar values.
pub const NAME_MAX_CHARS: usize = 100;
/// The maximum length of a slug, in bytes.
pub const SLUG_MAX_BYTES: usize = 64;
/// The maximum number of allowed origins of a project.
pub const ORIGINS_MAX: usize = 50;

/// The status of a project. A paused project doesn’t accept feedback.
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

#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Project {
    pub id: ProjectId,
    #[schema(example = "My Website")]
    pub name: String,
    /// Permanent: the slug can’t be changed.
    #[schema(example = "my-website")]
    pub slug: String,
    pub status: ProjectStatus,
    /// The origins that can submit feedback. If the list is empty, any origin can submit feedback.
    #[schema(example = json!(["https://example.com"]))]
    pub allowed_origins: Vec<String>,
    pub created_at: Timestamp,
    /// The last change of the project's own fields. `/api/v1` doesn't return it.
    #[serde(skip)]
    pub updated_at: Timestamp,
}

/// The reason a slug or a list of origins is invalid. The message is for the person who entered the
/// slug or list.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    #[error("A slug has 1 to {SLUG_MAX_BYTES} characters: a to z, 0 to 9, and hyphens.")]
    InvalidSlug,
    #[error("“{0}” isn’t an origin. Use the form https://example.com, without a path.")]
    InvalidOrigin(String),
    #[error("A project can list at most {ORIGINS_MAX} origins.")]
    TooManyOrigins,
}

/// Checks and trims the name of a project or an API token: 1 to 100 characters, at least one of
/// them visible, no control characters or line separators.
pub fn check_name(text: &str) -> Result<String, SingleLineError> {
    check_single_line("name", text, 1..=NAME_MAX_CHARS)
}

/// Checks a slug: `[a-z0-9-]{1,64}`.
pub fn check_slug(text: String) -> Result<String, ProjectError> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if (1..=SLUG_MAX_BYTES).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text)
    } else {
        Err(ProjectError::InvalidSlug)
    }
}

/// Generates a slug from a name. Transliterates letters to ASCII, converts them to lower case, and
/// drops apostrophes and invisible characters. Replaces each run of other characters with a hyphen,
/// except at the start and the end. Returns `project` if no characters are left. Leaves room for a
/// suffix such as `-2`.
pub fn slug_from_name(name: &str) -> String {
    let composed: String = name.chars().filter(|c| !is_invisible(*c)).nfc().collect();
    let mut slug = String::new();
    for c in deunicode_with_tofu(&composed, " ").chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if c != '\'' && !slug.is_empty() && !slug.ends_with('-') {
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

/// Checks a list of origins, converts each origin to the format of the `Origin` header, and removes
/// duplicates.
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
                    // No wildcards: browsers send exact origins, so a pattern would never match.
                    && !text.contains('*') =>
            {
                url.origin().ascii_serialization()
            }
            _ => return Err(ProjectError::InvalidOrigin(text)),
        };
        if !origins.contains(&origin) {
            origins.push(origin);
        }
    }
    Ok(origins)
}

/// Returns the origin of an `http` or `https` URL, in the format of the `Origin` header. Returns
/// `None` for any other text.
pub fn parse_origin(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let is_web = matches!(url.scheme(), "http" | "https");
    is_web.then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generates_slugs_from_names() {
        for (name, slug) in [
            ("My Website", "my-website"),
            ("  Äpfel & Birnen!  ", "apfel-birnen"),
            ("Ünïcödé Ñame", "unicode-name"),
            ("U\u{308}ni\u{308}code", "unicode"),
            ("Łódź Øre Straße", "lodz-ore-strasse"),
            ("STRASSE straße", "strasse-strasse"),
            ("İstanbul", "istanbul"),
            ("Notre-Dame", "notre-dame"),
            ("Notre–Dame — Paris", "notre-dame-paris"),
            ("Bob’s Café", "bobs-cafe"),
            ("Bob's Café", "bobs-cafe"),
            ("Обратная связь", "obratnaia-sviaz"),
            ("Σίσυφος", "sisuphos"),
            ("日本", "ri-ben"),
            ("한국어", "hangugeo"),
            ("ＷＩＤＥ", "wide"),
            ("so\u{ad}ft\u{200b}", "soft"),
            ("!?", "project"),
            ("…", "project"),
        ] {
            assert_eq!(slug_from_name(name), slug, "{name}");
        }
        assert!(check_slug(slug_from_name(&"a b".repeat(60))).is_ok());
        for bad in ["", "My", "a_b", "prj_01", &"a".repeat(65)] {
            assert!(check_slug(bad.to_owned()).is_err(), "{bad}");
        }
    }

    #[test]
    fn normalizes_origins_and_rejects_paths() {
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
