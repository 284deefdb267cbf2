//! The demo's past: four days of feedback, deliveries, retries, failures, and a hold.
//!
//! The demo first runs Miniback with a clock that starts four days ago, creates this history
//! through the API, and then starts Miniback again with the system clock. During the first run,
//! [`HistoryEndpoints`] respond to the deliveries. They also move the clock, so that each attempt
//! has a plausible duration.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use tokio::sync::watch;

use super::api::{ApiClient, ApiError, FeedbackRequest, ProjectRequest, WebhookRequest};
use super::channel::{CHANNEL_PATH, Channel};
use super::receiver::{CUSTOMERS_PATH, ENDPOINT_PATH, INVALID_SIGNATURE, TICKETS_PATH};
use super::samples::{LATEST_SAMPLE_FEEDBACK, SAMPLE_FEEDBACK, SAMPLE_PROJECTS, SampleFeedback};
use super::server::{DemoServer, listener_url};
use crate::clock::{ManualClock, Timestamp};

/// The length of the history, in minutes.
const HISTORY_MINUTES: u64 = 4 * 24 * 60;
/// The maximum wait for a retry. A delivery with a later attempt stays pending, because its webhook
/// is held.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(60);
/// The interval at which the history checks whether an attempt has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
/// The maximum number of checks for the attempts after one event. All checks
/// together take about 10 s.
const POLLS_MAX: usize = 5000;

/// An outage of the ticket system.
struct Outage {
    /// The start of the outage, in minutes before the start of the demo. At the same time, a sample
    /// feedback item is created.
    minutes_ago: u64,
    length: Duration,
    status: u16,
    retry_after: Option<u32>,
    body: &'static str,
}

/// The outages, oldest first. A delivery is retried 1, 6, and 21 s after its first attempt, so it
/// succeeds after an outage of a few seconds, and fails in an outage of a minute.
const OUTAGES: [Outage; 6] = [
    outage(4000, 3_000, 503, "upstream connect error\n"),
    outage(2900, 900, 502, "Bad gateway\n"),
    outage(
        2100,
        60_000,
        500,
        "{\"error\":\"connect ECONNREFUSED 127.0.0.1:5432\"}\n",
    ),
    outage(1700, 60_000, 401, "{\"error\":\"invalid signature\"}\n"),
    outage(700, 60_000, 500, "{\"error\":\"disk quota exceeded\"}\n"),
    Outage {
        retry_after: Some(3000),
        ..outage(20, 60_000, 503, "Down for maintenance\n")
    },
];

const fn outage(minutes_ago: u64, millis: u64, status: u16, body: &'static str) -> Outage {
    Outage {
        minutes_ago,
        length: Duration::from_millis(millis),
        status,
        retry_after: None,
        body,
    }
}

#[derive(Debug, thiserror::Error)]
#[error("Creating the demo’s {subject} failed. {source}")]
pub struct DemoError {
    subject: &'static str,
    source: ApiError,
}

fn to_demo_error(subject: &'static str) -> impl Fn(ApiError) -> DemoError {
    move |source| DemoError { subject, source }
}

/// The URLs and secrets of the sample webhooks.
pub struct SampleWebhooks {
    /// The receiver's URL, `http://127.0.0.1:PORT`.
    pub receiver_url: String,
    /// The secret of the webhook to the receiver.
    pub secret: String,
    /// The secret of the webhook to the ticket system, which has outages.
    pub tickets_secret: String,
    /// The secret of the webhook to the customer database, which has another secret.
    pub customers_secret: String,
}

/// The URL of the webhook that sends email.
const EMAIL_URL: &str = "mailto:team@fernweh.example";
/// The time from which the customer database rejects all deliveries, in minutes before the start of
/// the demo. The last sample feedback is created later.
const CUSTOMERS_FAIL_MINUTES_AGO: u64 = 30;

/// Returns a clock at the start of a history that ends at `end`.
pub fn history_clock(end: Timestamp) -> ManualClock {
    ManualClock::starting_at(end.minus(Duration::from_mins(HISTORY_MINUTES)))
}

