//! WCAG 2.2 AA as far as a program can tell: axe-core finds nothing, and nothing is wider than the
//! window, on any page in any of its main states, light and dark, on a desktop and on a phone. The
//! pages are those of the table by which the program is configured, so that a new one is looked at
//! from its first day.

use serde_json::json;

use miniback::server::permissions::Permission;
use miniback::{intake, pages};

use crate::support::api::{Api, text};
use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::browser::axe::AccessibilityChecker;
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait::wait_until;

/// What a browser gets there is no page, or another one of the table.
const NO_PAGES: [&str; 8] = [
    "/",
    "/settings",
    "/static/{name}",
    "/widget.js",
    "/feedback/export.csv",
    "/feedback/export.json",
    "/live",
    "/settings/notifications/{id}/secret",
];
const MEMBER: &str = "bob.with.a.very.long.address@subdomain.of.a.long.name.example.com";
const LONG: &str = "https://shop.example/a/very/long/path/that/goes/on/and/on/without/a/space/for/ever?and=ever&utm_source=newsletter";

/// An installation in which each page has something to show.
struct Scene {
    app: App,
    api: Api,
    /// Delivers, fails, is held.
    webhooks: [String; 3],
    deliveries: [String; 3],
    feedback: String,
    member: String,
    token: String,
    projects: [String; 2],
    invitation: String,
    reset: String,
    receivers: Vec<Receiver>,
}

/// The token in a link that is shown once.
fn token_of(link: &str) -> String {
    link.split_once("token=").unwrap().1.to_owned()
}

fn id_of_the_first(api: &Api, path: &str, states: &str) -> String {
    wait_until(&format!("one is {states}"), || {
        let page = api.get(path).expect(200).json();
        let first = &page["data"].as_array().unwrap().last().cloned()?;
        (first["state"] == states).then(|| text(first, "id").to_owned())
    })
}

impl Scene {
    fn new() -> Self {
        let busy = Reply::status(503).header("Retry-After", "3000");
        let receivers = vec![
            Receiver::ok(),
            Receiver::script(|_| Reply::body(500, "<h1>Oh no</h1>")),
            Receiver::queue(vec![busy]),
        ];
        let app = App::builder()
            .option("--retry-delays", "10ms")
            .option("--alert-url", &receivers[0].url("/alerts"))
            .start();
        let api = app.api();
        app.add_user(MEMBER, "member");
        let projects = [
            api.create_project("Shop"),
            api.create_project("Documentation of the shop"),
        ];
        let projects = projects.map(|project| text(&project, "id").to_owned());
        for number in 0..12 {
            api.create_feedback(
                "shop",
                &format!("A message, number {number}, of some words."),
            );
        }
        let webhooks = [0, 1, 2].map(|number| {
            let url = receivers[number].url("/webhooks/miniback/of/the/shop/and/of/all/others");
            let webhook = json!({"url": url, "description": "To the team’s inbox", "headers": {"X-Key": "1"}});
            text(&api.create_webhook_with(webhook), "id").to_owned()
        });
        let body = json!({"project": "shop", "message": format!("The *button* is dead\n\n{LONG}"), "email": MEMBER,
            "url": LONG, "metadata": {"browser": "Firefox 143", "plan": "team", "a-long-name-of-a-value": LONG}});
        let feedback = api.post("/api/v1/feedback", body).expect(201).json();
        let state = |number: usize, state| {
            let path = format!("/api/v1/webhooks/{}/deliveries", webhooks[number]);
            id_of_the_first(&api, &path, state)
        };
        let deliveries = [
            state(0, "delivered"),
            state(1, "failed"),
            state(2, "pending"),
        ];
        api.set_status(&feedback, "REVIEWED");
        let origins = json!({"allowedOrigins": ["https://shop.example"]});
        api.patch("/api/v1/projects/shop", origins).expect(200);
        let tried = json!({"projectSlug": "shop", "message": "Hello"});
        let from = [("Origin", "https://staging.shop.example")];
        app.api_without_token()
            .send_json("POST", "/api/feedback", &from, &tried)
            .expect(403);

        let mut ada = app.signed_in();
        let form = ada.get("/settings/people?add").form_with("Invite");
        let invite = form.fill("Email", "grace@example.com").press("Invite");
        let page = ada.submit_and_follow(&invite);
        let invitation = token_of(&page.shown("Invitation for grace@example.com"));
        let form = page.form_in(MEMBER, "Reset password");
        let page = ada.submit_and_follow(&form.press("Reset password"));
        let reset = token_of(&page.shown("Password reset link"));
        let id_in = |html: &str, prefix: &str, near: &str| {
            let from = html.find(near).unwrap();
            let at = html[..from].rfind(&format!("id=\"{prefix}_")).unwrap() + 4;
            html[at..].split('"').next().unwrap().to_owned()
        };
        let near = format!("aria-label=\"{MEMBER}\"");
        let member = id_in(&page.response.text, "usr", &near);
        let page = ada.get("/settings/tokens");
        let token = id_in(&page.response.text, "tok", "aria-label=\"tests\"");
        Self {
            webhooks,
            deliveries,
            feedback: text(&feedback, "id").to_owned(),
            member,
            token,
            projects,
            invitation,
            reset,
            receivers,
            api,
            app,
        }
    }

