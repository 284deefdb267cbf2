//! Disguises of forbidden addresses, and what the options lift.

use super::*;

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

/// What is said about a name whose look-up gave `addresses`.
fn looked_up(policy: &EgressPolicy, text: &str, addresses: &[&str]) -> Result<(), EgressDenied> {
    let url = url(text);
    policy.check_url(&url)?;
    let addresses: Vec<_> = addresses
        .iter()
        .map(|a| SocketAddr::new(ip(a), url.port()))
        .collect();
    policy.check_addresses(&url, &addresses)
}

#[test]
fn private_addresses_are_refused_however_they_are_written() {
    for host in [
        "10.0.0.5",
        "167772165",
        "0x0a000005",
        "0xA.0.0.5",
        "012.0.0.5",
        "10.5",
        "10.0.5",
        "10.0.0.5.",
        "１０.0.0.5",
        "10。0。0。5",
        "%31%30.0.0.5",
        "[::ffff:10.0.0.5]",
        "[::FFFF:a00:5]",
        "[::10.0.0.5]",
        "[0:0:0:0:0:ffff:a00:5]",
        "[64:ff9b::10.0.0.5]",
        "[64:ff9b::a00:5]",
        "[64:ff9b:1::808:808]",
        "[2002:a00:5::1]",
        "[2002:808:808::1]",
        "[2001:0:808:808::1]",
        "[2606:4700::5efe:10.0.0.5]",
        "[2606:4700::200:5efe:192.168.1.1]",
        "[fe80::5efe:10.0.0.5]",
        "0.0.0.0",
        "0",
        "[::]",
        "0.1.2.3",
        "100.64.0.1",
        "100.100.100.200",
        "100.127.255.255",
        "168.63.129.16",
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "[::ffff:169.254.169.254]",
        "[64:ff9b::169.254.169.254]",
        "[fd00:ec2::254]",
        "[fd20:ce::254]",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "4294967295",
        "[::ffff:127.0.0.1]",
        "[::127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[100::1]",
        "[100:0:0:1::1]",
        "[2001:db8::1]",
        "[2001:2::1]",
        "[2001:20::1]",
        "[3fff::1]",
        "[4000::1]",
        "[5f00::1]",
        "[fc00::1]",
        "[fe80::1]",
        "[febf::1]",
        "[fec0::1]",
        "[ff02::1]",
        "[1::1]",
        "[::2]",
        "[::ffff:0:10.0.0.5]",
    ] {
        for scheme in ["https", "http"] {
            let refused = policy(&[]).check_url(&url(&format!("{scheme}://{host}/hook")));
            assert!(
                matches!(refused, Err(EgressDenied::NotPublic { .. })),
                "{scheme} {host}: {refused:?}"
            );
        }
    }
}

#[test]
fn what_is_public_may_be_called_by_https_alone() {
    for host in [
        "example.com",
        "bücher.example",
        "8.8.8.8",
        "134744072",
        "[2606:4700::1111]",
        "[2a00:1450::1]",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "192.0.1.0",
        "192.167.255.255",
        "192.169.0.0",
        "223.255.255.255",
        "[::ffff:8.8.8.8]",
        "[64:ff9b::8.8.8.8]",
        "[2001:200::1]",
        "[2003::1]",
        "[2606:4700::5efe:8.8.8.8]",
        "localhost.example.com",
        "my.localhost",
        "127.0.0.1.example.com",
    ] {
        assert_eq!(
            policy(&[]).check_url(&url(&format!("https://{host}:8443/"))),
            Ok(()),
            "{host}"
        );
        let plain = policy(&[]).check_url(&url(&format!("http://{host}/")));
        assert!(
            matches!(plain, Err(EgressDenied::PlainHttp { .. })),
            "{host}: {plain:?}"
        );
    }
}

#[test]
fn a_name_goes_by_what_it_turns_out_to_be_and_one_forbidden_address_refuses_all() {
    let none = policy(&[]);
    assert_eq!(
        looked_up(&none, "https://a.example", &["8.8.8.8", "2606:4700::1"]),
        Ok(())
    );
    assert_eq!(looked_up(&none, "https://a.example", &[]), Ok(()));
    for bad in [
        "10.0.0.5",
        "127.0.0.1",
        "::1",
        "::ffff:127.0.0.1",
        "0.0.0.0",
        "169.254.169.254",
        "fd00::1",
    ] {
        for list in [vec![bad], vec!["8.8.8.8", bad], vec![bad, "2606:4700::1"]] {
            let refused = looked_up(&none, "https://a.example", &list);
            assert!(
                matches!(refused, Err(EgressDenied::NotPublic { .. })),
                "{list:?}: {refused:?}"
            );
        }
    }
}

#[test]
fn localhost_is_open_for_testing_until_it_is_closed() {
    let closed = EgressPolicy::new(vec![], true, vec![], vec![]);
    for host in [
        "localhost",
        "LOCALHOST.",
        "127.0.0.1",
        "127.255.1.2",
        "127.1",
        "[::1]",
        "2130706433",
    ] {
        for scheme in ["http", "https"] {
            let url = url(&format!("{scheme}://{host}:3000/"));
            assert_eq!(policy(&[]).check_url(&url), Ok(()), "{host}");
            let refused = closed.check_url(&url);
            assert!(
                matches!(refused, Err(EgressDenied::LocalhostDenied { .. })),
                "{host}: {refused:?}"
            );
        }
    }
    let reopened = EgressPolicy::new(vec!["localhost".parse().unwrap()], true, vec![], vec![]);
    assert_eq!(reopened.check_url(&url("http://localhost:3000")), Ok(()));
    assert!(reopened.check_url(&url("http://127.0.0.1:3000")).is_err());
    // A URL that names loopback leads to loopback and nowhere else.
    let elsewhere =
        policy(&[]).check_address(&url("http://localhost"), "10.0.0.5:80".parse().unwrap());
    assert!(matches!(elsewhere, Err(EgressDenied::NotPublic { .. })));
}

