//! The URL of a webhook: an HTTP endpoint, or the email of a person.
//!
//! Both kinds have a type of their own, so that an email can't be requested over HTTP by mistake.

use percent_encoding::percent_decode_str;

use super::email::{self, EmailError};
use super::endpoint_url::{EndpointUrl, EndpointUrlError, URL_MAX_CHARS};

const MAILTO_SCHEME: &str = "mailto:";

type EmailCheck = fn(&str) -> Result<String, EmailError>;

/// A valid webhook URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookUrl {
    Endpoint(EndpointUrl),
    Mailto(MailtoUrl),
}

/// A `mailto:` URL (RFC 6068) with exactly one email and without header fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailtoUrl {
    original: String,
    email: String,
}

/// The reason a string isn't a valid webhook URL. The message is for the person who entered the
/// URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WebhookUrlError {
    #[error(transparent)]
    Endpoint(#[from] EndpointUrlError),
    #[error(transparent)]
    Mailto(#[from] MailtoUrlError),
}

/// The reason a string isn't a valid `mailto:` URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailtoUrlError {
    #[error("Enter an email after mailto:, for example mailto:team@example.com.")]
    Empty,
    #[error("The URL contains a space or a control character. Enter mailto: and one email.")]
    Whitespace,
    #[error("A mailto: URL can’t contain “{0}”. Enter mailto: and one email.")]
    ExtraPart(char),
    #[error("Enter only one email after mailto:. Add a separate webhook for each recipient.")]
    SeveralEmails,
    #[error("“{0}” isn’t a valid email. Enter mailto: and one email.")]
    InvalidEmail(String),
    #[error("The email is too long: maximum 254 bytes.")]
    TooLong,
}

impl WebhookUrl {
    /// Parses a URL that a person entered.
    pub fn parse(text: &str) -> Result<Self, WebhookUrlError> {
        Self::parse_with(text, email::check_email)
    }

    /// Parses a stored URL. Accepts all domains of emails that earlier versions accepted.
    pub fn from_stored(text: &str) -> Result<Self, WebhookUrlError> {
        Self::parse_with(text, email::check_email_syntax)
    }

    fn parse_with(text: &str, check_email: EmailCheck) -> Result<Self, WebhookUrlError> {
        let original = text.trim();
        let scheme = original.get(..MAILTO_SCHEME.len());
        if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(MAILTO_SCHEME)) {
            Ok(Self::Mailto(MailtoUrl::parse(original, check_email)?))
        } else {
            Ok(Self::Endpoint(EndpointUrl::parse(original)?))
        }
    }

    /// Returns the original text, trimmed.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Endpoint(url) => url.as_str(),
            Self::Mailto(url) => url.as_str(),
        }
    }

    /// Returns the text to show to people: the URL as entered or, for a `mailto:` URL, the email.
    pub fn display_text(&self) -> &str {
        match self {
            Self::Endpoint(url) => url.as_str(),
            Self::Mailto(url) => url.email(),
        }
    }

    /// Returns the URL to send HTTP requests to, or `None` for an email.
    pub fn endpoint(&self) -> Option<&EndpointUrl> {
        match self {
            Self::Endpoint(url) => Some(url),
            Self::Mailto(_) => None,
        }
    }

    /// Returns the `mailto:` URL, or `None` for an HTTP endpoint.
    pub fn mailto(&self) -> Option<&MailtoUrl> {
        match self {
            Self::Endpoint(_) => None,
            Self::Mailto(url) => Some(url),
        }
    }

    /// Returns the host and port, or the domain of the email. Log lines and metrics contain no
    /// other part of a URL.
    pub fn host_for_log(&self) -> String {
        match self {
            Self::Endpoint(url) => url.host_and_port(),
            Self::Mailto(url) => url.domain().to_owned(),
        }
    }

    /// Returns whether both URLs lead to the same target, although their spelling may differ.
    pub fn is_equivalent(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Endpoint(url), Self::Endpoint(other)) => url.is_equivalent(other),
            (Self::Mailto(url), Self::Mailto(other)) => {
                email::normalize_email(&url.email) == email::normalize_email(&other.email)
            }
            _ => false,
        }
    }
}

