//! Deliveries: a webhook's list, and one with all that was sent and answered.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::body::{Json, named};
use super::lists::{List, Paging, Query};
use super::problem::Problem;
use super::webhooks;
use crate::clock::Timestamp;
use crate::domain::delivery::DeliveryState;
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, WebhookId};
use crate::server::Site;
use crate::store::{DeliveryDetail, DeliveryFilter, DeliveryRecord, LoggedAttempt, RedeliverError};

const NOT_FOUND: Problem = Problem::NotFound("There is no such delivery.");

#[derive(Deserialize, ToSchema)]
#[schema(as = Recovery)]
#[serde(deny_unknown_fields)]
pub(super) struct Recover {
    /// All that ended since then: ISO 8601, with an offset.
    #[schema(format = DateTime, example = "2025-10-31T12:34:56Z")]
    since: String,
    /// What to send again; `failed` where it is left out.
    #[schema(nullable = false, example = json!(["failed"]))]
    #[serde(default, deserialize_with = "named")]
    states: Option<Vec<RecoverableState>>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
enum RecoverableState {
    Failed,
    Canceled,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    /// What a receiver deduplicates by.
    id: &'a DeliveryId,
    webhook_id: &'a WebhookId,
    #[schema(value_type = EventType)]
    event: &'static str,
    state: DeliveryState,
    created_at: Timestamp,
    /// Null unless it is pending.
    #[schema(required = true, example = json!(null))]
    next_attempt_at: Option<Timestamp>,
    attempts: Vec<AttemptView<'a>>,
    /// In the single one: the last request as it was sent; null for one not tried yet, or whose feedback was deleted.
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
    /// Null where no answer came.
    #[schema(required = true, example = 200)]
    status: Option<u16>,
    /// What went wrong, in words.
    #[schema(required = true, example = json!(null))]
    error: Option<&'a str>,
    /// And for programs: `timeout`, `connection_refused`, `status`…
    #[schema(required = true, example = json!(null))]
    error_code: Option<&'a str>,
    #[schema(value_type = AnswerView)]
    #[serde(flatten)]
    answer: Option<AnswerView>,
}

/// In the single delivery: what the endpoint answered.
#[derive(Serialize, ToSchema)]
#[schema(as = AttemptAnswer)]
#[serde(rename_all = "camelCase")]
struct AnswerView {
    #[schema(required = false, value_type = std::collections::BTreeMap<String, String>, example = json!({"content-type": "text/plain"}))]
    response_headers: Map<String, Value>,
    /// The first 16 KiB; what is no UTF-8 is replaced.
    #[schema(example = "ok")]
    response_body: Option<String>,
    /// The body went on, ended early, or did not end in time.
    #[schema(required = false, example = false)]
    response_truncated: bool,
    #[schema(required = false)]
    timings: TimingsView,
}

/// Where the time went; null where there was no such step.
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
    #[schema(value_type = std::collections::BTreeMap<String, String>, example = json!({"X-Miniback-Event": "feedback.created"}))]
    headers: Map<String, Value>,
    #[schema(example = "{\"event\":\"feedback.created\",…}")]
    body: String,
}

#[derive(Serialize, ToSchema)]
struct Recovered {
    #[schema(example = 3)]
    count: usize,
}

impl<'a> View<'a> {
    fn of(record: &'a DeliveryRecord) -> Self {
        Self {
            id: &record.id,
            webhook_id: &record.webhook,
            event: record.event.as_str(),
            state: record.state,
            created_at: record.created_at,
            next_attempt_at: record.next_attempt_at,
            attempts: record.attempts.iter().map(AttemptView::of).collect(),
            request: None,
        }
    }

    fn whole(detail: &'a DeliveryDetail) -> Self {
        let mut view = Self::of(&detail.record);
        for (attempt, logged) in view.attempts.iter_mut().zip(&detail.record.attempts) {
            attempt.answer = Some(AnswerView::of(logged));
        }
        view.request = Some(detail.request.as_ref().map(|request| RequestView {
            headers: header_object(&request.headers),
            body: String::from_utf8_lossy(&request.body).into_owned(),
        }));
        view
    }
}

impl<'a> AttemptView<'a> {
    fn of(logged: &'a LoggedAttempt) -> Self {
        Self {
            number: logged.number,
            started_at: logged.started_at,
            duration_ms: logged.duration.as_millis(),
            status: logged.status,
            error: logged.error.as_deref(),
            error_code: logged.error_code.as_deref(),
            answer: None,
        }
    }
}