#[test]
fn allow_target_lifts_all_for_what_it_names() {
    for (allow, text, addresses, ok) in [
        ("10.0.0.0/8", "http://10.0.0.5:8080", &[][..], true),
        ("10.0.0.9/8", "http://10.1.2.3", &[], true),
        ("10.0.0.0/8", "http://11.0.0.5", &[], false),
        ("10.0.0.0/8", "http://[::ffff:10.0.0.5]", &[], true),
        ("10.0.0.0/8", "https://[64:ff9b::10.0.0.5]", &[], true),
        ("10.0.0.0/8", "http://hooks.internal", &["10.0.0.5"], true),
        ("10.0.0.0/8", "http://hooks.internal", &["8.8.8.8"], false),
        (
            "10.0.0.0/8",
            "https://hooks.internal",
            &["192.168.0.1"],
            false,
        ),
        ("10.0.0.5", "http://10.0.0.5:1234", &[], true),
        ("10.0.0.5", "http://10.0.0.6:1234", &[], false),
        ("10.0.0.5:8080", "http://10.0.0.5:8080", &[], true),
        ("10.0.0.5:8080", "http://10.0.0.5:8081", &[], false),
        (
            "10.0.0.5:8080",
            "http://hooks.internal:8080",
            &["10.0.0.5"],
            true,
        ),
        (
            "10.0.0.5:8080",
            "http://hooks.internal:8081",
            &["10.0.0.5"],
            false,
        ),
        ("fd00::5", "http://[fd00::5]:1", &[], true),
        ("[fd00::5]", "http://[fd00::5]:1", &[], true),
        ("[fd00::5]:80", "http://[fd00::5]", &[], true),
        ("[fd00::5]:80", "https://[fd00::5]", &[], false),
        ("fd00::/8", "https://[fd00::5]", &[], true),
        (
            "hooks.internal",
            "http://HOOKS.internal.:99",
            &["192.168.0.1"],
            true,
        ),
        (
            "Bücher.example.",
            "http://bücher.example",
            &["192.168.0.1"],
            true,
        ),
        (
            "hooks.internal:8080",
            "http://hooks.internal:8080",
            &["127.0.0.1"],
            true,
        ),
        (
            "hooks.internal:8080",
            "http://hooks.internal",
            &["127.0.0.1"],
            false,
        ),
        (
            "hooks.internal",
            "http://other.internal",
            &["127.0.0.1"],
            false,
        ),
        (
            "hooks.internal",
            "http://a.hooks.internal",
            &["127.0.0.1"],
            false,
        ),
    ] {
        assert_eq!(
            looked_up(&policy(&[allow]), text, addresses).is_ok(),
            ok,
            "{allow} for {text} {addresses:?}"
        );
    }
}

#[test]
fn an_allow_target_that_means_nothing_is_refused() {
    for text in [
        "",
        "http://hooks.internal",
        "hooks.internal/x",
        "10.0.0.0/33",
        "10.0.0.5:0",
        "10.0.0.5:99999",
        "*",
        "*.internal",
        "a b",
        "[fd00::5",
        "hooks.internal:",
        ":80",
        "user@host",
        "[fd00::5]:x",
    ] {
        assert!(text.parse::<AllowTarget>().is_err(), "{text}");
    }
}

#[test]
fn minibacks_own_sockets_are_never_a_target() {
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
    for (listen, text, addresses, ok) in [
        ("127.0.0.1:8080", "http://127.0.0.1:8080", &[][..], false),
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
    ] {
        let said = looked_up(&own(listen), text, addresses);
        assert_eq!(
            said.is_ok(),
            ok,
            "{text} while listening on {listen}: {said:?}"
        );
        assert!(ok || matches!(said, Err(EgressDenied::OwnSocket { .. })));
    }
}

#[test]
fn of_the_machines_own_public_addresses_only_https_on_443_may_be_called() {
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
        looked_up(&own(&[]), "https://me.example/", &["9.9.9.9"]),
        Ok(())
    );
    for text in ["https://9.9.9.9:8443/", "https://[::ffff:9.9.9.9]:6379/"] {
        let refused = own(&[]).check_url(&url(text));
        assert!(
            matches!(refused, Err(EgressDenied::OwnAddress { .. })),
            "{text}: {refused:?}"
        );
    }
    assert!(own(&[]).check_url(&url("https://10.0.0.2/")).is_err());
    assert_eq!(
        own(&["9.9.9.9:8443"]).check_url(&url("https://9.9.9.9:8443/")),
        Ok(())
    );
}

#[test]
fn a_refusal_names_the_option_that_allows_it() {
    for (text, addresses, said) in [
        (
            "https://10.0.0.5/x",
            &[][..],
            "10.0.0.5 is a private address (10.0.0.0/8), not a public one. If it is to be called, start Miniback with --allow-target 10.0.0.5.",
        ),
        (
            "https://hooks.internal/x",
            &["169.254.169.254"],
            "hooks.internal (169.254.169.254) is a link-local address, where clouds keep their metadata (169.254.0.0/16), not a public one. If it is to be called, start Miniback with --allow-target 169.254.169.254.",
        ),
        (
            "http://example.com./x",
            &[],
            "Plain http:// is for localhost only; use https://. If example.com is to be called without encryption, start Miniback with --allow-target example.com.",
        ),
    ] {
        assert_eq!(
            looked_up(&policy(&[]), text, addresses)
                .unwrap_err()
                .to_string(),
            said
        );
    }
}
