//! Formats the rows of the CSV export, which people often open directly in a spreadsheet program.
//!
//! A byte order mark makes Excel read UTF-8. Every field is quoted. An apostrophe is inserted
//! before text that a spreadsheet would evaluate as a formula (OWASP, "CSV Injection").

use crate::domain::text::is_invisible;

/// The UTF-8 byte order mark, which is written at the beginning of the file.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Appends a row to the content of a file.
pub fn write_row<const N: usize>(file: Vec<u8>, cells: [&str; N]) -> Result<Vec<u8>, csv::Error> {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::CRLF)
        .quote_style(csv::QuoteStyle::Always)
        .from_writer(file);
    writer.write_record(cells.map(escape_formulas))?;
    writer
        .into_inner()
        .map_err(|error| csv::Error::from(error.into_error()))
}

/// Inserts an apostrophe wherever a spreadsheet could read a formula at the start of a cell, and
/// before a separator at the start of the text.
///
/// A cell can also start inside the text, because some spreadsheets separate cells at semicolons,
/// tabs, or line breaks, and ignore the quotes of a comma-separated file.
fn escape_formulas(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut is_cell_start = true;
    for (at, c) in text.char_indices() {
        let is_first_separator = at == 0 && is_cell_separator(c);
        if is_first_separator || (is_cell_start && can_begin_formula(&text[at..])) {
            escaped.push('\'');
        }
        escaped.push(c);
        is_cell_start = is_cell_separator(c);
    }
    escaped
}

fn is_cell_separator(c: char) -> bool {
    matches!(
        c,
        ';' | '\t' | '\r' | '\n' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Returns whether a spreadsheet could evaluate a cell that starts with `text` as a formula. Skips
/// leading quotes, spaces, and invisible characters, because some programs drop them.
fn can_begin_formula(text: &str) -> bool {
    let is_dropped = |c: char| {
        let is_blank = c.is_whitespace() || c.is_control() || is_invisible(c);
        c == '"' || (is_blank && !is_cell_separator(c))
    };
    text.trim_start_matches(is_dropped)
        .starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_formulas_wherever_a_cell_can_begin() {
        for (text, escaped) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@a", "'@a"),
            ("＝1", "'＝1"),
            ("＋1", "'＋1"),
            ("－1", "'－1"),
            ("＠1", "'＠1"),
            ("\t=1", "'\t'=1"),
            ("\r=1", "'\r'=1"),
            ("\n=1", "'\n'=1"),
            ("\ta", "'\ta"),
            ("x;=1", "x;'=1"),
            ("x;;@SUM(1)", "x;;'@SUM(1)"),
            ("x\t=1", "x\t'=1"),
            ("x\r\n-1", "x\r\n'-1"),
            ("x\u{2028}=1", "x\u{2028}'=1"),
            ("x;＝1", "x;'＝1"),
            ("x;\"=1", "x;'\"=1"),
            ("\"\"=1", "'\"\"=1"),
            ("\u{feff}=1", "'\u{feff}=1"),
            (" =1", "' =1"),
            ("\u{a0}+1", "'\u{a0}+1"),
            ("\u{200b}=1", "'\u{200b}=1"),
            ("\u{3000}\u{2060}＝1", "'\u{3000}\u{2060}＝1"),
            ("\0\u{ad}\" @a", "'\0\u{ad}\" @a"),
            ("x; -1", "x;' -1"),
            ("x\n\u{200b}=1", "x\n'\u{200b}=1"),
        ] {
            assert_eq!(escape_formulas(text), escaped, "{text:?}");
        }
        for plain in [
            "",
            "a=b",
            "'=1",
            "1-1",
            "a, -b",
            "x; y",
            "sam+shop@example.com",
        ] {
            assert_eq!(escape_formulas(plain), plain);
        }
    }

    #[test]
    fn quotes_every_field() {
        let file = write_row(BYTE_ORDER_MARK.to_vec(), ["é", "a\"b", "", "x\ny"]).unwrap();
        assert_eq!(
            file,
            "\u{feff}\"é\",\"a\"\"b\",\"\",\"x\ny\"\r\n".as_bytes()
        );
    }
}
