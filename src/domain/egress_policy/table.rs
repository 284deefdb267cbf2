//! Addresses that are not globally reachable, and why: the IANA special-purpose registries and what else is special.
//!
//! <https://www.iana.org/assignments/iana-ipv4-special-registry>,
//! <https://www.iana.org/assignments/iana-ipv6-special-registry>. Ranges that the registries call globally reachable
//! but that nobody's endpoint is in (parts of `192.0.0.0/24` and `2001::/23`) are refused with what surrounds them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Completes “10.0.0.5 is …”.
pub type Reason = &'static str;

const V4: [(Ipv4Net, Reason); 17] = [
    v4([0, 0, 0, 0], 8, "of “this network” (0.0.0.0/8)"),
    v4([10, 0, 0, 0], 8, "a private address (10.0.0.0/8)"),
    v4(
        [100, 64, 0, 0],
        10,
        "a carrier's inner address (100.64.0.0/10)",
    ),
    v4([127, 0, 0, 0], 8, "a loopback address"),
    v4([168, 63, 129, 16], 32, "Azure's inner service address"),
    v4(
        [169, 254, 0, 0],
        16,
        "a link-local address, where clouds keep their metadata (169.254.0.0/16)",
    ),
    v4([172, 16, 0, 0], 12, "a private address (172.16.0.0/12)"),
    v4([192, 0, 0, 0], 24, "set aside for protocols (192.0.0.0/24)"),
    v4([192, 0, 2, 0], 24, "for documentation only (192.0.2.0/24)"),
    v4([192, 88, 99, 0], 24, "a 6to4 relay (192.88.99.0/24)"),
    v4([192, 168, 0, 0], 16, "a private address (192.168.0.0/16)"),
    v4([198, 18, 0, 0], 15, "for benchmarks only (198.18.0.0/15)"),
    v4(
        [198, 51, 100, 0],
        24,
        "for documentation only (198.51.100.0/24)",
    ),
    v4(
        [203, 0, 113, 0],
        24,
        "for documentation only (203.0.113.0/24)",
    ),
    v4([224, 0, 0, 0], 4, "a multicast address (224.0.0.0/4)"),
    v4([255, 255, 255, 255], 32, "the broadcast address"),
    v4([240, 0, 0, 0], 4, "reserved (240.0.0.0/4)"),
];

/// The first row that contains an address counts.
const V6: [(Ipv6Net, Reason); 16] = [
    (net(Ipv6Addr::UNSPECIFIED, 128), "the unspecified address"),
    (net(Ipv6Addr::LOCALHOST, 128), "a loopback address"),
    v6(
        [0x64, 0xff9b, 1, 0],
        48,
        "a local NAT64 address (64:ff9b:1::/48)",
    ),
    v6([0x100, 0, 0, 0], 64, "for discarding only (100::/64)"),
    v6([0x100, 0, 0, 1], 64, "a dummy address (100:0:0:1::/64)"),
    v6([0x2001, 0, 0, 0], 32, "a Teredo address (2001::/32)"),
    v6([0x2001, 0, 0, 0], 23, "set aside for protocols (2001::/23)"),
    v6(
        [0x2001, 0xdb8, 0, 0],
        32,
        "for documentation only (2001:db8::/32)",
    ),
    v6([0x2002, 0, 0, 0], 16, "a 6to4 address (2002::/16)"),
    v6([0x3fff, 0, 0, 0], 20, "for documentation only (3fff::/20)"),
    v6(
        [0x5f00, 0, 0, 0],
        16,
        "a segment routing address (5f00::/16)",
    ),
    v6([0xfc00, 0, 0, 0], 7, "a unique local address (fc00::/7)"),
    v6([0xfe80, 0, 0, 0], 10, "a link-local address (fe80::/10)"),
    v6([0xfec0, 0, 0, 0], 10, "a site-local address (fec0::/10)"),
    v6([0xff00, 0, 0, 0], 8, "a multicast address (ff00::/8)"),
    v6([0x2000, 0, 0, 0], 3, GLOBAL),
];
/// Marks the one row that allows: 2000::/3 is all of IPv6 that is given out as globally reachable.
const GLOBAL: Reason = "";

const fn v4(ip: [u8; 4], prefix: u8, reason: Reason) -> (Ipv4Net, Reason) {
    let [a, b, c, d] = ip;
    (
        Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix),
        reason,
    )
}

const fn v6(high: [u16; 4], prefix: u8, reason: Reason) -> (Ipv6Net, Reason) {
    let [a, b, c, d] = high;
    (net(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix), reason)
}

const fn net(ip: Ipv6Addr, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(ip, prefix)
}

/// The IPv4 address that is meant by one written as IPv6: IPv4-mapped, IPv4-compatible or NAT64. All else is itself.
pub fn meant(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    match v6.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => ip,
        [0, 0, 0, 0, 0, 0 | 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _] => {
            last_four(v6).into()
        }
        _ => ip,
    }
}

/// Why an address is not globally reachable; `None` if it is.
pub fn reason(ip: IpAddr) -> Option<Reason> {
    match meant(ip) {
        IpAddr::V4(v4) => V4
            .iter()
            .find(|(net, _)| net.contains(&v4))
            .map(|(_, reason)| *reason),
        IpAddr::V6(v6) => {
            // ISATAP (RFC 5214): the last half of an address in any network names an IPv4 address behind a tunnel.
            let isatap = matches!(v6.segments(), [_, _, _, _, 0 | 0x200, 0x5efe, _, _]);
            if isatap && reason(last_four(v6).into()).is_some() {
                return Some("an ISATAP address for one that is not public");
            }
            let row = V6.iter().find(|(net, _)| net.contains(&v6));
            let reason = row.map_or("outside what is in public use (2000::/3)", |row| row.1);
            (reason != GLOBAL).then_some(reason)
        }
    }
}

fn last_four(ip: Ipv6Addr) -> Ipv4Addr {
    let [.., a, b, c, d] = ip.octets();
    Ipv4Addr::new(a, b, c, d)
}
