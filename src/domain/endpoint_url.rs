//! Which URLs a webhook may have, and what of a URL is used where.
//!
//! A URL is read once, by the WHATWG rules; the host found there is the one that is checked, connected to, named in
//! `Host` and in TLS. What is stored and shown is the text as it was given, trimmed.

use std::net::IpAddr;

use url::{ParseError, Url};

/// The longest URL, in characters as they were given.
pub const URL_MAX_CHARS: usize = 2048;
/// The longest host name that DNS knows.
const NAME_MAX_CHARS: usize = 253;

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

/// The host of a URL: a name (lower-case ASCII, IDN in its `xn--` form, no dot at its end) or an address, however it
/// was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Name(String),
    Ip(IpAddr),
}

/// A URL that a webhook may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointUrl {
    given: String,
    scheme: Scheme,
    host: Host,
    /// As it is written in a URL: IPv6 in brackets, a name with the dot at its end if it was given one.
    host_text: String,
    port: u16,
    path_and_query: String,
}

/// Why a text is not a URL that a webhook may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointUrlError {
    #[error("Enter the URL that events are to be sent to.")]
    Empty,
    #[error(
        "The URL has {0} characters; at most {max} are allowed.",
        max = URL_MAX_CHARS
    )]
    TooLong(usize),
    #[error("The URL holds a space or a control character; a space in an address is written %20.")]
    Blank,
    #[error(
        "Write the whole URL, beginning with https:// and a host, as in https://example.com/hook."
    )]
    NotWrittenOut,
    #[error("A URL that begins with {0}:// cannot be called; use https://.")]
    OtherScheme(String),
    #[error(
        "The URL holds a user name or password (what stands before @); take it out, and set a header for the webhook instead."
    )]
    Credentials,
    #[error("The URL has no host: write it after https://, as in https://example.com/hook.")]
    NoHost,
    #[error("“{0}” is not a valid host name or address.")]
    BadHost(String),
    #[error("The port must be a number from 1 to 65535.")]
    BadPort,
    #[error("This is not a valid URL: {0}.")]
    Invalid(String),
}

impl EndpointUrl {
    /// Reads what somebody typed.
    pub fn parse(text: &str) -> Result<Self, EndpointUrlError> {
        let given = text.trim();
        if given.is_empty() {
            return Err(EndpointUrlError::Empty);
        }
        let chars = given.chars().count();
        if chars > URL_MAX_CHARS {
            return Err(EndpointUrlError::TooLong(chars));
        }
        // The WHATWG rules drop tabs and line ends, wherever they stand: what is shown would not be what is called.
        if given.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(EndpointUrlError::Blank);
        }
        let (scheme, rest) = split_scheme(given)?;
        let authority = rest.split(['/', '\\', '?', '#']).next().unwrap_or(rest);
        if authority.contains('@') {
            return Err(EndpointUrlError::Credentials);
        }
        // They would also read https:///example.com as a URL with a host.
        if authority.is_empty() || authority.starts_with(':') {
            return Err(EndpointUrlError::NoHost);
        }
        let parsed = Url::parse(given).map_err(|error| match error {
            ParseError::EmptyHost => EndpointUrlError::NoHost,
            ParseError::InvalidPort => EndpointUrlError::BadPort,
            ParseError::IdnaError
            | ParseError::InvalidDomainCharacter
            | ParseError::InvalidIpv4Address
            | ParseError::InvalidIpv6Address => EndpointUrlError::BadHost(authority.to_owned()),
            other => EndpointUrlError::Invalid(other.to_string()),
        })?;
        let host = match parsed.host() {
            Some(url::Host::Domain(name)) => Host::Name(
                normalize_host(name)
                    .ok_or_else(|| EndpointUrlError::BadHost(authority.to_owned()))?,
            ),
            Some(url::Host::Ipv4(ip)) => Host::Ip(ip.into()),
            Some(url::Host::Ipv6(ip)) => Host::Ip(ip.into()),
            None => return Err(EndpointUrlError::NoHost),
        };
        let port = parsed.port().unwrap_or(scheme.default_port());
        if port == 0 {
            return Err(EndpointUrlError::BadPort);
        }
        Ok(Self {
            given: given.to_owned(),
            scheme,
            host,
            host_text: parsed.host_str().unwrap_or_default().to_owned(),
            port,
            path_and_query: path_and_query(&parsed),
        })
    }

    /// As it was given, trimmed.
    pub fn as_str(&self) -> &str {
        &self.given
    }

    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// What is checked, connected to and named in TLS.
    pub fn host(&self) -> Host {
        self.host.clone()
    }

    /// The host as DNS is asked for it and `Host` names it: a name that ends in a dot keeps it, for it is absolute.
    pub fn host_text(&self) -> &str {
        &self.host_text
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// The value of `Host`: the port only where it is not the scheme's own.
    pub fn host_header(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host_text.clone()
        } else {
            self.host_and_port()
        }
    }

    /// Whether both name the same resource: how they are written, and the fragment, make no difference.
    pub fn is_same_target(&self, other: &Self) -> bool {
        self.scheme() == other.scheme()
            && self.host_header() == other.host_header()
            && self.path_and_query() == other.path_and_query()
    }

    /// Host and port, all that a log line or a metric may name of a URL: paths hold secrets.
    pub fn host_and_port(&self) -> String {
        format!("{}:{}", self.host_text, self.port)
    }

    /// What stands in the request line: no fragment, and only characters that RFC 3986 has, so that every server and
    /// library takes it.
    pub fn path_and_query(&self) -> &str {
        &self.path_and_query
    }
}

