//! Miniback with sample data, so that no page is empty.

use serde_json::json;

use crate::support::api::{Api, text};
use crate::support::app::{App, AppBuilder};
use crate::support::mail_receiver::MailReceiver;
use crate::support::receiver::{Receiver, Reply};
use crate::support::wait::wait_until;

/// A member's email that is long enough to test the layout.
pub const MEMBER: &str = "bob.with.a.very.long.address@subdomain.of.a.long.name.example.com";
const LONG_URL: &str = "https://shop.example/a/very/long/path/that/goes/on/and/on/without/a/space/\
                        for/ever?and=ever&utm_source=newsletter";

pub struct SampleData {
    pub app: App,
    pub api: Api,
    /// The ids of a working webhook, a failing webhook, and a webhook with a hold.
    pub webhooks: [String; 3],
    /// The id of one delivery of each webhook.
    deliveries: [String; 3],
    feedback: String,
    member: String,
    token: String,
    projects: [String; 2],
    invitation: String,
    reset: String,
    /// A chat webhook and an email webhook, each with one delivery.
    messages: [(String, String); 2],
    pub receivers: [Receiver; 3],
    _mail: MailReceiver,
}

/// Returns the token in a one-time link.
fn token_of(link: &str) -> String {
    link.split_once("token=").unwrap().1.to_owned()
}

/// Returns the value of the last `id` attribute before `marker` that begins with `prefix` and an
/// underscore.
fn id_before(html: &str, prefix: &str, marker: &str) -> String {
    let end = html.find(marker).unwrap();
    let start = html[..end].rfind(&format!("id=\"{prefix}_")).unwrap() + 4;
    html[start..].split('"').next().unwrap().to_owned()
}

/// Waits until the oldest delivery of a webhook is in the state `state`, and returns its id.
fn wait_for_oldest(api: &Api, webhook: &str, state: &str) -> String {
    let path = format!("/api/v1/webhooks/{webhook}/deliveries");
    wait_until(&format!("a delivery is {state}"), || {
        let page = api.get(&path).expect(200).json();
        let oldest = &page["data"].as_array().unwrap().last().cloned()?;
        (oldest["state"] == state).then(|| text(oldest, "id").to_owned())
    })
}

fn create_webhooks(api: &Api, receivers: &[Receiver; 3]) -> [String; 3] {
    receivers.each_ref().map(|receiver| {
        let body = json!({
            "url": receiver.url("/webhooks/miniback/of/the/shop/and/of/all/others"),
            "description": "To the team’s inbox",
            "headers": {"X-Key": "1"},
        });
        text(&api.create_webhook_with(body), "id").to_owned()
    })
}

/// Creates a webhook for a chat service and an email webhook. Returns the id of each webhook, and
/// of a delivery of new feedback.
fn create_message_webhooks(api: &Api, receiver: &Receiver) -> [(String, String); 2] {
    let chat = json!({"url": receiver.url("/services/T0/B0"), "format": "slack"});
    let email = json!({"url": format!("mailto:{MEMBER}"), "details": true});
    let webhooks = [chat, email].map(|body| {
        let webhook = api.create_webhook_with(body);
        text(&webhook, "id").to_owned()
    });
    create_detailed_feedback(api);
    webhooks.map(|webhook| {
        let delivery = wait_for_oldest(api, &webhook, "delivered");
        (webhook, delivery)
    })
}

/// Creates feedback with all fields, and returns its id.
fn create_detailed_feedback(api: &Api) -> String {
    let body = json!({
        "project": "shop",
        "message": format!("The *button* is broken\n\n{LONG_URL}"),
        "email": MEMBER,
        "url": LONG_URL,
        "metadata": {"browser": "Firefox 143", "plan": "team", "a-long-name-of-a-value": LONG_URL},
    });
    let feedback = api.post("/api/v1/feedback", body).expect(201).json();
    text(&feedback, "id").to_owned()
}

/// Submits feedback from a disallowed origin, so that the project's page shows this origin.
fn reject_an_origin(app: &App, api: &Api) {
    let origins = json!({"allowedOrigins": ["https://shop.example"]});
    api.patch("/api/v1/projects/shop", origins).expect(200);
    let body = json!({"projectSlug": "shop", "message": "Hello"});
    let headers = [("Origin", "https://staging.shop.example")];
    app.api_without_token()
        .send_json("POST", "/api/feedback", &headers, &body)
        .expect(403);
}

impl SampleData {
    pub fn create() -> Self {
        Self::create_with(App::builder())
    }

