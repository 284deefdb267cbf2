//! From a URL to a connection.
use crate::domain::egress_policy::*;
use crate::domain::endpoint_url::EndpointUrl;
use std::path::PathBuf;
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub struct TlsConfigError;
pub async fn check_before_save(policy: &EgressPolicy, url: &EndpointUrl) -> Result<(), Refusal> {
    policy.check_url(url)
}
pub fn tls_config(_ca: &[PathBuf]) -> Result<rustls::ClientConfig, TlsConfigError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    Ok(
        rustls::ClientConfig::builder_with_provider(
            rustls::crypto::ring::default_provider().into(),
        )
        .with_safe_default_protocol_versions()
        .map_err(|_| TlsConfigError)?
        .with_root_certificates(roots)
        .with_no_client_auth(),
    )
}
