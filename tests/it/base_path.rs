//! The whole flow under a path, behind a reverse proxy that forwards the path or strips it: no link, form, redirect
//! or cookie leads out of it.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::api::{Api, text};
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::command::{miniback, run};
use crate::support::pages::{Page, Visitor};
use crate::support::proxy::{Prefix, Proxy};
use crate::support::receiver::Receiver;
use crate::support::wait::wait_until;

const PATH: &str = "/miniback";

/// Checks that every address in the page stays beneath the path.
#[track_caller]
fn stays_beneath(page: &Page, origin: &str) {
    if page.response.header("location").is_some() {
        let to = page.location();
        assert!(is_beneath(&to), "Location leads out: {:?}", page.response);
    }
    for cookie in page.response.all_headers("set-cookie") {
        let path = cookie
            .split(';')
            .map(str::trim)
            .find_map(|a| a.strip_prefix("Path=").or(a.strip_prefix("path=")));
        let path = path.unwrap_or_default();
        assert!(is_beneath(path), "a cookie for other paths: {cookie}");
    }
    let here = url::Url::parse(&format!("{origin}{}", page.path)).unwrap();
    for (attribute, address) in page.urls() {
        let to = here.join(&address).unwrap();
        if to.origin().ascii_serialization() == origin && !address.starts_with('#') {
            assert!(
                is_beneath(to.path()),
                "{attribute}={address:?} leads out on {}",
                page.path
            );
        }
    }
}

fn is_beneath(path: &str) -> bool {
    path == PATH || path.starts_with("/miniback/") || path.starts_with("/miniback?")
}

struct Behind {
    app: App,
    _proxy: Proxy,
    origin: String,
    visitor: Visitor,
}

fn behind(prefix: Prefix) -> Behind {
    let proxy = Proxy::bind();
    let base = format!("{}{PATH}", proxy.origin());
    let app = App::builder().option("--base-url", &base).start();
    proxy.forward(PATH, app.port(), prefix);
    Behind {
        origin: proxy.origin(),
        visitor: Visitor::new(&base),
        app,
        _proxy: proxy,
    }
}

impl Behind {
    /// The API by the public address, with a token made on the command line.
    fn api(&self) -> Api {
        let base = format!("{}{PATH}", self.origin);
        Api::new(&base, Some(&self.app.token(ADMIN, "full")))
    }

    #[track_caller]
    fn get(&mut self, path: &str) -> Page {
        let page = self.visitor.get(path);
        stays_beneath(&page, &self.origin);
        page
    }

    /// Follows redirects to a page, each of which stays beneath the path.
    #[track_caller]
    fn follow(&mut self, mut page: Page) -> Page {
        while matches!(page.response.status, 302 | 303) {
            stays_beneath(&page, &self.origin);
            page = self.visitor.follow(&page);
        }
        stays_beneath(&page, &self.origin);
        page.expect(200)
    }

    /// Fetches every style sheet, script and picture of a page.
    #[track_caller]
    fn has_what_it_needs(&mut self, page: &Page) {
        let here = url::Url::parse(&format!("{}{}", self.origin, page.path)).unwrap();
        let html = scraper::Html::parse_document(&page.response.text);
        let needs = scraper::Selector::parse("link[rel=stylesheet], script[src], img[src]");
        for element in html.select(&needs.unwrap()) {
            let address = element.attr("href").or(element.attr("src"));
            let to = here.join(address.unwrap_or_default()).unwrap();
            self.visitor.fetch("GET", to.path(), &[], None).expect(200);
        }
    }

    #[track_caller]
    fn sign_in(&mut self) -> Page {
        let page = self.get("/login").expect(200);
        self.has_what_it_needs(&page);
        let form = page.form_with("Sign in");
        let filled = form
            .fill("Email", ADMIN)
            .fill("Password", PASSWORD)
            .press("Sign in");
        let response = self.visitor.submit(&filled);
        stays_beneath(&response, &self.origin);
        assert!(self.visitor.session().is_some(), "{:?}", response.response);
        self.follow(response)
    }
}

