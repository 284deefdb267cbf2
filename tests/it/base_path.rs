//! Miniback under a base path, behind a reverse proxy that forwards or strips the base path. No
//! link, form, redirect, or cookie uses a path outside the base path.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::api::{Api, text};
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::command::{miniback, run};
use crate::support::pages::{Page, Visitor};
use crate::support::proxy::{Prefix, Proxy};
use crate::support::receiver::Receiver;
use crate::support::wait::wait_until;

const BASE_PATH: &str = "/miniback";

/// Checks that a page's redirect, cookies, and same-origin URLs stay under the base path.
#[track_caller]
fn assert_under_base_path(page: &Page, origin: &str) {
    if page.response.header("location").is_some() {
        let target = page.location();
        assert!(
            is_under_base_path(&target),
            "the redirect leaves the base path: {:?}",
            page.response
        );
    }
    for cookie in page.response.all_headers("set-cookie") {
        let path = cookie
            .split(';')
            .map(str::trim)
            .find_map(|a| a.strip_prefix("Path=").or(a.strip_prefix("path=")));
        let path = path.unwrap_or_default();
        assert!(
            is_under_base_path(path),
            "the cookie is sent to other paths: {cookie}"
        );
    }
    let here = url::Url::parse(&format!("{origin}{}", page.path)).unwrap();
    for (attribute, reference) in page.urls() {
        let target = here.join(&reference).unwrap();
        if target.origin().ascii_serialization() == origin && !reference.starts_with('#') {
            assert!(
                is_under_base_path(target.path()),
                "{attribute}={reference:?} on {} leaves the base path",
                page.path
            );
        }
    }
}

fn is_under_base_path(path: &str) -> bool {
    path == BASE_PATH || path.starts_with("/miniback/") || path.starts_with("/miniback?")
}

struct ProxiedApp {
    app: App,
    _proxy: Proxy,
    origin: String,
    visitor: Visitor,
}

fn proxied(prefix: Prefix) -> ProxiedApp {
    let proxy = Proxy::bind();
    let base = format!("{}{BASE_PATH}", proxy.origin());
    let app = App::builder().option("--base-url", &base).start();
    proxy.forward(BASE_PATH, app.port(), prefix);
    ProxiedApp {
        origin: proxy.origin(),
        visitor: Visitor::new(&base),
        app,
        _proxy: proxy,
    }
}

impl ProxiedApp {
    /// Returns an API client that uses the public URL.
    fn api(&self) -> Api {
        let base = format!("{}{BASE_PATH}", self.origin);
        Api::new(&base, Some(&self.app.token(ADMIN, "full")))
    }

    #[track_caller]
    fn get(&mut self, path: &str) -> Page {
        let page = self.visitor.get(path);
        assert_under_base_path(&page, &self.origin);
        page
    }

    /// Follows redirects and returns the page at the end. Checks that the redirects and the page
    /// stay under the base path.
    #[track_caller]
    fn follow(&mut self, mut page: Page) -> Page {
        while matches!(page.response.status, 302 | 303) {
            assert_under_base_path(&page, &self.origin);
            page = self.visitor.follow(&page);
        }
        assert_under_base_path(&page, &self.origin);
        page.expect(200)
    }

    /// Checks that all style sheets, scripts, and images of a page can be fetched.
    #[track_caller]
    fn load_assets(&mut self, page: &Page) {
        let here = url::Url::parse(&format!("{}{}", self.origin, page.path)).unwrap();
        let html = scraper::Html::parse_document(&page.response.text);
        let assets = scraper::Selector::parse("link[rel=stylesheet], script[src], img[src]");
        for element in html.select(&assets.unwrap()) {
            let reference = element.attr("href").or(element.attr("src"));
            let asset = here.join(reference.unwrap_or_default()).unwrap();
            self.visitor
                .fetch("GET", asset.path(), &[], None)
                .expect(200);
        }
    }

    #[track_caller]
    fn sign_in(&mut self) -> Page {
        let page = self.get("/login").expect(200);
        self.load_assets(&page);
        let form = page.form_with("Sign in");
        let filled = form
            .fill("Email", ADMIN)
            .fill("Password", PASSWORD)
            .press("Sign in");
        let response = self.visitor.submit(&filled);
        assert_under_base_path(&response, &self.origin);
        assert!(
            self.visitor.session_cookie().is_some(),
            "{:?}",
            response.response
        );
        self.follow(response)
    }
}

