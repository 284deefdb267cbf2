//! Tests of blocked IP addresses in every notation, host names, and localhost, without
//! `--allow-target`.

use super::*;

/// Private IP addresses in every notation that a URL can contain.
const PRIVATE_HOSTS: &[&str] = &[
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
];

#[test]
fn blocks_private_ip_addresses_in_any_notation() {
    for host in PRIVATE_HOSTS {
        for scheme in ["https", "http"] {
            let result = policy(&[]).check_url(&url(&format!("{scheme}://{host}/hook")));
            assert!(
                matches!(result, Err(EgressDenied::NotPublic { .. })),
                "{scheme} {host}: {result:?}"
            );
        }
    }
}

#[test]
fn allows_public_targets_only_over_https() {
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
        let result = policy(&[]).check_url(&url(&format!("http://{host}/")));
        assert!(
            matches!(result, Err(EgressDenied::PlainHttp { .. })),
            "{host}: {result:?}"
        );
    }
}

#[test]
fn one_blocked_ip_address_blocks_the_host_name() {
    let none = policy(&[]);
    assert_eq!(
        check_resolved_url(&none, "https://a.example", &["8.8.8.8", "2606:4700::1"]),
        Ok(())
    );
    assert_eq!(check_resolved_url(&none, "https://a.example", &[]), Ok(()));
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
            let result = check_resolved_url(&none, "https://a.example", &list);
            assert!(
                matches!(result, Err(EgressDenied::NotPublic { .. })),
                "{list:?}: {result:?}"
            );
        }
    }
}

#[test]
fn allows_localhost_unless_denied() {
    let denied = EgressPolicy::new(vec![], true, vec![], vec![]);
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
            let result = denied.check_url(&url);
            assert!(
                matches!(result, Err(EgressDenied::LocalhostDenied { .. })),
                "{host}: {result:?}"
            );
        }
    }
    let reopened = EgressPolicy::new(vec!["localhost".parse().unwrap()], true, vec![], vec![]);
    assert_eq!(reopened.check_url(&url("http://localhost:3000")), Ok(()));
    assert!(reopened.check_url(&url("http://127.0.0.1:3000")).is_err());
    // Allowing localhost doesn't allow other private IP addresses.
    let private =
        policy(&[]).check_address(&url("http://localhost"), "10.0.0.5:80".parse().unwrap());
    assert!(matches!(private, Err(EgressDenied::NotPublic { .. })));
}
