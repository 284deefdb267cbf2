//! Decides which targets webhooks can connect to. The decision depends on a table of blocked IP
//! ranges, and on options that allow or block targets.
//!
//! The policy is checked when a URL is saved and again before each connection, so a changed DNS
//! record can't bypass the policy. [`EgressPolicy::check_url`] works without DNS, and
//! [`EgressPolicy::check_addresses`] checks resolved IP addresses. The caller provides Miniback's
//! own sockets and the IP addresses of this machine.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

use super::endpoint_url::{EndpointUrl, Host, Scheme, normalize_host};

mod ip_ranges;
#[cfg(test)]
mod tests;

pub use ip_ranges::non_global_reason;

/// The IP addresses of `localhost`, in the order of connection attempts. `localhost` is never
/// looked up in DNS.
pub const LOCALHOST: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// The reason a target isn't allowed. The message is for the person who entered the URL. The
/// message contains the option that allows the target, if there is such an option.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EgressDenied {
    #[error(
        "{} isn’t public ({reason}). To allow it, start Miniback with --allow-target {}.",
        target.as_subject(),
        target.address
    )]
    NotPublic {
        target: ResolvedTarget,
        reason: &'static str,
    },
    #[error(
        "Use https://. To allow plain HTTP to {host}, start Miniback with --allow-target {host}."
    )]
    PlainHttp { host: String },
    #[error(
        "{host} is blocked by --deny-localhost. To allow it, remove that option or start Miniback with --allow-target {host}."
    )]
    LocalhostDenied { host: String },
    #[error(
        "{} belongs to this machine, where only HTTPS on port 443 is allowed. To allow it, start Miniback with --allow-target {}.",
        target.as_subject(),
        target.address
    )]
    OwnAddress { target: ResolvedTarget },
    #[error("This URL points to Miniback itself, which isn’t allowed.")]
    OwnSocket,
}

/// A host and the IP address that it resolved to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedTarget {
    host: String,
    address: IpAddr,
}

impl ResolvedTarget {
    /// Returns the subject of a sentence about the IP address.
    fn as_subject(&self) -> String {
        let Self { host, address } = self;
        if *host == address.to_string() {
            host.clone()
        } else {
            format!("{host} resolves to {address}, which")
        }
    }
}

/// A value of `--allow-target`: a network in CIDR notation, or an IP address or host name with an
/// optional port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowTarget {
    Net(IpNet),
    Address(SocketAddr),
    Name { name: String, port: Option<u16> },
}

/// An invalid value of `--allow-target`.
#[derive(Debug, thiserror::Error)]
#[error(
    "“{0}” isn’t a network (10.0.0.0/8), or an IP address or host name with an optional port (10.0.0.5, 10.0.0.5:8080, [fd00::5]:8080, hooks.internal:8080)"
)]
pub struct AllowTargetError(String);

impl fmt::Display for AllowTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(net) if net.prefix_len() == net.max_prefix_len() => net.addr().fmt(f),
            Self::Net(net) => net.fmt(f),
            Self::Address(address) => address.fmt(f),
            Self::Name { name, port: None } => name.fmt(f),
            Self::Name {
                name,
                port: Some(port),
            } => write!(f, "{name}:{port}"),
        }
    }
}

impl FromStr for AllowTarget {
    type Err = AllowTargetError;

