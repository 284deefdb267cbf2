//! A fuzz target for search queries and the feedback that they match.

use std::collections::BTreeSet;

use miniback::domain::search::{QUERY_MAX_CHARS, QUERY_WORDS_MAX, SearchQuery, for_each_ngram};
use unicode_normalization::UnicodeNormalization;

use super::support::{first_line, text};

const HIGHLIGHTS_MAX: usize = 200;

/// Fuzzes the search. Input: a query on the first line, then the text to search.
pub fn search(data: &[u8]) -> bool {
    let text = text(data);
    let (query, text) = first_line(&text);
    check_phrase(text);
    let Ok(Some(query)) = SearchQuery::parse(query) else {
        return false;
    };
    assert!(query.text().chars().count() <= QUERY_MAX_CHARS);
    let again = SearchQuery::parse(query.text());
    assert_eq!(again, Ok(Some(query.clone())));

    let is_match = query.matches(&[text]);
    let mut indexed: BTreeSet<Vec<char>> = BTreeSet::new();
    for_each_ngram(text, |ngram| {
        indexed.insert(ngram.to_vec());
    });
    let is_candidate = query
        .ngrams_by_word()
        .iter()
        .flatten()
        .all(|ngram| indexed.contains(*ngram));
    assert!(is_candidate || !is_match, "the index has no candidate");
    if query.is_single_ngram() {
        assert_eq!(is_candidate, is_match, "a candidate doesn't match");
    }
    assert!(indexed.len() <= 3 * 18 * text.chars().count());

    let highlights = query.highlights(text);
    assert!(highlights.len() <= HIGHLIGHTS_MAX);
    assert!(!is_match || !highlights.is_empty());
    let mut end = 0;
    for range in &highlights {
        assert!(end <= range.start && range.start < range.end);
        assert!(text.get(range.clone()).is_some(), "{range:?}");
        end = range.end;
    }
    for other in [
        text.to_ascii_uppercase(),
        text.nfc().collect(),
        text.nfd().collect(),
        format!("\u{feff}{text}"),
    ] {
        assert_eq!(query.matches(&[&other]), is_match, "{other:?}");
    }
    assert_eq!(query.matches(&["", text]), is_match);
    is_match
}

/// Checks that `text`, used as a query, matches itself. Without quotation marks, the query must
/// also match the words in reverse order.
fn check_phrase(text: &str) {
    // Skip `text` if it is too long for a query. Also skip `text` if it contains an email, because
    // a query normalizes emails.
    if text.chars().count() >= QUERY_MAX_CHARS - 1 || text.contains(['@', '＠']) {
        return;
    }
    if let Ok(Some(query)) = SearchQuery::parse(text) {
        assert!(query.matches(&[text]), "{text:?} doesn't match itself");
    }
    // Between quotation marks, the order of the words matters.
    if text.contains([
        '"', '“', '”', '„', '‟', '«', '»', '″', '〝', '〞', '〟', '＂',
    ]) {
        return;
    }
    let words: Vec<&str> = text.split_whitespace().take(QUERY_WORDS_MAX).collect();
    if let Ok(Some(query)) = SearchQuery::parse(&words.join(" ")) {
        let texts: Vec<String> = words.iter().rev().map(|word| word.to_lowercase()).collect();
        assert!(query.matches(&[&texts.join(" ")]), "{words:?}");
    }
}
