//! Tests of search queries: matches, equivalent spellings, limits, and highlights.

use unicode_normalization::UnicodeNormalization;

use super::*;

fn parse(query: &str) -> SearchQuery {
    SearchQuery::parse(query).unwrap().unwrap()
}

fn text_ngrams(text: &str) -> BTreeSet<Vec<char>> {
    let mut ngrams = BTreeSet::new();
    for_each_ngram(text, |ngram| {
        ngrams.insert(ngram.to_vec());
    });
    ngrams
}

fn query_ngrams(search: &SearchQuery) -> BTreeSet<Vec<char>> {
    let ngrams = search.ngrams_by_word().into_iter().flatten();
    ngrams.map(<[char]>::to_vec).collect()
}

fn is_match(query: &str, text: &str) -> bool {
    parse(query).matches(&[text])
}

fn highlighted(query: &str, text: &str) -> String {
    let mut highlighted = String::new();
    let mut from = 0;
    for range in parse(query).highlights(text) {
        highlighted += &format!("{}[{}]", &text[from..range.start], &text[range.clone()]);
        from = range.end;
    }
    highlighted + &text[from..]
}

const SAMPLE_TEXTS: [&str; 8] = [
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
        assert!(is_match(query, SAMPLE_TEXTS[text]), "{query}");
    }
    for (query, text) in [
        ("buttons", 0),
        ("ut", 0),
        ("\"submit is\"", 0),
        ("真写", 2),
        ("submit absent", 0),
        ("%_", 0),
    ] {
        assert!(!is_match(query, SAMPLE_TEXTS[text]), "{query}");
    }
}

#[test]
fn words_can_match_in_different_texts() {
    let search = parse("button sam@");
    assert!(search.matches(&["The button", "sam@example.com"]));
    assert!(!search.matches(&["The button", "kim@example.com"]));
}

#[test]
fn ignores_queries_without_words() {
    for query in ["", " \n", "\"", "\"\"", " \" \" ", "\u{200b} «\u{ad} »"] {
        assert_eq!(SearchQuery::parse(query), Ok(None), "{query:?}");
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

/// Each row contains spellings of one text.
const EQUIVALENT_SPELLINGS: [&[&str]; 17] = [
    &[
        "doesn't",
        "doesn’t",
        "doesn‘t",
        "doesn´t",
        "doesn`t",
        "DOESN＇T",
        "doesnʼt",
    ],
    &[
        "well-known",
        "well–known",
        "well—known",
        "well--known",
        "well‑known",
        "WELL−KNOWN",
    ],
    &["σίσυφος", "ΣΊΣΥΦΟΣ", "σίσυφοσ", "Σισυφος"],
    &["straße", "strasse", "STRASSE", "STRAẞE"],
    &["ısı", "isi", "ISI", "İSİ"],
    &[
        "soft hyphen",
        "soft hy\u{ad}phen",
        "soft\u{a0}hyphen",
        "soft \u{200b} hyphen",
    ],
    &[
        "café crème",
        "cafe\u{301} cre\u{300}me",
        "CAFE  CREME",
        "ｃａｆｅ\u{3000}ｃｒｅｍｅ",
    ],
    &["عربي", "عـــربي", "عَرَبِي"],
    &["שלום", "שָׁלוֹם"],
    &["בית־ספר", "בית-ספר"],
    &["wait...", "wait…"],
    &["ﬁnd", "find", "FIND"],
    &["Søren Łódź", "soren lodz", "SOREN LODZ"],
    &["œuvre æon", "OEUVRE AEON"],
    &["ё", "е", "Ё"],
    &["❤️ it", "❤ it"],
    &["ada@müller.de", "ada@xn--mller-kva.de", "ada＠müller.de"],
];

#[test]
fn every_spelling_of_a_text_matches_all_others() {
    for spellings in EQUIVALENT_SPELLINGS {
        for query in spellings {
            let words = parse(query);
            let phrase = parse(&format!("«{query}»"));
            // The store saves emails with decoded domains.
            for text in spellings.iter().filter(|text| !text.contains("xn--")) {
                let text = format!("before {text} after");
                let stored = text_ngrams(&text);
                for search in [&words, &phrase] {
                    assert!(search.matches(&[&text]), "{query} in {text}");
                    assert!(query_ngrams(search).is_subset(&stored), "{query} in {text}");
                    assert!(!search.highlights(&text).is_empty(), "{query} in {text}");
                }
            }
        }
    }
}

#[test]
fn limits_length_and_distinct_words() {
    assert!(SearchQuery::parse(&"ä".repeat(200)).is_ok());
    let too_long = SearchQuery::parse(&"a".repeat(201));
    assert_eq!(too_long, Err(SearchError::TooLong));
    let words = |count| (0..count).map(|n| format!("w{n} ")).collect::<String>();
    assert_eq!(parse(&words(16)).words.len(), 16);
    assert_eq!(
        SearchQuery::parse(&words(17)),
        Err(SearchError::TooManyWords)
    );
    assert_eq!(parse(&"aa AA äa ".repeat(20)).words.len(), 1);
}

#[test]
fn merges_and_limits_highlights() {
    let long = "a".repeat(10_000);
    let highlights = parse("aaa").highlights(&long);
    assert_eq!((highlights.len(), &highlights[0]), (1, &(0..10_000)));
    let all: String = ('a'..='p')
        .map(|c| format!("{c} {c}{c} {c}{c}{c} "))
        .collect();
    let many = parse(&all[..all.len().min(40)]).highlights(&"a b c ".repeat(2_000));
    assert_eq!(many.len(), HIGHLIGHTS_MAX);
}

proptest::proptest! {
    #[test]
    fn matching_texts_contain_the_ngrams_of_the_query(
        text in "([a-cÄé写真ｶ가🙏 .\n’–ςΣæ\u{ad}\u{301}\u{a0}-]|ß|İ){0,20}",
        from in 0..20_usize,
        length in 1..9_usize,
        other in "[a-cÄ写 \"]{0,6}",
    ) {
        let piece: String = text.chars().skip(from).take(length).collect();
        let stored = text_ngrams(&text);
        for query in [piece.clone(), format!("\"{piece}\""), other] {
            let Ok(Some(search)) = SearchQuery::parse(&query) else { continue };
            let required = query_ngrams(&search);
            proptest::prop_assert!(!required.is_empty());
            if search.matches(&[&text]) {
                proptest::prop_assert!(required.is_subset(&stored), "{required:?} {stored:?}");
                proptest::prop_assert!(!search.highlights(&text).is_empty());
            } else if search.is_single_ngram() {
                proptest::prop_assert!(!required.is_subset(&stored));
            }
        }
    }
}

#[test]
fn every_character_equals_its_normal_forms() {
    let comparison_form = |text: &str| NormalizedText::new(text).chars;
    for c in '\0'..=char::MAX {
        let text = c.to_string();
        for form in [text.nfc().collect::<String>(), text.nfd().collect()] {
            if form != text {
                assert_eq!(comparison_form(&text), comparison_form(&form), "{c:?}");
            }
        }
    }
}