    fn from_str(text: &str) -> Result<Self, AllowTargetError> {
        let text = text.trim();
        let error = || AllowTargetError(text.to_owned());
        if let Ok(net) = text.parse::<IpNet>() {
            return Ok(Self::Net(net));
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
        // Parse the host like the host of a URL, so that both have the same normalized form.
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

/// The rules that decide which targets are allowed.
#[derive(Clone, Debug, Default)]
pub struct EgressPolicy {
    allow: Vec<AllowTarget>,
    deny_localhost: bool,
    own_sockets: Vec<SocketAddr>,
    own_addresses: Vec<IpAddr>,
}

impl EgressPolicy {
    /// Creates a policy. `own_sockets` are the sockets that Miniback listens on, and
    /// `own_addresses` are the IP addresses of the machine's interfaces.
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

    /// Checks a URL without DNS. If the IP addresses of its host are known without a lookup, checks
    /// these IP addresses. Otherwise, checks only the scheme, unless a value of `--allow-target`
    /// could allow the URL.
    pub fn check_url(&self, url: &EndpointUrl) -> Result<(), EgressDenied> {
        match addresses_without_dns(url) {
            Some(addresses) => self.check_addresses(url, &addresses),
            // The host may resolve to an allowed IP address, where plain HTTP is allowed too.
            None if self.allow.iter().any(|a| a.can_allow(url)) => Ok(()),
            None => check_scheme(url),
        }
    }

    /// Checks all IP addresses of a host. If one of the IP addresses is blocked, the URL is
    /// rejected.
    pub fn check_addresses(
        &self,
        url: &EndpointUrl,
        addresses: &[SocketAddr],
    ) -> Result<(), EgressDenied> {
        addresses
            .iter()
            .try_for_each(|address| self.check_address(url, *address))
    }

    /// Checks whether a delivery to `url` can connect to `address`.
    pub fn check_address(
        &self,
        url: &EndpointUrl,
        address: SocketAddr,
    ) -> Result<(), EgressDenied> {
        let canonical = ip_ranges::canonical_ip(address.ip());
        let target = || ResolvedTarget {
            host: url.host_text().to_owned(),
            address: canonical,
        };
        if self.is_own_socket(canonical, address.port()) {
            return Err(EgressDenied::OwnSocket);
        }
        if self.allow.iter().any(|a| a.allows(url, address)) {
            return Ok(());
        }
        // The exception for localhost applies only if the URL itself contains `localhost` or a
        // loopback address. Any other name that resolves to loopback is rejected below.
        if is_localhost(url) && address.ip().is_loopback() {
            return if self.deny_localhost {
                Err(EgressDenied::LocalhostDenied {
                    host: allow_target_value(url),
                })
            } else {
                Ok(())
            };
        }
        if let Some(reason) = ip_ranges::non_global_reason(address.ip()) {
            return Err(EgressDenied::NotPublic {
                target: target(),
                reason,
            });
        }
        check_scheme(url)?;
        let is_own = self
            .own_addresses
            .iter()
            .any(|own| ip_ranges::canonical_ip(*own) == canonical);
        if is_own && address.port() != Scheme::Https.default_port() {
            return Err(EgressDenied::OwnAddress { target: target() });
        }
        Ok(())
    }

    fn is_own_socket(&self, ip: IpAddr, port: u16) -> bool {
        // A connection to 0.0.0.0 or [::] reaches loopback.
        let is_local = |ip: IpAddr| ip.is_loopback() || ip.is_unspecified();
        self.own_sockets.iter().any(|own| {
            let own_ip = ip_ranges::canonical_ip(own.ip());
            let is_own_address = |ip| {
                self.own_addresses
                    .iter()
                    .any(|a| ip_ranges::canonical_ip(*a) == ip)
            };
            own.port() == port
                && (own_ip == ip
                    || own_ip.is_loopback() && ip.is_unspecified()
                    || own_ip.is_unspecified() && (is_local(ip) || is_own_address(ip)))
        })
    }
}

impl AllowTarget {
    fn allows(&self, url: &EndpointUrl, address: SocketAddr) -> bool {
        let is_address =
            |ip: IpAddr| ip == address.ip() || ip == ip_ranges::canonical_ip(address.ip());
        match self {
            Self::Net(net) => {
                net.contains(&address.ip()) || net.contains(&ip_ranges::canonical_ip(address.ip()))
            }
            Self::Address(allowed) => allowed.port() == address.port() && is_address(allowed.ip()),
            Self::Name { .. } => self.matches_name(url),
        }
    }

    /// Returns whether this entry can allow `url` for at least some IP addresses of its host.
    fn can_allow(&self, url: &EndpointUrl) -> bool {
        match self {
            Self::Net(_) => true,
            Self::Address(allowed) => allowed.port() == url.port(),
            Self::Name { .. } => self.matches_name(url),
        }
    }

    /// Returns whether this entry allows connections to this machine’s loopback interface.
    pub fn allows_localhost(&self) -> bool {
        match self {
            Self::Net(net) => ip_ranges::overlaps_loopback(*net),
            Self::Address(address) => ip_ranges::overlaps_loopback(address.ip().into()),
            Self::Name { name, .. } => name == "localhost" || name.ends_with(".localhost"),
        }
    }

    fn matches_name(&self, url: &EndpointUrl) -> bool {
        matches!(self, Self::Name { name, port }
            if url.host() == Host::Name(name.clone()) && port.is_none_or(|port| port == url.port()))
    }
}

/// Returns the socket addresses of a host that needs no DNS lookup: an IP address or `localhost`.
/// Returns `None` for any other host.
pub fn addresses_without_dns(url: &EndpointUrl) -> Option<Vec<SocketAddr>> {
    match url.host() {
        Host::Ip(ip) => Some(vec![SocketAddr::new(ip, url.port())]),
        Host::Name(name) if name == "localhost" => {
            Some(LOCALHOST.map(|ip| SocketAddr::new(ip, url.port())).to_vec())
        }
        Host::Name(_) => None,
    }
}

/// Returns whether an IP address is globally reachable.
pub fn is_global(ip: IpAddr) -> bool {
    ip_ranges::non_global_reason(ip).is_none()
}

fn is_localhost(url: &EndpointUrl) -> bool {
    match url.host() {
        Host::Name(name) => name == "localhost",
        Host::Ip(ip) => ip.is_loopback(),
    }
}

/// Returns the host of a URL in the format that `--allow-target` accepts.
fn allow_target_value(url: &EndpointUrl) -> String {
    match url.host() {
        Host::Name(name) => name,
        Host::Ip(ip) => ip.to_string(),
    }
}

fn check_scheme(url: &EndpointUrl) -> Result<(), EgressDenied> {
    match url.scheme() {
        Scheme::Https => Ok(()),
        Scheme::Http => Err(EgressDenied::PlainHttp {
            host: allow_target_value(url),
        }),
    }
}