    pub fn create_with(builder: AppBuilder) -> Self {
        let busy = Reply::status(503).header("Retry-After", "3000");
        let receivers = [
            Receiver::ok(),
            Receiver::script(|_| Reply::body(500, "<h1>Internal error</h1>")),
            Receiver::queue(vec![busy]),
        ];
        let mail = MailReceiver::start();
        let app = builder
            .option("--smtp-url", &mail.url())
            .option("--mail-from", "feedback@example.com")
            .option("--retry-delays", "10ms")
            .option("--alert-url", &receivers[0].url("/alerts"))
            .start();
        let api = app.api();
        app.add_user(MEMBER, "member");
        let projects = ["Shop", "Documentation of the shop"]
            .map(|name| text(&api.create_project(name), "id").to_owned());
        for number in 0..12 {
            let message = format!("A message, number {number}, with a few words.");
            api.create_feedback("shop", &message);
        }
        let webhooks = create_webhooks(&api, &receivers);
        let feedback = create_detailed_feedback(&api);
        let deliveries = [
            wait_for_oldest(&api, &webhooks[0], "delivered"),
            wait_for_oldest(&api, &webhooks[1], "failed"),
            wait_for_oldest(&api, &webhooks[2], "pending"),
        ];
        let messages = create_message_webhooks(&api, &receivers[0]);
        let status = json!({"status": "REVIEWED"});
        api.patch(&format!("/api/v1/feedback/{feedback}"), status)
            .expect(200);
        reject_an_origin(&app, &api);

        let mut ada = app.signed_in();
        let form = ada.get("/settings/people?add").form_with("Invite");
        let invite = form.fill("Email", "grace@example.com").press("Invite");
        let page = ada.submit_and_follow(&invite);
        let invitation = token_of(&page.field_value("Invitation for grace@example.com"));
        let form = page.form_in(MEMBER, "Reset password");
        let page = ada.submit_and_follow(&form.press("Reset password"));
        let reset = token_of(&page.field_value("Password reset link"));
        let marker = format!("aria-label=\"{MEMBER}\"");
        let member = id_before(&page.response.text, "usr", &marker);
        let page = ada.get("/settings/tokens");
        let token = id_before(&page.response.text, "tok", "aria-label=\"tests\"");
        Self {
            webhooks,
            deliveries,
            feedback,
            member,
            token,
            projects,
            invitation,
            reset,
            messages,
            receivers,
            _mail: mail,
            api,
            app,
        }
    }

    /// Returns paths that show a route's page in its main states. One path can show several states.
    pub fn paths_of(&self, route: &str) -> Vec<String> {
        let [works, fails, held] = &self.webhooks;
        let deliveries = |id: &str| format!("/settings/notifications/{id}/deliveries");
        match route {
            "/settings/notifications/deliveries" => {
                return vec![
                    route.into(),
                    format!("{route}?redeliver=1h&from=2020-01-01"),
                    format!("{route}?q=nothing"),
                ];
            }
            "/f/{slug}" => return vec!["/f/shop".into(), "/f/nothing".into()],
            "/settings/notifications/{id}" => {
                let pages = self.webhooks.iter();
                return pages
                    .map(|id| format!("/settings/notifications/{id}?period=7d&disable"))
                    .collect();
            }
            "/settings/notifications/{id}/deliveries" => {
                return vec![
                    format!("{}?state=failed&redeliver=1h", deliveries(fails)),
                    deliveries(held),
                    format!(
                        "{}?state=canceled&event=feedback.updated",
                        deliveries(works)
                    ),
                ];
            }
            "/settings/notifications/{id}/deliveries/{delivery}" => {
                let ids = self.webhooks.iter().zip(&self.deliveries);
                let messages = self.messages.iter().map(|(webhook, id)| (webhook, id));
                return ids
                    .chain(messages)
                    .map(|(webhook, id)| format!("{}/{id}", deliveries(webhook)))
                    .collect();
            }
            "/docs/schemas/{event}.json" => return vec!["/docs/schemas/test.json".to_owned()],
            _ => {}
        }
        let id = if route.starts_with("/feedback") {
            &self.feedback
        } else {
            works
        };
        let path = route.replace("{id}", id);
        assert!(
            !path.contains('{'),
            "`paths_of` has no values for the parameters of {route}"
        );
        let queries = self.queries_of(route);
        queries
            .iter()
            .map(|query| format!("{path}{query}"))
            .collect()
    }

    fn queries_of(&self, route: &str) -> Vec<String> {
        let [works, fails, held] = &self.webhooks;
        let [(chat, _), (email, _)] = &self.messages;
        match route {
            "/invitation" => vec![format!("?token={}", self.invitation)],
            "/reset" => vec![format!("?token={}", self.reset)],
            "/feedback" => vec![
                String::new(),
                format!("?open={}&select=all", self.feedback),
                format!("?delete={}", self.feedback),
                format!("?before={}", self.feedback),
                "?q=button&status=REVIEWED&project=shop".into(),
                "?q=nothing+of+this".into(),
                "?received=range&from=2026-01-01&email=1&sort=oldest".into(),
                "?from=2026-02-01&to=2026-01-01".into(),
                "?project=documentation-of-the-shop".into(),
            ],
            "/feedback/{id}" => vec![String::new(), "?delete&project=shop".into()],
            "/settings/notifications" => vec![
                String::new(),
                format!("?add&open={fails}&reveal={held}&rotate={works}"),
                format!("?delete={works}&disable={held}&reveal=alerts"),
                "?failing".into(),
                format!("?add-email&open={email}"),
                format!("?open={chat}"),
            ],
            "/settings/notifications/{id}/signature-check" => {
                vec![format!("?delivery={}", self.deliveries[0])]
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
        }
    }

    /// Replaces random ids and tokens in a path with fixed names. The ids of deliveries, of the API
    /// token, and of the first project stay unchanged.
    pub fn stable_name(&self, path: &str) -> String {
        let [works, fails, held] = &self.webhooks;
        let [(chat, _), (email, _)] = &self.messages;
        let names = [
            (chat, "CHAT"),
            (email, "EMAIL"),
            (&self.invitation, "…"),
            (&self.reset, "…"),
            (works, "WORKS"),
            (fails, "FAILS"),
            (held, "HELD"),
            (&self.feedback, "ID"),
            (&self.member, "BOB"),
            (&self.projects[1], "DOCS"),
        ];
        names
            .into_iter()
            .fold(path.to_owned(), |path, (id, name)| path.replace(id, name))
    }
}