    /// The addresses at which a page of the table shows its states: several in one where they stand
    /// beside each other.
    fn states(&self, path: &str) -> Vec<String> {
        let [delivers, fails, held] = &self.webhooks;
        let queries: Vec<String> = match path {
            "/invitation" => vec![format!("?token={}", self.invitation)],
            "/reset" => vec![format!("?token={}", self.reset)],
            "/f/{slug}" => return vec!["/f/shop".into(), "/f/nothing".into()],
            "/feedback" => vec![
                String::new(),
                format!("?open={}&select=all", self.feedback),
                format!("?delete={}", self.feedback),
                format!("?before={}", self.feedback),
                "?q=button&status=REVIEWED&project=shop".into(),
                "?q=nothing+of+this".into(),
                "?project=documentation-of-the-shop".into(),
            ],
            "/feedback/{id}" => vec![String::new(), "?delete".into()],
            "/settings/notifications" => vec![
                String::new(),
                format!("?add&open={fails}&reveal={held}&rotate={delivers}"),
                format!("?delete={delivers}&reveal=alerts"),
            ],
            "/settings/notifications/{id}/deliveries" => {
                let of = |id: &str, query: &str| {
                    format!("/settings/notifications/{id}/deliveries{query}")
                };
                return vec![
                    of(fails, "?state=failed"),
                    of(held, ""),
                    of(delivers, "?state=canceled&event=feedback.updated"),
                ];
            }
            "/settings/notifications/{id}/deliveries/{delivery}" => {
                let all = self.webhooks.iter().zip(&self.deliveries);
                let of = |(webhook, delivery)| {
                    format!("/settings/notifications/{webhook}/deliveries/{delivery}")
                };
                return all.map(of).collect();
            }
            "/settings/projects" => vec![
                format!("?add&open={}", self.projects[1]),
                format!("?delete={}", self.projects[1]),
            ],
            "/settings/tokens" => vec![format!("?add&revoke={}", self.token)],
            "/settings/people" => vec![
                format!("?add&role={}", self.member),
                format!("?remove={}", self.member),
            ],
            _ => vec![String::new()],
        };
        let id = if path.starts_with("/feedback") {
            &self.feedback
        } else {
            delivers
        };
        let page = path.replace("{id}", id);
        assert!(
            !page.contains('{'),
            "an address of {path} has to be written down here"
        );
        queries
            .iter()
            .map(|query| format!("{page}{query}"))
            .collect()
    }

    /// Every page of the table, signed in or not.
    fn walk(&self, checker: &mut AccessibilityChecker, of_anyone: bool) {
        let intake = intake::routes().list().into_iter();
        for listed in intake.chain(pages::routes().list()) {
            if listed.method != "GET"
                || (listed.permission == Permission::Public) != of_anyone
                || NO_PAGES.contains(&listed.path.as_str())
            {
                continue;
            }
            for address in self.states(&listed.path) {
                checker.browser.open(&format!("{}{address}", self.app.url));
                checker.check(&self.named(&address));
            }
        }
    }

