//! Requests every route as every kind of caller and checks the permissions. The routes come from
//! the program's own tables, so new routes are tested automatically.

use std::collections::BTreeSet;

use miniback::server::permissions::Permission::{self, Admin, Member, Metrics, Public, Submit};
use miniback::server::routing::ListedRoute;

use crate::support::api::{Api, text};
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::http::{self, Response};
use crate::support::receiver::Receiver;

const MEMBER: &str = "bob@example.com";

/// Members must not be able to use routes whose paths contain one of these strings. The public
/// guide is an exception.
const ADMIN_PATHS: [&str; 7] = [
    "webhook",
    "notifications",
    "deliver",
    "secret",
    "people",
    "privacy",
    "metrics",
];

/// Routes that end the caller's session. The test doesn't request them as a caller with permission.
const ROUTES_THAT_END_SESSIONS: [&str; 2] = ["/logout", "/settings/account/sign-out-everywhere"];

/// The ids of existing items, for the parameters in paths.
struct Ids {
    webhook: String,
    delivery: String,
    feedback: String,
}

impl Ids {
    fn create(api: &Api, receiver: &Receiver) -> Self {
        api.create_project("Shop");
        let webhook = api.create_webhook(&receiver.url("/"));
        Self {
            feedback: text(&api.create_feedback("shop", "Hello"), "id").to_owned(),
            delivery: text(&api.only_delivery(&webhook), "id").to_owned(),
            webhook: text(&webhook, "id").to_owned(),
        }
    }

    fn path(&self, route: &ListedRoute) -> String {
        let id = if route.path.starts_with("/api/v1/deliveries/") {
            &self.delivery
        } else if route.path.contains("/feedback/") {
            &self.feedback
        } else {
            &self.webhook
        };
        let path = route.path.replace("{id}", id);
        let path = path.replace("{delivery}", &self.delivery);
        let path = path
            .replace("{project}", "shop")
            .replace("{projectId}", "shop")
            .replace("{name}", "style.css");
        let start = path.find('{').unwrap_or(path.len());
        // Other parameters can have any value, because permissions are checked first.
        if start < path.len() {
            format!("{}x", &path[..start])
        } else {
            path
        }
    }
}