impl MailtoUrl {
    /// Parses the text of a `mailto:` URL, including the scheme.
    fn parse(original: &str, check_email: EmailCheck) -> Result<Self, MailtoUrlError> {
        let address = original.get(MAILTO_SCHEME.len()..).unwrap_or_default();
        if address.is_empty() {
            return Err(MailtoUrlError::Empty);
        }
        if original.chars().count() > URL_MAX_CHARS {
            return Err(MailtoUrlError::TooLong);
        }
        if address.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(MailtoUrlError::Whitespace);
        }
        // RFC 6068 requires these characters to be encoded if they belong to the email.
        if let Some(part) = address.chars().find(|c| matches!(c, '?' | '#')) {
            return Err(MailtoUrlError::ExtraPart(part));
        }
        if address.contains([',', ';']) {
            return Err(MailtoUrlError::SeveralEmails);
        }
        let invalid = || MailtoUrlError::InvalidEmail(address.to_owned());
        // Some people write mailto://. A slash is valid in an email, but rare.
        if address.starts_with('/') {
            return Err(invalid());
        }
        let decoded = percent_decode_str(address)
            .decode_utf8()
            .map_err(|_| invalid())?;
        let email = check_email(&decoded).map_err(|error| match error {
            EmailError::TooLong => MailtoUrlError::TooLong,
            EmailError::Invalid => invalid(),
        })?;
        Ok(Self {
            original: original.to_owned(),
            email,
        })
    }

    /// Returns the original text, trimmed.
    pub fn as_str(&self) -> &str {
        &self.original
    }

    /// Returns the email of the recipient, decoded.
    pub fn email(&self) -> &str {
        &self.email
    }

    /// Returns the domain of the email.
    pub fn domain(&self) -> &str {
        self.email.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mailto_url_has_exactly_one_email() {
        for (text, email) in [
            ("mailto:sam@example.com", "sam@example.com"),
            (" MAILTO:Sam@Example.com\n", "Sam@Example.com"),
            ("mailto:sam%2Bx@example.com", "sam+x@example.com"),
            ("mailto:sam+x@example.com", "sam+x@example.com"),
            ("mailto:ada@xn--mller-kva.de", "ada@müller.de"),
            ("mailto:a%25b@example.com", "a%b@example.com"),
        ] {
            let url = WebhookUrl::parse(text).unwrap();
            assert_eq!(url.as_str(), text.trim());
            assert_eq!(url.mailto().unwrap().email(), email);
            assert_eq!(url.endpoint(), None);
        }
    }

    #[test]
    fn reports_why_a_mailto_url_is_invalid() {
        use MailtoUrlError as E;
        let invalid = |email: &str| E::InvalidEmail(email.to_owned());
        let long = format!("mailto:{}@example.com", "a".repeat(250));
        for (text, error) in [
            ("mailto:", E::Empty),
            ("mailto: ", E::Empty),
            (
                "mailto:sam@example.com?cc=eve@example.com",
                E::ExtraPart('?'),
            ),
            ("mailto:sam@example.com?", E::ExtraPart('?')),
            ("mailto:sam@example.com#x", E::ExtraPart('#')),
            ("mailto:a@example.com,b@example.com", E::SeveralEmails),
            ("mailto:a@example.com;b@example.com", E::SeveralEmails),
            ("mailto:a b@example.com", E::Whitespace),
            ("mailto:a@example.com\r\nBcc:b@example.com", E::Whitespace),
            (
                "mailto:a%0D%0ABcc:b@example.com",
                invalid("a%0D%0ABcc:b@example.com"),
            ),
            (
                "mailto:a@example.com%2Cb@example.com",
                invalid("a@example.com%2Cb@example.com"),
            ),
            (
                "mailto:a@example.com%3Fsubject%3Dx",
                invalid("a@example.com%3Fsubject%3Dx"),
            ),
            ("mailto:a@xn--a.com", invalid("a@xn--a.com")),
            ("mailto:sam", invalid("sam")),
            ("mailto://sam@example.com", invalid("//sam@example.com")),
            (
                "mailto:Sam<sam@example.com>",
                invalid("Sam<sam@example.com>"),
            ),
            ("mailto:%ff@example.com", invalid("%ff@example.com")),
            (&long, E::TooLong),
        ] {
            let found = WebhookUrl::parse(text).unwrap_err();
            assert_eq!(found, WebhookUrlError::Mailto(error), "{text}");
        }
    }

    #[test]
    fn a_stored_url_can_have_an_impossible_domain() {
        for text in ["mailto:a@b$c.com", "mailto:a@xn--a.com"] {
            assert!(WebhookUrl::parse(text).is_err());
            assert_eq!(WebhookUrl::from_stored(text).unwrap().as_str(), text);
        }
        assert!(WebhookUrl::from_stored("mailto:a").is_err());
    }

    #[test]
    fn the_log_contains_only_the_domain_of_an_email() {
        let url = WebhookUrl::parse("mailto:sam@example.com").unwrap();
        assert_eq!(url.host_for_log(), "example.com");
        let url = WebhookUrl::parse("https://example.com/secret").unwrap();
        assert_eq!(url.host_for_log(), "example.com:443");
    }

    #[test]
    fn spellings_of_one_target_are_equivalent() {
        let is_equivalent = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|text| WebhookUrl::parse(text).unwrap());
            one.is_equivalent(&other)
        };
        assert!(is_equivalent(
            "mailto:Sam@example.com",
            "MAILTO:sam%40Example.com"
        ));
        assert!(!is_equivalent(
            "mailto:sam@example.com",
            "mailto:eve@example.com"
        ));
        assert!(!is_equivalent(
            "mailto:sam@example.com",
            "https://example.com/"
        ));
    }
}
