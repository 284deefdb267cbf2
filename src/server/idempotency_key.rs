//! The `Idempotency-Key` header of a request.

use actix_web::HttpRequest;

use super::problem::Problem;

/// Maximum length of a key, in bytes.
const KEY_MAX_BYTES: usize = 255;

/// Returns the value of the `Idempotency-Key` header, or `None` if the request has no such header.
/// A valid key has 1 to 255 printable ASCII characters.
pub fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, Problem> {
    let Some(header) = request.headers().get("idempotency-key") else {
        return Ok(None);
    };
    header
        .to_str()
        .ok()
        .filter(|key| (1..=KEY_MAX_BYTES).contains(&key.len()))
        .map(|key| Some(key.to_owned()))
        .ok_or_else(|| {
            Problem::invalid_field(
                "Idempotency-Key",
                "The Idempotency-Key must have 1 to 255 printable ASCII characters.",
            )
        })
}
