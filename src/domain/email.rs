//! Emails: their syntax, and a normalized form that is equal for all spellings of an email.

use email_address::{EmailAddress, Options};
use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use unicode_normalization::UnicodeNormalization;

use super::text::is_invisible;

/// The maximum length of an email, in bytes: the limit of a path in RFC 5321, minus its angle
/// brackets.
pub const EMAIL_MAX_BYTES: usize = 254;

/// The reason an email is invalid. The message is for the person who entered the email.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum EmailError {
    #[error("Invalid email address.")]
    Invalid,
    #[error("The email is too long: maximum {EMAIL_MAX_BYTES} bytes.")]
    TooLong,
}

/// Checks an email and returns it in its stored and displayed format (see
/// [`normalize_typed_email`]). Accepts at most 254 bytes in the syntax of RFC 5322, without a
/// display name and without an IP address as the domain. The domain must be a valid host name.
pub fn check_email(text: &str) -> Result<String, EmailError> {
    let email = check_email_syntax(text)?;
    match email.rsplit_once('@') {
        Some((_, domain)) if is_host_name(domain) => Ok(email),
        _ => Err(EmailError::Invalid),
    }
}

/// Checks an email like [`check_email`], but accepts all domains in the syntax of RFC 5322. Use it
/// for emails that may be stored already, because earlier versions accepted them.
pub fn check_email_syntax(text: &str) -> Result<String, EmailError> {
    let email = normalize_typed_email(text);
    if email.len() > EMAIL_MAX_BYTES {
        return Err(EmailError::TooLong);
    }
    // Check these characters here, because the parser accepts all non-ASCII characters, and tabs in
    // a quoted local part.
    if email.contains(|c: char| c.is_control() || (c.is_whitespace() && c != ' ')) {
        return Err(EmailError::Invalid);
    }
    let options = Options::default()
        .without_display_text()
        .without_domain_literal();
    EmailAddress::parse_with_options(&email, options).map_err(|_| EmailError::Invalid)?;
    Ok(email)
}

/// Returns an email without differences that come from typing or pasting. These are surrounding
/// white space, invisible characters, decomposed and full-width characters, ideographic full stops,
/// and a trailing dot. Decodes `xn--` domains, which browsers send.
///
/// Everything else is unchanged, including upper case.
pub(super) fn normalize_typed_email(text: &str) -> String {
    let visible = text.chars().filter(|c| !is_invisible(*c));
    let text: String = visible.map(to_half_width).nfc().collect();
    let text = text.trim();
    match text.rsplit_once('@') {
        Some((local, domain)) => format!("{local}@{}", normalize_domain(domain)),
        None => text.to_owned(),
    }
}

/// Returns whether a domain is a host name in DNS, or an internationalized one (UTS 46).
fn is_host_name(domain: &str) -> bool {
    let ascii = Uts46::new().to_ascii(
        domain.as_bytes(),
        AsciiDenyList::STD3,
        Hyphens::CheckFirstLast,
        DnsLength::Verify,
    );
    ascii.is_ok()
}

/// Returns the normalized form of an email. Use it to look up and compare emails.
///
/// Case is ignored, because people don't remember which letters are upper case. `müller.de` equals
/// `xn--mller-kva.de`.
pub fn normalize_email(email: &str) -> String {
    // NFKC converts some compatibility characters to an `@` or a dot.
    let email = normalize_typed_email(&email.nfkc().collect::<String>());
    let fold = |text: &str| {
        let folded: String = text.nfkc().flat_map(char::to_lowercase).nfkc().collect();
        folded.replace('ς', "σ")
    };
    let Some((local, domain)) = email.rsplit_once('@') else {
        return fold(&email);
    };
    let domain = domain.trim_end_matches('.');
    let ascii = idna::domain_to_ascii(domain);
    format!("{}@{}", fold(local), ascii.unwrap_or_else(|_| fold(domain)))
}

/// Converts a full-width character, which East Asian keyboards can type, to its ASCII equivalent.
/// Returns any other character unchanged.
fn to_half_width(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => c,
    }
}

