//! `GET /widget.js`: the widget's script, with a fresh stamp in it.
//!
//! Browsers ask anew after some minutes and get 304 for as long as the day is the same: the script is then the same but
//! for its stamp, and one of today is good for weeks.

use std::io::Write;
use std::sync::LazyLock;

use actix_web::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderName, IF_NONE_MATCH, REFERER, VARY,
};
use actix_web::{HttpRequest, HttpResponse, web};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::translations::{self, WIDGET_NAMES};
use crate::clock::Timestamp;
use crate::server::{AppState, tokens};

const SOURCE: &str = include_str!("../../static/widget.js");
const DAY_MILLIS: i64 = 24 * 3600 * 1000;

/// The script but for the stamp.
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    without_comments(SOURCE)
        .replace("\"@WORDS@\"", &translations::of_widget().to_string())
        .replace("@NAMES@", &WIDGET_NAMES.join(" "))
});

/// Of the content: the program's next version has another one.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let hash = tokens::sha256(&*SCRIPT);
    hex::encode(&hash[..6])
});

/// What browsers need not load: indentation, and comments that have a line or the end of a line to themselves.
fn without_comments(source: &str) -> String {
    source
        .lines()
        .map(|line| line.split(" // ").next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

pub(crate) async fn script(app: web::Data<AppState>, request: HttpRequest) -> HttpResponse {
    let now = app.clock.now();
    let headers = request.headers();
    let value = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(referrer) = value(&REFERER) {
        app.door.loads.note(referrer, now);
    }
    let tag = tag(now);
    let is_known = headers
        .get_all(IF_NONE_MATCH)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim() == tag);
    let mut response = if is_known {
        HttpResponse::NotModified()
    } else {
        HttpResponse::Ok()
    };
    response
        .insert_header((ETAG, tag))
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .insert_header((VARY, "Accept-Encoding"))
        // Pages that load nothing without leave (`Cross-Origin-Embedder-Policy`) may load this.
        .insert_header((ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .insert_header((
            HeaderName::from_static("cross-origin-resource-policy"),
            "cross-origin",
        ));
    if is_known {
        return response.finish();
    }
    response.insert_header((CONTENT_TYPE, "text/javascript; charset=utf-8"));
    let script = SCRIPT.replace("@STAMP@", &app.door.stamps.issue(now));
    match takes_gzip(headers).then(|| gzip(&script)) {
        Some(Ok(packed)) => response
            .insert_header((CONTENT_ENCODING, "gzip"))
            .body(packed),
        _ => response.body(script),
    }
}

/// Weak, for the stamp may be another one.
fn tag(now: Timestamp) -> String {
    format!("W/\"{}-{}\"", *VERSION, now.millis().div_euclid(DAY_MILLIS))
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    headers
        .get_all(ACCEPT_ENCODING)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = weight.trim().trim_start_matches("q=");
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
    use crate::intake::form_token::Stamps;

    #[test]
    fn the_widget_is_at_most_6_kb_gzipped_with_all_its_words() {
        let stamp = Stamps::new(&[1; 32]).issue(Timestamp::from_millis(1_767_225_600_000));
        let script = SCRIPT.replace("@STAMP@", &stamp);
        let packed = gzip(&script).unwrap().len();
        println!("{} bytes, {packed} gzipped", script.len());
        assert!(packed <= 6_000, "{packed}");
        for place in ["@WORDS@", "@NAMES@", "@STAMP@"] {
            assert!(SOURCE.contains(place) && !script.contains(place), "{place}");
        }
    }

    #[test]
    fn comments_and_indentation_are_left_out_and_addresses_are_not_comments() {
        let source = "// a\n  one(\"https://b.example\"); // c\n\n  two();\n";
        assert_eq!(
            without_comments(source),
            "one(\"https://b.example\");\ntwo();\n"
        );
    }

    #[test]
    fn gzip_is_sent_to_whom_takes_it() {
        let takes = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, value.parse().unwrap());
            takes_gzip(&headers)
        };
        assert!(takes("gzip") && takes("br, GZIP;q=0.5"));
        assert!(!takes("br") && !takes("gzip;q=0") && !takes(""));
    }
}
