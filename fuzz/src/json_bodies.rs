//! A fuzz target for JSON request bodies and the validation of feedback.

use actix_web::FromRequest;
use actix_web::test::TestRequest;
use miniback::domain::feedback::{
    MESSAGE_MAX_CHARS, METADATA_MAX_BYTES, NewFeedback, PAGE_URL_MAX_BYTES, RawFeedback,
};
use miniback::server::json_body::{Json, deserialize_integer, deserialize_non_null};
use miniback::server::problem::Problem;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::support::block_on;

/// A request body with the members of new feedback. `topics` and `hours` are added to test their
/// parsers.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Submission {
    project: String,
    message: String,
    email: Option<String>,
    url: Option<String>,
    metadata: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "deserialize_non_null")]
    #[expect(dead_code, reason = "only parsing is tested")]
    topics: Option<Vec<String>>,
    #[serde(default, deserialize_with = "deserialize_integer")]
    #[expect(dead_code, reason = "only parsing is tested")]
    hours: Option<u32>,
}

/// Fuzzes the JSON parser and the validation of feedback. Input: a JSON body.
pub fn json_body(data: &[u8]) -> bool {
    let object = read::<Map<String, Value>>(data);
    if let Ok(object) = &object {
        let json = serde_json::to_string(object).expect("an object is valid JSON");
        let again = read::<Map<String, Value>>(json.as_bytes());
        assert_eq!(again.as_ref().ok(), Some(object));
        let text = std::str::from_utf8(data).expect("JSON is UTF-8");
        assert_eq!(numbers(text), numbers(&json), "numbers keep their digits");
    }
    match read::<Submission>(data) {
        Ok(submission) => {
            assert!(object.is_ok());
            check_submission(submission)
        }
        Err(Problem::Invalid(errors)) => {
            for error in errors.0 {
                assert!(error.message.ends_with('.'), "{}", error.message);
            }
            false
        }
        Err(_) => {
            assert!(object.is_err());
            false
        }
    }
}

fn read<T: DeserializeOwned + 'static>(body: &[u8]) -> Result<T, Problem> {
    let request = TestRequest::post()
        .insert_header(("content-type", "application/json"))
        .set_payload(body.to_vec());
    let (request, mut payload) = request.to_http_parts();
    block_on(Json::<T>::from_request(&request, &mut payload)).map(|Json(value)| value)
}

/// Returns the numbers in `json`, as text. `1E5` and `1e5` become `1e+5`, as `serde_json` writes
/// them.
fn numbers(json: &str) -> Vec<String> {
    let (mut numbers, mut number) = (Vec::new(), String::new());
    let (mut is_string, mut is_escaped) = (false, false);
    for c in json.chars() {
        let is_number = !is_string
            && (c.is_ascii_digit()
                || matches!(c, '-' | '+' | '.')
                || (matches!(c, 'e' | 'E') && !number.is_empty()));
        if is_number {
            number.push(c);
        } else if !number.is_empty() {
            let written = std::mem::take(&mut number).replace('E', "e");
            let has_sign = written.contains("e+") || written.contains("e-");
            numbers.push(if has_sign {
                written
            } else {
                written.replace('e', "e+")
            });
        }
        match c {
            '"' if !is_escaped => is_string = !is_string,
            _ => {}
        }
        is_escaped = is_string && c == '\\' && !is_escaped;
    }
    numbers
}

fn check_submission(submission: Submission) -> bool {
    let Submission {
        project,
        message,
        email,
        url,
        metadata,
        ..
    } = submission;
    let (sent_message, sent_url, sent_metadata) = (message.clone(), url.clone(), metadata.clone());
    let raw = RawFeedback {
        project,
        message,
        email,
        url,
        metadata,
    };
    let feedback = match NewFeedback::validate(raw, "metadata") {
        Ok(feedback) => feedback,
        Err(errors) => {
            assert!(!errors.0.is_empty());
            return false;
        }
    };
    assert_eq!(feedback.message, sent_message);
    assert_eq!(feedback.url, sent_url);
    assert_eq!(feedback.metadata, sent_metadata);
    assert!((1..=MESSAGE_MAX_CHARS).contains(&feedback.message.chars().count()));
    assert!(!feedback.message.contains('\0'));
    if let Some(url) = &feedback.url {
        assert!(url.len() <= PAGE_URL_MAX_BYTES && !url.contains(char::is_control));
    }
    let metadata = feedback
        .metadata
        .map(|metadata| Value::Object(metadata).to_string());
    assert!(metadata.is_none_or(|json| json.len() <= METADATA_MAX_BYTES));
    true
}
