//! What site and receiver have in common: how they are run and stopped, the headers of their pages,
//! their files.
//!
//! A [`DemoServer`] runs until it is stopped; signals are the command's business, not its own.

use std::io;
use std::net::{SocketAddr, TcpListener};

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ContentType, HeaderName};
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpResponse, Route};
use askama::Template;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A server of the demo, running.
pub struct DemoServer {
    /// Where it is: `http://127.0.0.1:PORT`.
    pub url: String,
    handle: ServerHandle,
    task: JoinHandle<io::Result<()>>,
    stopping: watch::Sender<bool>,
}

impl DemoServer {
    /// Lets `server` run on the current tokio runtime. `stopping` is what its endless answers
    /// watch.
    pub(super) fn spawn(url: String, server: Server, stopping: watch::Sender<bool>) -> Self {
        Self {
            url,
            handle: server.handle(),
            task: tokio::spawn(server),
            stopping,
        }
    }

    /// Ends the open event streams, lets what is in flight finish (a second at most), and gives the
    /// port back.
    pub async fn stop(self) -> io::Result<()> {
        // Without this an open page would hold the shutdown to its full timeout.
        self.stopping.send_replace(true);
        self.handle.stop(true).await;
        self.task.await.map_err(io::Error::other)?
    }
}

/// The address that a browser writes for `listener`.
pub(super) fn listener_url(listener: &TcpListener) -> io::Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}

/// An origin under both names that this machine's browser may use for it.
pub(super) fn origin_aliases(url: &str) -> String {
    match url.strip_prefix("http://").map(str::parse::<SocketAddr>) {
        Some(Ok(address)) if address.ip().is_loopback() => {
            format!("{url} http://localhost:{}", address.port())
        }
        _ => url.to_owned(),
    }
}

/// The headers that every answer carries, around a page's own Content-Security-Policy.
pub(super) fn page_headers(policy: &str) -> DefaultHeaders {
    DefaultHeaders::new()
        .add(("Content-Security-Policy", policy))
        .add(("X-Content-Type-Options", "nosniff"))
        .add(("Referrer-Policy", "same-origin"))
        .add((CACHE_CONTROL, "no-store"))
}

/// A page that could not be found, in the words of the server it was asked of.
#[derive(Template)]
#[template(path = "demo/not_found.html")]
pub(super) struct NotFound {
    pub name: &'static str,
    pub theme: &'static str,
}

/// The stylesheet of both, and the icon of one.
pub(super) fn files(config: &mut ServiceConfig, icon: &'static str) {
    let stylesheet = include_str!("../../static/demo.css");
    config
        .route("/demo.css", file("text/css; charset=utf-8", stylesheet))
        .route("/icon.svg", file("image/svg+xml", icon));
}

pub(super) fn file(content_type: &'static str, text: &'static str) -> Route {
    web::get().to(move || async move {
        HttpResponse::Ok()
            .insert_header((HeaderName::from_static("content-type"), content_type))
            .body(text)
    })
}

/// A template as an answer with its status.
pub(super) fn html(status: StatusCode, page: &impl Template) -> HttpResponse {
    match page.render() {
        Ok(text) => HttpResponse::build(status)
            .insert_header(ContentType::html())
            .body(text),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}
