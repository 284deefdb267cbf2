//! A client of the JSON API, with one token, and short words for what nearly every test does.

use serde_json::{Value, json};

use super::http::{Answer, Client};
use super::wait::until;

#[derive(Clone)]
pub struct Api {
    base: String,
    token: Option<String>,
    client: Client,
}

impl Api {
    /// `base` is the address of the program, without a slash at its end.
    pub fn new(base: &str, token: Option<&str>) -> Self {
        Self {
            base: base.to_owned(),
            token: token.map(str::to_owned),
            client: Client::new(),
        }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.raw("GET", path, &[], None)
    }

    #[track_caller]
    pub fn head(&self, path: &str) -> Answer {
        self.raw("HEAD", path, &[], None)
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Answer {
        self.raw("DELETE", path, &[], None)
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: Value) -> Answer {
        self.with_json("POST", path, &[], &body)
    }

    /// A `POST` that has no body at all.
    #[track_caller]
    pub fn post_nothing(&self, path: &str) -> Answer {
        self.raw("POST", path, &[], Some(b""))
    }

    #[track_caller]
    pub fn patch(&self, path: &str, body: Value) -> Answer {
        self.with_json("PATCH", path, &[], &body)
    }

    #[track_caller]
    pub fn with_json(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let mut all = vec![("Content-Type", "application/json")];
        all.extend_from_slice(headers);
        self.raw(method, path, &all, Some(body.to_string().as_bytes()))
    }

    #[track_caller]
    pub fn raw(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Answer {
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut all: Vec<(&str, &str)> = headers.to_vec();
        if let Some(bearer) = &bearer {
            all.push(("Authorization", bearer));
        }
        self.client
            .send(method, &format!("{}{path}", self.base), &all, body)
    }

    /// A project with this name and a slug made by the program.
    #[track_caller]
    pub fn project(&self, name: &str) -> Value {
        self.post("/api/v1/projects", json!({"name": name}))
            .expect(201)
            .json()
    }

    /// A feedback in a project, by its slug or id.
    #[track_caller]
    pub fn feedback(&self, project: &str, message: &str) -> Value {
        let body = json!({"project": project, "message": message});
        self.post("/api/v1/feedback", body).expect(201).json()
    }

    #[track_caller]
    pub fn set_status(&self, feedback: &Value, status: &str) -> Value {
        let path = format!("/api/v1/feedback/{}", text(feedback, "id"));
        self.patch(&path, json!({"status": status}))
            .expect(200)
            .json()
    }

    /// A webhook to an address, everything else by default.
    #[track_caller]
    pub fn webhook(&self, url: &str) -> Value {
        self.webhook_with(json!({"url": url}))
    }

    #[track_caller]
    pub fn webhook_with(&self, body: Value) -> Value {
        self.post("/api/v1/webhooks", body).expect(201).json()
    }

    #[track_caller]
    pub fn patch_webhook(&self, webhook: &Value, change: Value) -> Value {
        let path = format!("/api/v1/webhooks/{}", text(webhook, "id"));
        self.patch(&path, change).expect(200).json()
    }

    #[track_caller]
    pub fn delete_webhook(&self, webhook: &Value) {
        self.delete(&format!("/api/v1/webhooks/{}", text(webhook, "id")))
            .expect(204);
    }

    /// The deliveries of a webhook, newest first. They are stored before what caused them is acknowledged, so
    /// a look right after an answer shows them all.
    #[track_caller]
    pub fn deliveries(&self, webhook: &Value) -> Vec<Value> {
        let path = format!(
            "/api/v1/webhooks/{}/deliveries?limit=100",
            text(webhook, "id")
        );
        let page = self.get(&path).expect(200).json();
        page["data"].as_array().expect("a list").clone()
    }

    /// The one delivery that a webhook has.
    #[track_caller]
    pub fn only_delivery(&self, webhook: &Value) -> Value {
        let all = self.deliveries(webhook);
        assert_eq!(all.len(), 1, "one delivery: {all:#?}");
        self.delivery(text(&all[0], "id"))
    }

    #[track_caller]
    pub fn delivery(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/deliveries/{id}"))
            .expect(200)
            .json()
    }

    /// Waits until a delivery is in a state.
    #[track_caller]
    pub fn delivery_in_state(&self, id: &str, state: &str) -> Value {
        self.delivery_that(id, &format!("is {state}"), |found| found["state"] == state)
    }

    #[track_caller]
    pub fn delivery_with_attempts(&self, id: &str, count: usize) -> Value {
        self.delivery_that(id, &format!("has {count} attempts"), |found| {
            attempts(found).len() >= count
        })
    }

    #[track_caller]
    fn delivery_that(&self, id: &str, what: &str, test: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let what = format!("delivery {id} {what}");
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            until(&what, || {
                last = self.delivery(id);
                test(&last).then(|| last.clone())
            })
        }));
        match found {
            Ok(found) => found,
            Err(_) => panic!("waited in vain: {what}; it is {last:#}"),
        }
    }

    /// Sends one feedback to the only webhook there is, and returns its delivery once it is in a state.
    #[track_caller]
    pub fn deliver_one(&self, webhook: &Value, state: &str) -> Value {
        let project = self.project("Delivered");
        self.feedback(text(&project, "slug"), "One message");
        let id = text(&self.only_delivery(webhook), "id").to_owned();
        self.delivery_in_state(&id, state)
    }
}

/// A member that is a string.
#[track_caller]
pub fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    match value[member].as_str() {
        Some(text) => text,
        None => panic!("{member} is no string in {value:#}"),
    }
}

/// The attempts of a delivery.
#[track_caller]
pub fn attempts(delivery: &Value) -> &Vec<Value> {
    match delivery["attempts"].as_array() {
        Some(attempts) => attempts,
        None => panic!("no attempts in {delivery:#}"),
    }
}

/// A moment as the API writes it, in milliseconds since 1970; checks that it is written with milliseconds, in UTC.
#[track_caller]
pub fn millis(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_default();
    let shape = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c });
    assert_eq!(
        shape.collect::<String>(),
        "0000-00-00T00:00:00.000Z",
        "not a moment: {value}"
    );
    match text.parse::<jiff::Timestamp>() {
        Ok(moment) => moment.as_millisecond(),
        Err(error) => panic!("{text}: {error}"),
    }
}