/// A change in the history.
enum FeedbackChange {
    /// Creates the sample feedback with this index.
    Create(usize),
    /// Sets the status of the sample feedback with this index.
    SetStatus(usize, &'static str),
}

/// Returns the changes to all sample feedback, oldest first, each with its time in minutes before
/// the end of the history.
fn feedback_changes() -> Vec<(u64, FeedbackChange)> {
    let mut changes = Vec::new();
    for (index, sample) in SAMPLE_FEEDBACK.iter().enumerate() {
        changes.push((sample.minutes_ago, FeedbackChange::Create(index)));
        let statuses = sample.later_statuses.iter();
        changes
            .extend(statuses.map(|(ago, status)| (*ago, FeedbackChange::SetStatus(index, status))));
    }
    changes.sort_by_key(|(minutes_ago, _)| std::cmp::Reverse(*minutes_ago));
    changes
}

/// Creates the sample projects, webhooks, and feedback in an empty installation that runs with
/// `clock`, and moves the clock to `end`.
pub async fn create_history(
    api: &ApiClient,
    clock: &ManualClock,
    end: Timestamp,
    webhooks: &SampleWebhooks,
) -> Result<(), DemoError> {
    for project in &SAMPLE_PROJECTS {
        let (name, slug) = (project.name, project.slug);
        api.create_project(&ProjectRequest { name, slug })
            .await
            .map_err(to_demo_error("sample projects"))?;
    }
    let webhook_ids = create_webhooks(api, webhooks)
        .await
        .map_err(to_demo_error("webhooks"))?;
    let mut feedback_ids = Vec::new();
    for (minutes_ago, change) in feedback_changes() {
        move_clock(clock, end.minus(Duration::from_mins(minutes_ago)));
        match change {
            FeedbackChange::Create(index) => {
                feedback_ids.push(create_feedback(api, &SAMPLE_FEEDBACK[index]).await?);
            }
            FeedbackChange::SetStatus(index, status) => {
                api.set_status(&feedback_ids[index], status)
                    .await
                    .map_err(to_demo_error("sample statuses"))?;
            }
        }
        for id in &webhook_ids {
            wait_for_pending_deliveries(api, clock, id)
                .await
                .map_err(to_demo_error("deliveries"))?;
        }
    }
    move_clock(clock, end);
    Ok(())
}

/// Creates one more feedback item, which the receiver shows.
pub async fn create_latest_feedback(api: &ApiClient) -> Result<(), DemoError> {
    create_feedback(api, &LATEST_SAMPLE_FEEDBACK).await?;
    Ok(())
}

async fn create_webhooks(
    api: &ApiClient,
    webhooks: &SampleWebhooks,
) -> Result<Vec<String>, ApiError> {
    let SampleWebhooks {
        receiver_url,
        secret,
        tickets_secret,
        customers_secret,
    } = webhooks;
    let all = [
        WebhookRequest {
            url: &format!("{receiver_url}{ENDPOINT_PATH}"),
            description: "The demo’s receiver",
            topics: &["feedback.created", "feedback.updated"],
            secret: Some(secret),
            format: "standard",
            retries: "standard",
        },
        WebhookRequest {
            url: &format!("{receiver_url}{CHANNEL_PATH}"),
            description: "Team chat",
            topics: &["feedback.created", "feedback.updated"],
            secret: None,
            format: "slack",
            retries: "standard",
        },
        WebhookRequest {
            url: EMAIL_URL,
            description: "Team inbox",
            topics: &["feedback.created"],
            secret: None,
            format: "email",
            retries: "patient",
        },
        WebhookRequest {
            url: &format!("{receiver_url}{TICKETS_PATH}"),
            description: "Ticket system, which asked Miniback to wait",
            topics: &["feedback.created"],
            secret: Some(tickets_secret),
            format: "standard",
            retries: "standard",
        },
        WebhookRequest {
            url: &format!("{receiver_url}{CUSTOMERS_PATH}"),
            description: "Customer database, with another secret",
            topics: &["feedback.created"],
            secret: Some(customers_secret),
            format: "standard",
            retries: "patient",
        },
    ];
    let mut ids = Vec::new();
    for webhook in &all {
        ids.push(api.create_webhook(webhook).await?.id);
    }
    Ok(ids)
}

async fn create_feedback(api: &ApiClient, sample: &SampleFeedback) -> Result<String, DemoError> {
    let feedback = FeedbackRequest {
        project: sample.project,
        message: sample.message,
        email: sample.email,
        url: sample.url,
    };
    let created = api.create_feedback(&feedback).await;
    Ok(created.map_err(to_demo_error("sample feedback"))?.id)
}

/// Waits until a webhook has no pending delivery or is held, for at most about 10 s.
/// Moves the clock forward to each retry.
async fn wait_for_pending_deliveries(
    api: &ApiClient,
    clock: &ManualClock,
    webhook_id: &str,
) -> Result<(), ApiError> {
    for _ in 0..POLLS_MAX {
        let Some(next) = api.next_attempt_at(webhook_id).await? else {
            return Ok(());
        };
        match next.since(clock.wall_clock()) {
            Duration::ZERO => tokio::time::sleep(POLL_INTERVAL).await,
            wait if wait > RETRY_WAIT_MAX => return Ok(()),
            wait => clock.advance(wait),
        }
    }
    Ok(())
}

/// Moves the clock forward to `time`.
fn move_clock(clock: &ManualClock, time: Timestamp) {
    clock.advance(time.since(clock.wall_clock()));
}

/// The endpoints of the sample webhooks during the history. The receiver isn't running yet, so
/// these endpoints use its port.
struct HistoryEndpoints {
    clock: ManualClock,
    end: Timestamp,
    channel: Channel,
}

/// Starts the endpoints of a history that ends at `end`. Must be called within a tokio runtime.
pub fn start_history_endpoints(
    listener: TcpListener,
    clock: ManualClock,
    end: Timestamp,
    channel: Channel,
) -> io::Result<DemoServer> {
    let url = listener_url(&listener)?;
    let endpoints = web::Data::new(HistoryEndpoints {
        clock,
        end,
        channel,
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(endpoints.clone())
            .default_service(web::to(respond_to_delivery))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(1)
    .listen(listener)?
    .run();
    Ok(DemoServer::spawn(url, server, watch::Sender::new(false)))
}

async fn respond_to_delivery(
    endpoints: web::Data<HistoryEndpoints>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    let HistoryEndpoints {
        clock,
        end,
        channel,
    } = endpoints.get_ref();
    let now = clock.wall_clock();
    // A number from 0 to 89, derived from the time, that makes the response times vary.
    let variation = now.seconds().unsigned_abs() * 7 % 90;
    if request.path() != TICKETS_PATH {
        clock.advance(Duration::from_millis(12 + variation / 3));
    }
    match request.path() {
        CHANNEL_PATH => {
            let (status, text) = channel.post(&body, now);
            return HttpResponse::build(status).body(text);
        }
        CUSTOMERS_PATH if is_rejecting(now, *end) => {
            return HttpResponse::Unauthorized().body(INVALID_SIGNATURE);
        }
        TICKETS_PATH => {}
        _ => return HttpResponse::NoContent().finish(),
    }
    clock.advance(Duration::from_millis(85 + variation * 2));
    let outage = OUTAGES.iter().find(|outage| {
        let start = end.minus(Duration::from_mins(outage.minutes_ago));
        now >= start && now.since(start) < outage.length
    });
    let Some(outage) = outage else {
        return HttpResponse::Ok().json(serde_json::json!({"ticket": now.seconds() % 10_000}));
    };
    let status = StatusCode::from_u16(outage.status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = HttpResponse::build(status);
    if let Some(seconds) = outage.retry_after {
        response.insert_header((RETRY_AFTER, seconds));
    }
    response.content_type("text/plain").body(outage.body)
}

/// Returns whether the customer database rejects deliveries at `now`.
fn is_rejecting(now: Timestamp, end: Timestamp) -> bool {
    now >= end.minus(Duration::from_mins(CUSTOMERS_FAIL_MINUTES_AGO))
}
