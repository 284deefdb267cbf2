//! HTML responses: renders templates, and returns the URLs of static files for them.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::static_files;
use super::urls::Urls;

/// Renders a template as a response.
pub fn render(status: StatusCode, page: &impl Template) -> Result<HttpResponse, askama::Error> {
    Ok(response(status, page.render()?))
}

/// Returns a page that is already rendered.
pub fn response(status: StatusCode, html: String) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .body(html)
}

/// Returns the URL path of a file in `static/`. It changes with the content, so browsers can cache
/// the file forever.
pub fn asset_path(urls: &Urls, name: &str) -> String {
    urls.path(&format!("/static/{name}?v={}", *static_files::VERSION))
}
