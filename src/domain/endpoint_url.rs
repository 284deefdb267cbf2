//! Validates webhook URLs, and returns the components for connecting, for `Host`, and for TLS.
//!
//! A URL is parsed once, by the WHATWG rules. The same parsed host is then checked, connected to,
//! and sent in `Host` and in TLS. The trimmed original text is stored and displayed.

use std::net::IpAddr;

use url::{ParseError, Url};

/// The maximum length of a URL, in characters of the original text.
pub const URL_MAX_CHARS: usize = 2048;
/// The maximum length of a host name in DNS, in characters.
const HOST_NAME_MAX_CHARS: usize = 253;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// The host of a URL: a name or an IP address, normalized.
///
/// A name is lowercase ASCII without a trailing dot. An internationalized name is in `xn--` format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Name(String),
    Ip(IpAddr),
}

/// A valid webhook URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointUrl {
    original: String,
    scheme: Scheme,
    host: Host,
    /// The host as written in a URL: an IPv6 address is in brackets, and a name keeps its trailing
    /// dot.
    host_text: String,
    port: u16,
    path_and_query: String,
}

/// The reason a string isn't a valid webhook URL. The message is for the person who entered the
/// URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointUrlError {
    #[error("Enter the URL to send events to.")]
    Empty,
    #[error("The URL is too long: {0} characters, maximum 2,048.")]
    TooLong(usize),
    #[error("The URL contains a space or a control character. Write a space as %20.")]
    Whitespace,
    #[error("Enter the full URL, for example https://example.com/hook.")]
    NotAbsolute,
    #[error("Only https:// URLs are supported.")]
    UnsupportedScheme(String),
    #[error(
        "The URL contains a user name or password (before the @). Remove it, and add a header to the webhook instead."
    )]
    Credentials,
    #[error("The URL has no host. Enter the full URL, for example https://example.com/hook.")]
    MissingHost,
    #[error("“{0}” isn’t a valid host name or IP address.")]
    InvalidHost(String),
    #[error("The port must be a number from 1 to 65535.")]
    InvalidPort,
    #[error("This isn’t a valid URL. Enter the full URL, for example https://example.com/hook.")]
    Invalid,
}

impl EndpointUrl {
    /// Parses a URL that a person entered.
    pub fn parse(text: &str) -> Result<Self, EndpointUrlError> {
        let original = text.trim();
        if original.is_empty() {
            return Err(EndpointUrlError::Empty);
        }
        let chars = original.chars().count();
        if chars > URL_MAX_CHARS {
            return Err(EndpointUrlError::TooLong(chars));
        }
        // The WHATWG rules drop tabs and line breaks, so the displayed URL would differ from the
        // requested URL.
        if original
            .chars()
            .any(|c| c.is_control() || c.is_whitespace())
        {
            return Err(EndpointUrlError::Whitespace);
        }
        let (scheme, rest) = split_scheme(original)?;
        let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or(rest);
        if authority.contains('@') {
            return Err(EndpointUrlError::Credentials);
        }
        // The WHATWG rules would parse https:///example.com as a URL with the host example.com.
        if authority.is_empty() || authority.starts_with(':') {
            return Err(EndpointUrlError::MissingHost);
        }
        let parsed = Url::parse(original).map_err(|error| match error {
            ParseError::EmptyHost => EndpointUrlError::MissingHost,
            ParseError::InvalidPort => EndpointUrlError::InvalidPort,
            ParseError::IdnaError
            | ParseError::InvalidDomainCharacter
            | ParseError::InvalidIpv4Address
            | ParseError::InvalidIpv6Address => EndpointUrlError::InvalidHost(authority.to_owned()),
            _ => EndpointUrlError::Invalid,
        })?;
        let host = match parsed.host() {
            Some(url::Host::Domain(name)) => Host::Name(
                normalize_host(name)
                    .ok_or_else(|| EndpointUrlError::InvalidHost(authority.to_owned()))?,
            ),
            Some(url::Host::Ipv4(ip)) => Host::Ip(ip.into()),
            Some(url::Host::Ipv6(ip)) => Host::Ip(ip.into()),
            None => return Err(EndpointUrlError::MissingHost),
        };
        let port = parsed.port().unwrap_or(scheme.default_port());
        if port == 0 {
            return Err(EndpointUrlError::InvalidPort);
        }
        Ok(Self {
            original: original.to_owned(),
            scheme,
            host,
            host_text: parsed.host_str().unwrap_or_default().to_owned(),
            port,
            path_and_query: path_and_query(&parsed),
        })
    }

