//! The sample site: a product's page that carries Miniback's widget, as any site would: one script
//! tag, and a button of its own that opens it. Where scripts are off, that button is a link to the
//! project's form.
//!
//! Beside it, in a frame, stands the receiver's page.

use std::io;
use std::net::TcpListener;

use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, HttpServer, web};
use askama::Template;
use tokio::sync::watch;

use super::server::{DemoServer, NotFound, files, html, listener_url, page_headers};

/// What the page names.
#[derive(Template)]
#[template(path = "demo/site.html")]
struct Page {
    /// Where Miniback is.
    miniback_url: String,
    /// The slug of the project that feedback is for.
    project: String,
    receiver_url: String,
}

/// Starts the sample site on `listener`, within a tokio runtime. Its widget is of Miniback at
/// `miniback_url`, and sends to `project` (a slug).
pub fn start(
    listener: TcpListener,
    miniback_url: String,
    project: String,
    receiver_url: String,
) -> io::Result<DemoServer> {
    let url = listener_url(&listener)?;
    // As strict as it can be: what the widget needs is leave to be loaded and to send.
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src {miniback_url}; \
         connect-src {miniback_url}; frame-src {receiver_url}; form-action 'none'; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    let page = web::Data::new(Page {
        miniback_url,
        project,
        receiver_url,
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(page.clone())
            .wrap(page_headers(&policy))
            .configure(|config| files(config, include_str!("../../static/demo_site.svg")))
            .route("/", web::get().to(show))
            .default_service(web::to(not_found))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(1)
    .listen(listener)?
    .run();
    Ok(DemoServer::spawn(url, server, watch::Sender::new(false)))
}

async fn show(page: web::Data<Page>) -> HttpResponse {
    html(StatusCode::OK, page.get_ref())
}

async fn not_found() -> HttpResponse {
    let page = NotFound {
        name: "Fernweh",
        theme: "site",
    };
    html(StatusCode::NOT_FOUND, &page)
}
