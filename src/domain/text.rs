//! Invisible characters, and characters that change how the surrounding text is displayed.

use std::borrow::Cow;

/// Returns whether a character is invisible: a default-ignorable code point of Unicode, such as the
/// zero-width space, or another character that looks blank. White space isn't included.
pub fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{13441}' | '\u{13442}'
        | '\u{16fe4}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d159}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Returns whether the text contains a visible character.
pub fn has_visible_char(text: &str) -> bool {
    text.chars()
        .any(|c| !c.is_whitespace() && !c.is_control() && !is_invisible(c))
}

/// Escapes the characters that can make text misleading in a terminal or a tooltip. These are
/// control characters, line separators, invisible format characters, and controls of the text
/// direction.
///
/// Doesn't escape joiners and variation selectors, because emoji and several writing systems need
/// them.
pub fn escape_misleading_chars(text: &str) -> Cow<'_, str> {
    if !text.contains(is_misleading) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match is_misleading(c) {
            true => escaped.extend(c.escape_default()),
            false => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

fn is_misleading(c: char) -> bool {
    let is_joiner = matches!(c, '\u{200c}' | '\u{200d}');
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
        )
        || (matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
            && !is_joiner)
}

/// Removes a byte order mark, which some editors put at the beginning of a file.
pub fn strip_byte_order_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_texts_without_a_visible_character() {
        let invisible = [
            "",
            " \u{a0}\n",
            "\u{200b}\u{2060}\u{feff}",
            "\u{ad}",
            "\u{3164}",
            "\u{1bca0}\u{1bca3}",
            "\u{13441}\u{16fe4}\u{1d159}",
        ];
        for text in invisible
            .into_iter()
            .chain(["\u{202e} \u{2066}", "\u{2800}\u{fe0f}"])
        {
            assert!(!has_visible_char(text), "{text:?}");
        }
        for text in ["a", "\u{200b}a", "é", "日", "👩‍💻", ".", "-"] {
            assert!(has_visible_char(text), "{text:?}");
        }
    }

    #[test]
    fn escapes_only_disguising_characters() {
        let escaped =
            escape_misleading_chars("a\u{202e}b\u{2066}c\u{200b}\n\u{1b}[31m\u{feff}\u{2028}");
        assert_eq!(
            escaped,
            "a\\u{202e}b\\u{2066}c\\u{200b}\\n\\u{1b}[31m\\u{feff}\\u{2028}"
        );
        for text in ["plain", "Größe", "👩‍💻", "می‌خواهم", "❤️"] {
            assert_eq!(escape_misleading_chars(text), text);
        }
    }
}
