//! A fuzz target for the egress policy, which decides which IP addresses webhooks can connect to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use miniback::domain::egress_policy::{
    AllowTarget, EgressDenied, EgressPolicy, addresses_without_dns,
};
use miniback::domain::endpoint_url::EndpointUrl;

use super::support::{first_line, text};

/// Fuzzes the egress policy. Input: a host on the first line, then a value of `--allow-target`. If
/// the host isn't an IP address, the first 16 bytes of the input are used as an IPv6 address.
pub fn egress_policy(data: &[u8]) -> bool {
    let text = text(data);
    let (first, option) = first_line(&text);
    check_url(first, option);
    let ip = first.trim().parse::<IpAddr>().ok().or_else(|| {
        let bytes: [u8; 16] = data.get(..16)?.try_into().ok()?;
        Some(Ipv6Addr::from(bytes).into())
    });
    let Some(ip) = ip else {
        return false;
    };
    let last_bytes = match ip {
        IpAddr::V4(v4) => v4,
        IpAddr::V6(v6) => {
            let [.., a, b, c, d] = v6.octets();
            Ipv4Addr::new(a, b, c, d)
        }
    };
    check_ip(ip);
    check_ip(last_bytes.into());
    check_embedded(last_bytes);
    check_allowed_net(ip, option);
    true
}

/// Checks whether a webhook with a host name in its URL can connect to the IP address.
fn check(policy: &EgressPolicy, ip: IpAddr) -> Result<(), EgressDenied> {
    let url = EndpointUrl::parse("https://hooks.example/").expect("the URL is valid");
    policy.check_address(&url, SocketAddr::new(ip, 443))
}

/// Checks that an IP address is blocked if the standard library considers it special, and that the
/// option in the error message allows it.
fn check_ip(ip: IpAddr) {
    let is_special = match ip {
        IpAddr::V4(v4) => {
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_broadcast()
                || v4.is_documentation()
                || v4.is_multicast()
                || v4.is_unspecified()
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_multicast()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6
                    .to_ipv4_mapped()
                    .is_some_and(|v4| v4.is_private() || v4.is_loopback())
        }
    };
    let result = check(&EgressPolicy::default(), ip);
    assert!(!is_special || result.is_err(), "{ip} is allowed");
    if let Err(denied) = result {
        assert!(matches!(denied, EgressDenied::NotPublic { .. }), "{denied}");
        check_advice(&denied, |policy| check(policy, ip));
    }
}

/// Checks that the option in the error message allows the target.
fn check_advice(denied: &EgressDenied, check: impl Fn(&EgressPolicy) -> Result<(), EgressDenied>) {
    let message = denied.to_string();
    let (_, value) = message
        .rsplit_once("--allow-target ")
        .expect("the message contains the option");
    let allowed: AllowTarget = value
        .trim_end_matches('.')
        .parse()
        .unwrap_or_else(|_| panic!("the value is invalid: {message}"));
    let policy = EgressPolicy::new(vec![allowed], false, Vec::new(), Vec::new());
    assert_eq!(check(&policy), Ok(()), "{message}");
}

/// Checks that the decision is the same for an IPv4 address and for IPv6 addresses that embed this
/// IPv4 address.
fn check_embedded(v4: Ipv4Addr) {
    let expected = check(&EgressPolicy::default(), v4.into());
    let [a, b, c, d] = v4.octets();
    let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
    let nat64 = Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low);
    for v6 in [v4.to_ipv6_mapped(), v4.to_ipv6_compatible(), nat64] {
        // `::` and `::1` embed no IPv4 address.
        if v6.is_unspecified() || v6.is_loopback() {
            continue;
        }
        assert_eq!(check(&EgressPolicy::default(), v6.into()), expected, "{v6}");
        let allowed = "0.0.0.0/0".parse().expect("a network");
        let policy = EgressPolicy::new(vec![allowed], false, Vec::new(), Vec::new());
        assert_eq!(check(&policy, v6.into()), Ok(()), "{v6}");
        let sockets = vec![SocketAddr::new(v4.into(), 443)];
        let policy = EgressPolicy::new(Vec::new(), false, sockets, Vec::new());
        assert_eq!(
            check(&policy, v6.into()),
            Err(EgressDenied::OwnSocket),
            "{v6}"
        );
    }
}

/// Checks that an option allows all its targets, and never blocks a public IP address.
fn check_allowed_net(ip: IpAddr, option: &str) {
    let Ok(allowed) = option.parse::<AllowTarget>() else {
        return;
    };
    let contains = match &allowed {
        AllowTarget::Net(net) => {
            let embedded = match ip {
                IpAddr::V6(v6) => v6.to_ipv4_mapped().map(IpAddr::from),
                IpAddr::V4(_) => None,
            };
            net.contains(&ip) || embedded.is_some_and(|v4| net.contains(&v4))
        }
        AllowTarget::Address(address) => *address == SocketAddr::new(ip, 443),
        AllowTarget::Name { name, port } => {
            assert_eq!(*name, name.to_ascii_lowercase());
            name == "hooks.example" && port.is_none_or(|port| port == 443)
        }
    };
    let policy = EgressPolicy::new(vec![allowed], false, Vec::new(), Vec::new());
    let is_allowed = check(&policy, ip).is_ok();
    let is_public = check(&EgressPolicy::default(), ip).is_ok();
    assert!(
        is_allowed || !(contains || is_public),
        "{option} blocks {ip}"
    );
}

/// Checks that the decision is the same for an IP address and a URL with this IP address. If the
/// URL is blocked, checks that the option in the error message allows it.
fn check_url(host: &str, option: &str) {
    let allow: Vec<AllowTarget> = option.parse().into_iter().collect();
    let policy = EgressPolicy::new(allow, true, Vec::new(), Vec::new());
    for scheme in ["http", "https"] {
        let Ok(url) = EndpointUrl::parse(&format!("{scheme}://{host}/")) else {
            continue;
        };
        let decision = policy.check_url(&url);
        if let Some(addresses) = addresses_without_dns(&url) {
            assert_eq!(decision, policy.check_addresses(&url, &addresses));
        }
        if let Err(denied) = decision {
            check_advice(&denied, |policy| policy.check_url(&url));
        }
    }
}
