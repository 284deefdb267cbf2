//! Rules for new passwords: 12 to 256 bytes, and no password that attackers guess first.
//!
//! NIST SP 800-63B, 3.1.1.2, requires a comparison with common and expected passwords, and advises
//! against all other rules, such as required digits.

use super::email::normalize_email;
use super::password::normalize_password;

/// The minimum length of a password, in bytes of UTF-8.
pub const PASSWORD_MIN_BYTES: usize = 12;
/// The maximum length of a password, in bytes of UTF-8.
pub const PASSWORD_MAX_BYTES: usize = 256;

/// About 8,000 common passwords in lower case: 5,000 with 12 or more characters, and 3,000 shorter
/// passwords, which people extend. `NOTICE` describes their origin.
const COMMON_PASSWORDS: &str = include_str!("common_passwords.txt");
const PROGRAM_NAME: &str = "miniback";
/// The maximum total length, in bytes, of the extra characters that a comparison with guessable
/// passwords ignores, such as `2026!` in `password2026!`.
const AFFIX_MAX_BYTES: usize = 6;
/// A password is predictable if its runs of equal or neighboring characters, such as `aaaa` or
/// `1234`, have at least this length on average, in characters.
const RUN_LENGTH_MIN: usize = 4;
/// Characters that follow each other in the alphabet or on keyboards.
const CHARACTER_SEQUENCES: [&str; 7] = [
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890",
    "qwertyuiop",
    "qwertzuiop",
    "azertyuiop",
    "asdfghjkl",
    "zxcvbnm",
];

/// The reason a new password is rejected.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PasswordError {
    #[error("The password is too short: use at least {PASSWORD_MIN_BYTES} characters.")]
    TooShort,
    #[error("The password is too long: maximum {PASSWORD_MAX_BYTES} bytes.")]
    TooLong,
    #[error("The password consists of spaces only. Use a phrase that others can’t guess.")]
    Blank,
    #[error("The password repeats the same characters. Use a phrase that others can’t guess.")]
    Repeated,
    #[error("The password is a predictable sequence. Use a phrase that others can’t guess.")]
    Sequence,
    #[error("The password is too common. Use a phrase that others can’t guess.")]
    Common,
    #[error("The password is your email or a part of it. Use a phrase that others can’t guess.")]
    Email,
    #[error("The password is the name of this program. Use a phrase that others can’t guess.")]
    ProgramName,
}

/// Checks a new password for the account with this email.
pub fn check_password(password: &str, email: &str) -> Result<(), PasswordError> {
    match password.len() {
        0..PASSWORD_MIN_BYTES => return Err(PasswordError::TooShort),
        PASSWORD_MIN_BYTES..=PASSWORD_MAX_BYTES => {}
        _ => return Err(PasswordError::TooLong),
    }
    let password = normalize_password(password).to_lowercase();
    let email = normalize_email(email);
    let unit = shortest_repeated_unit(&password);
    if password.trim().is_empty() {
        Err(PasswordError::Blank)
    } else if has_matching_variant(&password, |word| is_email_or_local_part(word, &email)) {
        Err(PasswordError::Email)
    } else if is_program_name_variant(&password) {
        Err(PasswordError::ProgramName)
    } else if unit.len() < PASSWORD_MIN_BYTES && unit.len() < password.len() {
        Err(PasswordError::Repeated)
    } else if is_predictable(&password) {
        Err(PasswordError::Sequence)
    } else if has_matching_variant(&password, is_common) {
        Err(PasswordError::Common)
    } else {
        Ok(())
    }
}

/// Returns whether the password consists of the program's name, separators, and words or characters
/// that attackers would add.
fn is_program_name_variant(password: &str) -> bool {
    [password.to_owned(), replace_leetspeak(password)]
        .into_iter()
        .any(|text| {
            let letters: String = text.chars().filter(|c| c.is_alphanumeric()).collect();
            let rest = letters.replace(PROGRAM_NAME, "");
            let is_guessable = rest.len() <= AFFIX_MAX_BYTES
                || is_predictable(&rest)
                || shortest_repeated_unit(&rest).len() <= AFFIX_MAX_BYTES
                || has_matching_variant(&rest, is_common);
            letters.contains(PROGRAM_NAME) && is_guessable
        })
}

fn is_common(word: &str) -> bool {
    COMMON_PASSWORDS.lines().any(|common| common == word)
}

fn is_email_or_local_part(word: &str, email: &str) -> bool {
    let local_part = email.split('@').next().unwrap_or_default();
    !email.is_empty() && (normalize_email(word) == email || word == local_part)
}

/// Returns whether `test` returns true for the password or a variant. A variant omits the
/// characters at both ends that aren't letters, replaces digits and symbols with similar letters,
/// or both. Characters are omitted only if they are few or predictable.
fn has_matching_variant(password: &str, test: impl Fn(&str) -> bool) -> bool {
    let is_affix = |c: char| !c.is_alphabetic();
    let word = password.trim_matches(is_affix);
    let affix = password.len() - word.len();
    let start = password.find(word).unwrap_or_default();
    let ends = [&password[..start], &password[start + word.len()..]];
    let can_strip = affix <= AFFIX_MAX_BYTES || ends.into_iter().all(is_predictable);
    let matches = |text: &str| test(text) || test(&replace_leetspeak(text));
    matches(password) || (can_strip && !word.is_empty() && matches(word))
}