impl AnswerView {
    fn of(logged: &LoggedAttempt) -> Self {
        // To the microsecond: a local endpoint answers in a fraction of a millisecond.
        let millis = |duration: Option<Duration>| duration.map(|d| d.as_micros() as f64 / 1000.0);
        Self {
            response_headers: header_object(&logged.response_headers),
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

/// Headers as an object; lines of one name are joined as RFC 9110, 5.3 has it.
fn header_object(headers: &[(String, String)]) -> Map<String, Value> {
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

/// List the deliveries of a webhook
#[utoipa::path(get, path = "/api/v1/webhooks/{id}/deliveries", operation_id = "listDeliveries", tag = "Deliveries",
    params(("id" = WebhookId, Path), Paging<DeliveryId>,
        ("state" = Option<DeliveryState>, Query, nullable = false, description = "Only in this state."),
        ("event" = Option<EventType>, Query, nullable = false, description = "Only of this event.")),
    responses((status = 200, description = "A page of deliveries", body = List<View>)))]
pub(super) async fn list(
    site: web::Data<Site>,
    webhook: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request)?;
    let page = query.page::<DeliveryId>()?;
    let state = query
        .get("state")
        .map(|text| {
            DeliveryState::parse(text).ok_or_else(|| {
                Problem::field(
                    "state",
                    "The state is pending, delivered, failed or canceled.",
                )
            })
        })
        .transpose()?;
    let event = query
        .get("event")
        .map(|text| {
            EventType::parse(text).ok_or_else(|| {
                Problem::field(
                    "event",
                    "The event is feedback.created, feedback.updated or test.",
                )
            })
        })
        .transpose()?;
    let webhook = site
        .store
        .webhook(WebhookId::new(webhook.into_inner()))
        .await?
        .ok_or(webhooks::NOT_FOUND)?;
    let found = site
        .store
        .deliveries(webhook.id, DeliveryFilter { state, event }, page)
        .await?;
    let list = List::of(found, |record| {
        serde_json::to_value(View::of(&record)).unwrap_or_default()
    });
    Ok(HttpResponse::Ok().json(list))
}

/// Show a delivery with what was sent and answered
#[utoipa::path(get, path = "/api/v1/deliveries/{id}", operation_id = "getDelivery", tag = "Deliveries",
    params(("id" = DeliveryId, Path)),
    responses((status = 200, description = "The delivery", body = View)))]
pub(super) async fn get(
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let detail = site
        .store
        .delivery(DeliveryId::new(id.into_inner()))
        .await?;
    let detail = detail.ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(View::whole(&detail)))
}

/// Send a delivery again
///
/// The same id and body, with a fresh set of retries; the numbers of attempts go on.
#[utoipa::path(post, path = "/api/v1/deliveries/{id}/redeliver", operation_id = "redeliver", tag = "Deliveries",
    params(("id" = DeliveryId, Path)),
    responses(
        (status = 202, description = "The delivery, which is pending again", body = View),
        (status = 409, description = "It is pending, or its webhook is switched off or gone"),
    ))]
pub(super) async fn redeliver(
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = DeliveryId::new(id.into_inner());
    site.store.redeliver(id.clone()).await.map_err(problem)?;
    let detail = site.store.delivery(id).await?.ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Accepted().json(View::whole(&detail)))
}

/// Send again what failed
///
/// All deliveries of the webhook that ended as `failed` (or also as `canceled`) since a time; repeated at once: 0.
#[utoipa::path(post, path = "/api/v1/webhooks/{id}/recover", operation_id = "recover", tag = "Deliveries",
    params(("id" = WebhookId, Path)), request_body = Recover,
    responses(
        (status = 202, description = "How many are pending again", body = Recovered),
        (status = 409, description = "The webhook is switched off or gone"),
    ))]
pub(super) async fn recover(
    site: web::Data<Site>,
    webhook: web::Path<String>,
    Json(body): Json<Recover>,
) -> Result<HttpResponse, Problem> {
    let since = Timestamp::parse(&body.since)
        .ok_or_else(|| Problem::field("since", "Write a time like 2025-10-31T12:34:56Z."))?;
    let states = body.states.unwrap_or(vec![RecoverableState::Failed]);
    let has = |state| states.contains(&state);
    let webhook = WebhookId::new(webhook.into_inner());
    let (failed, canceled) = (
        has(RecoverableState::Failed),
        has(RecoverableState::Canceled),
    );
    let count = site
        .store
        .recover(webhook, since, canceled, failed)
        .await
        .map_err(problem)?;
    Ok(HttpResponse::Accepted().json(Recovered { count }))
}

fn problem(error: RedeliverError) -> Problem {
    match error {
        RedeliverError::UnknownDelivery => NOT_FOUND,
        RedeliverError::UnknownWebhook => webhooks::NOT_FOUND,
        RedeliverError::Store(error) => error.into(),
        error => Problem::Conflict(error.to_string()),
    }
}
