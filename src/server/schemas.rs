//! OpenAPI schemas of values that several API calls accept.

use serde_json::json;
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, SchemaFormat, SchemaType, Type};

use crate::domain::email::EMAIL_MAX_BYTES;
use crate::domain::endpoint_url::URL_MAX_CHARS;
use crate::domain::feedback::{MESSAGE_MAX_CHARS, PAGE_URL_MAX_BYTES};
use crate::domain::project::NAME_MAX_CHARS;
use crate::domain::webhook::DESCRIPTION_MAX_CHARS;

pub fn message() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(
            "The text is stored unchanged. At least one character isn’t whitespace, and none is NUL.",
        ))
        .min_length(Some(1))
        .max_length(Some(MESSAGE_MAX_CHARS))
        .pattern(Some(r"^[^\x00]*[^\s\x00][^\x00]*$"))
        .examples([json!("The submit button does nothing on my phone")])
        .build()
}

pub fn email() -> Object {
    ObjectBuilder::new()
        .schema_type(nullable_type(Type::String))
        .description(Some("The email of the person who sent the feedback."))
        .max_length(Some(EMAIL_MAX_BYTES))
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::Email)))
        .examples([json!("sam@example.com")])
        .build()
}

pub fn page_url() -> Object {
    ObjectBuilder::new()
        .schema_type(nullable_type(Type::String))
        .description(Some(
            "The URL of the page that the feedback is about: http or https.",
        ))
        .max_length(Some(PAGE_URL_MAX_BYTES))
        .pattern(Some("^[Hh][Tt][Tt][Pp][Ss]?://"))
        .examples([json!("https://example.com/checkout")])
        .build()
}

pub fn project_name() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(
            "Can’t contain control characters. Whitespace at the start and end is removed.",
        ))
        .min_length(Some(1))
        .max_length(Some(NAME_MAX_CHARS))
        .pattern(Some(
            r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
        ))
        .examples([json!("My Website")])
        .build()
}

pub fn endpoint_url() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(
            "The URL that receives deliveries: https, or http to localhost.",
        ))
        .max_length(Some(URL_MAX_CHARS))
        .pattern(Some(r"^\s*[Hh][Tt][Tt][Pp][Ss]?://[^/\s]"))
        .examples([json!("https://api.example.com/webhooks/miniback")])
        .build()
}

pub fn webhook_url() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(
            "The URL that receives deliveries: https, or http to localhost. `mailto:` and one email \
             sends emails.",
        ))
        .max_length(Some(URL_MAX_CHARS))
        .pattern(Some(
            r"^\s*([Hh][Tt][Tt][Pp][Ss]?://[^/\s]|[Mm][Aa][Ii][Ll][Tt][Oo]:[^?#\s])",
        ))
        .examples([json!("https://api.example.com/webhooks/miniback")])
        .build()
}

pub fn webhook_description() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(DESCRIPTION_MAX_CHARS))
        .pattern(Some(r"^[^\x00-\x1f\x7f-\x9f]*$"))
        .examples([json!("Our chat")])
        .build()
}

pub fn secret() -> Object {
    ObjectBuilder::new()
        .schema_type(nullable_type(Type::String))
        .description(Some(
            "16 to 128 printable ASCII characters without spaces. Generated if omitted.",
        ))
        .pattern(Some("^[!-~]{16,128}$"))
        .examples([json!("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")])
        .build()
}

fn nullable_type(r#type: Type) -> SchemaType {
    SchemaType::from_iter([r#type, Type::Null])
}
