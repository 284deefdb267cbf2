//! Every address that the program has, asked for by everybody who may not have it. The addresses are those of the
//! tables by which the program is configured, so that a new one is walked from its first day.

use std::collections::BTreeSet;

use miniback::server::access::Needs;
use miniback::server::routing::Listed;

use crate::support::api::text;
use crate::support::app::{ADMIN, App};
use crate::support::http::{Client, Response};
use crate::support::receiver::Receiver;

const MEMBER: &str = "bob@example.com";

/// Addresses with one of these words are the admins', whatever the table says of them.
const ADMINS: [&str; 7] = [
    "webhook",
    "notifications",
    "deliver",
    "secret",
    "people",
    "privacy",
    "metrics",
];

/// What a session that is asked for may stand or fall by: these end it, and belong to everybody who is signed in.
const ENDS_SESSIONS: [&str; 2] = ["/logout", "/settings/account/sign-out-everywhere"];

/// One thing of each kind, by the names that addresses have for them.
struct Things {
    webhook: String,
    delivery: String,
    feedback: String,
}

impl Things {
    fn path(&self, listed: &Listed) -> String {
        let id = if listed.path.starts_with("/api/v1/deliveries/") {
            &self.delivery
        } else if listed.path.contains("/feedback/") {
            &self.feedback
        } else {
            &self.webhook
        };
        let path = listed.path.replace("{id}", id);
        let path = path.replace("{delivery}", &self.delivery);
        let path = path
            .replace("{project}", "shop")
            .replace("{name}", "style.css");
        let start = path.find('{').unwrap_or(path.len());
        // Something new: any word will do for who is refused.
        if start < path.len() {
            format!("{}x", &path[..start])
        } else {
            path
        }
    }
}

/// Who asks, and what they may have.
struct Caller<'a> {
    name: &'a str,
    header: Option<(&'a str, String)>,
    may: &'a [Needs],
}

fn ask(app: &App, caller: &Caller<'_>, method: &str, path: &str) -> Response {
    let body = (!matches!(method, "GET" | "HEAD" | "DELETE")).then_some(b"".as_slice());
    let mut headers = vec![("Content-Type", "application/x-www-form-urlencoded")];
    if path.starts_with("/api/") {
        headers[0].1 = "application/json";
    }
    if let Some((name, value)) = &caller.header {
        headers.push((name, value));
    }
    Client::new().send(method, &format!("{}{path}", app.url), &headers, body)
}

#[test]
fn nobody_gets_at_what_is_not_theirs_at_any_address() {
    let (app, receiver) = (App::start(), Receiver::ok());
    app.add_user(MEMBER, "member");
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let things = Things {
        feedback: text(&api.create_feedback("shop", "Hello"), "id").to_owned(),
        delivery: text(&api.only_delivery(&webhook), "id").to_owned(),
        webhook: text(&webhook, "id").to_owned(),
    };
    let session = |email: &str| {
        let mut visitor = app.visitor();
        visitor.sign_in(email, crate::support::app::PASSWORD);
        let value = visitor.session().expect("a session");
        Some(("Cookie", format!("miniback_session={value}")))
    };
    let token = |email: &str, scope: &str| {
        Some((
            "Authorization",
            format!("Bearer {}", app.token(email, scope)),
        ))
    };
    let caller = |name, header, may| Caller { name, header, may };
    let (members, admins) = (session(MEMBER), session(ADMIN));
    let everything = [
        Needs::Nothing,
        Needs::Member,
        Needs::Admin,
        Needs::Submit,
        Needs::Metrics,
    ];
    let a_members = [Needs::Nothing, Needs::Member, Needs::Submit];
    let nothing = [Needs::Nothing];

    let of_pages = [
        caller("anonymous", None, &nothing[..]),
        caller("an admin's token", token(ADMIN, "full"), &nothing),
        caller("a member's session", members.clone(), &a_members),
        caller("an admin's session", admins.clone(), &everything),
    ];
    let of_calls = [
        caller("anonymous", None, &nothing[..]),
        caller("an admin's session", admins, &nothing),
        caller("a member's session", members, &nothing),
        caller("a member's token", token(MEMBER, "full"), &a_members),
        caller(
            "a member's submit token",
            token(MEMBER, "submit"),
            &[Needs::Nothing, Needs::Submit],
        ),
        caller(
            "an admin's submit token",
            token(ADMIN, "submit"),
            &[Needs::Nothing, Needs::Submit],
        ),
        caller(
            "an admin's metrics token",
            token(ADMIN, "metrics"),
            &[Needs::Nothing, Needs::Metrics],
        ),
        caller("an admin's token", token(ADMIN, "full"), &everything),
    ];
    let mut asked = 0;
    for (is_page, routes, callers) in [
        (false, miniback::api::routes().list(), &of_calls[..]),
        (true, miniback::pages::routes().list(), &of_pages[..]),
    ] {
        assert!(routes.len() > 20, "{routes:?}");
        for listed in &routes {
            // The guide is for whoever writes an endpoint; what it shows to whom, its own test says.
            if listed.path != "/docs/webhooks"
                && ADMINS.iter().any(|word| listed.path.contains(word))
            {
                let kept = matches!(listed.needs, Needs::Admin | Needs::Metrics);
                assert!(kept, "{listed:?} is for admins");
            }
            let path = things.path(listed);
            let mut methods = BTreeSet::from([listed.method.as_str()]);
            if methods.contains("GET") {
                methods.insert("HEAD");
            }
            for (caller, method) in callers
                .iter()
                .flat_map(|c| methods.iter().map(move |m| (c, *m)))
            {
                let allowed = caller.may.contains(&listed.needs);
                // What is allowed is only looked at: a form of theirs would do something.
                if allowed
                    && (!matches!(method, "GET" | "HEAD") || ENDS_SESSIONS.contains(&path.as_str()))
                {
                    continue;
                }
                let response = ask(&app, caller, method, &path);
                asked += 1;
                let known = match caller.header {
                    Some(("Cookie", _)) => is_page,
                    Some(_) => !is_page,
                    None => false,
                };
                let right = match (allowed, known, is_page && matches!(method, "GET" | "HEAD")) {
                    (true, ..) => !matches!(response.status, 401 | 403 | 500..),
                    (false, true, _) => response.status == 403,
                    // To the sign-in, and nothing of the page.
                    (false, false, true) => {
                        let to = response.header("location").unwrap_or_default();
                        response.status == 303
                            && to.starts_with("/login?next=")
                            && response.text.is_empty()
                    }
                    (false, false, false) => response.status == 401,
                };
                assert!(right, "{} at {listed:?}: {response:?}", caller.name);
            }
        }
    }
    println!("{asked} requests");
    // Nobody did anything.
    api.get(&format!("/api/v1/webhooks/{}", things.webhook))
        .expect(200);
    api.get(&format!("/api/v1/feedback/{}", things.feedback))
        .expect(200);
    assert_eq!(receiver.received().len(), 1, "no test, no redelivery");
}
