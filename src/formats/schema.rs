//! JSON Schemas (2020-12) of the standard format's bodies and of alerts. They are generated from
//! the types that are serialized.
//!
//! The schemas allow unknown members, because later versions can add members to `details` and to
//! alerts.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::Duration;

use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::standard::{CreatedData, FeedbackDetails, Payload, TestData, UpdatedData};
use super::{Event, EventContent, example_feedback, standard};
use crate::clock::Timestamp;
use crate::domain::alert::{
    self, AlertData, AlertEvent, AlertPayload, AlertedWebhook, LastFailure,
};
use crate::domain::event::EventType;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::id::{Id, WebhookId};
use crate::domain::webhook::Topic;

/// Time of the examples: 2025-10-31T12:34:56.789Z.
const EXAMPLE_TIME: Timestamp = Timestamp::from_millis(1_761_914_096_789);

/// The contract of an event: its type, a description, and the schema of its body.
pub struct EventSchema {
    pub event: &'static str,
    pub description: &'static str,
    /// A schema without references.
    pub schema: Value,
}

/// Returns the schemas of all events that endpoints receive: the topics, `test`, and the alerts.
pub fn event_schemas() -> &'static [EventSchema] {
    static SCHEMAS: LazyLock<Vec<EventSchema>> = LazyLock::new(|| {
        vec![
            created_schema(),
            updated_schema(),
            test_schema(),
            alert_schema(AlertEvent::Failing),
            alert_schema(AlertEvent::Recovered),
        ]
    });
    &SCHEMAS
}

fn created_schema() -> EventSchema {
    let feedback = example_feedback(EXAMPLE_TIME);
    let topic = Topic::FeedbackCreated;
    let mut schema = payload_schema::<CreatedData<'_>>();
    add_details(&mut schema);
    let examples = examples_with_and_without_details(Event::Created(&feedback));
    event_schema(topic.as_str(), topic.description(), schema, examples)
}

fn updated_schema() -> EventSchema {
    let mut feedback = example_feedback(EXAMPLE_TIME);
    feedback.status = FeedbackStatus::Reviewed;
    let topic = Topic::FeedbackUpdated;
    let mut schema = payload_schema::<UpdatedData<'_>>();
    add_details(&mut schema);
    let examples = examples_with_and_without_details(Event::Updated {
        feedback: &feedback,
        previous_status: FeedbackStatus::New,
    });
    event_schema(topic.as_str(), topic.description(), schema, examples)
}

fn test_schema() -> EventSchema {
    let user = "ada@example.com";
    event_schema(
        EventType::Test.as_str(),
        "A user tested the webhook.",
        payload_schema::<TestData<'_>>(),
        vec![render_example(Event::Test { user }, false)],
    )
}

fn alert_schema(event: AlertEvent) -> EventSchema {
    let (description, required, absent): (_, _, &[&str]) = match event {
        AlertEvent::Failing => (
            "A webhook has failed for 5 minutes, or 10 deliveries in a row have failed.",
            "failedInARow",
            &["failedDeliveries"],
        ),
        AlertEvent::Recovered => (
            "A webhook that had an alert works again.",
            "failedDeliveries",
            &["failedInARow", "lastFailure"],
        ),
    };
    let mut schema = to_json::<AlertPayload<'_>>();
    let data = &mut schema["properties"]["data"];
    if let Value::Array(names) = &mut data["required"] {
        names.push(required.into());
    }
    if let Value::Object(members) = &mut data["properties"] {
        members.retain(|name, _| !absent.contains(&name.as_str()));
    }
    let example = alert::render_body(event, EXAMPLE_TIME, &example_alert(event));
    event_schema(event.as_str(), description, schema, vec![parse(&example)])
}

