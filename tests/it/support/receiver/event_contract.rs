//! Checks deliveries against the published contract: the schema of the event and its headers in the
//! OpenAPI document.

use std::collections::HashMap;
use std::sync::LazyLock;

use boon::{Compiler, Draft, SchemaIndex, Schemas};
use serde_json::{Map, Value, json};

use super::ReceivedRequest;

const EVENT_HEADER: &str = "X-Miniback-Event";
/// The headers that only deliveries in the standard format have, at least one of them.
const SIGNATURE_HEADERS: [&str; 2] = ["X-Miniback-Signature", "webhook-signature"];

/// The compiled schemas of an event.
#[derive(Clone, Copy)]
struct EventContract {
    body: SchemaIndex,
    headers: SchemaIndex,
}

struct Contracts {
    schemas: Schemas,
    by_event: HashMap<String, EventContract>,
    /// The names of all headers in the document, in the documented case.
    header_names: Vec<String>,
}

static CONTRACTS: LazyLock<Contracts> = LazyLock::new(|| {
    let document = serde_json::to_value(miniback::api::document("/")).expect("serialize");
    let webhooks = document["webhooks"].as_object().expect("find webhooks");
    let mut schemas = Schemas::new();
    let mut compiler = Compiler::new();
    compiler.set_default_draft(Draft::V2020_12);
    compiler.enable_format_assertions();
    let mut compile = |name: String, schema: Value| {
        compiler.add_resource(&name, schema).expect("add a schema");
        compiler
            .compile(&name, &mut schemas)
            .expect("compile a schema")
    };
    // The document describes this header by the media type of the body.
    let mut header_names = vec!["Content-Type".to_owned()];
    let mut by_event = HashMap::new();
    for (event, item) in webhooks {
        let post = &item["post"];
        let parameters = post["parameters"].as_array().expect("find the headers");
        let names = parameters
            .iter()
            .filter_map(|header| header["name"].as_str());
        header_names.extend(names.map(str::to_owned));
        let body = post["requestBody"]["content"]["application/json"]["schema"].clone();
        let contract = EventContract {
            body: compile(format!("{event}.json"), closed(body)),
            headers: compile(format!("{event}-headers.json"), headers_schema(parameters)),
        };
        by_event.insert(event.clone(), contract);
    }
    Contracts {
        schemas,
        by_event,
        header_names,
    }
});

/// Returns the schema of an object with the headers as members.
fn headers_schema(parameters: &[Value]) -> Value {
    let name = |header: &Value| header["name"].as_str().unwrap_or_default().to_owned();
    let members = parameters
        .iter()
        .map(|header| (name(header), header["schema"].clone()));
    let required = parameters
        .iter()
        .filter(|header| header["required"] == true);
    json!({
        "type": "object",
        "properties": Map::from_iter(members),
        "required": required.map(name).collect::<Vec<_>>(),
    })
}

/// Forbids members that the schema doesn't list. The published schemas allow them, because later
/// versions can add some. Metadata, whose members aren't listed, stays open.
fn closed(mut schema: Value) -> Value {
    match &mut schema {
        Value::Object(object) => {
            for member in object.values_mut() {
                *member = closed(member.take());
            }
            if object.get("properties").is_some_and(Value::is_object) {
                object.insert("additionalProperties".into(), false.into());
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = closed(item.take());
            }
        }
        _ => {}
    }
    schema
}

/// Returns whether `body` is valid against the schema of `event`, without unknown members.
pub fn is_valid_body(event: &str, body: &Value) -> bool {
    validate(body, CONTRACTS.by_event[event].body).is_none()
}

/// Returns a description of the first violation of the contract, if there is one. Requests that
/// aren't deliveries in the standard format have no contract.
pub fn find_violation(request: &ReceivedRequest) -> Option<String> {
    let is_signed = |name: &&str| !request.all_headers(name).is_empty();
    if !SIGNATURE_HEADERS.iter().any(is_signed) {
        return None;
    }
    let [event] = request.all_headers(EVENT_HEADER)[..] else {
        return Some("the request doesn’t have exactly one X-Miniback-Event".to_owned());
    };
    let problem = match CONTRACTS.by_event.get(event) {
        Some(contract) => {
            check_headers(request, contract).or_else(|| check_body(request, contract))
        }
        None => Some("the event isn’t documented".to_owned()),
    }?;
    let (headers, body) = (&request.headers, String::from_utf8_lossy(&request.body));
    Some(format!("{event}: {problem}\n{headers:#?}\n{body}"))
}

fn check_headers(request: &ReceivedRequest, contract: &EventContract) -> Option<String> {
    let mut headers = Map::new();
    for (name, value) in &request.headers {
        let mut documented = CONTRACTS.header_names.iter();
        let Some(documented) = documented.find(|d| d.eq_ignore_ascii_case(name)) else {
            continue;
        };
        // HTTP names are case-insensitive. Only the other names are promised in a certain case.
        if documented != name && !documented.starts_with("webhook-") {
            return Some(format!("{name} isn’t written as {documented}"));
        }
        if headers
            .insert(documented.clone(), value.clone().into())
            .is_some()
        {
            return Some(format!("{name} occurs twice"));
        }
    }
    let standard = ["webhook-id", "webhook-timestamp", "webhook-signature"];
    let sent = standard.iter().filter(|name| headers.contains_key(**name));
    if !matches!(sent.count(), 0 | 3) {
        return Some("only some of the webhook-… headers were sent".to_owned());
    }
    let content_type = request.all_headers("Content-Type");
    if content_type != ["application/json"] {
        return Some(format!("the content type is {content_type:?}"));
    }
    if !request.all_headers("Transfer-Encoding").is_empty() {
        return Some("the body has a transfer encoding".to_owned());
    }
    if let Some(id) = headers.get("webhook-id")
        && headers.get("X-Miniback-Delivery") != Some(id)
    {
        return Some("webhook-id isn’t the id of the delivery".to_owned());
    }
    validate(&Value::Object(headers), contract.headers)
}

fn check_body(request: &ReceivedRequest, contract: &EventContract) -> Option<String> {
    let body: Value = match serde_json::from_slice(&request.body) {
        Ok(body) => body,
        Err(error) => return Some(error.to_string()),
    };
    if body["timestamp"] != request.header("X-Miniback-Timestamp") {
        return Some("X-Miniback-Timestamp isn’t the timestamp of the event".to_owned());
    }
    validate(&body, contract.body)
}

fn validate(value: &Value, schema: SchemaIndex) -> Option<String> {
    let result = CONTRACTS.schemas.validate(value, schema);
    result.err().map(|error| format!("{error:#}"))
}
