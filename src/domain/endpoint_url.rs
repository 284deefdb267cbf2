//! Which URLs a webhook may have, and what of a URL is used where.
//!
//! A URL is read once, by the WHATWG rules; the host found there is the one that is checked, connected to, named in
//! `Host` and in TLS. What is stored and shown is the text as it was given, trimmed.

use std::net::IpAddr;

/// The longest URL, in bytes.
pub const URL_MAX_BYTES: usize = 2048;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// The host of a URL: a name (lower-case ASCII, IDN in its `xn--` form) or an address, however it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    Name(String),
    Ip(IpAddr),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointUrl {
    given: String,
    parsed: url::Url,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EndpointUrlError {
    #[error("not a URL")]
    Stub,
}

impl EndpointUrl {
    /// Reads what somebody typed.
    pub fn parse(text: &str) -> Result<Self, EndpointUrlError> {
        let given = text.trim().to_owned();
        let parsed = url::Url::parse(&given).map_err(|_| EndpointUrlError::Stub)?;
        Ok(Self { given, parsed })
    }

    /// As it was given, trimmed.
    pub fn as_str(&self) -> &str {
        &self.given
    }

    pub fn scheme(&self) -> Scheme {
        if self.parsed.scheme() == "https" {
            Scheme::Https
        } else {
            Scheme::Http
        }
    }

    pub fn host(&self) -> Host {
        match self.parsed.host() {
            Some(url::Host::Domain(name)) => Host::Name(name.to_owned()),
            Some(url::Host::Ipv4(ip)) => Host::Ip(ip.into()),
            Some(url::Host::Ipv6(ip)) => Host::Ip(ip.into()),
            None => Host::Name(String::new()),
        }
    }

    pub fn port(&self) -> u16 {
        self.parsed.port_or_known_default().unwrap_or(443)
    }

    /// Host and port alone, for logs.
    pub fn host_for_log(&self) -> String {
        String::new()
    }
}