/// Replaces ideographic full stops with dots, removes a trailing dot, and decodes `xn--` labels. If
/// a label is invalid, no label is decoded.
fn normalize_domain(domain: &str) -> String {
    let mut domain = domain.replace(['\u{3002}', '\u{ff61}'], ".");
    if domain.ends_with('.') {
        domain.pop();
    }
    let is_encoded = |label: &str| {
        let prefix = label.get(..4);
        prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"))
    };
    if !domain.split('.').any(is_encoded) {
        return domain;
    }
    match idna::domain_to_unicode(&domain) {
        (decoded, Ok(())) => decoded,
        _ => domain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each row contains spellings of one email.
    const EQUIVALENT_SPELLINGS: [&[&str]; 5] = [
        &[
            "ada@müller.de",
            "ada@xn--mller-kva.de",
            "ADA@MÜLLER.DE",
            "ada@XN--MLLER-KVA.de",
            "ada@mu\u{308}ller.de",
            " ada@müller.de\n",
            "\u{a0}ada@müller.de\u{200b}",
            "\u{feff}ada@mül\u{ad}ler.de",
            "ａｄａ＠ｍüller．de",
            "ada@müller。de",
            "ada@müller.de.",
            "ada@xn--mller-kva.de。",
        ],
        &[
            "sam@example.com",
            "Sam@Example.COM",
            "sam@example.com\u{202c}",
        ],
        &[
            "josé@example.com",
            "jose\u{301}@example.com",
            "JOSÉ@example.com",
        ],
        &[
            "σίσυφος@example.gr",
            "ΣΊΣΥΦΟΣ@example.gr",
            "σίσυφοσ@EXAMPLE.gr",
        ],
        &["ﬁn@example.com", "fin@example.com"],
    ];

    #[test]
    fn all_spellings_of_an_email_are_equal() {
        for (row, spellings) in EQUIVALENT_SPELLINGS.iter().enumerate() {
            for spelling in *spellings {
                assert!(check_email(spelling).is_ok(), "{spelling:?}");
                let normalized = normalize_email(spelling);
                assert_eq!(normalized, normalize_email(spellings[0]), "{spelling:?}");
                assert_eq!(normalized, normalize_email(&normalized), "{spelling:?}");
                let stored = check_email(spelling).unwrap();
                assert_eq!(normalized, normalize_email(&stored), "{spelling:?}");
                let others = EQUIVALENT_SPELLINGS
                    .iter()
                    .enumerate()
                    .filter(|(at, _)| *at != row);
                for (_, other) in others {
                    assert_ne!(normalized, normalize_email(other[0]), "{spelling:?}");
                }
            }
        }
    }

    #[test]
    fn normalizing_twice_changes_nothing() {
        for (text, normalized) in [
            ("sam@example.com\u{2024}", "sam@example.com"),
            ("sam@x`.\\\u{248e}", "sam@x`.\\7"),
            ("sam@example.com..", "sam@example.com"),
            ("sam@müller\u{248e}de", "sam@xn--mller7-3ya.de"),
            ("sam\u{fe6b}müller.de", "sam@xn--mller-kva.de"),
            ("sam", "sam"),
        ] {
            assert_eq!(normalize_email(text), normalized);
            assert_eq!(normalize_email(normalized), normalized);
        }
    }

    #[test]
    fn different_emails_stay_different() {
        let different = [
            "a.b@example.com",
            "ab@example.com",
            "a+b@example.com",
            "ab@example.org",
            "ab@straße.de",
            "ab@strasse.de",
        ];
        for (at, one) in different.iter().enumerate() {
            for other in &different[at + 1..] {
                assert_ne!(normalize_email(one), normalize_email(other));
            }
        }
    }

    #[test]
    fn shows_an_email_as_the_person_wrote_it() {
        for (typed, shown) in [
            ("ada@xn--mller-kva.de", "ada@müller.de"),
            ("Ada.L+x@Example.com", "Ada.L+x@Example.com"),
            (" ada@müller.de\u{200b} ", "ada@müller.de"),
            ("ada@example.com.", "ada@example.com"),
        ] {
            assert_eq!(check_email(typed).unwrap(), shown);
        }
    }

    #[test]
    fn accepts_only_a_single_plain_email() {
        for good in [
            "sam@example.com",
            "a+b@example.co.uk",
            "ünï@exämple.de",
            "o'neil@x.ie",
            "a@localhost",
            "a@r3---sn.example.com",
            "a@1.example",
        ] {
            assert!(check_email(good).is_ok(), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(250));
        for bad in [
            "",
            "\u{200b}",
            "sam",
            "sam@",
            "@example.com",
            "Sam <sam@example.com>",
            "a@b.c, d@e.f",
            "a b@c.d",
            "a@[127.0.0.1]",
            "a@example.com..",
            "a@.",
            "a\0@example.com",
            "\"a\tb\"@example.com",
            "a\u{9f}@example.com",
            "a@exam\u{85}ple.com",
            "a@exam\u{a0}ple.com",
            "a@exam\u{2028}ple.com",
            &long,
        ] {
            assert!(check_email(bad).is_err(), "{bad:?}");
            assert!(check_email_syntax(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_domain_is_a_host_name() {
        let long_label = format!("a@{}\u{fc}.com", "b".repeat(60));
        for bad in [
            "a@example.com?subject=x",
            "a@b.com#x",
            "a@b.com/x",
            "a@b$c.com",
            "a@b%c.com",
            "a@b_c.com",
            "a@xn--a.com",
            "a@b\u{378}c.com",
            "a@a\u{5d0}.com",
            &long_label,
        ] {
            assert_eq!(check_email(bad), Err(EmailError::Invalid), "{bad}");
            assert!(check_email_syntax(bad).is_ok(), "{bad}");
        }
    }
}
