//! Code that the site and the receiver share: starting and stopping, headers, static files.
//!
//! A [`DemoServer`] runs until it is stopped. It doesn't handle signals.

use std::io;
use std::net::{SocketAddr, TcpListener};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Server, ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ContentType, HOST, HeaderName, HeaderValue};
use actix_web::middleware::{DefaultHeaders, Next};
use actix_web::web::{self, ServiceConfig};
use actix_web::{Error, HttpResponse, Route};
use askama::Template;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A running server of the demo.
pub struct DemoServer {
    /// The server's URL, `http://127.0.0.1:PORT`.
    pub url: String,
    handle: ServerHandle,
    task: JoinHandle<io::Result<()>>,
    stopping: watch::Sender<bool>,
}

impl DemoServer {
    /// Runs `server` on the current tokio runtime. The server's event streams end when `stopping`
    /// is set.
    pub(super) fn spawn(url: String, server: Server, stopping: watch::Sender<bool>) -> Self {
        Self {
            url,
            handle: server.handle(),
            task: tokio::spawn(server),
            stopping,
        }
    }

    /// Ends open event streams, waits up to 1 s for requests in flight, and releases the port.
    pub async fn stop(self) -> io::Result<()> {
        // An event stream that stays open would delay the shutdown until the timeout.
        self.stopping.send_replace(true);
        self.handle.stop(true).await;
        self.task.await.map_err(io::Error::other)?
    }
}

/// Returns the URL of `listener`.
pub(super) fn listener_url(listener: &TcpListener) -> io::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// Returns an origin and, if its host is a loopback IP address, the same origin with `localhost` as
/// the host. A space separates the origins.
pub(super) fn origin_with_localhost_alias(url: &str) -> String {
    match url.strip_prefix("http://").map(str::parse::<SocketAddr>) {
        Some(Ok(address)) if address.ip().is_loopback() => {
            format!("{url} http://localhost:{}", address.port())
        }
        _ => url.to_owned(),
    }
}

/// Returns middleware that adds security headers and `Cache-Control` to every response. `policy` is
/// the Content-Security-Policy.
pub(super) fn security_headers(policy: &str) -> DefaultHeaders {
    DefaultHeaders::new()
        .add(("Content-Security-Policy", policy))
        .add(("X-Content-Type-Options", "nosniff"))
        .add(("Referrer-Policy", "same-origin"))
        .add((CACHE_CONTROL, "no-store"))
}

/// Middleware that rejects requests for another host. Otherwise, a website could read the received
/// events by pointing its own name at this machine (DNS rebinding).
pub(super) async fn reject_other_hosts(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let address = request.app_config().local_addr();
    let host = request.headers().get(HOST).map(HeaderValue::as_bytes);
    let own = [address.to_string(), format!("localhost:{}", address.port())];
    if own.iter().any(|own| Some(own.as_bytes()) == host) {
        return Ok(next.call(request).await?.map_into_boxed_body());
    }
    let text = format!("Open this page at http://{address}/.\n");
    let response = HttpResponse::build(StatusCode::MISDIRECTED_REQUEST).body(text);
    Ok(request.into_response(response))
}

/// The 404 page of the site or the receiver.
#[derive(Template)]
#[template(path = "demo/not_found.html")]
pub(super) struct NotFoundPage {
    pub name: &'static str,
    pub theme: &'static str,
}

/// Adds the routes of the shared stylesheet and an icon.
pub(super) fn add_static_file_routes(config: &mut ServiceConfig, icon: &'static str) {
    let stylesheet = include_str!("../../static/demo.css");
    config
        .route(
            "/demo.css",
            static_file_route("text/css; charset=utf-8", stylesheet),
        )
        .route("/icon.svg", static_file_route("image/svg+xml", icon));
}

/// Returns a route that serves `text` as a file.
pub(super) fn static_file_route(content_type: &'static str, text: &'static str) -> Route {
    web::get().to(move || async move {
        HttpResponse::Ok()
            .insert_header((HeaderName::from_static("content-type"), content_type))
            .body(text)
    })
}

/// Renders a page as a response, or responds with 500 if rendering fails.
pub(super) fn render_page(status: StatusCode, page: &impl Template) -> HttpResponse {
    match page.render() {
        Ok(text) => HttpResponse::build(status)
            .insert_header(ContentType::html())
            .body(text),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}