    /// Returns the original text, trimmed.
    pub fn as_str(&self) -> &str {
        &self.original
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the host that is checked, connected to, and sent in TLS.
    pub fn host(&self) -> Host {
        self.host.clone()
    }

    /// Returns the host for DNS queries and `Host`. A name keeps its trailing dot, which makes the
    /// name absolute.
    pub fn host_text(&self) -> &str {
        &self.host_text
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the value of `Host`. The value contains the port, unless the port is the default of
    /// the scheme.
    pub fn host_header(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host_text.clone()
        } else {
            self.host_and_port()
        }
    }

    /// Returns whether both URLs lead to the same request. Ignores the fragment and differences
    /// that parsing removes, such as the case of the host.
    pub fn is_equivalent(&self, other: &Self) -> bool {
        self.scheme() == other.scheme()
            && self.host_header() == other.host_header()
            && self.path_and_query() == other.path_and_query()
    }

    /// Returns the host and port. Log lines and metrics contain no other part of a URL, because
    /// paths can be secret.
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.host_text, self.port)
    }

    /// Returns the path and query for the request line, without the fragment. Characters that RFC
    /// 3986 doesn't allow are percent-encoded, except square brackets.
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }
}

/// Splits a URL into its scheme and the text after `://`. Accepts only `http` and `https`.
fn split_scheme(original: &str) -> Result<(Scheme, &str), EndpointUrlError> {
    let (scheme, rest) = original
        .split_once("://")
        .filter(|(scheme, _)| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        })
        .ok_or(EndpointUrlError::NotAbsolute)?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((Scheme::Http, rest)),
        "https" => Ok((Scheme::Https, rest)),
        other => Err(EndpointUrlError::UnsupportedScheme(other.to_owned())),
    }
}

/// Converts a host name to lower case, and removes a trailing dot. Returns `None` for a name that
/// DNS and TLS don't support; the WHATWG rules accept more names, such as `a"b`.
pub(super) fn normalize_host(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_valid_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    (name.len() <= HOST_NAME_MAX_CHARS && name.split('.').all(is_valid_label))
        .then(|| name.to_ascii_lowercase())
}

