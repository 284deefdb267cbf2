//! What holds for all addresses, not only for those that came to mind.

use proptest::prelude::*;

use super::*;

/// The ways in which an IPv6 address can lead to an IPv4 one.
fn embeddings(v4: Ipv4Addr, prefix: u64) -> [Ipv6Addr; 8] {
    let inner = u128::from(u32::from(v4));
    let high = u128::from(prefix) << 64;
    [
        v4.to_ipv6_mapped(),
        Ipv6Addr::from(inner),
        Ipv6Addr::from((0x64_ff9b_u128 << 96) | inner),
        Ipv6Addr::from((0x64_ff9b_0001_u128 << 80) | inner),
        Ipv6Addr::from((0x2002_u128 << 112) | (inner << 80) | 1),
        Ipv6Addr::from((0x2001_0000_u128 << 96) | !inner & 0xffff_ffff),
        Ipv6Addr::from(high | (0x5efe_u128 << 32) | inner),
        Ipv6Addr::from(high | (0x0200_5efe_u128 << 32) | inner),
    ]
}

proptest! {
    #[test]
    fn no_private_v4_address_gets_through_in_any_form(
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
        for v6 in embeddings(v4, prefix) {
            prop_assert!(check(v6.into()).is_err(), "{v6}");
            // A URL reads the literal as the same address.
            prop_assert!(policy(&[]).check_url(&url(&format!("https://[{v6}]/"))).is_err(), "{v6}");
        }
        let number = url(&format!("https://{}/", u32::from(v4)));
        prop_assert!(policy(&[]).check_url(&number).is_err() || v4.is_loopback(), "{v4}");
    }

    #[test]
    fn outside_2000_slash_3_no_v6_address_is_public_of_itself(bits in any::<u128>()) {
        let v6 = Ipv6Addr::from(bits);
        let allowed = table::reason(v6.into()).is_none();
        let embedded = matches!(table::meant(v6.into()), IpAddr::V4(_));
        prop_assert!(!allowed || embedded || bits >> 125 == 1, "{v6}");
    }

    #[test]
    fn no_option_opens_the_own_socket(ip in any::<u32>(), port in 1u16..) {
        let own = SocketAddr::from((Ipv4Addr::from(ip), port));
        let policy = EgressPolicy::new(
            vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()], false, vec![own], vec![],
        );
        for form in [IpAddr::V4(Ipv4Addr::from(ip)), Ipv4Addr::from(ip).to_ipv6_mapped().into()] {
            let said = policy.check_address(&url("https://a.example"), SocketAddr::new(form, port));
            let refused = matches!(said, Err(EgressDenied::OwnSocket { .. }));
            prop_assert!(refused);
        }
    }
}
