//! Normalizes texts and queries for comparison in a search.
//!
//! A search ignores case, accents, Hebrew and Arabic vowel points, the amount of white space, and
//! invisible characters. It also ignores compatibility differences, such as the width of letters.
//! It treats typographic and plain quotes, apostrophes, and dashes as equal.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

use super::NGRAM_CHARS;
use crate::domain::text::is_invisible;

/// A text normalized for comparison: each character with its byte range in the original text.
#[derive(Default)]
pub(super) struct NormalizedText {
    pub(super) chars: Vec<char>,
    pub(super) ranges: Vec<Range<usize>>,
}

impl NormalizedText {
    pub(super) fn new(text: &str) -> Self {
        let mut normalized = Self {
            chars: Vec::with_capacity(text.len()),
            ranges: Vec::with_capacity(text.len()),
        };
        for (at, c) in text.char_indices() {
            let range = at..at + c.len_utf8();
            // This check is redundant, but it halves the time for texts in ASCII.
            if c.is_ascii_alphanumeric() {
                normalized.push(c.to_ascii_lowercase(), range);
                continue;
            }
            match fold_punctuation(c) {
                Some(sign) => normalized.push(sign, range),
                None if c.is_ascii_graphic() => normalized.push(c.to_ascii_lowercase(), range),
                None if c.is_whitespace() => normalized.push(' ', range),
                None => {
                    for part in std::iter::once(c).nfkd().flat_map(char::to_lowercase) {
                        normalized.push_letter(part, range.clone());
                    }
                }
            }
        }
        normalized
    }

    /// Adds one character of a decomposition, or its equivalent in basic letters. Ignores accents
    /// and invisible characters.
    fn push_letter(&mut self, part: char, range: Range<usize>) {
        if is_accent(part) || is_invisible(part) || part == TATWEEL {
            self.extend_last_range(range.end);
            return;
        }
        let letters = match part {
            'ß' => "ss",
            'æ' => "ae",
            'œ' => "oe",
            'ς' => "σ",
            'ı' => "i",
            'ø' => "o",
            'ł' => "l",
            'đ' | 'ð' => "d",
            part if part.is_whitespace() => " ",
            part => return self.push(fold_punctuation(part).unwrap_or(part), range),
        };
        for letter in letters.chars() {
            self.push(letter, range.clone());
        }
    }

    /// Adds a character. Consecutive spaces become one space, and consecutive dashes become one
    /// dash.
    fn push(&mut self, c: char, range: Range<usize>) {
        if matches!(c, ' ' | '-') && self.chars.last() == Some(&c) {
            self.extend_last_range(range.end);
        } else {
            self.chars.push(c);
            self.ranges.push(range);
        }
    }

    fn extend_last_range(&mut self, end: usize) {
        if let Some(last) = self.ranges.last_mut() {
            last.end = end;
        }
    }

    /// Returns whether a word with fewer than [`NGRAM_CHARS`] characters can match at this
    /// position.
    pub(super) fn is_word_start(&self, at: usize) -> bool {
        let current = self.chars[at];
        let previous = at.checked_sub(1).map(|previous| self.chars[previous]);
        current != ' '
            && (!current.is_alphanumeric()
                || is_script_without_spaces(current)
                || previous.is_none_or(|c| !c.is_alphanumeric() || is_script_without_spaces(c)))
    }

    pub(super) fn has_word_at(&self, at: usize, word: &[char]) -> bool {
        self.chars[at..].starts_with(word) && (word.len() >= NGRAM_CHARS || self.is_word_start(at))
    }

    pub(super) fn has_word(&self, word: &[char]) -> bool {
        (0..self.chars.len()).any(|at| self.has_word_at(at, word))
    }
}

/// An Arabic character that only stretches the connection between two letters.
const TATWEEL: char = '\u{640}';

/// Returns whether a character is an accent, or a Hebrew or Arabic vowel point. Vowel signs of
/// Indic scripts aren't included, because they act as letters.
fn is_accent(c: char) -> bool {
    matches!(canonical_combining_class(c), 10..=36 | 200..=240)
}

/// Returns whether a character is a double quote in any language. In a query, double quotes enclose
/// a phrase.
pub(super) fn is_double_quote(c: char) -> bool {
    matches!(
        c,
        '"' | '“' | '”' | '„' | '‟' | '«' | '»' | '″' | '〝' | '〞' | '〟' | '＂'
    )
}

/// Returns the keyboard equivalent of a typographic quote, apostrophe, or dash. Returns `None` for
/// any other character.
fn fold_punctuation(c: char) -> Option<char> {
    match c {
        '‘' | '’' | '‚' | '‛' | '′' | '‵' | '´' | '`' | 'ʹ' | 'ʻ' | 'ʼ' | 'ʽ' | '՚' | '׳'
        | '\u{1ffd}' | '＇' => Some('\''),
        '״' => Some('"'),
        c if is_double_quote(c) => Some('"'),
        '\u{2010}'..='\u{2015}' | '−' | '⁻' | '־' | '﹘' | '﹣' | '－' => Some('-'),
        _ => None,
    }
}

/// Returns whether the letter's writing system has no spaces between words: Thai, Lao, Burmese,
/// Khmer, Chinese, and Japanese. Also returns true for Korean, where a syllable can be a word.
fn is_script_without_spaces(letter: char) -> bool {
    matches!(letter, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}
