//! HTML responses: renders templates, and returns the URLs of static files for the templates.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_ENCODING, ALLOW, HeaderMap, HeaderValue, RETRY_AFTER};
use askama::Template;

use super::static_files;
use super::urls::Urls;

/// Renders a template as an HTML response.
pub fn render(status: StatusCode, page: &impl Template) -> Result<HttpResponse, askama::Error> {
    Ok(response(status, page.render()?))
}

/// Returns a response with HTML that is already rendered.
pub fn response(status: StatusCode, html: String) -> HttpResponse {
    HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .body(html)
}

/// Adds the headers of an error page: `Allow` with status 405, `Accept-Encoding` if the request was
/// compressed, and `Retry-After` with status 503 or 507.
pub fn add_error_headers(
    headers: &mut HeaderMap,
    status: StatusCode,
    allow: Option<&str>,
    is_compressed: bool,
) {
    if let Some(allow) = allow.and_then(|allow| HeaderValue::from_str(allow).ok()) {
        headers.insert(ALLOW, allow);
    }
    if is_compressed {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    if matches!(
        status,
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::INSUFFICIENT_STORAGE
    ) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
}

/// Returns the URL path of a file in `static/`. The path changes when the content of any file
/// changes, so browsers can cache the file forever.
pub fn asset_path(urls: &Urls, name: &str) -> String {
    urls.path(&format!("/static/{name}?v={}", *static_files::VERSION))
}
