//! Connects to the host of a URL: DNS, [`EgressPolicy`], TCP, TLS.
//!
//! awc uses the connections of this module and opens none itself. Therefore, every connection goes
//! to an IP address that the policy has checked, TLS works with IPv6 literals, and certificate
//! errors keep their types.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::time::timeout;

use super::exchange_progress::ExchangeProgress;
use super::http_stream::{HttpStream, Transport};
use super::tcp::{self, TcpError};
use super::tls::{self, HandshakeError};
use crate::domain::delivery::{AttemptPhase, DnsProblem};
use crate::domain::egress_policy::{EgressDenied, EgressPolicy, addresses_without_dns};
use crate::domain::endpoint_url::{EndpointUrl, Host, Scheme};

/// The time limit of the DNS lookup when a URL is saved.
const RESOLVE_TIMEOUT_ON_SAVE: Duration = Duration::from_secs(1);

/// The reason a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    NotAllowed(#[from] EgressDenied),
    #[error("the host name doesn't exist")]
    NameNotFound,
    #[error("the host has no IP address")]
    NameWithoutAddress,
    #[error("the DNS lookup failed")]
    LookupFailed(DnsProblem),
    #[error("{0}")]
    Tcp(#[source] TcpError),
    #[error("{error}")]
    Tls {
        #[source]
        error: io::Error,
        /// The first bytes that the endpoint sent, at most 20.
        received: Vec<u8>,
    },
}

/// Resolves the host of a URL. Never looks up `localhost` or a literal IP address.
pub async fn resolve_host(url: &EndpointUrl) -> io::Result<Vec<SocketAddr>> {
    match addresses_without_dns(url) {
        Some(addresses) => Ok(addresses),
        None => Ok(tokio::net::lookup_host((url.host_text(), url.port()))
            .await?
            .collect()),
    }
}

/// Checks whether a URL can be saved. Accepts a host name that doesn't resolve within 1 s, because
/// each connection is checked again.
pub async fn check_url_before_save(
    policy: &EgressPolicy,
    url: &EndpointUrl,
) -> Result<(), EgressDenied> {
    policy.check_url(url)?;
    match timeout(RESOLVE_TIMEOUT_ON_SAVE, resolve_host(url)).await {
        Ok(Ok(addresses)) => policy.check_addresses(url, &addresses),
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

/// Connects to the host of `url`, if `policy` allows the target. Records in `progress` how long
/// each phase takes. The caller enforces the deadline.
pub async fn connect(
    url: &EndpointUrl,
    policy: &EgressPolicy,
    tls: &Arc<ClientConfig>,
    progress: &ExchangeProgress,
) -> Result<HttpStream, ConnectError> {
    progress.record_new_connection();
    // Check before resolving, so that the DNS server isn't queried for rejected URLs.
    policy.check_url(url)?;
    if addresses_without_dns(url).is_none() {
        progress.begin_phase(AttemptPhase::Lookup);
    }
    let addresses = resolve_host(url).await.map_err(dns_error)?;
    policy.check_addresses(url, &addresses)?;

    progress.begin_phase(AttemptPhase::Connect);
    let tcp = tcp::connect_to_any(&addresses)
        .await
        .ok_or(ConnectError::NameWithoutAddress)?
        .map_err(ConnectError::Tcp)?;
    // Disable Nagle's algorithm, because a request is one write followed by a wait. The call fails
    // only if the connection has been reset. In that case, the next write reports the error.
    let _ = tcp.set_nodelay(true);

    let transport = match url.scheme() {
        Scheme::Http => Transport::Plain(tcp),
        Scheme::Https => {
            progress.begin_phase(AttemptPhase::Tls);
            let failed = |failure: HandshakeError| ConnectError::Tls {
                error: failure.error,
                received: failure.received,
            };
            let name = server_name(url).map_err(|error| ConnectError::Tls {
                error,
                received: vec![],
            })?;
            let stream = tls::handshake(tls, name, tcp).await.map_err(failed)?;
            Transport::Tls(Box::new(stream))
        }
    };
    progress.end_phase();
    Ok(HttpStream::new(transport))
}

fn server_name(url: &EndpointUrl) -> io::Result<ServerName<'static>> {
    match url.host() {
        Host::Name(name) => ServerName::try_from(name).map_err(io::Error::other),
        Host::Ip(ip) => Ok(ServerName::from(ip)),
    }
}

/// Converts an error of `getaddrinfo`. Only the error's text distinguishes the causes.
pub(super) fn dns_error(error: io::Error) -> ConnectError {
    const NAME_NOT_FOUND_MESSAGES: [&str; 4] = [
        "Name or service not known",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname provided",
    ];
    const TEMPORARY_ERROR_MESSAGES: [&str; 2] =
        ["Temporary failure in name resolution", "Try again"];
    let text = error.to_string();
    let contains_any = |phrases: &[&str]| phrases.iter().any(|phrase| text.contains(phrase));
    if contains_any(&NAME_NOT_FOUND_MESSAGES) {
        ConnectError::NameNotFound
    } else if text.contains("No address associated with") {
        ConnectError::NameWithoutAddress
    } else if contains_any(&TEMPORARY_ERROR_MESSAGES) {
        ConnectError::LookupFailed(DnsProblem::Temporary)
    } else if text.contains("Non-recoverable failure") {
        ConnectError::LookupFailed(DnsProblem::Permanent)
    } else {
        tracing::warn!(%error, "unknown DNS error");
        ConnectError::LookupFailed(DnsProblem::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinguishes_an_unknown_name_from_a_failed_lookup() {
        let error_for = |detail: &str| {
            let text = format!("failed to lookup address information: {detail}");
            dns_error(io::Error::other(text))
        };
        for detail in [
            "Name or service not known",
            "Name does not resolve",
            "nodename nor servname provided, or not known",
        ] {
            let failure = error_for(detail);
            assert!(matches!(failure, ConnectError::NameNotFound), "{detail}");
        }
        let failure = error_for("No address associated with hostname");
        assert!(matches!(failure, ConnectError::NameWithoutAddress));
        for (detail, expected) in [
            (
                "Temporary failure in name resolution",
                DnsProblem::Temporary,
            ),
            (
                "Non-recoverable failure in name resolution",
                DnsProblem::Permanent,
            ),
            ("Something else", DnsProblem::Other),
        ] {
            let ConnectError::LookupFailed(problem) = error_for(detail) else {
                panic!("{detail}");
            };
            assert_eq!(problem, expected, "{detail}");
        }
    }

    #[tokio::test]
    async fn never_looks_up_localhost_or_an_ip_address() {
        let addresses = async |text: &str| {
            let url = EndpointUrl::parse(text).unwrap();
            let found = resolve_host(&url).await.unwrap();
            found.iter().map(SocketAddr::to_string).collect::<Vec<_>>()
        };
        let localhost = ["127.0.0.1:3000", "[::1]:3000"];
        assert_eq!(addresses("http://localhost:3000").await, localhost);
        assert_eq!(addresses("https://LocalHost.:3000").await, localhost);
        assert_eq!(addresses("https://0x0a.5").await, ["10.0.0.5:443"]);
        assert_eq!(
            addresses("http://[::ffff:1.2.3.4]").await,
            ["[::ffff:1.2.3.4]:80"]
        );
    }
}
