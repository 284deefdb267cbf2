//! Search in feedback: every word of a query must occur in the message, the email, or the page URL.
//!
//! Letters match regardless of case, accents, and width. A word of three or more characters matches
//! anywhere. A shorter word matches at the start of a word, or anywhere in a script without spaces.
//! Words in quotes must be adjacent.
//!
//! The store indexes texts by [`ngrams`], pieces of one to three characters. A text that matches a
//! query contains all n-grams of the query. The index returns candidates, which are then compared
//! in full.

use std::collections::BTreeSet;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization;

/// Length of an n-gram. A shorter word is an n-gram by itself.
const NGRAM_CHARS: usize = 3;
/// Maximum number of n-grams per query. More would barely reduce the candidates.
const NGRAMS_MAX: usize = 24;

/// One to three characters of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ngram {
    chars: [char; NGRAM_CHARS],
    length: usize,
}

/// A parsed search query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    text: String,
    /// Normalized words and quoted phrases.
    words: Vec<Vec<char>>,
}

/// A text normalized for comparison: each character with the byte range it comes from.
#[derive(Default)]
struct NormalizedText {
    chars: Vec<char>,
    ranges: Vec<Range<usize>>,
}

impl SearchQuery {
    /// Parses a query. Returns `None` if it contains no words.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = Vec::new();
        // Every second piece is in quotes. The last quote can be missing.
        for (index, piece) in text.split(['"', '“', '”', '„']).enumerate() {
            if index % 2 == 1 {
                words.push(piece);
            } else {
                words.extend(piece.split_whitespace());
            }
        }
        let words: Vec<Vec<char>> = words
            .into_iter()
            .map(|word| NormalizedText::new(word.trim()).chars)
            .filter(|chars| !chars.is_empty())
            .collect();
        (!words.is_empty()).then(|| Self {
            text: text.to_owned(),
            words,
        })
    }

    /// Returns the original query.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the n-grams that a text must contain to match; only some of them for a long query.
    pub fn ngrams(&self) -> BTreeSet<Ngram> {
        let mut ngrams = BTreeSet::new();
        for word in &self.words {
            for (index, part) in word.split(|c| *c == ' ').enumerate() {
                let ngrams_of_part: Box<dyn Iterator<Item = &[char]>> = match part.len() {
                    0 => continue,
                    // The first part of a phrase can match the end of a longer word. The index may
                    // not contain such a short ending as an n-gram of its own.
                    1..NGRAM_CHARS if index == 0 && part.len() < word.len() => continue,
                    1..NGRAM_CHARS => Box::new(std::iter::once(part)),
                    _ => Box::new(part.windows(NGRAM_CHARS)),
                };
                ngrams.extend(ngrams_of_part.map(Ngram::new));
            }
        }
        while ngrams.len() > NGRAMS_MAX {
            ngrams.pop_last();
        }
        ngrams
    }

    /// Returns whether the query is a single n-gram. If so, every candidate from the index matches.
    pub fn is_single_ngram(&self) -> bool {
        matches!(&self.words[..], [word] if word.len() <= NGRAM_CHARS && !word.contains(&' '))
    }

    /// Returns whether each word occurs in at least one of the texts.
    pub fn matches(&self, texts: &[&str]) -> bool {
        let texts: Vec<NormalizedText> =
            texts.iter().map(|text| NormalizedText::new(text)).collect();
        self.words.iter().all(|word| {
            texts
                .iter()
                .any(|text| text.find_all(word).next().is_some())
        })
    }

    /// Returns the byte ranges of all matches in a text, in order and merged where they overlap.
    pub fn highlights(&self, text: &str) -> Vec<Range<usize>> {
        let normalized = NormalizedText::new(text);
        let mut found: Vec<Range<usize>> = Vec::new();
        for word in &self.words {
            found.extend(
                normalized.find_all(word).map(|at| {
                    normalized.ranges[at].start..normalized.ranges[at + word.len() - 1].end
                }),
            );
        }
        found.sort_by_key(|range| (range.start, range.end));
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in found {
            match merged.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }
}

