//! The words of the feedback that is sent and stored: the same for the same index, and different enough to be searched.

use std::fmt::Write;

/// Its length makes an event's body about 450 bytes long.
const LEN: usize = 173;

/// Stands in one message of all, see [`message`].
pub const RARE_WORD: &str = "quetzal";
/// Stands in many.
pub const COMMON_WORD: &str = "button";
/// Stands in none.
pub const ABSENT_WORD: &str = "zeppelin";
/// Where the rare word stands.
const RARE_INDEX: usize = 1234;

const WORDS: [&str; 32] = [
    "the", "page", "does", "not", "load", "on", "my", "phone", "button", "nothing", "happens",
    "when", "I", "press", "send", "search", "finds", "old", "orders", "invoice", "is", "missing",
    "a", "line", "please", "add", "dark", "mode", "for", "night", "shift", "thanks",
];

/// A message in ASCII without anything that JSON or HTML would have to escape.
pub fn message(index: usize) -> String {
    let mut text = String::with_capacity(LEN + 16);
    // Writing to a string does not fail.
    let _ = write!(text, "No. {index}:");
    if index == RARE_INDEX {
        let _ = write!(text, " {RARE_WORD}");
    }
    let mut state = index as u64;
    while text.len() < LEN {
        // SplitMix64: neighbours in the index get unlike words.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        text.push(' ');
        text.push_str(WORDS[(mixed >> 59) as usize]);
    }
    text.truncate(LEN);
    text.truncate(text.trim_end().len());
    text
}
