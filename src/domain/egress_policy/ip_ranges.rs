//! IP ranges that aren't globally reachable, each with the reason.
//!
//! The ranges come from the IANA special-purpose registries
//! (<https://www.iana.org/assignments/iana-ipv4-special-registry>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>), with some additions. Parts of
//! `192.0.0.0/24` and `2001::/23` are globally reachable, but contain no endpoints, so both ranges
//! are blocked as a whole.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// The reason an IP address isn't globally reachable. Error messages contain the reason in
/// parentheses after “10.0.0.5 isn’t public”.
pub type NonGlobalReason = &'static str;

const IPV4_RANGES: [(Ipv4Net, NonGlobalReason); 17] = [
    ipv4_range([0, 0, 0, 0], 8, "“this network”, 0.0.0.0/8"),
    ipv4_range([10, 0, 0, 0], 8, "private network, 10.0.0.0/8"),
    ipv4_range([100, 64, 0, 0], 10, "carrier-grade NAT, 100.64.0.0/10"),
    ipv4_range([127, 0, 0, 0], 8, "loopback"),
    ipv4_range([168, 63, 129, 16], 32, "internal Azure service"),
    ipv4_range(
        [169, 254, 0, 0],
        16,
        "link-local, used for cloud metadata, 169.254.0.0/16",
    ),
    ipv4_range([172, 16, 0, 0], 12, "private network, 172.16.0.0/12"),
    ipv4_range([192, 0, 0, 0], 24, "reserved for protocols, 192.0.0.0/24"),
    ipv4_range(
        [192, 0, 2, 0],
        24,
        "reserved for documentation, 192.0.2.0/24",
    ),
    ipv4_range([192, 88, 99, 0], 24, "6to4 relay, 192.88.99.0/24"),
    ipv4_range([192, 168, 0, 0], 16, "private network, 192.168.0.0/16"),
    ipv4_range(
        [198, 18, 0, 0],
        15,
        "reserved for benchmarks, 198.18.0.0/15",
    ),
    ipv4_range(
        [198, 51, 100, 0],
        24,
        "reserved for documentation, 198.51.100.0/24",
    ),
    ipv4_range(
        [203, 0, 113, 0],
        24,
        "reserved for documentation, 203.0.113.0/24",
    ),
    ipv4_range([224, 0, 0, 0], 4, "multicast, 224.0.0.0/4"),
    ipv4_range([255, 255, 255, 255], 32, "broadcast"),
    ipv4_range([240, 0, 0, 0], 4, "reserved, 240.0.0.0/4"),
];

/// IPv6 ranges, each with a reason or [`GLOBALLY_REACHABLE`]. If several rows contain an IP
/// address, the first row applies.
const IPV6_RANGES: [(Ipv6Net, NonGlobalReason); 16] = [
    (net(Ipv6Addr::UNSPECIFIED, 128), "unspecified"),
    (net(Ipv6Addr::LOCALHOST, 128), "loopback"),
    ipv6_range([0x64, 0xff9b, 1, 0], 48, "local NAT64, 64:ff9b:1::/48"),
    ipv6_range([0x100, 0, 0, 0], 64, "discard-only, 100::/64"),
    ipv6_range([0x100, 0, 0, 1], 64, "dummy prefix, 100:0:0:1::/64"),
    ipv6_range([0x2001, 0, 0, 0], 32, "Teredo, 2001::/32"),
    ipv6_range([0x2001, 0, 0, 0], 23, "reserved for protocols, 2001::/23"),
    ipv6_range(
        [0x2001, 0xdb8, 0, 0],
        32,
        "reserved for documentation, 2001:db8::/32",
    ),
    ipv6_range([0x2002, 0, 0, 0], 16, "6to4, 2002::/16"),
    ipv6_range(
        [0x3fff, 0, 0, 0],
        20,
        "reserved for documentation, 3fff::/20",
    ),
    ipv6_range([0x5f00, 0, 0, 0], 16, "segment routing, 5f00::/16"),
    ipv6_range([0xfc00, 0, 0, 0], 7, "unique local, fc00::/7"),
    ipv6_range([0xfe80, 0, 0, 0], 10, "link-local, fe80::/10"),
    ipv6_range([0xfec0, 0, 0, 0], 10, "site-local, fec0::/10"),
    ipv6_range([0xff00, 0, 0, 0], 8, "multicast, ff00::/8"),
    ipv6_range([0x2000, 0, 0, 0], 3, GLOBALLY_REACHABLE),
];
/// Marks the only allowed row: 2000::/3, the globally reachable unicast range.
const GLOBALLY_REACHABLE: NonGlobalReason = "";

const fn ipv4_range(
    ip: [u8; 4],
    prefix: u8,
    reason: NonGlobalReason,
) -> (Ipv4Net, NonGlobalReason) {
    let [a, b, c, d] = ip;
    (
        Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix),
        reason,
    )
}

const fn ipv6_range(
    high: [u16; 4],
    prefix: u8,
    reason: NonGlobalReason,
) -> (Ipv6Net, NonGlobalReason) {
    let [a, b, c, d] = high;
    (net(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix), reason)
}

const fn net(ip: Ipv6Addr, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(ip, prefix)
}

/// Converts an IPv4-mapped, IPv4-compatible, or NAT64 address to the IPv4 address embedded in it.
/// Returns any other IP address unchanged.
pub fn canonical_ip(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => ip,
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => {
            ipv4_from_last_four_bytes(v6).into()
        }
        _ => ip,
    }
}

/// Networks whose IP addresses reach this machine's loopback interface.
const LOOPBACK_NETWORKS: [IpNet; 5] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 32)),
    IpNet::V6(net(Ipv6Addr::LOCALHOST, 128)),
    IpNet::V6(net(Ipv6Addr::UNSPECIFIED, 128)),
    // The IPv4-mapped addresses of 127.0.0.0/8.
    IpNet::V6(net(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x7f00, 0), 104)),
];

/// Returns whether a network contains IP addresses that reach the loopback interface.
pub fn overlaps_loopback(network: IpNet) -> bool {
    LOOPBACK_NETWORKS
        .iter()
        .any(|loopback| loopback.contains(&network) || network.contains(loopback))
}

/// Returns the reason an IP address isn't globally reachable, or `None` if it is reachable.
pub fn non_global_reason(ip: IpAddr) -> Option<NonGlobalReason> {
    match canonical_ip(ip) {
        IpAddr::V4(v4) => IPV4_RANGES
            .iter()
            .find(|(net, _)| net.contains(&v4))
            .map(|(_, reason)| *reason),
        IpAddr::V6(v6) => {
            // The lower half of an ISATAP address (RFC 5214) contains the IPv4 address of a tunnel.
            // The upper half can be any prefix.
            let is_isatap = matches!(v6.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, _, _]);
            if is_isatap && non_global_reason(ipv4_from_last_four_bytes(v6).into()).is_some() {
                return Some("ISATAP tunnel to an IPv4 address that isn’t public");
            }
            let row = IPV6_RANGES.iter().find(|(net, _)| net.contains(&v6));
            let reason = row.map_or("outside the public range 2000::/3", |row| row.1);
            (reason != GLOBALLY_REACHABLE).then_some(reason)
        }
    }
}

/// Returns the last four bytes of an IPv6 address as an IPv4 address.
fn ipv4_from_last_four_bytes(ip: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = ip.octets();
    Ipv4Addr::new(a, b, c, d)
}
