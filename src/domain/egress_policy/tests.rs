//! Tests of allowed and blocked targets.

use super::*;

mod allow_target;
mod blocked_ranges;
mod own_machine;
mod properties;

fn url(text: &str) -> EndpointUrl {
    EndpointUrl::parse(text).unwrap()
}

fn policy(allow: &[&str]) -> EgressPolicy {
    let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
    EgressPolicy::new(allow, false, vec![], vec![])
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Checks a URL whose host resolves to `addresses`.
fn check_resolved_url(
    policy: &EgressPolicy,
    text: &str,
    addresses: &[&str],
) -> Result<(), EgressDenied> {
    let url = url(text);
    policy.check_url(&url)?;
    let addresses: Vec<_> = addresses
        .iter()
        .map(|a| SocketAddr::new(ip(a), url.port()))
        .collect();
    policy.check_addresses(&url, &addresses)
}

#[test]
fn messages_contain_the_option_that_allows_the_target() {
    for (text, addresses, message) in [
        (
            "https://10.0.0.5/x",
            &[][..],
            "10.0.0.5 isn’t public (private network, 10.0.0.0/8). To allow it, start Miniback with --allow-target 10.0.0.5.",
        ),
        (
            "https://hooks.internal/x",
            &["169.254.169.254"],
            "hooks.internal resolves to 169.254.169.254, which isn’t public (link-local, used for cloud metadata, 169.254.0.0/16). To allow it, start Miniback with --allow-target 169.254.169.254.",
        ),
        (
            "http://example.com./x",
            &[],
            "Use https://. To allow plain HTTP to example.com, start Miniback with --allow-target example.com.",
        ),
    ] {
        assert_eq!(
            check_resolved_url(&policy(&[]), text, addresses)
                .unwrap_err()
                .to_string(),
            message
        );
    }
}
