//! The clients that try to sign in, and the networks that they belong to.

use std::net::IpAddr;

use crate::server::tokens;

/// The source of attempts. All failures of a client are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Client {
    Ipv4(u32),
    /// The /64 prefix of an IPv6 address, which usually belongs to one household.
    Ipv6(u64),
    /// A browser that has signed in before, a session, or a one-time link. Strangers can't create
    /// such a client.
    Known(u64),
}

/// A group of clients that may belong to one person: all IPv6 clients of a /48 prefix. Each IPv4
/// client and each known client is a separate group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClientGroup(Client);

impl Client {
    pub fn from_ip(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::Ipv4(v4.to_bits()),
            IpAddr::V6(v6) => Self::Ipv6((v6.to_bits() >> 64) as u64),
        }
    }

    /// Creates a known client. `identity` is unique to the browser, session, or link.
    pub fn from_identity(identity: impl AsRef<[u8]>) -> Self {
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&tokens::sha256(identity)[..8]);
        Self::Known(u64::from_be_bytes(bytes))
    }

    pub const fn is_known(self) -> bool {
        matches!(self, Self::Known(_))
    }

    pub const fn group(self) -> ClientGroup {
        ClientGroup(match self {
            Self::Ipv6(prefix) => Self::Ipv6(prefix >> 16 << 16),
            other => other,
        })
    }

    /// Returns the client's network: at level 0 an IPv4 /16 or IPv6 /32, at level 1 a /24 or /48. A
    /// known client is its own network. Eviction from the client table is decided by network,
    /// because one person can have many clients in a network.
    pub const fn network(self, level: usize) -> Self {
        match (self, level) {
            (Self::Ipv4(address), 0) => Self::Ipv4(address >> 16 << 16),
            (Self::Ipv4(address), _) => Self::Ipv4(address >> 8 << 8),
            (Self::Ipv6(prefix), 0) => Self::Ipv6(prefix >> 32 << 32),
            (Self::Ipv6(prefix), _) => Self::Ipv6(prefix >> 16 << 16),
            (known, _) => known,
        }
    }

    /// The number of levels of [`Self::network`].
    pub const NETWORK_LEVELS: usize = 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(address: &str) -> Client {
        Client::from_ip(address.parse().unwrap())
    }

    #[test]
    fn an_ipv6_client_is_a_64_prefix_and_its_site_a_48_prefix() {
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(
            client("2001:db8::1").group(),
            client("2001:db8:0:ffff::1").group()
        );
        assert_ne!(
            client("2001:db8::1").group(),
            client("2001:db8:1::1").group()
        );
    }

    #[test]
    fn an_ipv4_client_is_an_ip_address_in_any_form() {
        assert_eq!(client("192.0.2.1"), client("::ffff:192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
        assert_ne!(client("192.0.2.1").group(), client("192.0.2.2").group());
    }
}
