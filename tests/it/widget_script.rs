//! `GET /widget.js`: its size, caching, and form token.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::support::api::Api;
use crate::support::app::App;
use crate::support::in_process::InProcess;
use crate::support::source_files::repo_root;

/// Returns the form token in the widget's script: 13 digits, a dot, and 43 characters.
#[track_caller]
pub fn form_token_in(script: &str) -> String {
    let is_token = |text: &&str| {
        let (millis, tag) = text.split_once('.').unwrap_or_default();
        millis.len() == 13 && tag.len() == 43 && millis.bytes().all(|b| b.is_ascii_digit())
    };
    let token = script.split('"').find(is_token);
    token.expect("find a form token in the script").to_owned()
}

/// Returns the size of `text` in bytes after gzip compression at the highest level.
pub fn gzipped_size(text: &str) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap().len()
}

#[test]
fn the_script_is_public_at_most_6_kb_and_sets_no_cookie() {
    let app = App::start();
    let public = app.api_without_token();
    let response = public.get("/widget.js").expect(200);
    let size = gzipped_size(&response.text);
    assert!(size <= 6_144, "{size} bytes");
    let content_type = response.header("content-type");
    assert_eq!(content_type, Some("text/javascript; charset=utf-8"));
    assert_eq!(response.header("set-cookie"), None);
    assert_eq!(
        response.header("cross-origin-resource-policy"),
        Some("cross-origin")
    );
    assert_ne!(form_token_in(&response.text), "");
    assert_eq!(public.head("/widget.js").expect(200).text, "");
    public.post_empty("/widget.js").expect(405);
    // The response is compressed if the client accepts gzip.
    let headers = [("Accept-Encoding", "gzip")];
    let compressed = public.send("GET", "/widget.js", &headers, None).expect(200);
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    assert_eq!(
        compressed.header("vary"),
        Some("Accept-Encoding, User-Agent")
    );
    let length: usize = compressed
        .header("content-length")
        .unwrap()
        .parse()
        .unwrap();
    assert!(length <= 6_144, "{length}");
}

#[test]
fn the_script_contains_the_browser_that_requests_it() {
    let app = App::start();
    let public = app.api_without_token();
    let get = |agent: &str, etag: &str| {
        let headers = [("User-Agent", agent), ("If-None-Match", etag)];
        public.send("GET", "/widget.js", &headers, None)
    };
    let android = "Mozilla/5.0 (Android 14; Mobile; rv:131.0) Gecko/131.0 Firefox/131.0";
    let first = get(android, "").expect(200);
    let members = r#"[["browser","Firefox 131"],["system","Android"]]"#;
    assert!(first.text.contains(members), "{}", first.text);
    let etag = first.header("etag").unwrap();
    get(android, etag).expect(304);
    // After an update of the browser, the stored script is outdated.
    let updated = get(&android.replace("131", "132"), etag).expect(200);
    assert!(updated.text.contains("Firefox 132"));
    for other in ["", "curl/8.5.0", "</script>\"]['`${0}"] {
        let script = get(other, etag).expect(200).text;
        assert!(script.contains("...[]"), "{other}: {script}");
    }
}

#[test]
fn the_minified_script_is_up_to_date() {
    let temp = tempfile::TempDir::new().unwrap();
    let minified = temp.path().join("widget.min.js");
    let output = std::process::Command::new(repo_root().join("tests/minifier/run"))
        .arg(&minified)
        .output()
        .expect("run tests/minifier/run");
    assert!(output.status.success(), "{output:?}");
    let committed = std::fs::read(repo_root().join("static/widget.min.js")).unwrap();
    assert!(
        std::fs::read(minified).unwrap() == committed,
        "run tests/minifier/run, and commit static/widget.min.js"
    );
}

#[test]
fn the_script_changes_once_a_day_with_its_form_token() {
    let app = InProcess::start(&[]);
    let public = Api::new(&app.url, None);
    let get_if_changed =
        |etag: &str| public.send("GET", "/widget.js", &[("If-None-Match", etag)], None);
    let first = public.get("/widget.js").expect(200);
    assert_eq!(first.header("cache-control"), Some("private, max-age=300"));
    let tag = first.header("etag").unwrap().to_owned();
    assert!(tag.starts_with("W/\""), "{tag}");
    app.advance(std::time::Duration::from_secs(23 * 3600));
    let same = get_if_changed(&format!("\"other\", {tag}")).expect(304);
    assert_eq!(same.header("etag"), Some(tag.as_str()));
    assert_eq!(same.text, "");
    get_if_changed("\"other\"").expect(200);
    app.advance(std::time::Duration::from_secs(3600));
    let next = get_if_changed(&tag).expect(200);
    assert_ne!(next.header("etag"), Some(tag.as_str()));
    assert_ne!(form_token_in(&next.text), form_token_in(&first.text));
}
