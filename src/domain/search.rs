//! A search in feedback: words that all have to be found, in the message, the e-mail address or the page's address.
//!
//! Letters are compared without their case, accents and width. A word of three characters or more is found anywhere, a
//! shorter one where a word begins; in scripts without spaces anywhere. `"Words in quotes"` stand beside each other.
//! The store looks texts up by their [`grams`], pieces of one to three characters: a text that holds the words has all
//! of the words' grams, so what has them is looked at whole.

use std::collections::BTreeSet;
use std::ops::Range;

use unicode_normalization::UnicodeNormalization;

/// How many characters make a gram; a shorter word is one by itself.
const GRAM: usize = 3;
/// By so many grams texts are looked up; more of them would hardly leave out more.
const GRAMS_MAX: usize = 24;

/// One to three characters of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ngram {
    letters: [char; GRAM],
    length: usize,
}

/// What is searched for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SearchQuery {
    text: String,
    words: Vec<Vec<char>>,
}

/// A text as it is compared: each character with the bytes of the text that it stands for.
#[derive(Default)]
struct NormalizedText {
    letters: Vec<char>,
    places: Vec<Range<usize>>,
}

impl SearchQuery {
    /// `None` where there is nothing to search for.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = Vec::new();
        // Every second piece stands in quotes; the last quote may be missing.
        for (index, piece) in text.split(['"', '“', '”', '„']).enumerate() {
            if index % 2 == 1 {
                words.push(piece);
            } else {
                words.extend(piece.split_whitespace());
            }
        }
        let words: Vec<Vec<char>> = words
            .into_iter()
            .map(|word| NormalizedText::of(word.trim()).letters)
            .filter(|letters| !letters.is_empty())
            .collect();
        (!words.is_empty()).then(|| Self {
            text: text.to_owned(),
            words,
        })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The grams that a text must have to hold all words; some, where they are many.
    pub fn ngrams(&self) -> BTreeSet<Ngram> {
        let mut grams = BTreeSet::new();
        for word in &self.words {
            for (index, part) in word.split(|letter| *letter == ' ').enumerate() {
                let grams_of_part: Box<dyn Iterator<Item = &[char]>> = match part.len() {
                    0 => continue,
                    // The end of a longer word, perhaps, which is no gram of its own.
                    1..GRAM if index == 0 && part.len() < word.len() => continue,
                    1..GRAM => Box::new(std::iter::once(part)),
                    _ => Box::new(part.windows(GRAM)),
                };
                grams.extend(grams_of_part.map(Ngram::of));
            }
        }
        while grams.len() > GRAMS_MAX {
            grams.pop_last();
        }
        grams
    }

    /// Whether having the gram is the same as holding the word.
    pub fn is_single_ngram(&self) -> bool {
        matches!(&self.words[..], [word] if word.len() <= GRAM && !word.contains(&' '))
    }

    /// Whether each word stands in one of the texts.
    pub fn matches(&self, texts: &[&str]) -> bool {
        let texts: Vec<NormalizedText> =
            texts.iter().map(|text| NormalizedText::of(text)).collect();
        self.words.iter().all(|word| {
            texts
                .iter()
                .any(|text| text.positions(word).next().is_some())
        })
    }

    /// Where the words stand in a text, in its bytes, from its beginning on and apart from each other.
    pub fn highlights(&self, text: &str) -> Vec<Range<usize>> {
        let folded = NormalizedText::of(text);
        let mut found: Vec<Range<usize>> = Vec::new();
        for word in &self.words {
            found.extend(
                folded
                    .positions(word)
                    .map(|at| folded.places[at].start..folded.places[at + word.len() - 1].end),
            );
        }
        found.sort_by_key(|range| (range.start, range.end));
        let mut marks: Vec<Range<usize>> = Vec::new();
        for range in found {
            match marks.last_mut() {
                Some(last) if range.start < last.end => last.end = last.end.max(range.end),
                _ => marks.push(range),
            }
        }
        marks
    }
}

impl Ngram {
    fn of(letters: &[char]) -> Self {
        let mut gram = Self {
            letters: ['\0'; GRAM],
            length: letters.len(),
        };
        gram.letters[..letters.len()].copy_from_slice(letters);
        gram
    }

    pub fn chars(&self) -> &[char] {
        &self.letters[..self.length]
    }
}

/// All grams of some texts, each once, sorted.
pub fn ngrams<'a>(texts: impl IntoIterator<Item = &'a str>) -> Vec<Ngram> {
    let mut grams = Vec::new();
    for text in texts {
        let text = NormalizedText::of(text);
        for at in 0..text.letters.len() {
            let rest = &text.letters[at..];
            let word = rest.iter().take(GRAM).take_while(|letter| **letter != ' ');
            let length = word.count();
            let shortest = if text.begins_word(at) { 1 } else { GRAM };
            grams.extend((shortest..=length).map(|length| Ngram::of(&rest[..length])));
        }
    }
    grams.sort_unstable();
    grams.dedup();
    grams
}

