//! Which addresses may be called: a table, and the options that lift it.
//!
//! Checked when a URL is saved ([`EgressPolicy::check_url`]) and again for each address that a connection is about to
//! be made to ([`EgressPolicy::check_addresses`]), so that a name that changes its address gets nowhere. No I/O here:
//! what Miniback listens on and which addresses the machine has is handed in.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

use super::endpoint_url::{EndpointUrl, Host, Scheme, normalize_host};

mod table;
#[cfg(test)]
mod tests;

/// What `localhost` means, whatever a resolver says; in the order in which they are tried.
pub const LOCALHOST: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Why a target may not be called; its text is a sentence for who entered the URL, and names the option that allows it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressDenied {
    #[error(
        "{target} is {reason}, not a public one. If it is to be called, start Miniback with --allow-target {}.",
        target.address
    )]
    NotPublic {
        target: Target,
        reason: &'static str,
    },
    #[error(
        "Plain http:// is for localhost only; use https://. If {host} is to be called without encryption, start Miniback with --allow-target {host}."
    )]
    PlainHttp { host: String },
    #[error(
        "{host} is closed by --deny-localhost. If it is to be called, start Miniback without that option, or with --allow-target {host}."
    )]
    LocalhostDenied { host: String },
    #[error(
        "{target} is this machine itself, of which only https on port 443 may be called. If it is to be called, start Miniback with --allow-target {}.",
        target.address
    )]
    OwnAddress { target: Target },
    #[error(
        "{target} with port {port} is Miniback itself, which never calls itself; no option allows it."
    )]
    OwnSocket { target: Target, port: u16 },
}

/// The host as the URL names it, and the address that it turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    host: String,
    address: IpAddr,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, address } = self;
        if *host == address.to_string() {
            write!(f, "{host}")
        } else {
            write!(f, "{host} ({address})")
        }
    }
}

/// One `--allow-target`: a CIDR, or an address or host name with or without a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowTarget {
    Net(IpNet),
    Address(SocketAddr),
    Name { name: String, port: Option<u16> },
}

/// What is wrong with the text of an `--allow-target`.
#[derive(Debug, thiserror::Error)]
#[error(
    "“{0}” is neither a network (10.0.0.0/8) nor an address or a host name, with or without a port (10.0.0.5, 10.0.0.5:8080, [fd00::5]:8080, hooks.internal:8080)"
)]
pub struct AllowTargetError(String);

impl FromStr for AllowTarget {
    type Err = AllowTargetError;

    fn from_str(text: &str) -> Result<Self, AllowTargetError> {
        let text = text.trim();
        let error = || AllowTargetError(text.to_owned());
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Net(net.trunc()));
        }
        let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        if let Ok(ip) = bare.unwrap_or(text).parse::<IpAddr>() {
            return Ok(Self::Net(ip.into()));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) => {
                let port = port.parse().ok().filter(|port| *port != 0);
                (host, Some(port.ok_or_else(error)?))
            }
            None => (text, None),
        };
        // The same reading as that of a URL's host, so that both mean the same.
        match (url::Host::parse(host), port) {
            (Ok(url::Host::Domain(name)), port) => Ok(Self::Name {
                name: normalize_host(&name).ok_or_else(error)?,
                port,
            }),
            (Ok(url::Host::Ipv4(ip)), Some(port)) => Ok(Self::Address((ip, port).into())),
            (Ok(url::Host::Ipv6(ip)), Some(port)) => Ok(Self::Address((ip, port).into())),
            (Ok(url::Host::Ipv4(ip)), None) => Ok(Self::Net(IpAddr::from(ip).into())),
            (Ok(url::Host::Ipv6(ip)), None) => Ok(Self::Net(IpAddr::from(ip).into())),
            (Err(_), _) => Err(error()),
        }
    }
}

/// The rules in force.
#[derive(Clone, Debug, Default)]
pub struct EgressPolicy {
    allow: Vec<AllowTarget>,
    deny_localhost: bool,
    own_sockets: Vec<SocketAddr>,
    own_addresses: Vec<IpAddr>,
}

impl EgressPolicy {
    /// `own_sockets`: what Miniback itself listens on; `own_addresses`: those of the machine's interfaces.
    pub fn new(
        allow: Vec<AllowTarget>,
        deny_localhost: bool,
        own_sockets: Vec<SocketAddr>,
        own_addresses: Vec<IpAddr>,
    ) -> Self {
        Self {
            allow,
            deny_localhost,
            own_sockets,
            own_addresses,
        }
    }

