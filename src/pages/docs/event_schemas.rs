//! `/docs/schemas/{event}.json`: the JSON Schemas of events, which are public.

use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use crate::formats::event_schemas;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::page_error::PageError;

/// Returns the path of an event's schema.
pub(in crate::pages) fn schema_path(event: &str) -> String {
    format!("/docs/schemas/{event}.json")
}

pub(in crate::pages) async fn get(
    context: RequestContext,
    event: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let mut schemas = event_schemas().iter();
    let found = schemas.find(|schema| schema.event == event.as_str());
    let found = found.ok_or(PageError::NotFound)?;
    let mut document = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": context.absolute_url(&schema_path(found.event)),
    });
    if let (Value::Object(document), Value::Object(schema)) = (&mut document, &found.schema) {
        document.extend(schema.clone());
    }
    let text = serde_json::to_string_pretty(&document).unwrap_or_default();
    Ok(HttpResponse::Ok()
        .content_type("application/schema+json")
        .body(text))
}
