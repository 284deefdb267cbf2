//! The demo's receiver: an endpoint as a customer would write it, and a page that shows the
//! received requests.
//!
//! The endpoint verifies `X-Miniback-Signature` over the raw body, responds with 204 or 401, and
//! stores the last 100 requests in memory ([`super::inbox`]). Server-sent events update the page.
//! After a disconnect, the page receives the missed events, because the browser sends
//! `Last-Event-ID`.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use askama::Template;
use futures_util::{Stream, StreamExt, stream};
use ring::hmac;
use serde::Deserialize;
use tokio::sync::watch;

use super::channel::{self, CHANNEL_PATH, Channel};
use super::inbox::{Inbox, ReceivedRequest};
use super::mailbox::{self, Mailbox};
use super::server::{
    DemoServer, NotFoundPage, add_static_file_routes, listener_url, origin_with_localhost_alias,
    reject_other_hosts, render_page, security_headers, static_file_route,
};
use crate::clock::Clock;

const PAGE_SCRIPT: &str = include_str!("../../static/demo_receiver.js");
const REFRESH_SCRIPT: &str = include_str!("../../static/demo_refresh.js");
pub const ENDPOINT_PATH: &str = "/webhooks/miniback";
/// The path of the sample ticket system's endpoint. At this path, the receiver always responds with
/// 503, so that the demo shows a failing webhook.
pub const TICKETS_PATH: &str = "/webhooks/tickets";
/// The path of the sample customer database's endpoint. At this path, the receiver always responds
/// with 401, so that the demo shows retries and an explanation.
pub const CUSTOMERS_PATH: &str = "/webhooks/customers";
/// The response of the sample customer database.
pub(super) const INVALID_SIGNATURE: &str = "{\"error\":\"invalid signature\"}\n";
/// The maximum size of a request body. It is larger than an event with the longest message.
const BODY_MAX_BYTES: usize = 256 * 1024;
/// The time between heartbeats of an event stream without events.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(20);

struct ReceiverState {
    secret: String,
    inbox: Inbox,
    stopping: watch::Receiver<bool>,
}

/// Starts the receiver on `listener`. Must be called within a tokio runtime. Only pages at
/// `site_url` can embed the receiver in a frame.
///
/// The receiver expects deliveries at [`ENDPOINT_PATH`], signed with `secret`, and adds the chat
/// messages at [`CHANNEL_PATH`] to `channel`. It shows the emails in `mailbox`.
pub fn start(
    listener: TcpListener,
    secret: String,
    channel: Channel,
    mailbox: Mailbox,
    site_url: &str,
) -> io::Result<DemoServer> {
    let url = listener_url(&listener)?;
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; \
         connect-src 'self'; frame-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors {}",
        origin_with_localhost_alias(site_url)
    );
    let stopping = watch::Sender::new(false);
    let receiver = web::Data::new(ReceiverState {
        secret,
        inbox: Inbox::new(Clock::system().now()),
        stopping: stopping.subscribe(),
    });
    let (channel, mailbox) = (web::Data::new(channel), web::Data::new(mailbox));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(receiver.clone())
            .app_data(channel.clone())
            .app_data(mailbox.clone())
            .app_data(web::PayloadConfig::new(BODY_MAX_BYTES))
            .wrap(from_fn(reject_other_hosts))
            .wrap(security_headers(&policy))
            .configure(|config| {
                add_static_file_routes(config, include_str!("../../static/demo_receiver.svg"))
            })
            .route(
                "/demo.js",
                static_file_route("text/javascript; charset=utf-8", PAGE_SCRIPT),
            )
            .route(
                "/refresh.js",
                static_file_route("text/javascript; charset=utf-8", REFRESH_SCRIPT),
            )
            .route(ENDPOINT_PATH, web::post().to(receive_delivery))
            .route(TICKETS_PATH, web::post().to(reject_delivery))
            .route(CUSTOMERS_PATH, web::post().to(reject_signature))
            .route(CHANNEL_PATH, web::post().to(channel::receive_message))
            .route("/channel", web::get().to(channel::show_page))
            .route("/inbox", web::get().to(mailbox::show_page))
            .route("/inbox/{number}", web::get().to(mailbox::show_html))
            .route("/", web::get().to(show_page))
            .route("/events", web::get().to(stream_received_requests))
            .route("/received.json", web::get().to(list_requests))
            .default_service(web::to(show_not_found_page))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(1)
    .listen(listener)?
    .run();
    Ok(DemoServer::spawn(url, server, stopping))
}

async fn receive_delivery(
    receiver: web::Data<ReceiverState>,
    request: HttpRequest,
    body: web::Bytes,
) -> HttpResponse {
    let arrived = Clock::system().now();
    let signature = request.headers().get("X-Miniback-Signature");
    let valid = has_valid_signature(&receiver.secret, &body, signature);
    let mut headers: Vec<_> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.to_string(), header_value_as_text(value)))
        .collect();
    // The header map is unordered. Sort the headers by name, with Miniback's headers first.
    headers.sort_by_key(|(name, _)| {
        let rank = ["x-miniback-", "webhook-"]
            .iter()
            .position(|prefix| name.starts_with(prefix));
        (rank.unwrap_or(2), name.clone())
    });
    receiver
        .inbox
        .record_request(arrived, valid, headers, &body);
    if valid {
        HttpResponse::NoContent().finish()
    } else {
        HttpResponse::Unauthorized().body("The signature doesn't match this endpoint's secret.\n")
    }
}

