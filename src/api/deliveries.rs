//! Lists the deliveries of a webhook, and returns a delivery with its request and responses.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::lists::{List, PageParams, QueryParams};
use super::webhooks;
use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, Id, WebhookId};
use crate::domain::webhook::Topic;
use crate::server::AppState;
use crate::server::problem::Problem;
use crate::store::{DeliveryDetail, DeliveryFilter, DeliverySummary, LoggedAttempt};

pub(super) const NOT_FOUND: Problem = Problem::NotFound("Delivery not found.");

#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
#[serde(rename_all = "camelCase")]
pub(super) struct DeliveryView<'a> {
    /// Endpoints use this id to detect duplicates.
    id: &'a DeliveryId,
    webhook_id: &'a WebhookId,
    #[schema(value_type = EventType)]
    event: &'static str,
    state: DeliveryState,
    created_at: Timestamp,
    /// The time of the next attempt. Null unless the delivery is pending.
    #[schema(required = true, example = json!(null))]
    next_attempt_at: Option<Timestamp>,
    attempts: Vec<AttemptView<'a>>,
    /// The last request, with masked values of custom headers. Omitted in lists. Null before the
    /// first attempt, and after the feedback was deleted.
    #[schema(value_type = Option<RequestView>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Option<RequestView>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Attempt)]
#[serde(rename_all = "camelCase")]
struct AttemptView<'a> {
    #[schema(example = 1)]
    number: u32,
    started_at: Timestamp,
    #[schema(value_type = u64, example = 84)]
    duration_ms: u128,
    /// The HTTP status. Null if there was no response.
    #[schema(required = true, example = 200)]
    status: Option<u16>,
    /// A readable description of the failure, or of an invalid response body after a success. Null
    /// if there is nothing to report, and after the feedback was deleted.
    #[schema(required = true, example = json!(null))]
    error: Option<&'a str>,
    /// A stable code for the failure: `timeout`, `connection_refused`, `status`, and so on. Null if
    /// the attempt succeeded.
    #[schema(required = true, example = json!(null))]
    error_code: Option<&'a str>,
    #[schema(value_type = ResponseView)]
    #[serde(flatten)]
    response: Option<ResponseView>,
}

/// The endpoint’s response to an attempt, and the attempt’s timings. Omitted in lists.
#[derive(Serialize, ToSchema)]
#[schema(as = AttemptResponse)]
#[serde(rename_all = "camelCase")]
struct ResponseView {
    #[schema(
        required = false,
        value_type = std::collections::BTreeMap<String, String>,
        example = json!({"content-type": "text/plain"})
    )]
    response_headers: Map<String, Value>,
    /// The first 16 KiB of the body. Invalid UTF-8 is replaced. Null without a response, and after
    /// the feedback was deleted.
    #[schema(example = "ok")]
    response_body: Option<String>,
    /// True if the body was cut at 16 KiB, ended early, or didn’t end in time.
    #[schema(required = false, example = false)]
    response_truncated: bool,
    #[schema(required = false)]
    timings: TimingsView,
}

/// The duration of each step, in milliseconds. Null for a step that didn’t happen.
#[derive(Serialize, ToSchema)]
#[schema(as = Timings)]
#[serde(rename_all = "camelCase")]
struct TimingsView {
    #[schema(required = true, example = 3.1)]
    dns_ms: Option<f64>,
    #[schema(required = true, example = 12.4)]
    connect_ms: Option<f64>,
    #[schema(required = true, example = 25.9)]
    tls_ms: Option<f64>,
    #[schema(required = true, example = 42.6)]
    wait_ms: Option<f64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SentRequest)]
struct RequestView {
    #[schema(
        value_type = std::collections::BTreeMap<String, String>,
        example = json!({"X-Miniback-Event": "feedback.created"})
    )]
    headers: Map<String, Value>,
    #[schema(example = "{\"event\":\"feedback.created\",…}")]
    body: String,
}

impl<'a> DeliveryView<'a> {
    fn new(record: &'a DeliverySummary) -> Self {
        Self {
            id: &record.id,
            webhook_id: &record.webhook,
            event: record.event.as_str(),
            state: record.state,
            created_at: record.created_at,
            next_attempt_at: record.next_attempt_at,
            attempts: record.attempts.iter().map(AttemptView::new).collect(),
            request: None,
        }
    }

