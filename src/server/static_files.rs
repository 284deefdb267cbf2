//! The stylesheet, scripts, and icon of the pages, embedded in the executable. Comments and spaces
//! that browsers don't need are removed.

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::tokens;

struct StaticFile {
    name: &'static str,
    content_type: &'static str,
    content: String,
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
    include_str!("../../static/app/notifications.js"),
    include_str!("../../static/app/copy.js"),
    include_str!("../../static/app/preview.js"),
    include_str!("../../static/app/filters.js"),
    include_str!("../../static/app/times.js"),
    include_str!("../../static/app/charts.js"),
    include_str!("../../static/app/contents.js"),
    include_str!("../../static/app/slug.js"),
    "})();\n",
);

static STATIC_FILES: LazyLock<[StaticFile; 6]> = LazyLock::new(|| {
    let script = "text/javascript; charset=utf-8";
    let file = |name, content_type, content| StaticFile {
        name,
        content_type,
        content,
    };
    let feedback = include_str!("../../static/feedback.js");
    let connection_check = include_str!("../../static/connection_check.js");
    let docs = include_str!("../../static/docs.js");
    let icon = include_str!("../../static/favicon.svg");
    [
        file(
            "style.css",
            "text/css; charset=utf-8",
            strip_css(STYLESHEET),
        ),
        file("app.js", script, strip_script(SCRIPT)),
        file("feedback.js", script, strip_script(feedback)),
        file(
            "connection_check.js",
            script,
            strip_script(connection_check),
        ),
        file("docs.js", script, strip_script(docs)),
        file("favicon.svg", "image/svg+xml", icon.to_owned()),
    ]
});

/// Removes the comments and unnecessary spaces of a stylesheet. The strings in the stylesheet must
/// contain neither `/*` nor punctuation.
fn strip_css(source: &str) -> String {
    let mut parts = source.split("/*");
    let first = parts.next().unwrap_or_default().to_owned();
    let text = parts.fold(first, |text, part| {
        text + part.split_once("*/").map_or("", |(_, after)| after)
    });
    let pairs = [
        (" {", "{"),
        ("{ ", "{"),
        ("; ", ";"),
        (" }", "}"),
        ("} ", "}"),
    ];
    let pairs = pairs
        .into_iter()
        .chain([(", ", ","), (": ", ":"), (" > ", ">"), (";}", "}")]);
    let words: Vec<&str> = text.split_whitespace().collect();
    pairs.fold(words.join(" "), |text, (long, short)| {
        text.replace(long, short)
    })
}

/// Removes the line comments and the indentation of a script. Block comments stay. The script must
/// contain no ` // ` in strings, and no template literals that span several lines.
fn strip_script(source: &str) -> String {
    let lines = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    join_lines(lines.map(|line| line.split(" // ").next().unwrap_or_default()))
}

fn join_lines<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines = lines.map(str::trim).filter(|line| !line.is_empty());
    lines.flat_map(|line| [line, "\n"]).collect()
}

/// A hash of the content of all files, used in their URLs.
pub static VERSION: LazyLock<String> = LazyLock::new(|| {
    let all: String = STATIC_FILES
        .iter()
        .map(|file| file.content.as_str())
        .collect();
    hex::encode(&tokens::sha256(all)[..6])
});

/// Returns a file as a response that browsers cache forever, or `None` if there is no such file.
pub fn response(name: &str) -> Option<HttpResponse> {
    let file = STATIC_FILES.iter().find(|file| file.name == name)?;
    Some(
        HttpResponse::Ok()
            .insert_header((CONTENT_TYPE, file.content_type))
            .insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"))
            .body(file.content.as_str()),
    )
}
