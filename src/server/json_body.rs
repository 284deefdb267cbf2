//! Reads JSON request bodies: checks the size, content type, and syntax, and reports errors by
//! field.

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_ENCODING;
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokio::time::timeout;

use super::BODY_TIMEOUT;
use super::content_type::ContentType;
use super::lossless_json;
use super::problem::{JSON_BODY_MAX_BYTES, Problem};
use crate::domain::text::strip_byte_order_mark;
use crate::domain::validation::ValidationErrors;

/// Maximum number of bytes to read from an oversized body. A client that is still sending might not
/// read the response.
const DRAIN_MAX_BYTES: usize = 4 * 1024 * 1024;

/// The deepest nesting of arrays and objects that `serde_json` parses.
const NESTING_MAX: usize = 127;

/// A request body that is a JSON object, deserialized as `T`.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let object = read_object(BodyType::from_headers(request), false, payload.take());
        Box::pin(async { Ok(Self(object.await?)) })
    }
}

/// A request body that is a JSON object or empty. An empty body is deserialized as `{}`.
pub struct OptionalJson<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for OptionalJson<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let object = read_object(BodyType::from_headers(request), true, payload.take());
        Box::pin(async { Ok(Self(object.await?)) })
    }
}

/// The body of a call without parameters: empty or `{}`.
pub struct NoBody;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EmptyObject {}

impl FromRequest for NoBody {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = OptionalJson::<EmptyObject>::from_request(request, payload);
        Box::pin(async { body.await.map(|_| Self) })
    }
}

/// The kind of body that the headers declare.
enum BodyType {
    Json,
    /// The body has a `Content-Encoding`, such as `gzip`.
    Encoded,
    /// JSON with a `charset` other than UTF-8.
    OtherCharset,
    Other,
}

impl BodyType {
    fn from_headers(request: &HttpRequest) -> Self {
        let content_type = ContentType::from_headers(request.headers());
        match content_type.is_media_type("application/json") {
            _ if has_content_encoding(request) => Self::Encoded,
            true if content_type.is_utf8() => Self::Json,
            true => Self::OtherCharset,
            false => Self::Other,
        }
    }
}

/// Reads and deserializes a JSON object. Checks the size first, then the headers, then the content.
async fn read_object<T: DeserializeOwned>(
    body_type: BodyType,
    optional: bool,
    payload: Payload,
) -> Result<T, Problem> {
    let bytes = read_body_with_timeout(payload).await?;
    match (bytes.as_slice(), body_type) {
        (b"", _) if optional => parse_object(b"{}"),
        (_, BodyType::Encoded) => Err(Problem::UnsupportedEncoding),
        (_, BodyType::OtherCharset) => Err(Problem::UnsupportedCharset),
        (_, BodyType::Other) => Err(Problem::UnsupportedMediaType),
        (bytes, BodyType::Json) => parse_object(bytes),
    }
}

async fn read_body_with_timeout(payload: Payload) -> Result<Vec<u8>, Problem> {
    timeout(BODY_TIMEOUT, read_body(payload))
        .await
        .map_err(|_| Problem::TooSlow)?
}

async fn read_body(mut payload: Payload) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let mut size = 0;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| Problem::Malformed("The body is incomplete.".into()))?;
        size += chunk.len();
        if size <= JSON_BODY_MAX_BYTES {
            bytes.extend_from_slice(&chunk);
        } else if size > DRAIN_MAX_BYTES {
            break;
        }
    }
    if size > JSON_BODY_MAX_BYTES {
        Err(Problem::TooLarge)
    } else {
        Ok(bytes)
    }
}

/// Returns whether the request has a `Content-Encoding` other than `identity`.
pub fn has_content_encoding(request: &HttpRequest) -> bool {
    let values = request.headers().get_all(CONTENT_ENCODING);
    let mut codings = values.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    codings.any(|coding| {
        let coding = coding.trim_ascii();
        !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity")
    })
}

fn parse_object<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Problem::Malformed("The body is not valid UTF-8.".into()))?;
    // Some editors and programs write a byte order mark at the start of a file.
    let text = strip_byte_order_mark(text);
    let value: Value = serde_json::from_str(text).map_err(|error| syntax_problem(&error))?;
    if !value.is_object() {
        return Err(Problem::invalid_field(
            "",
            "The body must be a JSON object.",
        ));
    }
    lossless_json::check_json_is_lossless(text)?;
    // `value` is needed only for the checks above. The result is deserialized from the text.
    let mut members = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut members).map_err(|error| {
        let path = error.path().to_string();
        Problem::Invalid(field_error(
            if path == "." { "" } else { &path },
            &error.into_inner().to_string(),
        ))
    })
}

/// Returns the problem for malformed JSON, for unpaired surrogates, and for nesting that is too
/// deep. Columns are counted in bytes.
fn syntax_problem(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    if text.starts_with("recursion limit") {
        let message = format!("The body is nested too deeply: maximum {NESTING_MAX} levels.");
        return Problem::invalid_field("", message);
    }
    let position = format!("line {}, column {}", error.line(), error.column());
    let is_surrogate = text.contains("surrogate") || text.contains("hex escape");
    Problem::Malformed(if error.is_eof() {
        format!("The body is not valid JSON: it ends early, at {position}.")
    } else if is_surrogate {
        format!("The body contains half of a surrogate pair, such as \\ud800, at {position}.")
    } else {
        format!("The body is not valid JSON: there is an error at {position}.")
    })
}

