//! `GET /widget.js`: its size, what a cache may do with it, and that it is whole.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::api::Api;
use crate::support::app::App;
use crate::support::in_process::InProcess;

/// The stamp that a script carries.
#[track_caller]
pub fn form_token_in(script: &str) -> String {
    let is_stamp = |text: &&str| {
        let (millis, tag) = text.split_once('.').unwrap_or_default();
        millis.len() == 13 && tag.len() == 43 && millis.bytes().all(|b| b.is_ascii_digit())
    };
    let stamp = script.split('"').find(is_stamp);
    stamp.expect("a stamp in the script").to_owned()
}

fn gzipped(text: &str) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap().len()
}

#[test]
fn the_script_is_at_most_6_kb_gzipped_needs_no_sign_in_and_sets_no_cookie() {
    let app = App::start();
    let public = app.api_without_token();
    let response = public.get("/widget.js").expect(200);
    let size = gzipped(&response.text);
    assert!(size <= 6_000, "{size} bytes");
    let kind = response.header("content-type");
    assert_eq!(kind, Some("text/javascript; charset=utf-8"));
    assert_eq!(response.header("set-cookie"), None);
    assert_eq!(
        response.header("cross-origin-resource-policy"),
        Some("cross-origin")
    );
    assert_ne!(form_token_in(&response.text), "");
    assert_eq!(public.head("/widget.js").expect(200).text, "");
    public.post_empty("/widget.js").expect(405);
    // What travels is packed, for whom takes it.
    let headers = [("Accept-Encoding", "gzip")];
    let packed = public.send("GET", "/widget.js", &headers, None).expect(200);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("vary"), Some("Accept-Encoding"));
    let length: usize = packed.header("content-length").unwrap().parse().unwrap();
    assert!(length <= 6_000, "{length}");
}

#[test]
fn a_cached_script_is_good_for_the_day_and_has_a_new_stamp_on_the_next() {
    let app = InProcess::start(&[]);
    let public = Api::new(&app.url, None);
    let ask = |known: &str| public.send("GET", "/widget.js", &[("If-None-Match", known)], None);
    let first = public.get("/widget.js").expect(200);
    assert_eq!(first.header("cache-control"), Some("public, max-age=300"));
    let tag = first.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    app.advance(std::time::Duration::from_secs(23 * 3600));
    let same = ask(&format!("\"other\", {tag}")).expect(304);
    assert_eq!(same.header("etag"), Some(tag.as_str()));
    assert_eq!(same.text, "");
    ask("\"other\"").expect(200);
    app.advance(std::time::Duration::from_secs(3600));
    let next = ask(&tag).expect(200);
    assert_ne!(next.header("etag"), Some(tag.as_str()));
    assert_ne!(form_token_in(&next.text), form_token_in(&first.text));
}