/// The scheme, and what follows its `://`.
fn split_scheme(given: &str) -> Result<(Scheme, &str), EndpointUrlError> {
    let (scheme, rest) = given
        .split_once("://")
        .filter(|(scheme, _)| {
            scheme.starts_with(|c: char| c.is_ascii_alphabetic())
                && scheme
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        })
        .ok_or(EndpointUrlError::NotWrittenOut)?;
    match scheme.to_ascii_lowercase().as_str() {
        "http" => Ok((Scheme::Http, rest)),
        "https" => Ok((Scheme::Https, rest)),
        other => Err(EndpointUrlError::OtherScheme(other.to_owned())),
    }
}

/// A name that DNS and TLS can take, without the dot at its end; the WHATWG rules let more through, such as `a"b`.
pub(super) fn normalize_host(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    (name.len() <= NAME_MAX_CHARS && name.split('.').all(label)).then(|| name.to_ascii_lowercase())
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

    fn refused(text: &str) -> EndpointUrlError {
        EndpointUrl::parse(text).unwrap_err()
    }

    #[test]
    fn a_url_is_kept_as_given_and_read_by_the_whatwg_rules() {
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
    fn the_host_header_names_the_port_only_where_it_is_not_the_schemes_own() {
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
    fn numeric_hosts_are_the_address_that_they_mean() {
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
    fn each_refusal_says_what_is_wrong() {
        use EndpointUrlError as E;
        for (text, error) in [
            ("", E::Empty),
            (" \n", E::Empty),
            ("example.com", E::NotWrittenOut),
            ("localhost:3000/x", E::NotWrittenOut),
            ("https:example.com", E::NotWrittenOut),
            ("https:/example.com", E::NotWrittenOut),
            (r"https:\\example.com", E::NotWrittenOut),
            ("//example.com", E::NotWrittenOut),
            ("mailto:a@example.com", E::NotWrittenOut),
            ("example.com/?to=https://other.example", E::NotWrittenOut),
            ("ftp://example.com", E::OtherScheme("ftp".into())),
            ("FILE:///etc/passwd", E::OtherScheme("file".into())),
            ("https://u:p@example.com", E::Credentials),
            ("https://u@example.com", E::Credentials),
            ("https://@example.com", E::Credentials),
            ("https://example.com:443@evil.example/", E::Credentials),
            ("https://", E::NoHost),
            ("https:///example.com", E::NoHost),
            (r"https://\example.com", E::NoHost),
            ("https://:443/", E::NoHost),
            ("https://?x", E::NoHost),
            ("https://exa mple.com", E::Blank),
            ("https://example.com/a\tb", E::Blank),
            ("https://exam\nple.com", E::Blank),
            ("https://example.com/\u{0}", E::Blank),
            ("https://example.com/\u{7f}", E::Blank),
            ("https://example.com:0/", E::BadPort),
            ("https://example.com:65536/", E::BadPort),
            ("https://example.com:x/", E::BadPort),
            ("https://[::1/", E::BadHost("[::1".into())),
            ("https://256.1.1.1/", E::BadHost("256.1.1.1".into())),
            ("https://a%00b/", E::BadHost("a%00b".into())),
            ("https://a\"b/", E::BadHost("a\"b".into())),
            ("https://a..b/", E::BadHost("a..b".into())),
            ("https://./", E::BadHost(".".into())),
            (
                "https://[fe80::1%25eth0]/",
                E::BadHost("[fe80::1%25eth0]".into()),
            ),
        ] {
            assert_eq!(refused(text), error, "{text:?}");
        }
        let long = |chars: usize| format!("https://example.com/{}", "a".repeat(chars - 20));
        assert!(EndpointUrl::parse(&long(2048)).is_ok());
        assert_eq!(refused(&long(2049)), E::TooLong(2049));
        assert!(
            refused(&format!("https://{}.example", "a".repeat(64)))
                .to_string()
                .contains("host")
        );
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_can_be_sent(
            host in "[a-z0-9._\\-\"`{}!\\[\\]:]{1,20}",
            rest in "[/?#][ -~äß€\\\\]{0,60}",
        ) {
            if let Ok(url) = EndpointUrl::parse(&format!("https://{host}{rest}")) {
                let authority = url.host_and_port();
                let uri: actix_web::http::Uri =
                    format!("http://{authority}{}", url.path_and_query()).parse().unwrap();
                prop_assert_eq!(uri.path_and_query().unwrap().as_str(), url.path_and_query());
                prop_assert_eq!(uri.authority().unwrap().as_str(), authority);
                prop_assert!(actix_web::http::header::HeaderValue::from_str(&url.host_header()).is_ok());
            }
        }

        #[test]
        fn no_text_makes_it_panic_and_what_is_stored_is_read_again_the_same(text in "(https?://)?\\PC{0,40}") {
            if let Ok(url) = EndpointUrl::parse(&text) {
                prop_assert_eq!(EndpointUrl::parse(url.as_str()), Ok(url));
            }
        }
    }
}
