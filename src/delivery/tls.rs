//! TLS: the configuration, the handshake, and the certificate check.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::ResolvesClientCert;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore,
    SignatureScheme,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use webpki::EndEntityCert;

use super::exchange_progress::PROGRESS;
use crate::config_files::{self, PEM_MAX_BYTES};

/// An invalid `--ca-file`, or an error from the TLS library.
#[derive(Debug, thiserror::Error)]
pub enum TlsConfigError {
    #[error("--ca-file: can’t use {}: {reason}", path.display())]
    CaFile { path: PathBuf, reason: String },
    #[error("TLS can’t be set up; report this as a bug")]
    Rustls(#[from] Error),
}

/// Builds the TLS configuration. Certificates are always verified, against the built-in roots and
/// the certificates in `ca_files`. ALPN offers only HTTP/1.1, because awc uses HTTP/1.1 over our
/// connections.
pub fn tls_config(ca_files: &[PathBuf]) -> Result<ClientConfig, TlsConfigError> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for path in ca_files {
        add_ca_file(&mut roots, path).map_err(|reason| TlsConfigError::CaFile {
            path: path.clone(),
            reason,
        })?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(roots);
    let inner =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
    let verifier = CertificateVerifier {
        inner,
        roots,
        provider: Arc::clone(&provider),
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_cert_resolver(Arc::new(NoClientCertificate));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn add_ca_file(roots: &mut RootCertStore, path: &Path) -> Result<(), String> {
    let pem = config_files::read(path, PEM_MAX_BYTES).map_err(|error| error.to_string())?;
    let mut found = false;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| "it isn’t valid PEM".to_owned())?;
        roots
            .add(certificate)
            .map_err(|_| "it contains a certificate that can’t be decoded".to_owned())?;
        found = true;
    }
    if found {
        return Ok(());
    }
    Err(
        "it contains no PEM certificate; a certificate in another format can be converted with \
         openssl x509 -inform der"
            .to_owned(),
    )
}

/// The reason for rejecting a certificate or handshake, if the TLS library reports only a general
/// error.
#[derive(Debug, thiserror::Error)]
pub enum CertificateRejection {
    #[error("the certificate is self-signed")]
    SelfSigned,
    #[error("an RSA key has fewer than 2,048 bits")]
    ShortKey,
    #[error("the issuer has the name of a trusted CA, but a different key")]
    OtherIssuerKey,
    #[error("the handshake isn’t signed with the key of the certificate")]
    KeyMismatch,
}

impl From<CertificateRejection> for Error {
    fn from(reason: CertificateRejection) -> Self {
        CertificateError::Other(OtherError(Arc::new(reason))).into()
    }
}

/// Replaces general errors of the standard verifier with specific errors. Accepts the same
/// certificates and signatures as the standard verifier.
#[derive(Debug)]
struct CertificateVerifier {
    inner: Arc<WebPkiServerVerifier>,
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl CertificateVerifier {
    fn explain_rejection(
        &self,
        error: Error,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> Error {
        let Ok(certificate) = EndEntityCert::try_from(end_entity) else {
            return error;
        };
        match error {
            Error::InvalidCertificate(CertificateError::UnknownIssuer)
                if certificate.issuer() == certificate.subject()
                    && self.is_signed_by(end_entity, end_entity, server_name, now) =>
            {
                CertificateRejection::SelfSigned.into()
            }
            // If an RSA key is too short, the TLS library reports an invalid signature.
            Error::InvalidCertificate(CertificateError::BadSignature)
                if has_short_key(end_entity)
                    || intermediates.iter().any(has_short_key)
                    || self.has_root_with_short_key(certificate.issuer()) =>
            {
                CertificateRejection::ShortKey.into()
            }
            Error::InvalidCertificate(CertificateError::BadSignature)
                if self.has_root_with_subject(certificate.issuer())
                    || intermediates.iter().any(|issuer| {
                        self.has_root_matching_issuer(issuer)
                            && self.is_signed_by(issuer, end_entity, server_name, now)
                    }) =>
            {
                CertificateRejection::OtherIssuerKey.into()
            }
            other => other,
        }
    }

    /// Returns whether `issuer` signed `certificate`. Ignores all other problems of the
    /// certificate, such as expiry.
    fn is_signed_by(
        &self,
        issuer: &CertificateDer<'_>,
        certificate: &CertificateDer<'_>,
        server_name: &ServerName<'_>,
        now: UnixTime,
    ) -> bool {
        let mut roots = RootCertStore::empty();
        if roots.add(issuer.clone().into_owned()).is_err() {
            return false;
        }
        let provider = Arc::clone(&self.provider);
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        verifier.build().is_ok_and(|verifier| {
            let result = verifier.verify_server_cert(certificate, &[], server_name, &[], now);
            !matches!(
                result,
                Err(Error::InvalidCertificate(
                    CertificateError::UnknownIssuer | CertificateError::BadSignature
                ))
            )
        })
    }

    fn has_root_with_short_key(&self, subject: &[u8]) -> bool {
        self.roots_with_subject(subject)
            .any(|root| is_short_rsa_key(&root.subject_public_key_info))
    }

    fn has_root_with_subject(&self, subject: &[u8]) -> bool {
        self.roots_with_subject(subject).next().is_some()
    }

    fn has_root_matching_issuer(&self, certificate: &CertificateDer<'_>) -> bool {
        EndEntityCert::try_from(certificate)
            .is_ok_and(|parsed| self.has_root_with_subject(parsed.issuer()))
    }

    fn roots_with_subject(&self, subject: &[u8]) -> impl Iterator<Item = &TrustAnchor<'static>> {
        let roots = self.roots.roots.iter();
        roots.filter(move |root| root.subject.as_ref() == subject)
    }
}

impl ServerCertVerifier for CertificateVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.inner
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            .map_err(|error| {
                self.explain_rejection(error, end_entity, intermediates, server_name, now)
            })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls12_signature(message, certificate, signature)
            .map_err(|error| explain_invalid_signature(error, certificate))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner
            .verify_tls13_signature(message, certificate, signature)
            .map_err(|error| explain_invalid_signature(error, certificate))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Replaces the error for an invalid handshake signature with a more specific error. The endpoint
/// signs the handshake with the private key of its certificate.
fn explain_invalid_signature(error: Error, certificate: &CertificateDer<'_>) -> Error {
    match error {
        Error::InvalidCertificate(CertificateError::BadSignature) if has_short_key(certificate) => {
            CertificateRejection::ShortKey.into()
        }
        Error::InvalidCertificate(CertificateError::BadSignature) => {
            CertificateRejection::KeyMismatch.into()
        }
        other => other,
    }
}

fn has_short_key(certificate: &CertificateDer<'_>) -> bool {
    EndEntityCert::try_from(certificate)
        .is_ok_and(|parsed| is_short_rsa_key(&parsed.subject_public_key_info()))
}

/// Returns whether a public key (SubjectPublicKeyInfo) is an RSA key with fewer than 2,048 bits,
/// which ring doesn't accept. The encoding of a key with 2,048 bits is about 290 bytes long.
fn is_short_rsa_key(public_key: &[u8]) -> bool {
    const RSA_ENCRYPTION_OID: [u8; 11] = [
        0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
    ];
    public_key.len() < 280
        && public_key
            .windows(RSA_ENCRYPTION_OID.len())
            .any(|part| part == RSA_ENCRYPTION_OID)
}

/// Records that the endpoint requested a client certificate, and sends no certificate.
#[derive(Debug)]
struct NoClientCertificate;

impl ResolvesClientCert for NoClientCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let _ = PROGRESS.try_with(|progress| progress.record_client_certificate_request());
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// The maximum number of bytes that [`FirstBytesRecorder`] records.
const RECORDED_MAX_BYTES: usize = 20;

/// A TCP connection that records the first bytes that it receives. These bytes show which protocol
/// the port uses.
pub struct FirstBytesRecorder {
    tcp: TcpStream,
    received: Vec<u8>,
}

impl FirstBytesRecorder {
    pub fn tcp_stream(&self) -> &TcpStream {
        &self.tcp
    }
}

/// A failed handshake.
pub struct HandshakeError {
    pub error: io::Error,
    /// The first bytes that the endpoint sent, at most [`RECORDED_MAX_BYTES`].
    pub received: Vec<u8>,
}

pub async fn handshake(
    config: &Arc<ClientConfig>,
    name: ServerName<'static>,
    tcp: TcpStream,
) -> Result<TlsStream<FirstBytesRecorder>, HandshakeError> {
    let stream = FirstBytesRecorder {
        tcp,
        received: Vec::new(),
    };
    let connecting = TlsConnector::from(Arc::clone(config)).connect(name, stream);
    connecting
        .into_fallible()
        .await
        .map_err(|(error, stream)| HandshakeError {
            error,
            received: stream.received,
        })
}

impl AsyncRead for FirstBytesRecorder {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.tcp).poll_read(cx, buf);
        let missing = RECORDED_MAX_BYTES - self.received.len();
        let new = &buf.filled()[before..];
        self.received.extend(new.iter().take(missing));
        result
    }
}

impl AsyncWrite for FirstBytesRecorder {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