fn path_and_query(url: &Url) -> String {
    let mut text = String::new();
    let mut push = |part: &str| {
        for byte in part.bytes() {
            if byte.is_ascii_graphic() && !b"\"<>\\^`{|}#".contains(&byte) {
                text.push(char::from(byte));
            } else {
                text.push_str(&format!("%{byte:02X}"));
            }
        }
    };
    push(url.path());
    if let Some(query) = url.query() {
        push("?");
        push(query);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> EndpointUrl {
        EndpointUrl::parse(text).unwrap()
    }

    fn parse_error(text: &str) -> EndpointUrlError {
        EndpointUrl::parse(text).unwrap_err()
    }

    #[test]
    fn stores_the_original_and_parses_by_the_whatwg_rules() {
        let url = parse(
            "  HTTPS://Bücher.Example:8443/a b/ü?q={x}#part \n"
                .replace("a b", "a%20b")
                .as_str(),
        );
        assert_eq!(
            url.as_str(),
            "HTTPS://Bücher.Example:8443/a%20b/ü?q={x}#part"
        );
        assert_eq!(url.scheme(), Scheme::Https);
        assert_eq!(url.host(), Host::Name("xn--bcher-kva.example".into()));
        assert_eq!(url.port(), 8443);
        assert_eq!(url.host_header(), "xn--bcher-kva.example:8443");
        assert_eq!(url.path_and_query(), "/a%20b/%C3%BC?q=%7Bx%7D");
        assert_eq!(url.host_and_port(), "xn--bcher-kva.example:8443");
    }

    #[test]
    fn host_header_contains_only_non_default_ports() {
        for (text, header) in [
            ("https://example.com", "example.com"),
            ("https://example.com:443/", "example.com"),
            ("http://example.com:443/", "example.com:443"),
            ("https://example.com:80/", "example.com:80"),
            ("https://example.com./x", "example.com."),
            ("http://[0:0::1]/", "[::1]"),
            ("http://[::1]:3000/", "[::1]:3000"),
            ("http://0x7f.1:3000/", "127.0.0.1:3000"),
        ] {
            assert_eq!(parse(text).host_header(), header, "{text}");
        }
        assert_eq!(parse("https://example.com").path_and_query(), "/");
        assert_eq!(parse("https://example.com?").path_and_query(), "/?");
    }

    #[test]
    fn parses_numeric_hosts_as_ip_addresses() {
        for text in [
            "http://2130706433",
            "http://0x7f000001",
            "http://0177.0.0.1",
            "http://127.1",
            "http://127.0.0.1.",
            "http://１２７.0.0.1",
            "http://127。0。0。1",
        ] {
            assert_eq!(
                parse(text).host(),
                Host::Ip("127.0.0.1".parse().unwrap()),
                "{text}"
            );
        }
        assert_eq!(
            parse("http://LocalHost./").host(),
            Host::Name("localhost".into())
        );
    }

    #[test]
    fn reports_why_a_url_is_invalid() {
        use EndpointUrlError as E;
        for (text, error) in [
            ("", E::Empty),
            (" \n", E::Empty),
            ("example.com", E::NotAbsolute),
            ("localhost:3000/x", E::NotAbsolute),
            ("https:example.com", E::NotAbsolute),
            ("https:/example.com", E::NotAbsolute),
            (r"https:\\example.com", E::NotAbsolute),
            ("//example.com", E::NotAbsolute),
            ("mailto:a@example.com", E::NotAbsolute),
            ("example.com/?to=https://other.example", E::NotAbsolute),
            ("ftp://example.com", E::UnsupportedScheme("ftp".into())),
            ("FILE:///etc/passwd", E::UnsupportedScheme("file".into())),
            ("https://u:p@example.com", E::Credentials),
            ("https://u@example.com", E::Credentials),
            ("https://@example.com", E::Credentials),
            ("https://example.com:443@evil.example/", E::Credentials),
            ("https://", E::MissingHost),
            ("https:///example.com", E::MissingHost),
            (r"https://\example.com", E::MissingHost),
            ("https://:443/", E::MissingHost),
            ("https://?x", E::MissingHost),
            ("https://exa mple.com", E::Whitespace),
            ("https://example.com/a\tb", E::Whitespace),
            ("https://exam\nple.com", E::Whitespace),
            ("https://example.com/\u{0}", E::Whitespace),
            ("https://example.com/\u{7f}", E::Whitespace),
            ("https://example.com:0/", E::InvalidPort),
            ("https://example.com:65536/", E::InvalidPort),
            ("https://example.com:x/", E::InvalidPort),
            ("https://[::1/", E::InvalidHost("[::1".into())),
            ("https://256.1.1.1/", E::InvalidHost("256.1.1.1".into())),
            ("https://a%00b/", E::InvalidHost("a%00b".into())),
            ("https://a\"b/", E::InvalidHost("a\"b".into())),
            ("https://a..b/", E::InvalidHost("a..b".into())),
            ("https://./", E::InvalidHost(".".into())),
            (
                "https://[fe80::1%25eth0]/",
                E::InvalidHost("[fe80::1%25eth0]".into()),
            ),
        ] {
            assert_eq!(parse_error(text), error, "{text:?}");
        }
        let long = |chars: usize| format!("https://example.com/{}", "a".repeat(chars - 20));
        assert!(EndpointUrl::parse(&long(2048)).is_ok());
        assert_eq!(parse_error(&long(2049)), E::TooLong(2049));
        assert!(
            parse_error(&format!("https://{}.example", "a".repeat(64)))
                .to_string()
                .contains("host")
        );
    }

    proptest! {
        #[test]
        fn accepted_urls_can_be_requested(
            host in "[a-z0-9._\\-\"`{}!\\[\\]:]{1,20}",
            rest in "[/?#][ -~äß€\\\\]{0,60}",
        ) {
            if let Ok(url) = EndpointUrl::parse(&format!("https://{host}{rest}")) {
                let authority = url.host_and_port();
                let uri: http::Uri =
                    format!("http://{authority}{}", url.path_and_query()).parse().unwrap();
                prop_assert_eq!(uri.path_and_query().unwrap().as_str(), url.path_and_query());
                prop_assert_eq!(uri.authority().unwrap().as_str(), authority);
                prop_assert!(http::header::HeaderValue::from_str(&url.host_header()).is_ok());
            }
        }

        #[test]
        fn parses_stored_urls_to_the_same_value(text in "(https?://)?\\PC{0,40}") {
            if let Ok(url) = EndpointUrl::parse(&text) {
                prop_assert_eq!(EndpointUrl::parse(url.as_str()), Ok(url));
            }
        }
    }
}
