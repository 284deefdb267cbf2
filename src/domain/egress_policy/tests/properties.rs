//! Tests of properties that hold for all IP addresses.

use proptest::prelude::*;

use super::*;

/// Returns the IPv6 addresses that embed an IPv4 address: mapped, compatible, NAT64, 6to4, Teredo,
/// and ISATAP. `prefix` is the upper half of the ISATAP addresses.
fn ipv6_embeddings(v4: Ipv4Addr, prefix: u64) -> [Ipv6Addr; 8] {
    let embedded = u128::from(u32::from(v4));
    let high = u128::from(prefix) << 64;
    [
        v4.to_ipv6_mapped(),
        Ipv6Addr::from(embedded),
        Ipv6Addr::from((0x64_ff9b_u128 << 96) | embedded),
        Ipv6Addr::from((0x64_ff9b_0001_u128 << 80) | embedded),
        Ipv6Addr::from((0x2002_u128 << 112) | (embedded << 80) | 1),
        Ipv6Addr::from((0x2001_0000_u128 << 96) | !embedded & 0xffff_ffff),
        Ipv6Addr::from(high | (0x5efe_u128 << 32) | embedded),
        Ipv6Addr::from(high | (0x0200_5efe_u128 << 32) | embedded),
    ]
}

proptest! {
    #[test]
    fn blocks_private_ipv4_addresses_in_every_form(
        (net, host) in (prop::sample::select(vec![
            ("0.0.0.0", 8), ("10.0.0.0", 8), ("127.0.0.0", 8), ("100.64.0.0", 10), ("169.254.0.0", 16),
            ("172.16.0.0", 12), ("192.168.0.0", 16), ("224.0.0.0", 3),
        ]), any::<u32>()),
        prefix in any::<u64>(),
    ) {
        let base = u32::from(net.0.parse::<Ipv4Addr>().unwrap());
        let v4 = Ipv4Addr::from(base | (host & (u32::MAX >> net.1)));
        let name = url("https://a.example");
        let check = |ip: IpAddr| policy(&[]).check_address(&name, SocketAddr::new(ip, 443));
        prop_assert!(check(v4.into()).is_err());
        for v6 in ipv6_embeddings(v4, prefix) {
            prop_assert!(check(v6.into()).is_err(), "{v6}");
            // A URL that contains this IP address is blocked too.
            prop_assert!(policy(&[]).check_url(&url(&format!("https://[{v6}]/"))).is_err(), "{v6}");
        }
        let number = url(&format!("https://{}/", u32::from(v4)));
        prop_assert!(policy(&[]).check_url(&number).is_err() || v4.is_loopback(), "{v4}");
    }

    #[test]
    fn ipv6_outside_2000_3_is_public_only_if_it_embeds_ipv4(bits in any::<u128>()) {
        let v6 = Ipv6Addr::from(bits);
        let is_allowed = ip_ranges::non_global_reason(v6.into()).is_none();
        let embeds_ipv4 = matches!(ip_ranges::canonical_ip(v6.into()), IpAddr::V4(_));
        prop_assert!(!is_allowed || embeds_ipv4 || bits >> 125 == 1, "{v6}");
    }

    #[test]
    fn no_option_allows_own_socket(ip in any::<u32>(), port in 1u16..) {
        let own = SocketAddr::from((Ipv4Addr::from(ip), port));
        let policy = EgressPolicy::new(
            vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()], false, vec![own], vec![],
        );
        for form in [IpAddr::V4(Ipv4Addr::from(ip)), Ipv4Addr::from(ip).to_ipv6_mapped().into()] {
            let result = policy.check_address(&url("https://a.example"), SocketAddr::new(form, port));
            let is_denied = matches!(result, Err(EgressDenied::OwnSocket));
            prop_assert!(is_denied);
        }
    }
}