/// Responds as a ticket system that is down. The response has no `Retry-After`, so it is an
/// ordinary failure.
async fn reject_delivery() -> HttpResponse {
    HttpResponse::ServiceUnavailable().body("Down for maintenance\n")
}

/// Responds as an endpoint with another secret.
async fn reject_signature() -> HttpResponse {
    HttpResponse::Unauthorized().body(INVALID_SIGNATURE)
}

/// Returns whether `signature` is the hexadecimal HMAC-SHA256 of the raw body, keyed by the secret.
/// Compares in constant time.
fn has_valid_signature(secret: &str, body: &[u8], signature: Option<&HeaderValue>) -> bool {
    let tag = signature.and_then(|hex| hex::decode(hex.as_bytes()).ok());
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    tag.is_some_and(|tag| hmac::verify(&key, body, &tag).is_ok())
}

fn header_value_as_text(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

#[derive(Template)]
#[template(path = "demo/receiver.html")]
struct ReceiverPage {
    current: &'static str,
    endpoint_path: &'static str,
    /// The id of the newest request on the page. The event stream continues after this request.
    last_id: String,
    newest_first: Vec<std::sync::Arc<ReceivedRequest>>,
}

/// The card of one request, on the page and in the event stream.
#[derive(Template)]
#[template(path = "demo/received.html")]
struct RequestCard<'a> {
    received: &'a ReceivedRequest,
}

async fn show_page(receiver: web::Data<ReceiverState>) -> HttpResponse {
    let mut newest_first = receiver.inbox.requests_after(0);
    newest_first.reverse();
    let newest = newest_first.first().map_or(0, |received| received.number);
    let page = ReceiverPage {
        current: "endpoint",
        endpoint_path: ENDPOINT_PATH,
        last_id: receiver.inbox.sse_event_id(newest),
        newest_first,
    };
    render_page(StatusCode::OK, &page)
}

async fn list_requests(receiver: web::Data<ReceiverState>) -> HttpResponse {
    let newest_first: Vec<_> = receiver.inbox.requests_after(0).into_iter().rev().collect();
    let list: Vec<_> = newest_first
        .iter()
        .map(|received| received.to_list_item())
        .collect();
    HttpResponse::Ok().json(list)
}

async fn show_not_found_page() -> HttpResponse {
    let page = NotFoundPage {
        name: "Receiver",
        theme: "receiver",
    };
    render_page(StatusCode::NOT_FOUND, &page)
}

#[derive(Deserialize)]
struct EventsQuery {
    /// The id of the newest request on the rendered page. A reconnecting browser sends
    /// `Last-Event-ID` instead.
    after: Option<String>,
}

async fn stream_received_requests(
    receiver: web::Data<ReceiverState>,
    request: HttpRequest,
    query: web::Query<EventsQuery>,
) -> HttpResponse {
    let last = request
        .headers()
        .get("Last-Event-ID")
        .map(header_value_as_text);
    let last = last.or_else(|| query.into_inner().after);
    HttpResponse::Ok()
        .content_type("text/event-stream")
        .streaming(create_event_stream(receiver, last))
}

fn create_event_stream(
    receiver: web::Data<ReceiverState>,
    last: Option<String>,
) -> impl Stream<Item = Result<web::Bytes, io::Error>> {
    let last_number = match last {
        Some(id) => receiver.inbox.number_from_sse_event_id(&id),
        None => Some(0),
    };
    let Some(last_number) = last_number else {
        // The id is from an earlier run of the demo or invalid, so the page must be reloaded.
        let reset = web::Bytes::from_static(b"event: reset\ndata: restarted\n\n");
        return stream::iter([Ok(reset)]).left_stream();
    };
    let changes = receiver.inbox.subscribe_to_newest_request_number();
    let stopping = receiver.stopping.clone();
    let state = (receiver, changes, stopping, last_number);
    let events = stream::unfold(state, |state| async move {
        let (receiver, mut changes, mut stopping, last_number) = state;
        // Mark changes as seen before reading, so that later changes end the wait below.
        changes.borrow_and_update();
        let mut new = receiver.inbox.requests_after(last_number);
        if new.is_empty() {
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return None,
                _ = changes.changed() => new = receiver.inbox.requests_after(last_number),
                () = tokio::time::sleep(HEARTBEAT_INTERVAL) => {}
            }
        }
        let last_number = new.last().map_or(last_number, |received| received.number);
        let text = if new.is_empty() {
            ":\n\n".to_owned()
        } else {
            new.iter()
                .map(|received| format_sse_event(&receiver.inbox, received))
                .collect()
        };
        let state = (receiver, changes, stopping, last_number);
        Some((Ok(web::Bytes::from(text)), state))
    });
    let retry = web::Bytes::from_static(b"retry: 1000\n\n");
    stream::iter([Ok(retry)]).chain(events).right_stream()
}

/// Formats one server-sent event. The markup is sent as a JSON string, because a line break in the
/// markup would end the `data` field.
fn format_sse_event(inbox: &Inbox, received: &ReceivedRequest) -> String {
    let card = RequestCard { received }.render().unwrap_or_default();
    let id = inbox.sse_event_id(received.number);
    format!("id: {id}\ndata: {}\n\n", serde_json::Value::from(card))
}