    pub(super) fn with_details(detail: &'a DeliveryDetail) -> Self {
        let mut view = Self::new(&detail.summary);
        for (attempt, logged) in view.attempts.iter_mut().zip(&detail.summary.attempts) {
            attempt.response = Some(ResponseView::new(logged));
        }
        view.request = Some(detail.request().map(|request| RequestView {
            headers: headers_to_json(request.headers),
            body: String::from_utf8_lossy(request.body).into_owned(),
        }));
        view
    }
}

impl<'a> AttemptView<'a> {
    fn new(logged: &'a LoggedAttempt) -> Self {
        Self {
            number: logged.number,
            started_at: logged.started_at,
            duration_ms: logged.duration.as_millis(),
            status: logged.status,
            error: logged.error.as_deref(),
            error_code: logged.error_code.as_deref(),
            response: None,
        }
    }
}

impl ResponseView {
    fn new(logged: &LoggedAttempt) -> Self {
        // Fractions of a millisecond matter: a local endpoint can respond in less than 1 ms.
        let millis = |duration: Option<Duration>| duration.map(|d| d.as_micros() as f64 / 1000.0);
        Self {
            response_headers: headers_to_json(&logged.response_headers),
            response_body: logged
                .response_body
                .as_ref()
                .map(|body| String::from_utf8_lossy(body).into_owned()),
            response_truncated: logged.response_truncated,
            timings: TimingsView {
                dns_ms: millis(logged.timings.dns),
                connect_ms: millis(logged.timings.connect),
                tls_ms: millis(logged.timings.tls),
                wait_ms: millis(logged.timings.waiting),
            },
        }
    }
}

/// Converts headers to a JSON object. Joins the values of repeated names with commas, as in RFC
/// 9110, section 5.3.
fn headers_to_json(headers: &[(String, String)]) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, value) in headers {
        match object.get_mut(name) {
            Some(Value::String(joined)) => {
                joined.push_str(", ");
                joined.push_str(value);
            }
            _ => {
                object.insert(name.clone(), Value::String(value.clone()));
            }
        }
    }
    object
}

/// List deliveries
///
/// Lists the deliveries of a webhook.
#[utoipa::path(
    get,
    path = "/api/v1/webhooks/{id}/deliveries",
    operation_id = "listDeliveries",
    tag = "Deliveries",
    params(
        ("id" = WebhookId, Path),
        PageParams<DeliveryId>,
        (
            "state" = Option<DeliveryState>,
            Query,
            nullable = false,
            description = "Only deliveries in this state.",
        ),
        (
            "event" = Option<EventType>,
            Query,
            nullable = false,
            description = "Only deliveries of this event type.",
        ),
    ),
    responses((status = 200, description = "A page of deliveries", body = List<DeliveryView>))
)]
pub(super) async fn list(
    app: web::Data<AppState>,
    webhook: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = QueryParams::parse(&request)?;
    let page = query.page_request::<DeliveryId>()?;
    let state = query
        .get("state")
        .map(|text| {
            DeliveryState::parse(text).ok_or_else(|| {
                Problem::invalid_field(
                    "state",
                    "The state must be pending, delivered, failed, or canceled.",
                )
            })
        })
        .transpose()?;
    let event = query
        .get("event")
        .map(|text| {
            EventType::parse(text).ok_or_else(|| {
                let topics = Topic::ALL.map(Topic::as_str).join(", ");
                Problem::invalid_field("event", format!("The event must be {topics}, or test."))
            })
        })
        .transpose()?;
    let webhook = app
        .store
        .webhook(WebhookId::parse_or_nil(webhook.into_inner()))
        .await?
        .ok_or(webhooks::NOT_FOUND)?;
    let found = app
        .store
        .deliveries(webhook.id, DeliveryFilter { state, event }, page)
        .await?;
    let list = List::from_page(found, |record| {
        serde_json::to_value(DeliveryView::new(&record)).unwrap_or_default()
    });
    Ok(HttpResponse::Ok().json(list))
}

/// Get a delivery
///
/// Includes the last request and the response to each attempt.
#[utoipa::path(
    get,
    path = "/api/v1/deliveries/{id}",
    operation_id = "getDelivery",
    tag = "Deliveries",
    params(("id" = DeliveryId, Path)),
    responses((status = 200, description = "The delivery", body = DeliveryView))
)]
pub(super) async fn get(
    app: web::Data<AppState>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let detail = app
        .store
        .delivery(DeliveryId::parse_or_nil(id.into_inner()))
        .await?;
    let detail = detail.ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(DeliveryView::with_details(&detail)))
}
