//! Rejects JSON that can't be stored exactly as it was sent.
//!
//! `serde_json` preserves the text of numbers, because its feature `arbitrary_precision` is
//! enabled. Internally, it represents numbers as objects with a reserved member name, so clients
//! can't use this name. If a member name is repeated, `serde_json` stores only the last value.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::problem::Problem;

/// The prefix of the member names that `serde_json` reserves.
const RESERVED_NAME_PREFIX: &str = "$serde_json::private";

/// Rejects JSON if an object contains the same member name twice, or if a reserved name occurs
/// anywhere, even in a string. `text` must be valid JSON.
pub(super) fn check_json_is_lossless(text: &str) -> Result<(), Problem> {
    if decode_ascii_escapes(text).contains(RESERVED_NAME_PREFIX) {
        let message =
            format!("A name or text that contains “{RESERVED_NAME_PREFIX}” can’t be stored.");
        return Err(Problem::invalid_field("", message));
    }
    let mut repeated = None;
    // This can't fail, because the text is valid JSON.
    let _ = RepeatedNameFinder(&mut repeated)
        .deserialize(&mut serde_json::Deserializer::from_str(text));
    match repeated {
        Some(name) => Err(Problem::invalid_field(
            &name,
            format!("“{name}” appears twice."),
        )),
        None => Ok(()),
    }
}

/// Replaces escapes of ASCII characters, such as `\u0024`, which could hide a reserved name.
fn decode_ascii_escapes(text: &str) -> String {
    let mut pieces = text.split("\\u00");
    let mut decoded = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let code = piece
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match code.filter(u8::is_ascii) {
            Some(code) => {
                decoded.push(char::from(code));
                decoded.push_str(&piece[2..]);
            }
            None => decoded.push_str(piece),
        }
    }
    decoded
}

/// Visits all values and records the first repeated name of an object.
struct RepeatedNameFinder<'a>(&'a mut Option<String>);

impl<'de> DeserializeSeed<'de> for RepeatedNameFinder<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RepeatedNameFinder<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<(), A::Error> {
        while values
            .next_element_seed(RepeatedNameFinder(self.0))?
            .is_some()
        {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut names = HashSet::new();
        while let Some(name) = members.next_key::<String>()? {
            members.next_value_seed(RepeatedNameFinder(self.0))?;
            if let Some(repeated) = names.replace(name) {
                self.0.get_or_insert(repeated);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_repeated_and_internal_names() {
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":[{"b":{},"c":1e400,"b":2}]}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"$serde_json::private::Number":"1"}}"#,
            r#"{"a":{"\u0024serde_json::private::Number":"1"}}"#,
        ] {
            assert!(check_json_is_lossless(bad).is_err(), "{bad}");
        }
        for good in [
            r#"{"a":{"a":1},"b":[{"a":-1.50},{"a":null}]}"#,
            "{}",
            r#"{"a":"\\u0061"}"#,
        ] {
            assert!(check_json_is_lossless(good).is_ok(), "{good}");
        }
    }
}
