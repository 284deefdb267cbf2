//! Search in feedback: every word of a query must occur in the message, the email, the page URL, or
//! a value in the metadata.
//!
//! Letters match regardless of case, accents, and width. Typographic quotes, apostrophes, and
//! dashes match their keyboard equivalents (see `normalized_text`). A word of three or more
//! characters matches anywhere, even inside a longer word. A shorter word matches at the start of a
//! word, or anywhere in a writing system without spaces. Words in quotes must be adjacent and in
//! the same order.
//!
//! The store indexes texts by n-grams, pieces of one to three characters ([`for_each_ngram`]).
//! Feedback that matches a query contains all n-grams of the query. The index returns candidates,
//! which are then compared in full.

mod normalized_text;

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::{Map, Value};

use super::email::normalize_typed_email;
use normalized_text::{NormalizedText, is_double_quote};

/// The maximum length of a query, in characters.
pub const QUERY_MAX_CHARS: usize = 200;
/// Maximum number of different words in a query. A phrase in quotes counts as one word.
pub const QUERY_WORDS_MAX: usize = 16;
/// Maximum number of highlights per text.
const HIGHLIGHTS_MAX: usize = 200;
/// Maximum length of an n-gram, in characters. Shorter n-grams exist only where a short word can
/// match (see `is_word_start`).
const NGRAM_CHARS: usize = 3;
/// Maximum number of n-grams per word of a query. More n-grams would barely reduce the candidates.
const WORD_NGRAMS_MAX: usize = 24;

/// A parsed search query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    text: String,
    /// Normalized words and quoted phrases.
    words: Vec<Vec<char>>,
}

/// The reason a query is rejected. The message is for the person who entered the query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SearchError {
    TooLong,
    TooManyWords,
}

impl SearchError {
    pub const fn message(self) -> &'static str {
        match self {
            Self::TooLong => "The search text is too long. Use at most 200 characters.",
            Self::TooManyWords => "The search has too many words. Use at most 16 different words.",
        }
    }
}

impl SearchQuery {
    /// Parses a query. Returns `None` if it contains no words. Repeated words count once.
    pub fn parse(text: &str) -> Result<Option<Self>, SearchError> {
        if text.chars().count() > QUERY_MAX_CHARS {
            return Err(SearchError::TooLong);
        }
        let mut pieces = Vec::new();
        // Every second piece is in quotes. The closing quote of the last piece can be missing.
        for (index, piece) in text.split(is_double_quote).enumerate() {
            if index % 2 == 1 {
                pieces.push(piece);
            } else {
                pieces.extend(piece.split_whitespace());
            }
        }
        let mut words: Vec<Vec<char>> = Vec::new();
        for piece in pieces {
            let word = normalize_word(piece);
            if !word.is_empty() && !words.contains(&word) {
                words.push(word);
            }
        }
        if words.len() > QUERY_WORDS_MAX {
            return Err(SearchError::TooManyWords);
        }
        Ok((!words.is_empty()).then(|| Self {
            text: text.to_owned(),
            words,
        }))
    }

    /// Returns the original query.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the n-grams that feedback must contain to match the query: one set for each word,
    /// including the words of phrases. A set has at most [`WORD_NGRAMS_MAX`] n-grams.
    pub fn ngrams_by_word(&self) -> Vec<BTreeSet<&[char]>> {
        let mut sets = Vec::new();
        for word in &self.words {
            for (index, part) in word.split(|c| *c == ' ').enumerate() {
                let mut ngrams: BTreeSet<&[char]> = match part.len() {
                    0 => continue,
                    // The first part of a phrase can match the end of a longer word. The index
                    // might not contain such a short ending as a separate n-gram.
                    1..NGRAM_CHARS if index == 0 && part.len() < word.len() => continue,
                    1..NGRAM_CHARS => BTreeSet::from([part]),
                    _ => part.windows(NGRAM_CHARS).collect(),
                };
                while ngrams.len() > WORD_NGRAMS_MAX {
                    ngrams.pop_last();
                }
                sets.push(ngrams);
            }
        }
        sets
    }

    /// Returns whether the query is a single n-gram. If so, every candidate from the index matches.
    pub fn is_single_ngram(&self) -> bool {
        matches!(&self.words[..], [word] if word.len() <= NGRAM_CHARS && !word.contains(&' '))
    }

    /// Returns whether each word occurs in at least one of the texts.
    pub fn matches(&self, texts: &[&str]) -> bool {
        let texts: Vec<NormalizedText> =
            texts.iter().map(|text| NormalizedText::new(text)).collect();
        self.words
            .iter()
            .all(|word| texts.iter().any(|text| text.has_word(word)))
    }

    /// Returns the byte ranges of the first matches in a text, at most [`HIGHLIGHTS_MAX`], in order
    /// and merged where they overlap.
    pub fn highlights(&self, text: &str) -> Vec<Range<usize>> {
        let normalized = NormalizedText::new(text);
        let mut found: Vec<Range<usize>> = Vec::new();
        for at in 0..normalized.chars.len() {
            let matching = self
                .words
                .iter()
                .filter(|word| normalized.has_word_at(at, word));
            let Some(length) = matching.map(Vec::len).max() else {
                continue;
            };
            let start = normalized.ranges[at].start;
            let end = normalized.ranges[at + length - 1].end;
            let count = found.len();
            match found.last_mut() {
                Some(last) if start < last.end => last.end = last.end.max(end),
                _ if count == HIGHLIGHTS_MAX => break,
                _ => found.push(start..end),
            }
        }
        found
    }
}

/// Normalizes and trims a word or phrase of a query. A word that contains `@` is first cleaned like
/// a stored email.
fn normalize_word(word: &str) -> Vec<char> {
    let normalized = match word.contains(['@', '＠']) {
        true => NormalizedText::new(normalize_typed_email(word).as_str()),
        false => NormalizedText::new(word),
    };
    let chars = normalized.chars;
    let is_space = |c: &char| *c == ' ';
    let from = chars.iter().take_while(|c| is_space(c)).count();
    let until = chars.len()
        - chars[from..]
            .iter()
            .rev()
            .take_while(|c| is_space(c))
            .count();
    chars[from..until].to_vec()
}

/// Returns the strings and numbers in metadata, at any depth.
pub fn metadata_texts(metadata: &Map<String, Value>) -> Vec<String> {
    fn collect(value: &Value, texts: &mut Vec<String>) {
        match value {
            Value::String(text) => texts.push(text.clone()),
            Value::Number(number) => texts.push(number.to_string()),
            Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
            Value::Object(values) => values.values().for_each(|value| collect(value, texts)),
            Value::Null | Value::Bool(_) => {}
        }
    }
    let mut texts = Vec::new();
    metadata
        .values()
        .for_each(|value| collect(value, &mut texts));
    texts
}

/// Calls `visit` for each n-gram of a text. N-grams can repeat.
pub fn for_each_ngram(text: &str, mut visit: impl FnMut(&[char])) {
    let text = NormalizedText::new(text);
    for at in 0..text.chars.len() {
        let rest = &text.chars[at..];
        let word = rest.iter().take(NGRAM_CHARS).take_while(|c| **c != ' ');
        let longest = word.count();
        let shortest = match text.is_word_start(at) {
            true => 1,
            false => NGRAM_CHARS,
        };
        for length in shortest..=longest {
            visit(&rest[..length]);
        }
    }
}

#[cfg(test)]
mod tests;
