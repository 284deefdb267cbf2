//! Describes the requests that endpoints receive, as the `webhooks` of the OpenAPI document.

use serde_json::{Map, Value, json};

use crate::formats::{EventSchema, event_schemas};

/// The events that only `--alert-url` receives start with this prefix.
const ALERT_PREFIX: &str = "webhook.";

/// Returns the description of each event, by the type of the event.
pub(super) fn describe_webhooks() -> Map<String, Value> {
    event_schemas()
        .iter()
        .map(|schema| (schema.event.to_owned(), describe_event(schema)))
        .collect()
}

fn describe_event(schema: &EventSchema) -> Value {
    let EventSchema {
        event, description, ..
    } = schema;
    json!({"post": {
        "operationId": operation_id(event),
        "summary": event,
        "description": description,
        "parameters": header_parameters(event),
        "requestBody": {
            "required": true,
            "content": {"application/json": {"schema": schema.schema}},
        },
        "responses": {
            "2XX": {"description": "The event was received. The body of the response is ignored."},
            "default": {
                "description": "The event wasn’t received. Miniback retries the delivery, except a \
                    test. With 429 or 503, `Retry-After` can delay the retry.",
            },
        },
        "security": [],
    }})
}

/// Returns the operation id of an event, such as `receiveFeedbackCreated`.
fn operation_id(event: &str) -> String {
    let words = event.split('.').map(|word| {
        let (first, rest) = word.split_at(1);
        format!("{}{rest}", first.to_uppercase())
    });
    format!("receive{}", words.collect::<String>())
}

/// Returns the headers of an event's request. `Content-Type` isn't one of them, because OpenAPI
/// describes it with the body.
fn header_parameters(event: &str) -> Vec<Value> {
    let is_alert = event.starts_with(ALERT_PREFIX);
    let id = match is_alert {
        true => "^alr_[0-7][0-9A-HJKMNP-TV-Z]{25}$",
        false => "^dlv_[0-7][0-9A-HJKMNP-TV-Z]{25}$",
    };
    let text = |pattern: &str| json!({"type": "string", "pattern": pattern});
    let header = |name: &str, required: bool, schema: Value, description: &str| {
        json!({
            "name": name,
            "in": "header",
            "required": required,
            "description": description,
            "schema": schema,
        })
    };
    let mut headers = vec![
        header(
            "User-Agent",
            true,
            json!({"const": "Miniback-Webhook/1.0"}),
            "The sender.",
        ),
        header(
            "Content-Length",
            true,
            text("^[1-9][0-9]*$"),
            "The length of the body, which is never chunked.",
        ),
        header(
            "X-Miniback-Event",
            true,
            json!({"const": event}),
            "The type of the event.",
        ),
        header(
            "X-Miniback-Delivery",
            true,
            text(id),
            "Identifies the delivery. The same on every attempt.",
        ),
        header(
            "X-Miniback-Timestamp",
            true,
            text(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$"),
            "The `timestamp` of the event. The same on every attempt.",
        ),
        header(
            "X-Miniback-Signature",
            true,
            text("^[0-9a-f]{64}$"),
            "HMAC-SHA256 of the raw body, with the whole secret as the key.",
        ),
    ];
    if !is_alert {
        headers.push(header(
            "X-Miniback-Signature-Next",
            false,
            text("^[0-9a-f]{64}$"),
            "The same signature with the new secret, during the overlap of a rotation.",
        ));
    }
    headers.extend([
        header(
            "webhook-id",
            false,
            text(id),
            "The same as `X-Miniback-Delivery`. The three `webhook-…` headers follow the Standard \
             Webhooks specification. They are omitted if the secret isn’t in its format.",
        ),
        header(
            "webhook-timestamp",
            false,
            text("^[0-9]{10,}$"),
            "The time of this attempt, in Unix seconds.",
        ),
        header(
            "webhook-signature",
            false,
            text("^v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)?$"),
            "One signature, or two during the overlap of a rotation.",
        ),
    ]);
    headers
}
