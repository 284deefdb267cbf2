//! The stylesheet, the scripts and the icon, embedded in the executable.
//!
//! Their addresses carry a hash of their content, so browsers may keep them for ever.

use std::sync::LazyLock;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpResponse, web};

use super::framework::page_error::PageError;
use crate::server::tokens;

struct Asset {
    name: &'static str,
    kind: &'static str,
    content: &'static str,
}

const ASSETS: [Asset; 4] = [
    Asset {
        name: "style.css",
        kind: "text/css; charset=utf-8",
        content: include_str!("../../static/style.css"),
    },
    Asset {
        name: "app.js",
        kind: "text/javascript; charset=utf-8",
        content: include_str!("../../static/app.js"),
    },
    Asset {
        name: "feedback.js",
        kind: "text/javascript; charset=utf-8",
        content: include_str!("../../static/feedback.js"),
    },
    Asset {
        name: "favicon.svg",
        kind: "image/svg+xml",
        content: include_str!("../../static/favicon.svg"),
    },
];

/// One version for all of them: they change together, with the program.
pub(super) static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all: String = ASSETS.iter().map(|asset| asset.content).collect();
    hex::encode(&tokens::sha256(all)[..6])
});

pub(super) async fn get(name: web::Path<String>) -> Result<HttpResponse, PageError> {
    let asset = ASSETS
        .iter()
        .find(|asset| asset.name == name.as_str())
        .ok_or(PageError::NotFound)?;
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_TYPE, asset.kind))
        .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
        .body(asset.content))
}
