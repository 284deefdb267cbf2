//! Tests of targets on Miniback's own machine.

use super::*;

/// Each case contains a socket that Miniback listens on, a URL, the IP addresses that the host
/// resolves to, and whether the URL is allowed.
const CASES: &[(&str, &str, &[&str], bool)] = &[
    ("127.0.0.1:8080", "http://127.0.0.1:8080", &[], false),
    ("127.0.0.1:8080", "http://localhost:8080", &[], false),
    (
        "127.0.0.1:8080",
        "http://[::ffff:127.0.0.1]:8080",
        &[],
        false,
    ),
    ("127.0.0.1:8080", "http://0.0.0.0:8080", &[], false),
    ("127.0.0.1:8080", "http://[::]:8080", &[], false),
    (
        "127.0.0.1:8080",
        "http://me.example:8080",
        &["127.0.0.1"],
        false,
    ),
    ("127.0.0.1:8080", "http://127.0.0.1:8081", &[], true),
    ("127.0.0.1:8080", "http://192.168.1.7:8080", &[], true),
    ("0.0.0.0:8080", "http://127.9.9.9:8080", &[], false),
    ("0.0.0.0:8080", "http://192.168.1.7:8080", &[], false),
    ("0.0.0.0:8080", "http://192.168.1.8:8080", &[], true),
    ("[::]:8080", "http://127.0.0.1:8080", &[], false),
    ("[::]:8080", "http://[::1]:8080", &[], false),
    ("[::]:8080", "https://[2606:4700::7]:8080", &[], false),
    (
        "[::]:8080",
        "http://[64:ff9b::192.168.1.7]:8080",
        &[],
        false,
    ),
    ("[::ffff:0.0.0.0]:8080", "http://127.0.0.1:8080", &[], false),
    (
        "192.168.1.7:443",
        "https://me.example",
        &["192.168.1.7"],
        false,
    ),
];

#[test]
fn never_allows_own_sockets() {
    let all: Vec<AllowTarget> = ["0.0.0.0/0", "::/0", "localhost", "me.example"]
        .map(|t| t.parse().unwrap())
        .into();
    let own = |listen: &str| {
        let addresses = vec![
            ip("127.0.0.1"),
            ip("::1"),
            ip("192.168.1.7"),
            ip("2606:4700::7"),
            ip("fe80::7"),
        ];
        EgressPolicy::new(all.clone(), false, vec![listen.parse().unwrap()], addresses)
    };
    for (listen, text, addresses, is_allowed) in CASES {
        let result = check_resolved_url(&own(listen), text, addresses);
        assert_eq!(
            result.is_ok(),
            *is_allowed,
            "{text} with a listener on {listen}: {result:?}"
        );
        assert!(*is_allowed || matches!(result, Err(EgressDenied::OwnSocket)));
    }
}

#[test]
fn allows_own_ip_addresses_only_over_https_on_port_443() {
    let own = |allow: &[&str]| {
        let allow = allow.iter().map(|t| t.parse().unwrap()).collect();
        EgressPolicy::new(
            allow,
            false,
            vec!["127.0.0.1:8080".parse().unwrap()],
            vec![ip("9.9.9.9"), ip("10.0.0.2")],
        )
    };
    assert_eq!(own(&[]).check_url(&url("https://9.9.9.9/")), Ok(()));
    assert_eq!(
        check_resolved_url(&own(&[]), "https://me.example/", &["9.9.9.9"]),
        Ok(())
    );
    for text in ["https://9.9.9.9:8443/", "https://[::ffff:9.9.9.9]:6379/"] {
        let result = own(&[]).check_url(&url(text));
        assert!(
            matches!(result, Err(EgressDenied::OwnAddress { .. })),
            "{text}: {result:?}"
        );
    }
    assert!(own(&[]).check_url(&url("https://10.0.0.2/")).is_err());
    assert_eq!(
        own(&["9.9.9.9:8443"]).check_url(&url("https://9.9.9.9:8443/")),
        Ok(())
    );
}