impl Ngram {
    fn new(chars: &[char]) -> Self {
        let mut ngram = Self {
            chars: ['\0'; NGRAM_CHARS],
            length: chars.len(),
        };
        ngram.chars[..chars.len()].copy_from_slice(chars);
        ngram
    }

    pub fn chars(&self) -> &[char] {
        &self.chars[..self.length]
    }
}

/// Returns all n-grams of the texts, sorted and without duplicates.
pub fn ngrams<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Ngram> {
    let mut ngrams = Vec::new();
    for text in texts {
        let text = NormalizedText::new(text);
        for at in 0..text.chars.len() {
            let rest = &text.chars[at..];
            let word = rest.iter().take(NGRAM_CHARS).take_while(|c| **c != ' ');
            let length = word.count();
            let shortest = if text.is_word_start(at) {
                1
            } else {
                NGRAM_CHARS
            };
            ngrams.extend((shortest..=length).map(|length| Ngram::new(&rest[..length])));
        }
    }
    ngrams.sort_unstable();
    ngrams.dedup();
    ngrams
}

impl NormalizedText {
    fn new(text: &str) -> Self {
        let mut normalized = Self::default();
        for (at, c) in text.char_indices() {
            let range = at..at + c.len_utf8();
            if c.is_ascii_graphic() {
                normalized.push(c.to_ascii_lowercase(), range);
            } else if c.is_whitespace() {
                // Collapse any amount of whitespace into one space.
                match normalized.chars.last() {
                    Some(' ') => normalized.extend_last(range.end),
                    _ => normalized.push(' ', range),
                }
            } else {
                for part in std::iter::once(c).nfkd().flat_map(char::to_lowercase) {
                    match part {
                        // An accent belongs to the letter before it.
                        '\u{300}'..='\u{36f}' => normalized.extend_last(range.end),
                        part if part.is_whitespace() => normalized.push(' ', range.clone()),
                        part => normalized.push(part, range.clone()),
                    }
                }
            }
        }
        normalized
    }

    fn push(&mut self, c: char, range: Range<usize>) {
        self.chars.push(c);
        self.ranges.push(range);
    }

    fn extend_last(&mut self, end: usize) {
        if let Some(last) = self.ranges.last_mut() {
            last.end = end;
        }
    }

    /// Returns whether a word shorter than an n-gram can match at this position.
    fn is_word_start(&self, at: usize) -> bool {
        let current = self.chars[at];
        let previous = at.checked_sub(1).map(|previous| self.chars[previous]);
        current != ' '
            && (!current.is_alphanumeric()
                || is_unspaced_script(current)
                || previous.is_none_or(|c| !c.is_alphanumeric() || is_unspaced_script(c)))
    }

    /// Returns the positions of all matches of a word.
    fn find_all(&self, word: &[char]) -> impl Iterator<Item = usize> {
        let anywhere = word.len() >= NGRAM_CHARS;
        self.chars
            .windows(word.len())
            .enumerate()
            .filter(move |(at, chars)| *chars == word && (anywhere || self.is_word_start(*at)))
            .map(|(at, _)| at)
    }
}

