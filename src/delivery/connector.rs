//! Connects to the host of a URL: DNS, [`EgressPolicy`], TCP, TLS.
//!
//! awc doesn't open connections itself. This way, every connection goes to an IP address that the
//! policy has checked, TLS works with IPv6 literals, and certificate errors keep their types.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::http_stream::{ExchangeProgress, HttpStream, Transport};
use super::tcp;
use crate::domain::delivery::AttemptPhase;
use crate::domain::egress_policy::{EgressDenied, EgressPolicy, addresses_without_dns};
use crate::domain::endpoint_url::{EndpointUrl, Host, Scheme};

/// The time limit of the DNS lookup when a URL is saved.
const RESOLVE_TIMEOUT_ON_SAVE: Duration = Duration::from_secs(1);

/// Why a connection failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    NotAllowed(#[from] EgressDenied),
    #[error("the host has no IP address")]
    NameNotFound,
    #[error("the DNS lookup failed: {0}")]
    LookupFailed(String),
    #[error("{0}")]
    Tcp(#[source] io::Error),
    #[error("{0}")]
    Tls(#[source] io::Error),
}

/// Resolves the host of a URL. Never looks up `localhost` or a literal IP address.
pub async fn resolve(url: &EndpointUrl) -> io::Result<Vec<SocketAddr>> {
    match addresses_without_dns(url) {
        Some(addresses) => Ok(addresses),
        None => Ok(tokio::net::lookup_host((url.host_text(), url.port()))
            .await?
            .collect()),
    }
}

/// Checks whether a URL can be saved. A host that can't be resolved yet is accepted and checked
/// when connecting.
pub async fn check_before_save(
    policy: &EgressPolicy,
    url: &EndpointUrl,
) -> Result<(), EgressDenied> {
    policy.check_url(url)?;
    match timeout(RESOLVE_TIMEOUT_ON_SAVE, resolve(url)).await {
        Ok(Ok(addresses)) => policy.check_addresses(url, &addresses),
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

/// Connects, and records in `progress` how long each phase takes. The caller enforces the deadline.
pub async fn connect(
    url: &EndpointUrl,
    policy: &EgressPolicy,
    tls: &Arc<ClientConfig>,
    progress: &ExchangeProgress,
) -> Result<HttpStream, ConnectError> {
    progress.start_connection();
    // Check before resolving, so blocked names never reach a resolver.
    policy.check_url(url)?;
    if addresses_without_dns(url).is_none() {
        progress.begin_phase(AttemptPhase::Lookup);
    }
    let addresses = resolve(url).await.map_err(dns_error)?;
    policy.check_addresses(url, &addresses)?;

    progress.begin_phase(AttemptPhase::Connect);
    let tcp = tcp::connect_to_any(&addresses)
        .await
        .ok_or(ConnectError::NameNotFound)?
        .map_err(ConnectError::Tcp)?;
    // Disable Nagle's algorithm, because a request is one write followed by a wait.
    tcp.set_nodelay(true).map_err(ConnectError::Tcp)?;

    let transport = match url.scheme() {
        Scheme::Http => Transport::Plain(tcp),
        Scheme::Https => {
            progress.begin_phase(AttemptPhase::Tls);
            let name = server_name(url).map_err(ConnectError::Tls)?;
            let stream = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await;
            Transport::Tls(Box::new(stream.map_err(ConnectError::Tls)?))
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

/// Converts a DNS error. Only the text of `getaddrinfo`'s error distinguishes an unknown name from
/// a failed lookup.
fn dns_error(error: io::Error) -> ConnectError {
    const NOT_FOUND: [&str; 5] = [
        "Name or service not known",
        "No address associated with",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname provided",
    ];
    let text = error.to_string();
    if NOT_FOUND.iter().any(|phrase| text.contains(phrase)) {
        ConnectError::NameNotFound
    } else {
        let detail = text.rsplit(": ").next().unwrap_or(&text);
        ConnectError::LookupFailed(detail.to_owned())
    }
}

/// An invalid `--ca-file`, or an error from the TLS library.
#[derive(Debug, thiserror::Error)]
pub enum TlsConfigError {
    #[error("--ca-file {}: {reason}", path.display())]
    CaFile { path: PathBuf, reason: String },
    #[error("setting up TLS failed: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Builds the TLS configuration. Certificates are always verified, against the built-in roots and
/// the certificates in `ca_files`. ALPN offers only HTTP/1.1, because awc uses HTTP/1.1 over our
/// connections.
pub fn tls_config(ca_files: &[PathBuf]) -> Result<ClientConfig, TlsConfigError> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for path in ca_files {
        let error = |reason: String| TlsConfigError::CaFile {
            path: path.clone(),
            reason,
        };
        let mut found = false;
        for certificate in
            CertificateDer::pem_file_iter(path).map_err(|e| error(pem_error_message(&e)))?
        {
            let certificate = certificate.map_err(|e| error(pem_error_message(&e)))?;
            roots
                .add(certificate)
                .map_err(|e| error(format!("it contains an invalid certificate ({e})")))?;
            found = true;
        }
        if !found {
            return Err(error("it contains no PEM certificate".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn pem_error_message(error: &rustls::pki_types::pem::Error) -> String {
    match error {
        rustls::pki_types::pem::Error::Io(error) => format!("it can’t be read ({error})"),
        other => format!("it isn’t valid PEM ({other})"),
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
            "No address associated with hostname",
            "Name does not resolve",
            "nodename nor servname provided, or not known",
        ] {
            let failure = error_for(detail);
            assert!(matches!(failure, ConnectError::NameNotFound), "{detail}");
        }
        let failure = error_for("Temporary failure in name resolution");
        let ConnectError::LookupFailed(detail) = failure else {
            panic!("{failure:?}");
        };
        assert_eq!(detail, "Temporary failure in name resolution");
    }

    #[tokio::test]
    async fn never_looks_up_localhost_or_an_ip_address() {
        let addresses = async |text: &str| {
            let url = EndpointUrl::parse(text).unwrap();
            let found = resolve(&url).await.unwrap();
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