fn the_whole_flow(prefix: Prefix) {
    let mut behind = behind(prefix);
    let api = behind.api();
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Hello from beneath");

    let start = behind.get("/");
    let login = behind.follow(start);
    assert!(login.path.starts_with("/miniback/login"), "{}", login.path);
    let landed = behind.sign_in();
    behind.has_what_it_needs(&landed);

    let page = behind.get("/feedback").expect(200);
    behind.has_what_it_needs(&page);
    assert!(page.text().contains("Hello from beneath"));
    let pressed = page.form_with("Resolved").press("Resolved");
    let response = behind.visitor.submit(&pressed);
    behind.follow(response);
    let seen = api.get(&format!("/api/v1/feedback/{}", text(&feedback, "id")));
    assert_eq!(seen.expect(200).json()["status"], "RESOLVED");

    let receiver = Receiver::ok();
    api.create_webhook(&receiver.url("/hook"));
    let page = behind.get("/settings/notifications").expect(200);
    behind.has_what_it_needs(&page);
    let pressed = page.form_with("Test").press("Test");
    let response = behind.visitor.submit(&pressed);
    if response.response.status == 200 {
        stays_beneath(&response, &behind.origin);
    } else {
        behind.follow(response);
    }
    assert_eq!(receiver.first().path(), "/hook");

    let page = behind.get("/feedback").expect(200);
    let pressed = page.form_with("Sign out").press("Sign out");
    let response = behind.visitor.submit(&pressed);
    behind.follow(response);
    assert_eq!(behind.visitor.session(), None);
}

#[test]
fn the_whole_flow_works_under_a_path_that_the_proxy_forwards() {
    the_whole_flow(Prefix::Forwarded);
}

#[test]
fn the_whole_flow_works_under_a_path_that_the_proxy_strips() {
    the_whole_flow(Prefix::Stripped);
}

#[test]
fn the_widget_and_the_plain_form_work_under_the_path() {
    for prefix in [Prefix::Forwarded, Prefix::Stripped] {
        let mut behind = behind(prefix);
        let api = behind.api();
        api.create_project("Shop");
        behind.sign_in();
        let told = behind.get("/settings/projects").expect(200).text();
        let script = format!("{}{PATH}/widget.js", behind.origin);
        assert!(told.contains(&format!("src=\"{script}\"")), "{told}");
        behind.get("/widget.js").expect(200);
        let body = json!({"projectSlug": "shop", "message": "By the widget"});
        let own = [("Origin", behind.origin.as_str())];
        api.send_json("POST", "/api/feedback", &own, &body)
            .expect(201);

        let page = behind.get("/f/shop").expect(200);
        behind.has_what_it_needs(&page);
        let form = page.form_with("Send").fill("Message", "By the form");
        let sent = wait_until("the form is old enough to be sent", || {
            let response = behind.visitor.submit(&form.press("Send"));
            (response.response.status == 303).then_some(response)
        });
        assert!(behind.follow(sent).text().contains("Thank you"));
    }
}

#[test]
fn the_api_answers_beneath_the_path_and_without_it() {
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
fn a_redirect_names_the_public_path_even_when_the_proxy_strips_it() {
    let app = App::builder()
        .option("--base-url", "https://example.com/miniback/")
        .start();
    let response = app.api_without_token().get("/feedback");
    let location = response.header("location").unwrap_or_default();
    let to = location
        .strip_prefix("https://example.com")
        .unwrap_or(location);
    assert!(to.starts_with("/miniback/login"), "{response:?}");
}

#[test]
fn rejects_a_base_url_whose_path_starts_like_a_route() {
    let tables = [miniback::api::routes(), miniback::pages::routes()];
    let paths = tables
        .iter()
        .flat_map(|table| table.list())
        .map(|route| route.path);
    let own: BTreeSet<String> = paths
        .chain(["/healthz".to_owned()])
        .filter_map(|path| path.split('/').nth(1).map(str::to_owned))
        .filter(|segment| !segment.is_empty())
        .collect();
    assert!(own.contains("live") && own.len() > 10, "{own:?}");
    for segment in own {
        let url = format!("https://example.com/{segment}/miniback");
        let line = run(miniback(["openapi", "--base-url", &url]), "").error_line(2);
        assert!(line.contains("--base-url"), "{line}");
        assert!(line.contains(&format!("/{segment},")), "{line}");
    }
}
