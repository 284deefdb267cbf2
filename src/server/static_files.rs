//! The stylesheet, scripts, and icon of the pages, embedded in the executable.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::tokens;

struct StaticFile {
    name: &'static str,
    content_type: &'static str,
    content: &'static str,
}

/// The stylesheet, joined from several files. Later files override earlier files.
const STYLESHEET: &str = concat!(
    include_str!("../../static/style/base.css"),
    include_str!("../../static/style/layout.css"),
    include_str!("../../static/style/controls.css"),
    include_str!("../../static/style/states.css"),
    include_str!("../../static/style/cards.css"),
    include_str!("../../static/style/feedback.css"),
    include_str!("../../static/style/deliveries.css"),
    include_str!("../../static/style/webhooks.css"),
    include_str!("../../static/style/auth_and_errors.css"),
    include_str!("../../static/style/media.css"),
    include_str!("../../static/style/docs.css"),
);

/// The script of all pages, joined from several files. The files share a scope, because one
/// function encloses them.
const SCRIPT: &str = concat!(
    "\"use strict\";\n(() => {\n",
    include_str!("../../static/app/shared.js"),
    include_str!("../../static/app/messages.js"),
    include_str!("../../static/app/regions.js"),
    include_str!("../../static/app/requests.js"),
    include_str!("../../static/app/live_updates.js"),
    include_str!("../../static/app/copy.js"),
    include_str!("../../static/app/times.js"),
    "})();\n",
);

const STATIC_FILES: [StaticFile; 5] = [
    StaticFile {
        name: "style.css",
        content_type: "text/css; charset=utf-8",
        content: STYLESHEET,
    },
    StaticFile {
        name: "app.js",
        content_type: "text/javascript; charset=utf-8",
        content: SCRIPT,
    },
    StaticFile {
        name: "feedback.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../../static/feedback.js"),
    },
    StaticFile {
        name: "connection_check.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("../../static/connection_check.js"),
    },
    StaticFile {
        name: "favicon.svg",
        content_type: "image/svg+xml",
        content: include_str!("../../static/favicon.svg"),
    },
];

/// A hash of the content of all files, used in their URLs.
pub static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all: String = STATIC_FILES.iter().map(|file| file.content).collect();
    hex::encode(&tokens::sha256(all)[..6])
});

/// Returns a file as a response that browsers cache forever, or `None` if there is no such file.
pub fn response(name: &str) -> Option<HttpResponse> {
    let file = STATIC_FILES.iter().find(|file| file.name == name)?;
    Some(
        HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, file.content_type))
            .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
            .body(file.content),
    )
}