fn replace_leetspeak(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '@' | '4' => 'a',
            '3' => 'e',
            '1' | '!' => 'i',
            '0' => 'o',
            '5' | '$' => 's',
            '7' => 't',
            other => other,
        })
        .collect()
}

/// Returns the shortest prefix that, repeated, equals `text`. Returns `text` if there is no shorter
/// prefix.
fn shortest_repeated_unit(text: &str) -> &str {
    (1..text.len())
        .filter(|len| text.len().is_multiple_of(*len) && text.is_char_boundary(*len))
        .map(|len| &text[..len])
        .find(|unit| unit.repeat(text.len() / unit.len()) == text)
        .unwrap_or(text)
}

/// Returns whether the runs of equal or neighboring characters have an average length of at least
/// [`RUN_LENGTH_MIN`], as in `123456` or `aaaa`.
fn is_predictable(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    let steps: Vec<_> = chars
        .windows(2)
        .map(|pair| neighbor_direction(pair[0], pair[1]))
        .collect();
    let mut runs = usize::from(!chars.is_empty());
    let mut direction = None;
    for step in steps {
        if step.is_none() || (direction.is_some() && step != direction) {
            runs += 1;
            direction = None;
        } else {
            direction = step;
        }
    }
    runs * RUN_LENGTH_MIN <= chars.len()
}

/// Returns the direction from a character to its neighbor in one of the [`CHARACTER_SEQUENCES`]: 1
/// for forward, and -1 for backward. Returns 0 for the same character, and `None` if the characters
/// aren't neighbors.
fn neighbor_direction(from: char, to: char) -> Option<i8> {
    if from == to {
        return Some(0);
    }
    let has_pair = |first: char, second: char| {
        let pair: String = [first, second].iter().collect();
        CHARACTER_SEQUENCES.iter().any(|row| row.contains(&pair))
    };
    if has_pair(from, to) {
        Some(1)
    } else if has_pair(to, from) {
        Some(-1)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMAIL: &str = "Kim.Lee@example.com";

    #[test]
    fn rejects_passwords_that_attackers_try_first() {
        use PasswordError::{Blank, Common, Email, ProgramName, Repeated, Sequence};
        for (password, error) in [
            ("            ", Blank),
            ("aaaaaaaaaaaa", Repeated),
            ("éééééééééééé", Repeated),
            ("abcabcabcabc", Repeated),
            ("x7!x7!x7!x7!", Repeated),
            ("abcdefghijkl", Sequence),
            ("098765432109", Sequence),
            ("aaaabbbbcccc", Sequence),
            ("asdfghjkl123", Sequence),
            ("password1234", Common),
            ("Password2026!", Common),
            ("P@$$w0rd2026", Common),
            ("passwordpassword", Repeated),
            ("123456789012", Sequence),
            ("qwertyuiop12", Sequence),
            ("1q2w3e4r5t6y", Common),
            ("UNBELIEVABLE", Common),
            ("letmein1234567890", Common),
            ("miniback1234", ProgramName),
            ("minibackminiback", ProgramName),
            ("!!Miniback!!", ProgramName),
            ("miniback miniback", ProgramName),
            ("mini-back-miniback", ProgramName),
            ("Miniback_miniback_2026!", ProgramName),
            ("m i n i b a c k", ProgramName),
            ("miniback password", ProgramName),
            ("m1n1b4ck-admin", ProgramName),
            ("ｐａｓｓｗｏｒｄ１２３４", Common),
            ("ｍｉｎｉｂａｃｋ１２", ProgramName),
            ("kim.lee@example.com", Email),
            ("KIM.LEE@EXAMPLE.COM1", Email),
            ("kim.lee-2026", Email),
        ] {
            assert_eq!(check_password(password, EMAIL), Err(error), "{password}");
        }
    }

    #[test]
    fn accepts_phrases_and_random_passwords() {
        for password in [
            "correct horse battery staple",
            "another good password",
            "long enough 1",
            "kT9#vQ2!mW7z",
            "dragon7kq9xw",
            "monkey84719263748",
            "密码是一句很长的话",
            "kim likes long walks",
            "the miniback of a horse",
        ] {
            assert_eq!(check_password(password, EMAIL), Ok(()), "{password}");
        }
    }

    #[test]
    fn counts_the_length_in_bytes() {
        let text: String = ('a'..='z').cycle().step_by(7).take(256).collect();
        let check = |len| check_password(&text[..len], EMAIL);
        assert_eq!(check(11), Err(PasswordError::TooShort));
        assert_eq!(check(12), Ok(()));
        let text = "correct horse battery staple ".repeat(9);
        assert_eq!(check_password(&text[..256], EMAIL), Ok(()));
        assert_eq!(
            check_password(&text[..257], EMAIL),
            Err(PasswordError::TooLong)
        );
    }

    #[test]
    fn the_list_is_sorted_and_in_lower_case() {
        let words: Vec<&str> = COMMON_PASSWORDS.lines().collect();
        assert!(words.len() > 8000);
        assert!(words.is_sorted());
        assert!(words.iter().all(|word| *word == word.to_lowercase()));
    }
}
