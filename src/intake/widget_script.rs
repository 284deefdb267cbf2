//! `GET /widget.js`: the widget's script, with its strings in all languages, the browser and the
//! operating system of the request, and a new form token.
//!
//! Browsers revalidate the script after 5 minutes. Until the end of the day (UTC), the response to
//! a revalidation is 304, because a new script would differ only in its token. A token is valid for
//! weeks.
//!
//! The script shows the browser and the operating system before it sends feedback. Shared caches
//! must not store the script, because many of them ignore `Vary: User-Agent`.

use std::io::Write;
use std::sync::LazyLock;

use actix_web::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderName, IF_NONE_MATCH, REFERER, VARY,
};
use actix_web::{HttpRequest, HttpResponse, web};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::Intake;
use super::translations::{WIDGET_STRING_NAMES, widget_strings};
use crate::clock::Timestamp;
use crate::domain::context::derived_members;
use crate::server::user_agent::user_agent;
use crate::server::{AppState, tokens};

/// The script, minified by `tests/minifier/run`. It contains names such as `__TOKEN__` in place of
/// values.
const MINIFIED_SCRIPT: &str = include_str!("../../static/widget.min.js");
const DAY_MILLIS: i64 = 24 * 3600 * 1000;

/// The script, without the values that can differ between two responses.
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    // The minifier leaves the line breaks and the indentation of the stylesheet.
    MINIFIED_SCRIPT
        .replace(r"\n    ", "")
        .replace("__STRINGS__", &widget_strings().to_string())
        .replace("__NAMES__", &json!(WIDGET_STRING_NAMES).to_string())
});

/// A hash of the script, for its `ETag`.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let hash = tokens::sha256(&*SCRIPT);
    hex::encode(&hash[..6])
});

pub(super) async fn get(
    app: web::Data<AppState>,
    intake: web::Data<Intake>,
    request: HttpRequest,
) -> HttpResponse {
    let now = app.clock.now();
    let headers = request.headers();
    let referrer = headers.get(REFERER).and_then(|value| value.to_str().ok());
    let own_origin = app.proxies.own_origin(&request);
    if let Some(referrer) =
        referrer.filter(|referrer| !referrer.starts_with(&format!("{own_origin}/")))
    {
        let query = url::form_urlencoded::parse(request.query_string().as_bytes());
        let slug = query.into_iter().find(|(name, _)| name == "project");
        let slug = slug.map(|(_, slug)| slug.into_owned());
        intake.record_script_load(&app, referrer, slug, now);
    }
    let members = json!(derived_members(&user_agent(headers))).to_string();
    let etag = etag(&members, now);
    let is_match = headers
        .get_all(IF_NONE_MATCH)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim() == etag);
    let mut response = if is_match {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((ETAG, etag))
        .insert_header((CACHE_CONTROL, "private, max-age=300"))
        .insert_header((VARY, "Accept-Encoding, User-Agent"))
        // Pages with `Cross-Origin-Embedder-Policy` load only resources that permit other origins.
        .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .insert_header((
            HeaderName::from_static("cross-origin-resource-policy"),
            "cross-origin",
        ));
    if is_match {
        return response.finish();
    }
    response.insert_header((CONTENT_TYPE, "text/javascript; charset=utf-8"));
    let own_url = app.urls.absolute_url(&own_origin, "/");
    let script = render_script(&members, &intake.form_tokens.issue_token(now), &own_url);
    match accepts_gzip(headers).then(|| gzip(&script)) {
        Some(Ok(compressed)) => response
            .insert_header((CONTENT_ENCODING, "gzip"))
            .body(compressed),
        _ => response.body(script),
    }
}

/// Returns the script. `context` is the JSON of the derived members. The script uses `own_url`,
/// Miniback's own URL, if the `src` of its tag isn't a full URL.
fn render_script(context: &str, form_token: &str, own_url: &str) -> String {
    SCRIPT
        .replace("__CONTEXT__", context)
        .replace("__TOKEN__", &json!(form_token).to_string())
        .replace("__SERVER__", &json!(own_url).to_string())
}

/// Returns the `ETag` of the script, which changes each day. It is weak, because the form token
/// differs in each response.
fn etag(context: &str, now: Timestamp) -> String {
    let hash = tokens::sha256(format!("{}{context}", *VERSION));
    let day = now.millis().div_euclid(DAY_MILLIS);
    format!("W/\"{}-{day}\"", hex::encode(&hash[..6]))
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = weight.trim().trim_start_matches(['q', 'Q', '=']);
            name.trim().eq_ignore_ascii_case("gzip") && weight.parse() != Ok(0.0_f32)
        })
}

fn gzip(text: &str) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes())?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::form_token::FormTokens;

    #[test]
    fn the_script_is_at_most_6_144_bytes_gzipped() {
        let token =
            FormTokens::new(&[1; 32]).issue_token(Timestamp::from_millis(1_767_225_600_000));
        let context = r#"[["browser","Samsung Internet 131"],["system","Android"]]"#;
        let script = render_script(context, &token, "https://feedback.example.com/miniback/");
        let size = gzip(&script).unwrap().len();
        println!("{} bytes, {size} gzipped", script.len());
        assert!(size <= 6_144, "{size}");
        let placeholders = [
            "__STRINGS__",
            "__NAMES__",
            "__CONTEXT__",
            "__TOKEN__",
            "__SERVER__",
        ];
        for name in placeholders {
            assert!(MINIFIED_SCRIPT.contains(name), "{name}");
            assert!(!script.contains(name), "{name}");
        }
    }

    #[test]
    fn accepts_gzip_reads_names_and_weights() {
        let accepts = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
            accepts_gzip(&headers)
        };
        assert!(accepts("gzip") && accepts("br, GZIP;q=0.5"));
        assert!(!accepts("br") && !accepts("gzip;q=0") && !accepts("gzip;Q=0.0") && !accepts(""));
    }
}
