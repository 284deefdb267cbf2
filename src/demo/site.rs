//! The sample site: a page with the widget's script and an additional button that opens the widget.
//! Without JavaScript, the button is a link to the project's public form.
//!
//! A frame on the page shows the receiver.

use std::io;
use std::net::TcpListener;

use actix_web::http::StatusCode;
use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, web};
use askama::Template;
use tokio::sync::watch;

use super::server::{
    DemoServer, NotFoundPage, add_static_file_routes, listener_url, reject_other_hosts,
    render_page, security_headers,
};

/// The template of the page, with the URLs and the project's slug.
#[derive(Template)]
#[template(path = "demo/site.html")]
struct SitePage {
    miniback_url: String,
    /// The slug of the project that receives feedback.
    project: String,
    receiver_url: String,
}

/// Starts the sample site on `listener`. Must be called within a tokio runtime. The site's widget
/// sends feedback for the project with the slug `project` to Miniback at `miniback_url`.
pub fn start(
    listener: TcpListener,
    miniback_url: String,
    project: String,
    receiver_url: String,
) -> io::Result<DemoServer> {
    let url = listener_url(&listener)?;
    // The widget only needs permission to load its script and to send feedback.
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; script-src {miniback_url}; \
         connect-src {miniback_url}; frame-src {receiver_url}; form-action 'none'; \
         base-uri 'none'; frame-ancestors 'none'"
    );
    let page = web::Data::new(SitePage {
        miniback_url,
        project,
        receiver_url,
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(page.clone())
            .wrap(from_fn(reject_other_hosts))
            .wrap(security_headers(&policy))
            .configure(|config| {
                add_static_file_routes(config, include_str!("../../static/demo_site.svg"))
            })
            .route("/", web::get().to(show_page))
            .default_service(web::to(show_not_found_page))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(1)
    .listen(listener)?
    .run();
    Ok(DemoServer::spawn(url, server, watch::Sender::new(false)))
}

async fn show_page(page: web::Data<SitePage>) -> HttpResponse {
    render_page(StatusCode::OK, page.get_ref())
}

async fn show_not_found_page() -> HttpResponse {
    let page = NotFoundPage {
        name: "Fernweh",
        theme: "site",
    };
    render_page(StatusCode::NOT_FOUND, &page)
}