    /// An address without what differs from run to run.
    fn named(&self, address: &str) -> String {
        let [delivers, fails, held] = &self.webhooks;
        let secrets = [&self.invitation, &self.reset].map(|token| (token, "…"));
        let names = [(delivers, "DELIVERS"), (fails, "FAILS"), (held, "HELD")];
        let others = [
            (&self.feedback, "ID"),
            (&self.member, "BOB"),
            (&self.projects[1], "DOCS"),
        ];
        let all = secrets.into_iter().chain(names).chain(others);
        all.fold(address.to_owned(), |address, (id, name)| {
            address.replace(id, name)
        })
    }
}

/// What is there only after a press.
fn press_through(checker: &mut AccessibilityChecker, scene: &Scene) {
    let url = &scene.app.url;
    let open =
        |checker: &AccessibilityChecker, path: &str| checker.browser.open(&format!("{url}{path}"));
    let press = |checker: &AccessibilityChecker, button: &str| {
        checker.browser.find("button", button).press()
    };

    open(checker, "/settings/notifications?add");
    let endpoint = checker.browser.find("textbox", "Endpoint URL");
    endpoint.fill(&scene.receivers[1].url("/"));
    checker
        .browser
        .script("document.getElementById('add-test').click()");
    checker.browser.wait_for_text("500");
    checker.check("a webhook’s test that failed");
    checker
        .browser
        .find("textbox", "Endpoint URL")
        .fill("http://not an address");
    checker.browser.script("document.querySelector('form.panel').noValidate = true; document.getElementById('add-add').click()");
    checker.browser.wait_until("the address is refused", || {
        let refused = checker
            .browser
            .script("return !!document.querySelector('.field-error')");
        (refused == true).then_some(())
    });
    checker.check("a webhook that was refused");

    let [delivers, ..] = &scene.webhooks;
    open(
        checker,
        &format!("/settings/notifications/{delivers}/signature-check"),
    );
    checker
        .browser
        .find("textbox", "Headers")
        .fill("X-Miniback-Signature: sha256=00");
    checker.browser.find("textbox", "Body").fill("{}");
    press(checker, "Check");
    checker.browser.wait_for_text("Check");
    checker.check("a signature that was checked");

    open(checker, "/settings/tokens?add");
    checker.browser.find("textbox", "Name").fill("Deploy");
    press(checker, "Create");
    checker.browser.find("textbox", "Token “Deploy”");
    checker.check("a token that was made");

    open(checker, "/settings/people?add");
    checker
        .browser
        .find("textbox", "Email")
        .fill("joan@example.com");
    press(checker, "Invite");
    checker
        .browser
        .find("textbox", "Invitation for joan@example.com");
    checker.check("somebody who was invited");

    open(checker, "/settings/privacy");
    checker.browser.find("textbox", "Email").fill(MEMBER);
    press(checker, "Find");
    checker.browser.find("button", "Export");
    checker.check("an address that was found");
    press(checker, "Erase");
    checker.browser.wait_for_text("Erase all data for");
    checker.check("an address that is to be erased");

    open(checker, "/feedback");
    checker.browser.all("button", "Resolved")[0].press();
    checker.browser.find("button", "Undo");
    checker.check("a status that was changed");
    press(checker, "Export");
    checker.browser.find("link", "CSV");
    checker.check("the choice of an export");
    open(checker, "/feedback");
    press(checker, "Shortcuts");
    checker.browser.find("dialog", "Keyboard shortcuts");
    checker.check("the list of keys");
}

/// The widget on somebody else’s page, its dialog open.
fn the_widget(checker: &mut AccessibilityChecker, scene: &Scene) {
    let page = format!(
        "<!doctype html><html lang=en><title>A shop</title><meta name=viewport content=\"width=device-width\">\
         <meta name=color-scheme content=\"light dark\"><main><h1>A shop</h1></main>\
         <script src=\"{}/widget.js\" data-project=documentation-of-the-shop defer></script>",
        scene.app.url
    );
    let site = Receiver::script(move |_| {
        Reply::body(200, &page).header("Content-Type", "text/html; charset=utf-8")
    });
    checker.browser.open(&site.url("/"));
    let (host, role, name) = ("miniback-widget", "button", "Feedback");
    checker.browser.find_in_shadow(host, role, name);
    checker.check("the widget’s button");
    checker.browser.find_in_shadow(host, role, name).press();
    checker
        .browser
        .find_in_shadow("miniback-widget", "textbox", "Message");
    checker.check("the open widget");
}

