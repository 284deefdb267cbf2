//! Deliveries: a webhook's list, and one with all that was sent and answered.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::body::{Json, named};
use super::lists::{List, Query};
use super::problem::Problem;
use super::webhooks;
use crate::clock::Timestamp;
use crate::domain::delivery::State;
use crate::domain::event::EventType;
use crate::domain::id::{DeliveryId, WebhookId};
use crate::server::Site;
use crate::store::{DeliveryDetail, DeliveryFilter, DeliveryRecord, LoggedAttempt, RedeliverError};

const NOT_FOUND: Problem = Problem::NotFound("There is no such delivery.");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recover {
    since: String,
    #[serde(default, deserialize_with = "named")]
    states: Option<Vec<RecoverableState>>,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum RecoverableState {
    Failed,
    Canceled,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct View<'a> {
    id: &'a DeliveryId,
    webhook_id: &'a WebhookId,
    event: &'static str,
    state: State,
    created_at: Timestamp,
    next_attempt_at: Option<Timestamp>,
    attempts: Vec<AttemptView<'a>>,
    /// In the single one; null for one not tried yet, or whose feedback was deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Option<RequestView>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AttemptView<'a> {
    number: u32,
    started_at: Timestamp,
    duration_ms: u128,
    status: Option<u16>,
    error: Option<&'a str>,
    error_code: Option<&'a str>,
    #[serde(flatten)]
    answer: Option<AnswerView>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AnswerView {
    response_headers: Map<String, Value>,
    response_body: Option<String>,
    response_truncated: bool,
    timings: TimingsView,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimingsView {
    dns_ms: Option<f64>,
    connect_ms: Option<f64>,
    tls_ms: Option<f64>,
    wait_ms: Option<f64>,
}

#[derive(Serialize)]
struct RequestView {
    headers: Map<String, Value>,
    body: String,
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

pub(super) async fn list(
    site: web::Data<Site>,
    webhook: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query = Query::of(&request)?;
    let page = query.page("dlv_")?;
    let state = query
        .get("state")
        .map(|text| {
            State::parse(text).ok_or_else(|| {
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

pub(super) async fn redeliver(
    site: web::Data<Site>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = DeliveryId::new(id.into_inner());
    site.store.redeliver(id.clone()).await.map_err(problem)?;
    let detail = site.store.delivery(id).await?.ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Accepted().json(View::whole(&detail)))
}

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
    Ok(HttpResponse::Accepted().json(serde_json::json!({"count": count})))
}

fn problem(error: RedeliverError) -> Problem {
    match error {
        RedeliverError::UnknownDelivery => NOT_FOUND,
        RedeliverError::UnknownWebhook => webhooks::NOT_FOUND,
        RedeliverError::Store(error) => error.into(),
        error => Problem::Conflict(error.to_string()),
    }
}