/// Signs in, resolves feedback, tests a webhook, and signs out through the proxy. Checks that all
/// URLs stay under the base path.
fn check_main_workflow(prefix: Prefix) {
    let mut proxied = proxied(prefix);
    let api = proxied.api();
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Hello from behind the proxy");

    let redirect = proxied.get("/");
    let login = proxied.follow(redirect);
    assert!(login.path.starts_with("/miniback/login"), "{}", login.path);
    let start_page = proxied.sign_in();
    proxied.load_assets(&start_page);

    let page = proxied.get("/feedback").expect(200);
    proxied.load_assets(&page);
    assert!(page.text().contains("Hello from behind the proxy"));
    let pressed = page.form_with("Resolved").press("Resolved");
    let response = proxied.visitor.submit(&pressed);
    proxied.follow(response);
    let seen = api.get(&format!("/api/v1/feedback/{}", text(&feedback, "id")));
    assert_eq!(seen.expect(200).json()["status"], "RESOLVED");

    let receiver = Receiver::ok();
    api.create_webhook(&receiver.url("/hook"));
    let page = proxied.get("/settings/notifications").expect(200);
    proxied.load_assets(&page);
    let pressed = page.form_with("Test").press("Test");
    let response = proxied.visitor.submit(&pressed);
    if response.response.status == 200 {
        assert_under_base_path(&response, &proxied.origin);
    } else {
        proxied.follow(response);
    }
    assert_eq!(receiver.first().path(), "/hook");

    let page = proxied.get("/feedback").expect(200);
    let pressed = page.form_with("Sign out").press("Sign out");
    let response = proxied.visitor.submit(&pressed);
    proxied.follow(response);
    assert_eq!(proxied.visitor.session_cookie(), None);
}

#[test]
fn works_under_a_path_that_the_proxy_forwards() {
    check_main_workflow(Prefix::Forwarded);
}

#[test]
fn works_under_a_path_that_the_proxy_strips() {
    check_main_workflow(Prefix::Stripped);
}

#[test]
fn the_widget_and_the_public_form_work_under_the_base_path() {
    for prefix in [Prefix::Forwarded, Prefix::Stripped] {
        let mut proxied = proxied(prefix);
        let api = proxied.api();
        api.create_project("Shop");
        proxied.sign_in();
        let text = proxied.get("/settings/projects").expect(200).text();
        let script = format!("{}{BASE_PATH}/widget.js", proxied.origin);
        assert!(text.contains(&format!("src=\"{script}\"")), "{text}");
        proxied.get("/widget.js").expect(200);
        let body = json!({"projectSlug": "shop", "message": "Sent by the widget"});
        let headers = [("Origin", proxied.origin.as_str())];
        api.send_json("POST", "/api/feedback", &headers, &body)
            .expect(201);

        let page = proxied.get("/f/shop").expect(200);
        proxied.load_assets(&page);
        let form = page.form_with("Send").fill("Message", "Sent by the form");
        let sent = wait_until("the form token is old enough", || {
            let response = proxied.visitor.submit(&form.press("Send"));
            (response.response.status == 303).then_some(response)
        });
        assert!(proxied.follow(sent).text().contains("Thank you"));
    }
}

#[test]
fn the_api_works_with_and_without_the_base_path() {
    let app = App::builder()
        .option("--base-url", "https://example.com/miniback")
        .start();
    let api = app.api();
    for path in ["/miniback/api/v1/projects", "/api/v1/projects"] {
        api.get(path).expect(200);
    }
    for path in ["/miniback/healthz", "/healthz"] {
        app.api_without_token().get(path).expect(200);
    }
    api.get("/minibackapi/v1/projects").expect(404);
    api.post("/miniback/api/v1/projects", json!({"name": "Shop"}))
        .expect(201);
}

#[test]
fn redirects_contain_the_base_path_even_if_the_proxy_strips_it() {
    let app = App::builder()
        .option("--base-url", "https://example.com/miniback/")
        .start();
    let response = app.api_without_token().get("/feedback");
    let location = response.header("location").unwrap_or_default();
    let path = location
        .strip_prefix("https://example.com")
        .unwrap_or(location);
    assert!(path.starts_with("/miniback/login"), "{response:?}");
}

#[test]
fn rejects_a_base_url_whose_path_starts_like_a_route() {
    let tables = [
        miniback::intake::routes(),
        miniback::api::routes(),
        miniback::pages::routes(),
    ];
    let paths = tables
        .iter()
        .flat_map(|table| table.list())
        .map(|route| route.path);
    let first_segments: BTreeSet<String> = paths
        .chain(["/healthz".to_owned()])
        .filter_map(|path| path.split('/').nth(1).map(str::to_owned))
        .filter(|segment| !segment.is_empty())
        .collect();
    for segment in ["api", "f", "feedback", "live", "widget.js"] {
        assert!(
            first_segments.contains(segment),
            "no {segment}: {first_segments:?}"
        );
    }
    for segment in first_segments {
        let url = format!("https://example.com/{segment}/miniback");
        let line = run(miniback(["openapi", "--base-url", &url]), "").error_line(2);
        assert!(line.contains("--base-url"), "{line}");
        assert!(line.contains(&format!("/{segment},")), "{line}");
    }
}