/// Returns whether a letter is from a script without spaces between words (Thai, Lao, Burmese,
/// Khmer, Chinese, Japanese), or from Korean, where a syllable can be a word.
fn is_unspaced_script(letter: char) -> bool {
    matches!(letter, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_match(query: &str, text: &str) -> bool {
        SearchQuery::parse(query).unwrap().matches(&[text])
    }

    fn highlighted(query: &str, text: &str) -> String {
        let mut highlighted = String::new();
        let mut from = 0;
        for range in SearchQuery::parse(query).unwrap().highlights(text) {
            highlighted += &format!("{}[{}]", &text[from..range.start], &text[range.clone()]);
            from = range.end;
        }
        highlighted + &text[from..]
    }

    const TEXTS: [&str; 8] = [
        "The submit button\nis not working (on my Pixel 8).",
        "Der Druckknopf für ÄNDERUNGEN fehlt; 5€!",
        "写真を日付順に並べ替えたいです。",
        "한국어 메시지입니다",
        "ｶﾀｶﾅ and ＷＩＤＥ",
        "Cafe\u{301} \"quoted\" 100% a_b C# .js",
        "🙏please",
        "https://example.com/a%20b?c=d sam+shop@example.com",
    ];

    #[test]
    fn matches_words_in_any_script() {
        for (query, text) in [
            ("button", 0),
            ("SUBMIT work", 0),
            ("utto", 0),
            ("button is", 0),
            ("\"button is\"", 0),
            ("\"n is\"", 0),
            ("my 8", 0),
            ("(on", 0),
            ("knopf", 1),
            ("fur anderungen", 1),
            ("5€", 1),
            ("€", 1),
            ("写真", 2),
            ("真", 2),
            ("日付順", 2),
            ("替え です", 2),
            ("메시지", 3),
            ("국", 3),
            ("カタカナ", 4),
            ("wide", 4),
            ("café", 5),
            ("CAFE", 5),
            ("100%", 5),
            ("a_b", 5),
            ("c#", 5),
            (".js", 5),
            ("🙏", 6),
            ("example.com/a", 7),
            ("sam+shop@example.com", 7),
        ] {
            assert!(is_match(query, TEXTS[text]), "{query}");
        }
        for (query, text) in [
            ("buttons", 0),
            ("ut", 0),
            ("\"submit is\"", 0),
            ("真写", 2),
            ("submit absent", 0),
            ("%_", 0),
        ] {
            assert!(!is_match(query, TEXTS[text]), "{query}");
        }
    }

    #[test]
    fn words_can_match_in_different_texts() {
        let search = SearchQuery::parse("button sam@").unwrap();
        assert!(search.matches(&["The button", "sam@example.com"]));
        assert!(!search.matches(&["The button", "kim@example.com"]));
    }

    #[test]
    fn rejects_queries_without_words() {
        for query in ["", " \n", "\"", "\"\"", " \" \" "] {
            assert_eq!(SearchQuery::parse(query), None, "{query:?}");
        }
    }

    #[test]
    fn highlights_whole_matches() {
        assert_eq!(
            highlighted("button", "Button, button"),
            "[Button], [button]"
        );
        assert_eq!(
            highlighted("grun", "Grün und gru\u{308}n"),
            "[Grün] und [gru\u{308}n]"
        );
        assert_eq!(highlighted("utt tton", "button"), "b[utton]");
        assert_eq!(highlighted("\"a b\"", "a \n b"), "[a \n b]");
        assert_eq!(highlighted("写真", "この写真"), "この[写真]");
        assert_eq!(highlighted("else", "nothing"), "nothing");
    }

    proptest::proptest! {
        #[test]
        fn matching_texts_contain_the_ngrams_of_the_query(
            text in "([a-cÄé写真ｶ가🙏 .\n]|ß|İ){0,20}",
            from in 0..20_usize,
            length in 1..9_usize,
            other in "[a-cÄ写 \"]{0,6}",
        ) {
            let piece: String = text.chars().skip(from).take(length).collect();
            let stored = BTreeSet::from_iter(ngrams([text.as_str()]));
            for query in [piece.clone(), format!("\"{piece}\""), other] {
                let Some(search) = SearchQuery::parse(&query) else { continue };
                proptest::prop_assert!(!search.ngrams().is_empty());
                if search.matches(&[&text]) {
                    proptest::prop_assert!(search.ngrams().is_subset(&stored), "{:?} {:?}", search.ngrams(), stored);
                    proptest::prop_assert!(!search.highlights(&text).is_empty());
                } else if search.is_single_ngram() {
                    proptest::prop_assert!(!search.ngrams().is_subset(&stored));
                }
            }
        }
    }
}
