//! Reading a JSON body: its size, its type, its syntax, and then each member with the field that is wrong.

use actix_web::dev::Payload;
use actix_web::http::header::CONTENT_TYPE;
use actix_web::{FromRequest, HttpRequest};
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokio::time::timeout;

use super::problem::Problem;
use crate::domain::validation::ValidationErrors;
use crate::server::BODY_TIMEOUT;

/// The largest body that a call takes.
pub(super) const BODY_MAX_BYTES: usize = 64 * 1024;
/// How much of a larger one is read and thrown away, so that its sender gets to read the answer.
const DRAIN_MAX_BYTES: usize = 4 * 1024 * 1024;

/// A JSON object as the body of a call.
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let object = object(is_json(request), false, payload.take());
        Box::pin(async { Ok(Self(object.await?)) })
    }
}

/// A body that may be left out: that is as good as `{}`.
pub(super) struct OptionalJson<T>(pub(super) T);

impl<T: DeserializeOwned + 'static> FromRequest for OptionalJson<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let object = object(is_json(request), true, payload.take());
        Box::pin(async { Ok(Self(object.await?)) })
    }
}

/// Its size is looked at first, then its type, then what is in it.
async fn object<T: DeserializeOwned>(
    is_json: bool,
    optional: bool,
    payload: Payload,
) -> Result<T, Problem> {
    let bytes = read(payload).await?;
    match bytes.as_slice() {
        b"" if optional => parse(b"{}"),
        _ if !is_json => Err(Problem::UnsupportedMediaType),
        bytes => parse(bytes),
    }
}

async fn read(payload: Payload) -> Result<Vec<u8>, Problem> {
    timeout(BODY_TIMEOUT, read_all(payload))
        .await
        .map_err(|_| Problem::TooSlow)?
}

async fn read_all(mut payload: Payload) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let mut size = 0;
    while let Some(chunk) = payload.next().await {
        let chunk = chunk
            .map_err(|_| Problem::Malformed("The body ended before it was complete.".into()))?;
        size += chunk.len();
        if size <= BODY_MAX_BYTES {
            bytes.extend_from_slice(&chunk);
        } else if size > DRAIN_MAX_BYTES {
            break;
        }
    }
    if size > BODY_MAX_BYTES {
        Err(Problem::TooLarge)
    } else {
        Ok(bytes)
    }
}

fn is_json(request: &HttpRequest) -> bool {
    let value = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    value
        .split(';')
        .next()
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let text = std::str::from_utf8(bytes)
        .map_err(|_| Problem::Malformed("The body is not valid UTF-8.".into()))?;
    let value: Value = serde_json::from_str(text)
        .map_err(|error| Problem::Malformed(format!("The body is not valid JSON: {error}.")))?;
    if !value.is_object() {
        return Err(Problem::field("", "The body must be a JSON object."));
    }
    // Read once more from the text: in a `Value`, a member that is there twice is there once.
    let mut members = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut members).map_err(|error| {
        let path = error.path().to_string();
        Problem::Invalid(explain(
            if path == "." { "" } else { &path },
            &error.into_inner().to_string(),
        ))
    })
}

/// serde's words about a value, as a sentence at its field.
fn explain(path: &str, text: &str) -> ValidationErrors {
    // Where it stands in the text is told by the field.
    let text = text.rsplit_once(" at line ").map_or(text, |(text, _)| text);
    let quoted = text.split('`').nth(1).unwrap_or_default();
    let beneath = |name: &str| match path {
        "" => name.to_owned(),
        path if path == name || path.ends_with(&format!(".{name}")) => path.to_owned(),
        path => format!("{path}.{name}"),
    };
    if text.starts_with("missing field") {
        return ValidationErrors::single(&beneath(quoted), format!("“{quoted}” is missing."));
    }
    if text.starts_with("duplicate field") {
        return ValidationErrors::single(&beneath(quoted), format!("“{quoted}” is there twice."));
    }
    if text.starts_with("unknown field") {
        let expected = text
            .split_once(", ")
            .map_or("", |(_, rest)| rest)
            .replace('`', "");
        return ValidationErrors::single(
            &beneath(quoted),
            format!("There is no member “{quoted}”; {expected}."),
        );
    }
    // What serde_json says of a number where a name is expected.
    if text == "expected value" {
        return ValidationErrors::single(
            path,
            "Expected a string: one of the names that stand here.",
        );
    }
    let text = without_value(&text.replace('`', ""));
    let mut characters = text.chars();
    let sentence = characters.next().map_or_else(String::new, |c| {
        c.to_uppercase().chain(characters).collect()
    });
    ValidationErrors::single(path, format!("{sentence}."))
}

/// The words without the text that was sent: it may be a secret at the wrong member, and whoever keeps the answer would
/// keep it too.
fn without_value(text: &str) -> String {
    match (text.find("string \""), text.rfind("\", expected")) {
        (Some(from), Some(to)) if from + 8 <= to => {
            format!("{}{}", &text[..from + 6], &text[to + 1..])
        }
        _ => text.to_owned(),
    }
}

/// For a member that may be left out but not be null: `PATCH` changes what is named.
pub(super) fn named<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A number without a fraction, or null. In JSON, `24.0` is one as well as `24`.
pub(super) fn whole_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u32>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let value = number.as_f64().unwrap_or(f64::NAN);
    if value.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&value) {
        // Within the bounds, and whole: nothing is cut off.
        Ok(Some(value as u32))
    } else {
        Err(D::Error::custom(format!(
            "{number} is not a whole number of this range"
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[expect(dead_code, reason = "only its parsing is looked at")]
        name: String,
        #[serde(default, deserialize_with = "named")]
        #[expect(dead_code, reason = "only its parsing is looked at")]
        topics: Option<Vec<crate::domain::webhook::Topic>>,
    }

    fn field_of(json: &str) -> String {
        match parse::<Sample>(json.as_bytes()) {
            Err(Problem::Invalid(invalid)) => {
                format!("{}: {}", invalid.0[0].field, invalid.0[0].message)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_wrong_is_told_at_its_field() {
        assert_eq!(field_of("{}"), "name: “name” is missing.");
        assert_eq!(
            field_of(r#"{"name":"a","nope":1}"#),
            "nope: There is no member “nope”; expected name or topics."
        );
        assert_eq!(
            field_of(r#"{"name":5}"#),
            "name: Invalid type: integer 5, expected a string."
        );
        assert_eq!(
            field_of(r#"{"name":"a","topics":"\", expected"}"#),
            "topics: Invalid type: string, expected a sequence."
        );
        assert!(
            field_of(r#"{"name":"a","topics":["x"]}"#)
                .starts_with("topics[0]: Unknown variant x, expected")
        );
        assert_eq!(
            field_of(r#"{"name":"a","topics":[0]}"#),
            "topics[0]: Expected a string: one of the names that stand here."
        );
        assert!(
            field_of(r#"{"name":"a","topics":null}"#).starts_with("topics: Invalid type: null")
        );
        assert_eq!(field_of("[]"), ": The body must be a JSON object.");
        assert!(matches!(parse::<Sample>(b"{"), Err(Problem::Malformed(_))));
        assert!(matches!(
            parse::<Sample>(b"{\"name\":\"\xff\"}"),
            Err(Problem::Malformed(_))
        ));
    }
}
