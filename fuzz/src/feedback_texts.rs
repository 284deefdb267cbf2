//! Fuzz targets for texts of feedback and projects: emails, slugs, and cells of the CSV export.

use miniback::domain::email::{EMAIL_MAX_BYTES, check_email, normalize_email};
use miniback::domain::project::{NAME_MAX_CHARS, check_name, check_slug, slug_from_name};
use miniback::pages::csv_cells::{BYTE_ORDER_MARK, write_row};
use miniback::pages::mailto_url;
use percent_encoding::percent_decode_str;
use unicode_normalization::UnicodeNormalization;
use url::Url;

use super::support::{first_line, text};

/// Fuzzes the validation and normalization of emails, and `mailto:` URLs. Input: an email.
pub fn email(data: &[u8]) -> bool {
    let text = text(data);
    check_mailto(&text);
    let normalized = normalize_email(&text);
    assert_eq!(normalize_email(&normalized), normalized, "not idempotent");
    assert_eq!(normalize_email(&text.to_ascii_uppercase()), normalized);
    for form in [text.nfc().collect::<String>(), text.nfd().collect()] {
        assert_eq!(normalize_email(&form), normalized, "{form:?}");
    }
    let Ok(email) = check_email(&text) else {
        return false;
    };
    assert!(email.len() <= EMAIL_MAX_BYTES);
    assert!(email.contains('@') && !email.contains(char::is_control));
    assert!(!email.contains(|c: char| c.is_whitespace() && c != ' '));
    assert_eq!(check_email(&email).as_ref(), Ok(&email));
    assert_eq!(normalize_email(&email), normalized);
    check_mailto(&email);
    true
}

/// Checks that a `mailto:` URL contains one recipient and no other field.
fn check_mailto(email: &str) {
    let link = mailto_url(email);
    let url = Url::parse(&link).expect("a mailto: URL is valid");
    assert_eq!(url.as_str(), link);
    assert_eq!(
        (url.scheme(), url.query(), url.fragment()),
        ("mailto", None, None)
    );
    assert!(!url.path().contains([',', ';', '&', '=']));
    assert!(url.path().matches('@').count() <= 1);
    let decoded = percent_decode_str(url.path()).decode_utf8();
    assert_eq!(decoded.as_deref(), Ok(email));
}

/// Fuzzes the validation of project names, and the slugs created from them. Input: a name.
pub fn slug(data: &[u8]) -> bool {
    let name = text(data);
    let slug = slug_from_name(&name);
    assert!(check_slug(slug.clone()).is_ok(), "{slug}");
    assert!(slug.len() <= 56, "room for a suffix");
    assert_eq!(slug_from_name(&slug), slug, "not idempotent");
    assert!(!slug.starts_with('-') && !slug.ends_with('-') && !slug.contains("--"));
    for form in [
        name.nfc().collect::<String>(),
        name.nfd().collect(),
        name.to_ascii_uppercase(),
    ] {
        assert_eq!(slug_from_name(&form), slug, "{form:?}");
    }
    let Ok(name) = check_name(&name) else {
        return false;
    };
    assert!((1..=NAME_MAX_CHARS).contains(&name.chars().count()));
    assert!(!name.contains(char::is_control));
    assert_eq!(check_name(&name).expect("the name is valid"), name);
    slug != "project"
}

/// Fuzzes the CSV export. Input: two cells. The first line is the first cell, and the rest is the
/// second cell.
pub fn csv_cells(data: &[u8]) -> bool {
    let text = text(data);
    let (first, second) = first_line(&text);
    let cells = [first, second];
    let file = write_row(BYTE_ORDER_MARK.to_vec(), cells).expect("write a row");
    let file = write_row(file, ["end", ""]).expect("write a row");
    let file = std::str::from_utf8(&file).expect("the file is UTF-8");
    let rows = file.strip_prefix('\u{feff}').expect("a byte order mark");

    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(rows.as_bytes());
    let rows_read: Vec<csv::StringRecord> = reader
        .records()
        .collect::<Result<_, _>>()
        .expect("the file is valid");
    assert_eq!(rows_read.len(), 2);
    assert_eq!(&rows_read[1], ["end", ""].as_slice());
    assert_eq!(rows_read[0].len(), 2);
    for (text, read) in cells.into_iter().zip(&rows_read[0]) {
        assert!(is_escaped(text, read), "{text:?} became {read:?}");
        assert!(!is_formula(read), "{read:?}");
    }
    // A spreadsheet may use a different separator and ignore quotes, so any of these parts may
    // become a cell.
    for cell in rows.split([';', '\t', '\r', '\n', '\u{b}', '\u{c}', '\u{85}']) {
        let is_dropped = |c: char| {
            c == '"'
                || c.is_whitespace()
                || c.is_control()
                || "\u{200b}\u{2060}\u{feff}".contains(c)
        };
        let cell = cell.trim_start_matches(is_dropped);
        assert!(!is_formula(cell), "{cell:?} in {rows:?}");
    }
    is_formula(first) || second.contains('"')
}

/// Returns whether `escaped` is `text` with additional apostrophes.
fn is_escaped(text: &str, escaped: &str) -> bool {
    let mut original = text.chars().peekable();
    for c in escaped.chars() {
        if original.next_if_eq(&c).is_none() && c != '\'' {
            return false;
        }
    }
    original.next().is_none()
}

fn is_formula(cell: &str) -> bool {
    cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'])
}
