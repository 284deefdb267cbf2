//! From a URL to a connection: DNS → [`EgressPolicy`] → TCP → TLS.
//!
//! awc connects through this and never by itself: so the address that is checked is the one that is connected to,
//! whatever form it was written in, TLS is spoken to IPv6 literals too, and certificate errors keep their types.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use super::stream::{Progress, Stream, Transport};
use crate::domain::egress_policy::{EgressDenied, EgressPolicy, addresses_without_dns};
use crate::domain::endpoint_url::{EndpointUrl, Host, Scheme};

/// How long a name is looked up before its URL is saved.
const LOOK_UP_BEFORE_SAVE: Duration = Duration::from_secs(1);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectFailure {
    #[error(transparent)]
    NotAllowed(#[from] EgressDenied),
    #[error("the name has no address")]
    NameNotFound,
    #[error("the name could not be looked up: {0}")]
    NameLookup(String),
    #[error("{0}")]
    Tcp(#[source] io::Error),
    #[error("{0}")]
    Tls(#[source] io::Error),
}

/// The addresses of a URL's host. `localhost` and addresses are never looked up.
pub async fn look_up(url: &EndpointUrl) -> io::Result<Vec<SocketAddr>> {
    match addresses_without_dns(url) {
        Some(addresses) => Ok(addresses),
        None => Ok(tokio::net::lookup_host((url.host_text(), url.port()))
            .await?
            .collect()),
    }
}

/// Whether a webhook may have this URL, as far as can be said now: a name that is not found, or not in time, may get
/// its address later, and is checked then.
pub async fn check_before_save(
    policy: &EgressPolicy,
    url: &EndpointUrl,
) -> Result<(), EgressDenied> {
    policy.check_url(url)?;
    match timeout(LOOK_UP_BEFORE_SAVE, look_up(url)).await {
        Ok(Ok(addresses)) => policy.check_addresses(url, &addresses),
        Ok(Err(_)) | Err(_) => Ok(()),
    }
}

/// Connects, and tells `progress` how long each step took. Its deadline is kept by who calls, but shared out here
/// among the addresses of a host, so that a dead one leaves time for the next.
pub async fn connect(
    url: &EndpointUrl,
    policy: &EgressPolicy,
    tls: &Arc<ClientConfig>,
    progress: &Progress,
) -> Result<Stream, ConnectFailure> {
    progress.begin_fresh();
    // Before the look-up, which would tell a resolver of a name that must not be called anyway.
    policy.check_url(url)?;
    let started = Instant::now();
    let addresses = look_up(url).await;
    if addresses_without_dns(url).is_none() {
        progress.time(|t| t.dns = Some(started.elapsed()));
    }
    let addresses = addresses.map_err(look_up_failure)?;
    policy.check_addresses(url, &addresses)?;

    let started = Instant::now();
    let tcp = connect_tcp(&addresses, progress.deadline()).await?;
    progress.time(|t| t.connect = Some(started.elapsed()));
    progress.set_connected();
    // A request is one write and its answer is waited for: there is nothing to gather.
    tcp.set_nodelay(true).map_err(ConnectFailure::Tcp)?;

    let transport = match url.scheme() {
        Scheme::Http => Transport::Plain(tcp),
        Scheme::Https => {
            let started = Instant::now();
            let name = server_name(url).map_err(ConnectFailure::Tls)?;
            let stream = TlsConnector::from(Arc::clone(tls)).connect(name, tcp).await;
            progress.time(|t| t.tls = Some(started.elapsed()));
            Transport::Tls(Box::new(stream.map_err(ConnectFailure::Tls)?))
        }
    };
    Ok(Stream::new(transport))
}

async fn connect_tcp(
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<TcpStream, ConnectFailure> {
    let mut failure: Option<io::Error> = None;
    for (index, address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - index).unwrap_or(u32::MAX);
        let error = match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        // That one family of addresses has no route here says less than what happened to the other.
        match &failure {
            Some(first) if !is_unreachable(first) => {}
            _ => failure = Some(error),
        }
    }
    Err(failure.map_or(ConnectFailure::NameNotFound, ConnectFailure::Tcp))
}

fn is_unreachable(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::AddrNotAvailable
    )
}

fn server_name(url: &EndpointUrl) -> io::Result<ServerName<'static>> {
    match url.host() {
        Host::Name(name) => ServerName::try_from(name).map_err(io::Error::other),
        Host::Ip(ip) => Ok(ServerName::from(ip)),
    }
}

/// `getaddrinfo` tells by its text alone whether there is no such name or no answer.
fn look_up_failure(error: io::Error) -> ConnectFailure {
    const NOT_FOUND: [&str; 5] = [
        "Name or service not known",
        "No address associated with",
        "Name does not resolve",
        "Name has no usable address",
        "nodename nor servname provided",
    ];
    let text = error.to_string();
    if NOT_FOUND.iter().any(|phrase| text.contains(phrase)) {
        ConnectFailure::NameNotFound
    } else {
        let detail = text.rsplit(": ").next().unwrap_or(&text);
        ConnectFailure::NameLookup(detail.to_owned())
    }
}

/// What is wrong with a `--ca-file`, or with the TLS library.
#[derive(Debug, thiserror::Error)]
pub enum TlsConfigError {
    #[error("--ca-file {}: {reason}", path.display())]
    CaFile { path: PathBuf, reason: String },
    #[error("TLS cannot be set up: {0}")]
    Rustls(#[from] rustls::Error),
}

/// Certificates are always verified, against the built-in roots and those in `ca_files`. HTTP/1.1 alone is offered:
/// that is what awc speaks over a connection of ours.
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
            CertificateDer::pem_file_iter(path).map_err(|e| error(pem_problem(&e)))?
        {
            let certificate = certificate.map_err(|e| error(pem_problem(&e)))?;
            roots
                .add(certificate)
                .map_err(|e| error(format!("it holds a certificate that cannot be used ({e})")))?;
            found = true;
        }
        if !found {
            return Err(error("it holds no PEM certificate".to_owned()));
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

fn pem_problem(error: &rustls::pki_types::pem::Error) -> String {
    match error {
        rustls::pki_types::pem::Error::Io(error) => format!("it cannot be read ({error})"),
        other => format!("it is not valid PEM ({other})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_does_not_exist_is_told_from_a_look_up_that_failed() {
        let said = |detail: &str| {
            let text = format!("failed to lookup address information: {detail}");
            look_up_failure(io::Error::other(text))
        };
        for detail in [
            "Name or service not known",
            "No address associated with hostname",
            "Name does not resolve",
            "nodename nor servname provided, or not known",
        ] {
            let failure = said(detail);
            assert!(matches!(failure, ConnectFailure::NameNotFound), "{detail}");
        }
        let failure = said("Temporary failure in name resolution");
        assert!(
            matches!(&failure, ConnectFailure::NameLookup(d) if d == "Temporary failure in name resolution"),
            "{failure:?}"
        );
    }

    #[tokio::test]
    async fn localhost_and_addresses_are_never_looked_up() {
        let addresses = async |text: &str| {
            let url = EndpointUrl::parse(text).unwrap();
            let found = look_up(&url).await.unwrap();
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

    #[tokio::test]
    async fn the_next_address_is_tried_where_one_refuses() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let closed = SocketAddr::from(([127, 0, 0, 2], good.port()));
        let deadline = Instant::now() + Duration::from_secs(20);
        let stream = connect_tcp(&[closed, good], deadline).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        let failure = connect_tcp(&[closed, closed], deadline).await.unwrap_err();
        assert!(
            matches!(&failure, ConnectFailure::Tcp(e) if e.kind() == io::ErrorKind::ConnectionRefused)
        );
        let nothing = connect_tcp(&[], deadline).await.unwrap_err();
        assert!(matches!(nothing, ConnectFailure::NameNotFound));
    }
}