fn sign_in(checker: &AccessibilityChecker, app: &App, email: &str, password: &str) {
    checker.browser.open(&format!("{}/login", app.url));
    checker.browser.find("textbox", "Email").fill(email);
    checker.browser.find("textbox", "Password").fill(password);
    checker.browser.find("button", "Sign in").press();
}

/// From the first address on: an installation that has nothing yet.
fn the_empty_pages(checker: &mut AccessibilityChecker) {
    let app = App::builder().without_admin().start();
    checker
        .browser
        .open(&format!("{}{}", app.url, app.log.setup_path()));
    checker.check("the first address");
    checker.browser.find("textbox", "Email").fill(ADMIN);
    checker.browser.find("textbox", "Password").fill(PASSWORD);
    checker.browser.find("button", "Create account").press();
    checker.browser.find("button", "Sign out");
    for path in [
        "/feedback",
        "/settings/notifications",
        "/settings/projects",
        "/settings/tokens",
    ] {
        checker.browser.open(&format!("{}{path}", app.url));
        checker.check(&format!("{path}, empty"));
    }
    checker.browser.find("button", "Sign out").press();
    checker.browser.find("button", "Sign in");
}

#[test]
fn what_is_wrong_is_found_in_each_scheme_at_each_width_and_in_a_shadow_root() {
    const PAGE: &str = "<!doctype html><html lang=en><title>Wrong</title><style>
        @media (prefers-color-scheme: dark) { p { color: #888; background: #777 } }
        @media (width < 400px) { p { width: 700px } }
        </style><p>Some words</p><div id=host></div><script>
        host.attachShadow({ mode: 'open' }).innerHTML = '<img src=\"data:,\">';</script>";
    let html = ("Content-Type", "text/html; charset=utf-8");
    let site = Receiver::script(move |_| Reply::body(200, PAGE).header(html.0, html.1));
    let mut checker = AccessibilityChecker::start();
    checker.browser.open(&site.url("/"));
    checker.check("wrong");
    let found: Vec<(&str, &str)> = checker
        .problems
        .iter()
        .map(|fault| fault.strip_prefix("wrong, ").unwrap())
        .map(|fault| fault.split_once(" px: ").unwrap())
        .map(|(place, fault)| (place, fault.split(" at ").next().unwrap()))
        .map(|(place, fault)| (place, fault.trim_start_matches(|c: char| c.is_numeric())))
        .collect();
    let expected = [
        ("light, 1280", "image-alt"),
        ("light, 360", " px too wide"),
        ("dark, 1280", "color-contrast"),
        ("dark, 360", " px too wide"),
        ("dark, 360", "color-contrast"),
        ("dark, 360", "image-alt"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn axe_finds_nothing_on_any_page_in_any_of_its_states_and_nothing_is_too_wide() {
    let scene = Scene::new();
    let mut checker = AccessibilityChecker::start();
    the_empty_pages(&mut checker);
    scene.walk(&mut checker, true);
    sign_in(&checker, &scene.app, ADMIN, "a wrong password");
    checker.browser.wait_for_text("password");
    checker.check("a sign-in that was refused");
    sign_in(&checker, &scene.app, MEMBER, PASSWORD);
    checker.browser.find("button", "Sign out");
    for path in ["/settings/people", "/settings/projects", "/nothing/here"] {
        checker.browser.open(&format!("{}{path}", scene.app.url));
        checker.check(&format!("{path}, for a member"));
    }
    checker.browser.find("button", "Sign out").press();
    checker.browser.find("button", "Sign in");
    sign_in(&checker, &scene.app, ADMIN, PASSWORD);
    checker.browser.find("button", "Sign out");
    scene.walk(&mut checker, false);
    press_through(&mut checker, &scene);
    the_widget(&mut checker, &scene);
    let paused = json!({"status": "PAUSED"});
    scene.api.patch("/api/v1/projects/shop", paused).expect(200);
    checker.browser.open(&format!("{}/f/shop", scene.app.url));
    checker.check("the form of a paused project");

    println!("{} looks", checker.checks);
    let found = &checker.problems;
    assert!(
        found.is_empty(),
        "{} faults:\n{}",
        found.len(),
        found.join("\n")
    );
}