struct Caller {
    name: &'static str,
    header: Option<(&'static str, String)>,
    permissions: Vec<Permission>,
}

impl Caller {
    fn new(
        name: &'static str,
        header: Option<(&'static str, String)>,
        permissions: &[Permission],
    ) -> Self {
        Self {
            name,
            header,
            permissions: permissions.to_vec(),
        }
    }

    fn send(&self, app: &App, method: &str, path: &str) -> Response {
        let body = (!matches!(method, "GET" | "HEAD" | "DELETE")).then_some(b"".as_slice());
        let mut headers = vec![("Content-Type", "application/x-www-form-urlencoded")];
        if path.starts_with("/api/") {
            headers[0].1 = "application/json";
        }
        if let Some((name, value)) = &self.header {
            headers.push((name, value));
        }
        http::send(method, &format!("{}{path}", app.url), &headers, body)
    }
}

const ALL_PERMISSIONS: [Permission; 5] = [Public, Member, Admin, Submit, Metrics];

fn session(app: &App, email: &str) -> Option<(&'static str, String)> {
    let mut visitor = app.visitor();
    visitor.sign_in(email, PASSWORD);
    let value = visitor.session_cookie().expect("find the session cookie");
    Some(("Cookie", format!("miniback_session={value}")))
}

fn token(app: &App, email: &str, scope: &str) -> Option<(&'static str, String)> {
    let token = app.token(email, scope);
    Some(("Authorization", format!("Bearer {token}")))
}

/// Returns all kinds of callers with their permissions for pages. Pages ignore tokens.
fn page_callers(app: &App) -> Vec<Caller> {
    let member = [Public, Member, Submit];
    vec![
        Caller::new("anonymous", None, &[Public]),
        Caller::new("an admin's token", token(app, ADMIN, "full"), &[Public]),
        Caller::new("a member's session", session(app, MEMBER), &member),
        Caller::new("an admin's session", session(app, ADMIN), &ALL_PERMISSIONS),
    ]
}

/// Returns all kinds of callers with their permissions for the API. The API ignores sessions.
fn api_callers(app: &App) -> Vec<Caller> {
    let full = |email| token(app, email, "full");
    let submit = |email| token(app, email, "submit");
    let metrics = token(app, ADMIN, "metrics");
    let member = [Public, Member, Submit];
    vec![
        Caller::new("anonymous", None, &[Public]),
        Caller::new("an admin's session", session(app, ADMIN), &[Public]),
        Caller::new("a member's session", session(app, MEMBER), &[Public]),
        Caller::new("a member's token", full(MEMBER), &member),
        Caller::new("a member's submit token", submit(MEMBER), &[Public, Submit]),
        Caller::new("an admin's submit token", submit(ADMIN), &[Public, Submit]),
        Caller::new("an admin's metrics token", metrics, &[Public, Metrics]),
        Caller::new("an admin's token", full(ADMIN), &ALL_PERMISSIONS),
    ]
}

/// Requests a route as each caller, and checks that the route is open only to callers with
/// permission. Skips allowed requests that change data or end a session. Returns the number of
/// requests.
fn check_route(
    app: &App,
    ids: &Ids,
    route: &ListedRoute,
    callers: &[Caller],
    is_page: bool,
) -> usize {
    let path = ids.path(route);
    let mut methods = BTreeSet::from([route.method.as_str()]);
    if methods.contains("GET") {
        methods.insert("HEAD");
    }
    let mut requests = 0;
    for caller in callers {
        for method in &methods {
            let reads = matches!(*method, "GET" | "HEAD");
            let is_allowed = caller.permissions.contains(&route.permission);
            if is_allowed && (!reads || ROUTES_THAT_END_SESSIONS.contains(&path.as_str())) {
                continue;
            }
            let response = caller.send(app, method, &path);
            requests += 1;
            let is_authenticated = match caller.header {
                Some(("Cookie", _)) => is_page,
                Some(_) => !is_page,
                None => false,
            };
            let is_expected = match (is_allowed, is_authenticated, is_page && reads) {
                (true, ..) => !matches!(response.status, 401 | 403 | 500..),
                (false, true, _) => response.status == 403,
                // The response redirects to the sign-in page and has no content.
                (false, false, true) => {
                    let location = response.header("location").unwrap_or_default();
                    response.status == 303
                        && location.starts_with("/login?next=")
                        && response.text.is_empty()
                }
                (false, false, false) => response.status == 401,
            };
            assert!(is_expected, "{} at {route:?}: {response:?}", caller.name);
        }
    }
    requests
}

#[test]
fn every_route_rejects_callers_without_the_required_permission() {
    let (app, receiver) = (App::start(), Receiver::ok());
    app.add_user(MEMBER, "member");
    let api = app.api();
    let ids = Ids::create(&api, &receiver);
    let (api_callers, page_callers) = (api_callers(&app), page_callers(&app));
    let intake = miniback::intake::routes().list();
    assert!(intake.iter().all(|route| route.permission == Public));
    let mut requests = 0;
    for (is_page, min_routes, routes, callers) in [
        (true, 5, intake, &page_callers),
        (false, 21, miniback::api::routes().list(), &api_callers),
        (true, 21, miniback::pages::routes().list(), &page_callers),
    ] {
        assert!(routes.len() >= min_routes, "{routes:?}");
        for route in &routes {
            // The guide is public, although its path contains “webhook”.
            let is_admin_path = ADMIN_PATHS.iter().any(|part| route.path.contains(part));
            if is_admin_path && !route.path.starts_with("/docs/webhooks") {
                let is_for_admins = matches!(route.permission, Admin | Metrics);
                assert!(is_for_admins, "{route:?} must be for admins");
            }
            requests += check_route(&app, &ids, route, callers, is_page);
        }
    }
    println!("{requests} requests");
    // The rejected requests had no effect.
    api.get(&format!("/api/v1/webhooks/{}", ids.webhook))
        .expect(200);
    api.get(&format!("/api/v1/feedback/{}", ids.feedback))
        .expect(200);
    assert_eq!(
        receiver.received().len(),
        1,
        "a test or a redelivery was sent"
    );
}
