//! `GET /widget.js`: the widget's script, with its strings in all languages and a new form token.
//!
//! Browsers revalidate the script after 5 minutes. Until the end of the day (UTC), the response to
//! a revalidation is 304, because a new script would differ only in its token. A token is valid for
//! weeks.

use std::io::Write;
use std::sync::LazyLock;

use actix_web::http::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE,
    ETAG, HeaderMap, HeaderName, IF_NONE_MATCH, REFERER, VARY,
};
use actix_web::{HttpRequest, HttpResponse, web};
use flate2::Compression;
use flate2::write::GzEncoder;

use super::Intake;
use super::translations::{WIDGET_STRING_NAMES, widget_strings};
use crate::clock::Timestamp;
use crate::server::{AppState, tokens};

const SCRIPT_SOURCE: &str = include_str!("../../static/widget.js");
const DAY_MILLIS: i64 = 24 * 3600 * 1000;

/// The minified script, with placeholders for the form token and Miniback's own URL.
static SCRIPT: LazyLock<String> = LazyLock::new(|| {
    shorten_names(&minify(SCRIPT_SOURCE))
        .replace("\"@STRINGS@\"", &widget_strings().to_string())
        .replace("@NAMES@", &WIDGET_STRING_NAMES.join(" "))
});

/// A hash of the script, for its `ETag`.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let hash = tokens::sha256(&*SCRIPT);
    hex::encode(&hash[..6])
});

/// Variables whose names are shortened to one letter in the minified script, roughly in order of
/// the number of uses. No property, string, or style in the script has one of these names.
const SHORTENED_NAMES: [&str; 52] = [
    "create",
    "retryAfter",
    "problem",
    "texts",
    "draftKey",
    "response",
    "sendButton",
    "mount",
    "closeButton",
    "element",
    "pageUrl",
    "prefilled",
    "server",
    "blocked",
    "channel",
    "closing",
    "flush",
    "flushing",
    "observer",
    "projectOf",
    "read",
    "realm",
    "registry",
    "resolve",
    "start",
    "candidate",
    "emailLabel",
    "forget",
    "found",
    "labels",
    "luminance",
    "memory",
    "messageLabel",
    "onInput",
    "opener",
    "pageLabel",
    "reject",
    "requested",
    "stylesheet",
    "timer",
    "translations",
    "children",
    "closeSoon",
    "findTag",
    "isStored",
    "milliseconds",
    "onEvent",
    "onViolation",
    "payload",
    "properties",
    "removals",
    "tokenIsValid",
];

/// Replaces the [`SHORTENED_NAMES`] in the minified script with `a` to `z` and `A` to `Z`.
fn shorten_names(script: &str) -> String {
    let mut shortened = String::new();
    // Each part is a word and the character after it.
    for part in script.split_inclusive(|c| !is_identifier_char(c)) {
        let name = part.trim_end_matches(|c| !is_identifier_char(c));
        let is_name = |(long, _): &(&str, char)| *long == name;
        let letters = ('a'..='z').chain('A'..='Z');
        match SHORTENED_NAMES.into_iter().zip(letters).find(is_name) {
            Some((_, letter)) => {
                shortened.push(letter);
                shortened.push_str(&part[name.len()..]);
            }
            None => shortened.push_str(part),
        }
    }
    shortened
}

fn is_identifier_char(c: char) -> bool {
    c.is_alphanumeric() || "_$".contains(c)
}

/// Removes comments, indentation, unnecessary spaces and line breaks, and semicolons before `}`.
///
/// This function supports only [`SCRIPT_SOURCE`], which has a semicolon after each statement, no
/// block comments, and no spaces in regular expressions. In a template, only line breaks and
/// indentation are removed.
fn minify(source: &str) -> String {
    let lines = source
        .lines()
        .map(|line| line.split(" // ").next().unwrap_or_default().trim())
        .filter(|line| !line.is_empty() && !line.starts_with("//"));
    let text: Vec<char> = lines.flat_map(|line| line.chars().chain(['\n'])).collect();
    let mut minified = String::new();
    // The quote that ends the current string or template.
    let mut quote = None;
    for (index, &c) in text.iter().enumerate() {
        let before = minified.chars().next_back().unwrap_or('\n');
        let after = text.get(index + 1).copied().unwrap_or('\n');
        let is_needed = match (c, quote) {
            (' ', None) => is_identifier_char(before) && is_identifier_char(after),
            ('\n', None) => !";{,(".contains(before) && after != '}',
            ('\n', Some(_)) => false,
            _ => true,
        };
        if matches!(c, '"' | '`') && quote.is_none_or(|quote| quote == c) {
            quote = quote.xor(Some(c));
        }
        if is_needed {
            if c == '}' && before == ';' {
                minified.pop();
            }
            minified.push(c);
        }
    }
    minified
}