impl NormalizedText {
    fn of(text: &str) -> Self {
        let mut folded = Self::default();
        for (at, letter) in text.char_indices() {
            let place = at..at + letter.len_utf8();
            if letter.is_ascii_graphic() {
                folded.push(letter.to_ascii_lowercase(), place);
            } else if letter.is_whitespace() {
                // However much white space there is, it parts words once.
                match folded.letters.last() {
                    Some(' ') => folded.stretch(place.end),
                    _ => folded.push(' ', place),
                }
            } else {
                for part in std::iter::once(letter).nfkd().flat_map(char::to_lowercase) {
                    match part {
                        // An accent belongs to the letter before it.
                        '\u{300}'..='\u{36f}' => folded.stretch(place.end),
                        part if part.is_whitespace() => folded.push(' ', place.clone()),
                        part => folded.push(part, place.clone()),
                    }
                }
            }
        }
        folded
    }

    fn push(&mut self, letter: char, place: Range<usize>) {
        self.letters.push(letter);
        self.places.push(place);
    }

    fn stretch(&mut self, end: usize) {
        if let Some(last) = self.places.last_mut() {
            last.end = end;
        }
    }

    /// Whether a word shorter than a gram can be found here.
    fn begins_word(&self, at: usize) -> bool {
        let here = self.letters[at];
        let before = at.checked_sub(1).map(|before| self.letters[before]);
        here != ' '
            && (!here.is_alphanumeric()
                || is_unspaced(here)
                || before.is_none_or(|before| !before.is_alphanumeric() || is_unspaced(before)))
    }

    fn positions(&self, word: &[char]) -> impl Iterator<Item = usize> {
        let anywhere = word.len() >= GRAM;
        self.letters
            .windows(word.len())
            .enumerate()
            .filter(move |(at, letters)| *letters == word && (anywhere || self.begins_word(*at)))
            .map(|(at, _)| at)
    }
}

/// Of a script that writes words without spaces between them (Thai, Lao, Burmese, Khmer, Chinese, Japanese), or, as
/// Korean, of syllables that are words by themselves.
fn is_unspaced(letter: char) -> bool {
    matches!(letter, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}' | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{9fff}' | '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finds(searched: &str, text: &str) -> bool {
        SearchQuery::parse(searched).unwrap().matches(&[text])
    }

    fn marked(searched: &str, text: &str) -> String {
        let mut marked = String::new();
        let mut from = 0;
        for mark in SearchQuery::parse(searched).unwrap().highlights(text) {
            marked += &format!("{}[{}]", &text[from..mark.start], &text[mark.clone()]);
            from = mark.end;
        }
        marked + &text[from..]
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
    fn words_are_found_as_people_write_them() {
        for (searched, text) in [
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
            assert!(finds(searched, TEXTS[text]), "{searched}");
        }
        for (searched, text) in [
            ("buttons", 0),
            ("ut", 0),
            ("\"submit is\"", 0),
            ("真写", 2),
            ("submit absent", 0),
            ("%_", 0),
        ] {
            assert!(!finds(searched, TEXTS[text]), "{searched}");
        }
    }

    #[test]
    fn words_may_stand_in_different_texts() {
        let search = SearchQuery::parse("button sam@").unwrap();
        assert!(search.matches(&["The button", "sam@example.com"]));
        assert!(!search.matches(&["The button", "kim@example.com"]));
    }

    #[test]
    fn there_is_nothing_to_search_for_in_nothing() {
        for nothing in ["", " \n", "\"", "\"\"", " \" \" "] {
            assert_eq!(SearchQuery::parse(nothing), None, "{nothing:?}");
        }
    }

    #[test]
    fn what_was_found_is_marked_whole() {
        assert_eq!(marked("button", "Button, button"), "[Button], [button]");
        assert_eq!(
            marked("grun", "Grün und gru\u{308}n"),
            "[Grün] und [gru\u{308}n]"
        );
        assert_eq!(marked("utt tton", "button"), "b[utton]");
        assert_eq!(marked("\"a b\"", "a \n b"), "[a \n b]");
        assert_eq!(marked("写真", "この写真"), "この[写真]");
        assert_eq!(marked("else", "nothing"), "nothing");
    }

    proptest::proptest! {
        #[test]
        fn what_holds_the_words_has_their_grams(
            text in "([a-cÄé写真ｶ가🙏 .\n]|ß|İ){0,20}",
            from in 0..20_usize,
            length in 1..9_usize,
            other in "[a-cÄ写 \"]{0,6}",
        ) {
            let piece: String = text.chars().skip(from).take(length).collect();
            let stored = BTreeSet::from_iter(ngrams([text.as_str()]));
            for searched in [piece.clone(), format!("\"{piece}\""), other] {
                let Some(search) = SearchQuery::parse(&searched) else { continue };
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
