//! Stores the last 100 requests to the receiver in memory, numbered in order of arrival.
//!
//! The displayed data is derived once, on arrival. Headers and bodies are untrusted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde_json::Value;
use tokio::sync::watch;

use crate::clock::Timestamp;

const REQUESTS_MAX: usize = 100;
/// The maximum length of the message on a request's card, in characters.
const EXCERPT_MAX_CHARS: usize = 240;

pub(super) struct Inbox {
    /// The start time of this run in milliseconds. It distinguishes the SSE event ids of this run
    /// from the ids of an earlier run at the same URL.
    run: String,
    requests: Mutex<VecDeque<Arc<ReceivedRequest>>>,
    newest: watch::Sender<u64>,
}

/// One request to the endpoint.
pub(super) struct ReceivedRequest {
    /// The position in the order of arrival, starting at 1.
    pub number: u64,
    pub arrived: Timestamp,
    pub valid: bool,
    pub event: Option<String>,
    pub delivery: Option<String>,
    /// Whether an earlier stored request has the same delivery id, because of a retry or a
    /// redelivery.
    pub is_repeat: bool,
    pub latency_ms: Option<u64>,
    pub signed: bool,
    pub summary: EventSummary,
    pub headers: Vec<(String, String)>,
    /// The body as text, indented if it is JSON. Invalid UTF-8 is replaced.
    pub body: String,
    pub is_json: bool,
}

/// Fields extracted from a body. Missing fields are `None`.
#[derive(Default)]
pub(super) struct EventSummary {
    pub message: Option<String>,
    pub project: Option<String>,
    pub status: Option<String>,
    pub previous_status: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RequestListItem<'a> {
    event: Option<&'a str>,
    delivery: Option<&'a str>,
    valid: bool,
    #[serde(rename = "afterMs")]
    latency_ms: Option<u64>,
}

impl Inbox {
    pub fn new(started: Timestamp) -> Self {
        Self {
            run: started.millis().to_string(),
            requests: Mutex::default(),
            newest: watch::Sender::new(0),
        }
    }

    pub fn record_request(
        &self,
        arrived: Timestamp,
        valid: bool,
        headers: Vec<(String, String)>,
        body: &[u8],
    ) {
        let header = |name: &str| {
            let found = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone())
        };
        let delivery = header("X-Miniback-Delivery");
        let event_at = header("X-Miniback-Timestamp").and_then(|text| Timestamp::parse(&text));
        let json: Option<Value> = serde_json::from_slice(body).ok();
        let formatted = json
            .as_ref()
            .and_then(|json| serde_json::to_string_pretty(json).ok());

        let mut requests = self.lock_requests();
        let number = requests.back().map_or(1, |last| last.number + 1);
        let is_repeat =
            delivery.is_some() && requests.iter().any(|other| other.delivery == delivery);
        requests.push_back(Arc::new(ReceivedRequest {
            number,
            arrived,
            valid,
            event: header("X-Miniback-Event"),
            is_repeat,
            delivery,
            latency_ms: event_at
                .map(|at| u64::try_from(arrived.since(at).as_millis()).unwrap_or(u64::MAX)),
            signed: header("X-Miniback-Signature").is_some(),
            summary: json
                .as_ref()
                .map(EventSummary::from_body)
                .unwrap_or_default(),
            is_json: formatted.is_some(),
            body: formatted.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned()),
            headers,
        }));
        if requests.len() > REQUESTS_MAX {
            requests.pop_front();
        }
        drop(requests);
        self.newest.send_replace(number);
    }

    /// Returns the requests after number `after`, oldest first.
    pub fn requests_after(&self, after: u64) -> Vec<Arc<ReceivedRequest>> {
        let requests = self.lock_requests();
        requests
            .iter()
            .filter(|r| r.number > after)
            .cloned()
            .collect()
    }

    /// Returns a channel that contains the number of the newest request.
    pub fn subscribe_to_newest_request_number(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Returns the SSE event id of a request.
    pub fn sse_event_id(&self, number: u64) -> String {
        format!("{}-{number}", self.run)
    }

    /// Returns the number of the request with this SSE event id, or `None` if the id is invalid or
    /// from another run.
    pub fn number_from_sse_event_id(&self, id: &str) -> Option<u64> {
        let number = id.strip_prefix(&self.run)?.strip_prefix('-')?;
        number.parse().ok()
    }

    /// Locks the list of requests. Ignores poisoning, because a panic can't leave the list
    /// inconsistent.
    fn lock_requests(&self) -> MutexGuard<'_, VecDeque<Arc<ReceivedRequest>>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReceivedRequest {
    pub fn to_list_item(&self) -> RequestListItem<'_> {
        RequestListItem {
            event: self.event.as_deref(),
            delivery: self.delivery.as_deref(),
            valid: self.valid,
            latency_ms: self.latency_ms,
        }
    }

    /// Returns the time of the arrival in UTC, without the date. The page's script replaces this
    /// text with the local time.
    pub fn format_arrival_time(&self) -> String {
        self.arrived.to_jiff().strftime("%H:%M:%S UTC").to_string()
    }

    /// Formats the time from the event to its arrival, in a readable unit.
    pub fn format_latency(&self) -> Option<String> {
        self.latency_ms.map(|ms| match ms {
            0..1_000 => format!("{ms} ms"),
            1_000..10_000 => format!("{},{:03} ms", ms / 1_000, ms % 1_000),
            10_000..120_000 => format!("{} s", ms / 1_000),
            120_000..7_200_000 => format!("{} min", ms / 60_000),
            _ => format!("{} h", ms / 3_600_000),
        })
    }
}

impl EventSummary {
    /// Extracts the fields from the body of any event. A test event has no project, and its message
    /// is in a different member.
    fn from_body(body: &Value) -> Self {
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
        let message = text("/data/feedback/message").or_else(|| text("/data/message"));
        Self {
            message: message.map(message_excerpt),
            project: text("/data/project/name").map(str::to_owned),
            status: text("/data/feedback/status").map(str::to_owned),
            previous_status: text("/data/previousStatus").map(str::to_owned),
        }
    }
}

fn message_excerpt(message: &str) -> String {
    match message.char_indices().nth(EXCERPT_MAX_CHARS) {
        Some((end, _)) => format!("{}…", message[..end].trim_end()),
        None => message.to_owned(),
    }
}
