//! Opens connections to the mail server: DNS, TCP, TLS or STARTTLS, and the sign-in.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{AsyncSmtpConnection, AsyncTokioStream};
use lettre::transport::smtp::commands::Starttls;
use lettre::transport::smtp::extension::ClientId;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use super::super::connector::{ConnectError, dns_error};
use super::super::tls::{self, FirstBytesRecorder};
use super::super::{outcomes, tcp};
use super::progress::MailProgress;
use super::reply::{MailError, expect_success, from_smtp_error};
use super::stream::{PlainStream, SmtpStream};
use crate::domain::delivery::AttemptPhase;
use crate::domain::endpoint_url::Host;
use crate::domain::mail_failure::{MailFailure, MailStep};
use crate::domain::mail_server::{MailCredentials, MailEncryption, MailServer};

/// Connects to the mail server and signs in. `timeout` is the time limit of the attempt. The caller
/// enforces it.
pub(super) async fn open(
    server: &MailServer,
    tls: &Arc<ClientConfig>,
    progress: &MailProgress,
    timeout: Duration,
) -> Result<AsyncSmtpConnection, MailError> {
    progress.begin_step(MailStep::Greeting);
    let connect_error = |error| {
        let outcome = outcomes::from_connect_error(error, timeout, progress.exchange());
        MailError::from(MailFailure::Connection(Box::new(outcome)))
    };
    let tcp = connect_tcp(server, progress).await.map_err(connect_error)?;
    let hello = hello_name(&tcp);
    let has_sent = progress.is_greeted();
    let stream: Box<dyn AsyncTokioStream> = match server.encryption {
        MailEncryption::Tls => {
            let tls = handshake(server, tls, tcp, progress)
                .await
                .map_err(connect_error)?;
            Box::new(SmtpStream::new(tls, has_sent))
        }
        MailEncryption::StartTls => {
            let tcp = request_starttls(tcp, &hello, progress).await?;
            let tls = handshake(server, tls, tcp, progress)
                .await
                .map_err(connect_error)?;
            Box::new(SmtpStream::after_starttls(tls, has_sent))
        }
        MailEncryption::None => Box::new(SmtpStream::new(tcp, has_sent)),
    };
    progress.begin_wait();
    let connecting = AsyncSmtpConnection::connect_with_transport(stream, &hello).await;
    let mut smtp = connecting.map_err(|error| from_smtp_error(&error, progress))?;
    if let Some(credentials) = &server.credentials {
        sign_in(&mut smtp, credentials, progress).await?;
    }
    Ok(smtp)
}

async fn connect_tcp(
    server: &MailServer,
    progress: &MailProgress,
) -> Result<TcpStream, ConnectError> {
    let addresses = resolve(server, progress).await.map_err(dns_error)?;
    progress.exchange().begin_phase(AttemptPhase::Connect);
    let tcp = tcp::connect_to_any(&addresses)
        .await
        .ok_or(ConnectError::NameWithoutAddress)?
        .map_err(ConnectError::Tcp)?;
    // Every command is one write followed by a wait. If the call fails, the next write does too.
    let _ = tcp.set_nodelay(true);
    progress.end_phase();
    Ok(tcp)
}

/// Resolves the host. Never looks up `localhost`, so nobody else can decide that a connection stays
/// on this machine.
async fn resolve(server: &MailServer, progress: &MailProgress) -> io::Result<Vec<SocketAddr>> {
    let ips: Vec<IpAddr> = match &server.host {
        Host::Ip(ip) => vec![*ip],
        Host::Name(name) if name == "localhost" => {
            vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]
        }
        Host::Name(name) => {
            progress.exchange().begin_phase(AttemptPhase::Lookup);
            let found = tokio::net::lookup_host((name.as_str(), server.port)).await?;
            return Ok(found.collect());
        }
    };
    Ok(ips
        .into_iter()
        .map(|ip| SocketAddr::new(ip, server.port))
        .collect())
}

/// Asks the mail server to start TLS, and returns the connection for the handshake. Everything that
/// was received before is discarded, because anybody could have sent it.
async fn request_starttls(
    tcp: TcpStream,
    hello: &ClientId,
    progress: &MailProgress,
) -> Result<TcpStream, MailError> {
    progress.begin_wait();
    let plain = PlainStream::new(tcp);
    let stream = Box::new(SmtpStream::new(plain.clone(), progress.is_greeted()));
    let connecting = AsyncSmtpConnection::connect_with_transport(stream, hello).await;
    let mut smtp = connecting.map_err(|error| from_smtp_error(&error, progress))?;
    if !smtp.can_starttls() {
        return Err(MailFailure::NoStartTls.into());
    }
    progress.begin_step(MailStep::StartTls);
    expect_success(smtp.command(Starttls).await, progress)?;
    progress.is_greeted().store(false, Ordering::Relaxed);
    progress.begin_step(MailStep::Hello);
    plain
        .take()
        .ok_or_else(|| MailFailure::Closed(MailStep::StartTls).into())
}

async fn handshake(
    server: &MailServer,
    tls: &Arc<ClientConfig>,
    tcp: TcpStream,
    progress: &MailProgress,
) -> Result<TlsStream<FirstBytesRecorder>, ConnectError> {
    progress.exchange().begin_phase(AttemptPhase::Tls);
    let name = match &server.host {
        Host::Name(name) => {
            ServerName::try_from(name.clone()).map_err(|error| ConnectError::Tls {
                error: io::Error::other(error),
                received: vec![],
            })?
        }
        Host::Ip(ip) => ServerName::from(*ip),
    };
    tls::handshake(tls, name, tcp)
        .await
        .map_err(|failure| ConnectError::Tls {
            error: failure.error,
            received: failure.received,
        })
}

async fn sign_in(
    smtp: &mut AsyncSmtpConnection,
    credentials: &MailCredentials,
    progress: &MailProgress,
) -> Result<(), MailError> {
    const MECHANISMS: [Mechanism; 2] = [Mechanism::Plain, Mechanism::Login];
    progress.begin_step(MailStep::SignIn);
    if smtp.server_info().get_auth_mechanism(&MECHANISMS).is_none() {
        return Err(MailFailure::NoSignIn.into());
    }
    let credentials = Credentials::new(credentials.user.clone(), credentials.password.clone());
    expect_success(smtp.auth(&MECHANISMS, &credentials).await, progress)?;
    Ok(())
}

/// Returns the name for `EHLO`: the local IP address, as RFC 5321, section 4.1.4, recommends for a
/// client without a public host name.
fn hello_name(tcp: &TcpStream) -> ClientId {
    match tcp.local_addr().map(|address| address.ip()) {
        Ok(IpAddr::V4(ip)) => ClientId::Ipv4(ip),
        Ok(IpAddr::V6(ip)) => ClientId::Ipv6(ip),
        Err(_) => ClientId::default(),
    }
}