fn example_alert(event: AlertEvent) -> AlertData {
    let is_failing = event == AlertEvent::Failing;
    let id = WebhookId::parse_or_nil("wh_01K8X4N8YQ6D3S5V7X9Z1B3D5F");
    AlertData {
        webhook: AlertedWebhook {
            id,
            host: "api.example.com".into(),
            description: "Our chat".into(),
        },
        failing_since: EXAMPLE_TIME.minus(Duration::from_secs(300)),
        failed_in_a_row: is_failing.then_some(2),
        failed_deliveries: (!is_failing).then_some(2),
        last_failure: is_failing.then(|| LastFailure {
            at: EXAMPLE_TIME.minus(Duration::from_secs(10)),
            status: Some(500),
            error: Some("The endpoint responded with 500 Internal Server Error.".into()),
            error_code: Some("http_status".into()),
        }),
        deliveries_url: Some(format!(
            "https://feedback.example.com/settings/notifications/{id}/deliveries"
        )),
    }
}

fn examples_with_and_without_details(event: Event<'_>) -> Vec<Value> {
    vec![render_example(event, false), render_example(event, true)]
}

fn render_example(event: Event<'_>, details: bool) -> Value {
    let link = match event {
        Event::Created(feedback) | Event::Updated { feedback, .. } => Some(format!(
            "https://feedback.example.com/feedback/{}",
            feedback.id
        )),
        Event::Test { .. } => None,
    };
    let at = EXAMPLE_TIME;
    parse(&standard::render(
        details,
        &EventContent { event, at, link },
    ))
}

fn parse(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_default()
}

/// Returns the schema of a payload with this type of `data`.
fn payload_schema<T: ToSchema>() -> Value {
    let mut schema = to_json::<Payload<'_, T>>();
    // Utoipa doesn't collect the schema of a type parameter.
    schema["properties"]["data"] = to_json::<T>();
    schema
}

/// Returns the schema of a type, with all references replaced by the schemas that they refer to.
fn to_json<T: ToSchema>() -> Value {
    let mut named = Vec::new();
    T::schemas(&mut named);
    let named: HashMap<String, Value> = named
        .into_iter()
        .map(|(name, schema)| (name, serde_json::to_value(schema).unwrap_or_default()))
        .collect();
    let mut schema = serde_json::to_value(T::schema()).unwrap_or_default();
    inline_references(&mut schema, &named);
    schema
}

fn inline_references(schema: &mut Value, named: &HashMap<String, Value>) {
    if let Some(path) = schema["$ref"].as_str()
        && let Some(name) = path.rsplit('/').next()
        && let Some(found) = named.get(name)
    {
        *schema = found.clone();
    }
    match schema {
        Value::Object(object) => object
            .values_mut()
            .for_each(|member| inline_references(member, named)),
        Value::Array(items) => items
            .iter_mut()
            .for_each(|item| inline_references(item, named)),
        _ => {}
    }
}

/// Adds the members of `details` to the feedback in the schema of a payload. A webhook receives all
/// of them or none.
fn add_details(schema: &mut Value) {
    let details = to_json::<FeedbackDetails<'_>>();
    let feedback = &mut schema["properties"]["data"]["properties"]["feedback"];
    let (Value::Object(members), Value::Object(own)) =
        (&details["properties"], &mut feedback["properties"])
    else {
        return;
    };
    own.extend(members.clone());
    let names: Vec<&String> = members.keys().collect();
    let others = |name: &String| {
        names
            .iter()
            .filter(|other| **other != name)
            .collect::<Vec<_>>()
    };
    let dependent = names
        .iter()
        .map(|name| ((*name).clone(), json!(others(name))));
    feedback["dependentRequired"] = Value::Object(Map::from_iter(dependent));
}

/// Completes the schema of a payload with the event’s type, a title, and examples.
fn event_schema(
    event: &'static str,
    description: &'static str,
    mut schema: Value,
    examples: Vec<Value>,
) -> EventSchema {
    schema["properties"]["event"] = json!({"const": event});
    let mut complete = json!({"title": event, "description": description});
    if let (Value::Object(complete), Value::Object(schema)) = (&mut complete, schema) {
        complete.extend(schema);
        complete.insert("description".into(), description.into());
        complete.insert("examples".into(), examples.into());
    }
    EventSchema {
        event,
        description,
        schema: complete,
    }
}
