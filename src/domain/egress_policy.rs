//! Which addresses may be called: a table, and the options that lift it.

use std::net::SocketAddr;

use super::endpoint_url::EndpointUrl;

/// Why a target may not be called; its text is a sentence for who entered the URL, and names the option that allows it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("stub")]
    Stub,
}

/// One `--allow-target`: a CIDR, an address, or a host name with or without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AllowTarget;

/// What is wrong with the text of an `--allow-target`.
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub struct AllowTargetError;

impl std::str::FromStr for AllowTarget {
    type Err = AllowTargetError;

    fn from_str(_: &str) -> Result<Self, AllowTargetError> {
        Ok(Self)
    }
}

/// The rules in force.
#[derive(Clone, Debug, Default)]
pub struct EgressPolicy;

impl EgressPolicy {
    /// `own_sockets`: what Miniback itself listens on.
    pub fn new(
        _allow: Vec<AllowTarget>,
        _deny_localhost: bool,
        _own_sockets: Vec<SocketAddr>,
    ) -> Self {
        Self
    }

    /// What can be said without a look-up: scheme, and an address that is written out.
    pub fn check_url(&self, _url: &EndpointUrl) -> Result<(), Refusal> {
        Ok(())
    }

    /// Whether a connection for `url` may be made to `address`.
    pub fn check_address(&self, _url: &EndpointUrl, _address: SocketAddr) -> Result<(), Refusal> {
        Ok(())
    }
}