/// Converts serde's error message to a validation error for the affected field.
fn field_error(path: &str, text: &str) -> ValidationErrors {
    // Drop the line and column. The path of the field replaces them.
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    let quoted = text.split('`').nth(1).unwrap_or_default();
    let path_to = |name: &str| match path {
        "" => name.to_owned(),
        path if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        path => format!("{path}.{name}"),
    };
    if text.starts_with("missing field") {
        return ValidationErrors::for_field(&path_to(quoted), format!("“{quoted}” is missing."));
    }
    if text.starts_with("duplicate field") {
        return ValidationErrors::for_field(&path_to(quoted), format!("“{quoted}” appears twice."));
    }
    if text.starts_with("unknown field") {
        let expected = text
            .split_once(", ")
            .map_or("", |(_, rest)| rest)
            .replace('`', "");
        return ValidationErrors::for_field(
            &path_to(quoted),
            format!("Unknown member “{quoted}”; {expected}."),
        );
    }
    if text.starts_with("unknown variant") {
        return ValidationErrors::for_field(path, unknown_variant_message(text));
    }
    // serde_json returns this message if the value for an enum is neither a string nor an object.
    if text == "expected value" {
        return ValidationErrors::for_field(
            path,
            "Expected a string. The API reference lists the valid values.",
        );
    }
    let text = redact_value(&text.replace('`', ""));
    if let Some((found, expected)) = text
        .strip_prefix("invalid type: ")
        .or_else(|| text.strip_prefix("invalid value: "))
        .and_then(|text| text.split_once(", expected "))
    {
        let in_json = |text: &str| {
            let text = text
                .replace("a sequence", "an array")
                .replace("a map", "an object");
            text.replace("sequence", "array").replace("map", "object")
        };
        let text = format!("Expected {}, not {}.", in_json(expected), in_json(found));
        return ValidationErrors::for_field(path, text);
    }
    let mut characters = text.chars();
    let sentence = characters.next().map_or_else(String::new, |c| {
        c.to_uppercase().chain(characters).collect()
    });
    ValidationErrors::for_field(path, format!("{sentence}."))
}

/// Returns a message that lists the valid values. The message omits the submitted string, because
/// it may be a secret in the wrong member.
fn unknown_variant_message(text: &str) -> String {
    let valid = text
        .rsplit_once("expected ")
        .map_or("", |(_, valid)| valid.trim_start_matches("one of "));
    let valid: Vec<_> = valid
        .split(['`', ','])
        .map(str::trim)
        .filter(|name| !name.is_empty() && *name != "or")
        .map(|name| format!("“{name}”"))
        .collect();
    match valid.split_last() {
        Some((last, [])) => format!("Use {last}."),
        Some((last, [first])) => format!("Use {first} or {last}."),
        Some((last, others)) => format!("Use {}, or {last}.", others.join(", ")),
        None => "This isn’t a valid value.".to_owned(),
    }
}

/// Removes the submitted string from an error message. The string may be a secret in the wrong
/// member, and clients may log responses.
fn redact_value(text: &str) -> String {
    match (text.find("string \""), text.rfind("\", expected")) {
        (Some(from), Some(to)) if from + 8 <= to => {
            format!("{}{}", &text[..from + 6], &text[to + 1..])
        }
        _ => text.to_owned(),
    }
}

/// Deserializes a member that can be omitted, but can't be null.
pub fn deserialize_non_null<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn json_type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Deserializes an integer in the range of `u32`, or null. In JSON, `24.0` and `24` are the same
/// number, so both are accepted.
pub fn deserialize_integer<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    let number = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::Number(number) => number,
        other => {
            return Err(D::Error::custom(format!(
                "Expected a number, not {}",
                json_type_name(&other)
            )));
        }
    };
    let value = number.as_f64().unwrap_or(f64::NAN);
    if value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value) {
        // The conversion is lossless, because the value is an integer in the range of `u32`.
        Ok(Some(value as u32))
    } else {
        Err(D::Error::custom(format!(
            "{number} isn’t a whole number in the allowed range"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only parsing is tested")]
        name: String,
        #[serde(default, deserialize_with = "deserialize_non_null")]
        #[expect(dead_code, reason = "only parsing is tested")]
        topics: Option<Vec<crate::domain::webhook::Topic>>,
    }

    fn error_for(json: &str) -> String {
        match parse_object::<Sample>(json.as_bytes()) {
            Err(Problem::Invalid(invalid)) => {
                format!("{}: {}", invalid.0[0].field, invalid.0[0].message)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn reports_each_error_at_its_field() {
        assert_eq!(error_for("{}"), "name: “name” is missing.");
        assert_eq!(
            error_for(r#"{"name":"a","nope":1}"#),
            "nope: Unknown member “nope”; expected name or topics."
        );
        assert_eq!(
            error_for(r#"{"name":5}"#),
            "name: Expected a string, not integer 5."
        );
        assert_eq!(
            error_for(r#"{"name":"a","topics":"\", expected"}"#),
            "topics: Expected an array, not string."
        );
        assert_eq!(
            error_for(r#"{"name":"a","topics":["x`, expected one of `y`"]}"#),
            "topics[0]: Use “feedback.created” or “feedback.updated”."
        );
        assert_eq!(
            error_for(r#"{"name":"a","topics":[0]}"#),
            "topics[0]: Expected a string. The API reference lists the valid values."
        );
        assert!(error_for(r#"{"name":"a","topics":null}"#).ends_with(", not null."));
        assert_eq!(error_for("[]"), ": The body must be a JSON object.");
        assert!(matches!(
            parse_object::<Sample>(b"{"),
            Err(Problem::Malformed(_))
        ));
        assert!(matches!(
            parse_object::<Sample>(b"{\"name\":\"\xff\"}"),
            Err(Problem::Malformed(_))
        ));
    }
}