    /// What can be said without a look-up: scheme, and an address that is written out.
    pub fn check_url(&self, url: &EndpointUrl) -> Result<(), EgressDenied> {
        match addresses_without_dns(url) {
            Some(addresses) => self.check_addresses(url, &addresses),
            // An address that is still to be looked up may be one that is allowed.
            None if self.allow.iter().any(|a| a.may_allow(url)) => Ok(()),
            None => check_scheme(url),
        }
    }

    /// Whether a connection for `url` may be made to any of `addresses`: one that is forbidden refuses all of them.
    pub fn check_addresses(
        &self,
        url: &EndpointUrl,
        addresses: &[SocketAddr],
    ) -> Result<(), EgressDenied> {
        addresses
            .iter()
            .try_for_each(|address| self.check_address(url, *address))
    }

    /// Whether a connection for `url` may be made to `address`.
    pub fn check_address(
        &self,
        url: &EndpointUrl,
        address: SocketAddr,
    ) -> Result<(), EgressDenied> {
        let meant = table::meant(address.ip());
        let target = || Target {
            host: url.host_text().to_owned(),
            address: meant,
        };
        if self.is_own_socket(meant, address.port()) {
            return Err(EgressDenied::OwnSocket {
                target: target(),
                port: address.port(),
            });
        }
        if self.allow.iter().any(|a| a.allows(url, address)) {
            return Ok(());
        }
        // Written in the URL itself, and not in disguise: a public name that leads here is not what was asked for.
        if is_localhost(url) && address.ip().is_loopback() {
            return if self.deny_localhost {
                Err(EgressDenied::LocalhostDenied {
                    host: allow_text(url),
                })
            } else {
                Ok(())
            };
        }
        if let Some(reason) = table::reason(address.ip()) {
            return Err(EgressDenied::NotPublic {
                target: target(),
                reason,
            });
        }
        check_scheme(url)?;
        let is_own = self
            .own_addresses
            .iter()
            .any(|own| table::meant(*own) == meant);
        if is_own && address.port() != Scheme::Https.default_port() {
            return Err(EgressDenied::OwnAddress { target: target() });
        }
        Ok(())
    }

    fn is_own_socket(&self, ip: IpAddr, port: u16) -> bool {
        // Connecting to 0.0.0.0 or [::] leads to loopback.
        let here = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
        self.own_sockets.iter().any(|own| {
            let own_ip = table::meant(own.ip());
            let own_address = |ip| self.own_addresses.iter().any(|a| table::meant(*a) == ip);
            own.port() == port
                && (own_ip == ip
                    || own_ip.is_loopback() && ip.is_unspecified()
                    || own_ip.is_unspecified() && (here(ip) || own_address(ip)))
        })
    }
}

impl AllowTarget {
    fn allows(&self, url: &EndpointUrl, address: SocketAddr) -> bool {
        let is = |ip: IpAddr| ip == address.ip() || ip == table::meant(address.ip());
        match self {
            Self::Net(net) => {
                net.contains(&address.ip()) || net.contains(&table::meant(address.ip()))
            }
            Self::Address(allowed) => allowed.port() == address.port() && is(allowed.ip()),
            Self::Name { .. } => self.names(url),
        }
    }

    /// Whether this might allow `url` once its host is looked up.
    fn may_allow(&self, url: &EndpointUrl) -> bool {
        match self {
            Self::Net(_) => true,
            Self::Address(allowed) => allowed.port() == url.port(),
            Self::Name { .. } => self.names(url),
        }
    }

    fn names(&self, url: &EndpointUrl) -> bool {
        matches!(self, Self::Name { name, port }
            if url.host() == Host::Name(name.clone()) && port.is_none_or(|port| port == url.port()))
    }
}

/// The addresses of a host for which nothing needs to be looked up: an address, or `localhost`, which never is.
pub fn addresses_without_dns(url: &EndpointUrl) -> Option<Vec<SocketAddr>> {
    match url.host() {
        Host::Ip(ip) => Some(vec![SocketAddr::new(ip, url.port())]),
        Host::Name(name) if name == "localhost" => {
            Some(LOCALHOST.map(|ip| SocketAddr::new(ip, url.port())).to_vec())
        }
        Host::Name(_) => None,
    }
}

fn is_localhost(url: &EndpointUrl) -> bool {
    match url.host() {
        Host::Name(name) => name == "localhost",
        Host::Ip(ip) => ip.is_loopback(),
    }
}

/// The host as `--allow-target` takes it.
fn allow_text(url: &EndpointUrl) -> String {
    match url.host() {
        Host::Name(name) => name,
        Host::Ip(ip) => ip.to_string(),
    }
}

fn check_scheme(url: &EndpointUrl) -> Result<(), EgressDenied> {
    match url.scheme() {
        Scheme::Https => Ok(()),
        Scheme::Http => Err(EgressDenied::PlainHttp {
            host: allow_text(url),
        }),
    }
}
