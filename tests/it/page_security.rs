//! Security headers of all pages, and escaping of content from visitors.

use crate::support::app::{ADMIN, App};
use crate::support::pages::Page;

const PAGES: [&str; 10] = [
    "/docs",
    "/docs/api",
    "/docs/webhooks",
    "/feedback",
    "/settings/account",
    "/settings/notifications",
    "/settings/people?add",
    "/settings/privacy",
    "/settings/projects?add",
    "/settings/tokens?add",
];

#[track_caller]
fn assert_secure_headers(page: &Page) {
    let response = &page.response;
    let policy = response
        .header("content-security-policy")
        .unwrap_or_default();
    for part in [
        "frame-ancestors 'none'",
        "form-action 'self'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "no {part} in {response:?}");
    }
    for source in ["unsafe-inline", "unsafe-eval", "*"] {
        assert!(!policy.contains(source), "{source} in {response:?}");
    }
    let nosniff = response.header("x-content-type-options");
    assert_eq!(nosniff, Some("nosniff"), "{response:?}");
    let referrer = response.header("referrer-policy");
    assert_eq!(referrer, Some("same-origin"), "{response:?}");
    assert_eq!(response.header("x-frame-options"), Some("DENY"));
    for name in ["cross-origin-opener-policy", "cross-origin-resource-policy"] {
        assert_eq!(response.header(name), Some("same-origin"), "{name}");
    }
    assert!(response.header("x-request-id").is_some(), "{response:?}");
}

#[test]
fn other_sites_can_see_that_a_url_does_not_exist() {
    let app = App::start();
    let policy = "cross-origin-resource-policy";
    let (missing, sign_in) = (app.visitor().get("/widgit.js"), app.visitor().get("/login"));
    let missing = missing.expect(404);
    assert_eq!(missing.response.header(policy), Some("cross-origin"));
    assert_eq!(sign_in.response.header(policy), Some("same-origin"));
}

#[test]
fn every_page_has_a_strict_csp_and_no_inline_scripts_or_styles() {
    let app = App::start();
    let mut ada = app.signed_in();
    let mut pages = vec![
        app.visitor().get("/login").expect(200),
        app.visitor().get("/f/nowhere").expect(404),
        app.visitor().try_sign_in(ADMIN, "not the password at all"),
        ada.get("/no-such-page").expect(404),
    ];
    for path in PAGES {
        pages.push(ada.get(path).expect(200));
    }
    let inline_code = scraper::Selector::parse("style, [style], script:not([src])").unwrap();
    let handlers = scraper::Selector::parse("[onclick], [onsubmit], [onchange], [onload]").unwrap();
    for page in &pages {
        assert_secure_headers(page);
        let html = scraper::Html::parse_document(&page.response.text);
        let inline: Vec<String> = html
            .select(&inline_code)
            .chain(html.select(&handlers))
            .map(|found| found.html())
            .collect();
        assert!(
            inline.is_empty(),
            "inline code on {}: {inline:#?}",
            page.path
        );
    }
}

#[test]
fn pages_after_sign_in_are_not_cached() {
    let app = App::start();
    let mut ada = app.signed_in();
    for path in PAGES {
        let page = ada.get(path).expect(200);
        let cache = page.response.header("cache-control").unwrap_or_default();
        assert!(cache.contains("no-store"), "{path}: {cache}");
    }
}

#[test]
fn content_from_visitors_is_escaped() {
    let app = App::start();
    let api = app.api();
    api.create_project("<img src=x onerror=alert(1)>");
    let listed = api.get("/api/v1/projects").json();
    let slug = listed["data"][0]["slug"].as_str().unwrap().to_owned();
    let message = "<script>alert('xss')</script> \u{202e}reversed";
    api.create_feedback(&slug, message);
    let page = app.signed_in().get("/feedback").expect(200);
    assert!(page.text().contains("<script>alert('xss')</script>"));
    assert!(!page.response.text.contains("<script>alert("));
    assert!(!page.response.text.contains("<img src=x"));
    let html = scraper::Html::parse_document(&page.response.text);
    let isolated = scraper::Selector::parse("bdi, [dir=auto]").unwrap();
    let mut elements = html.select(&isolated);
    assert!(
        elements.any(|e| e.text().collect::<String>().contains("alert('xss')")),
        "the message isn't isolated from the surrounding text"
    );
}

#[test]
fn every_response_has_nosniff() {
    let app = App::start();
    let api = app.api();
    for (path, status) in [
        ("/healthz", 200),
        ("/metrics", 200),
        ("/widget.js", 200),
        ("/static/style.css", 200),
        ("/api/v1/projects", 200),
        ("/api/v1/nowhere", 404),
        ("/nowhere", 404),
        ("/feedback", 303),
    ] {
        let response = api.get(path);
        assert_eq!(response.status, status, "{path}");
        assert_eq!(
            response.header("x-content-type-options"),
            Some("nosniff"),
            "{path}"
        );
    }
}

#[test]
fn other_sites_can_load_the_widget() {
    let app = App::start();
    let script = app.api_without_token().get("/widget.js");
    let policy = script.header("cross-origin-resource-policy");
    assert_eq!(policy, Some("cross-origin"));
}