pub(super) async fn get(
    app: web::Data<AppState>,
    intake: web::Data<Intake>,
    request: HttpRequest,
) -> HttpResponse {
    let now = app.clock.now();
    let headers = request.headers();
    let referrer = headers.get(REFERER).and_then(|value| value.to_str().ok());
    let own_origin = app.proxies.own_origin(&request);
    let first_load = referrer
        .filter(|referrer| !referrer.starts_with(&format!("{own_origin}/")))
        .and_then(|referrer| intake.script_loads.record(referrer, now));
    if let Some(origin) = first_load {
        let store = app.store.clone();
        // The response doesn't wait for the commit.
        actix_web::rt::spawn(async move {
            if let Err(error) = store.record_first_widget_load(origin).await {
                tracing::warn!(%error, "recording the first load of the widget failed");
            }
        });
    }
    let etag = etag(now);
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
        .insert_header((CACHE_CONTROL, "public, max-age=300"))
        .insert_header((VARY, "Accept-Encoding"))
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
    let script = render_script(&intake.form_tokens.issue_token(now), &own_url);
    match accepts_gzip(headers).then(|| gzip(&script)) {
        Some(Ok(compressed)) => response
            .insert_header((CONTENT_ENCODING, "gzip"))
            .body(compressed),
        _ => response.body(script),
    }
}

/// Returns the script. The script uses `own_url`, Miniback's own URL, if the `src` of its tag isn't
/// a full URL.
fn render_script(form_token: &str, own_url: &str) -> String {
    SCRIPT.replace("@TOKEN@", form_token).replace(
        "\"@SERVER@\"",
        &serde_json::Value::from(own_url).to_string(),
    )
}

/// Returns the `ETag` of the script, which changes each day. It is weak, because the form token
/// differs in each response.
fn etag(now: Timestamp) -> String {
    format!("W/\"{}-{}\"", *VERSION, now.millis().div_euclid(DAY_MILLIS))
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
        let script = render_script(&token, "https://feedback.example.com/");
        let size = gzip(&script).unwrap().len();
        println!("{} bytes, {size} gzipped", script.len());
        assert!(size <= 6_144, "{size}");
        for placeholder in ["@STRINGS@", "@NAMES@", "@TOKEN@", "@SERVER@"] {
            assert!(
                SCRIPT_SOURCE.contains(placeholder) && !script.contains(placeholder),
                "{placeholder}"
            );
        }
    }

    #[test]
    fn minify_keeps_strings_and_needed_spaces() {
        for (source, minified) in [
            (
                "// a\n  one(\"https://b.example\"); // c\n\n  two();\n",
                "one(\"https://b.example\");two();",
            ),
            (
                "const a = { b: \"c: d\" };\nreturn a.b in a;\n",
                "const a={b:\"c: d\"};return a.b in a;",
            ),
            ("if (a)\n  b = `c ${d}\n  e`;\n", "if(a)\nb=`c ${d}e`;"),
            ("try { a(); } catch {}\n", "try{a()}catch{}"),
        ] {
            assert_eq!(minify(source).trim_end(), minified);
        }
    }

    #[test]
    fn only_variables_get_short_names() {
        let minified = minify(SCRIPT_SOURCE);
        for name in SHORTENED_NAMES {
            let mut uses = 0;
            for (start, _) in minified.match_indices(name) {
                let (before, after) = (&minified[..start], &minified[start + name.len()..]);
                if before.ends_with(is_identifier_char) || after.starts_with(is_identifier_char) {
                    continue;
                }
                let is_property = before.ends_with('.') && !before.ends_with("...");
                let is_other = is_property || before.ends_with(['"', '-']);
                assert!(!is_other, "{name} is also a property, string, or style");
                uses += 1;
            }
            assert!(uses > 1, "{name} is used {uses} times");
        }
        let (first, second) = (SHORTENED_NAMES[0], SHORTENED_NAMES[1]);
        let script = format!("const{{{second},c}}=d;{first}({second}.c)");
        assert_eq!(shorten_names(&script), "const{b,c}=d;a(b.c)");
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
