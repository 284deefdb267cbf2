//! Tests of `--allow-target`: the targets that each format allows, and invalid values.

use super::*;

/// Each case contains a value of `--allow-target`, a URL, the IP addresses that the host resolves
/// to, and whether the URL is allowed.
const CASES: &[(&str, &str, &[&str], bool)] = &[
    ("10.0.0.0/8", "http://10.0.0.5:8080", &[], true),
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
];

#[test]
fn allow_target_allows_exactly_what_it_matches() {
    for (allow, text, addresses, is_allowed) in CASES {
        assert_eq!(
            check_resolved_url(&policy(&[allow]), text, addresses).is_ok(),
            *is_allowed,
            "{allow} for {text} {addresses:?}"
        );
    }
}

#[test]
fn rejects_invalid_allow_targets() {
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
