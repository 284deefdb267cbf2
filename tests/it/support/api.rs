//! A client for the JSON API with one token, and helpers for actions that most tests need.

use serde_json::{Value, json};

use super::http::{self, Response};
use super::wait::{DEADLINE, poll, wait_until};

#[derive(Clone)]
pub struct Api {
    base: String,
    token: Option<String>,
}

impl Api {
    /// Creates a client for the program at `base`, a URL without a trailing slash.
    pub fn new(base: &str, token: Option<&str>) -> Self {
        Self {
            base: base.to_owned(),
            token: token.map(str::to_owned),
        }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.send("GET", path, &[], None)
    }

    #[track_caller]
    pub fn head(&self, path: &str) -> Response {
        self.send("HEAD", path, &[], None)
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Response {
        self.send("DELETE", path, &[], None)
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: Value) -> Response {
        self.send_json("POST", path, &[], &body)
    }

    /// Sends a `POST` with an empty body.
    #[track_caller]
    pub fn post_empty(&self, path: &str) -> Response {
        self.send("POST", path, &[], Some(b""))
    }

    #[track_caller]
    pub fn patch(&self, path: &str, body: Value) -> Response {
        self.send_json("PATCH", path, &[], &body)
    }

    #[track_caller]
    pub fn send_json(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Response {
        let mut all = vec![("Content-Type", "application/json")];
        all.extend_from_slice(headers);
        self.send(method, path, &all, Some(body.to_string().as_bytes()))
    }

    #[track_caller]
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Response {
        let bearer = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let mut all: Vec<(&str, &str)> = headers.to_vec();
        if let Some(bearer) = &bearer {
            all.push(("Authorization", bearer));
        }
        http::send(method, &format!("{}{path}", self.base), &all, body)
    }

    /// Creates a project with this name and a generated slug.
    #[track_caller]
    pub fn create_project(&self, name: &str) -> Value {
        self.post("/api/v1/projects", json!({"name": name}))
            .expect(201)
            .json()
    }

    /// Creates feedback in the project with this slug or id.
    #[track_caller]
    pub fn create_feedback(&self, project: &str, message: &str) -> Value {
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

    /// Creates a webhook with this URL and the default settings.
    #[track_caller]
    pub fn create_webhook(&self, url: &str) -> Value {
        self.create_webhook_with(json!({"url": url}))
    }

    #[track_caller]
    pub fn create_webhook_with(&self, body: Value) -> Value {
        self.post("/api/v1/webhooks", body).expect(201).json()
    }

    #[track_caller]
    pub fn patch_webhook(&self, webhook: &Value, change: Value) -> Value {
        let path = format!("/api/v1/webhooks/{}", text(webhook, "id"));
        self.patch(&path, change).expect(200).json()
    }

    /// Returns the `heldUntil` of a webhook.
    #[track_caller]
    pub fn held_until(&self, webhook: &Value) -> Value {
        let path = format!("/api/v1/webhooks/{}", text(webhook, "id"));
        self.get(&path).expect(200).json()["heldUntil"].clone()
    }

    #[track_caller]
    pub fn delete_webhook(&self, webhook: &Value) {
        self.delete(&format!("/api/v1/webhooks/{}", text(webhook, "id")))
            .expect(204);
    }

    /// Returns the newest deliveries of a webhook, at most 100, newest first. Deliveries are stored
    /// before the request that caused them is acknowledged, so the list includes them right after
    /// the response.
    #[track_caller]
    pub fn deliveries(&self, webhook: &Value) -> Vec<Value> {
        let path = format!(
            "/api/v1/webhooks/{}/deliveries?limit=100",
            text(webhook, "id")
        );
        let page = self.get(&path).expect(200).json();
        page["data"].as_array().expect("find a list").clone()
    }

    /// Returns the items on all pages of a list, or an error if a request isn't successful. `path`
    /// must contain a `?`.
    pub fn try_read_all_pages(&self, path: &str) -> Result<Vec<Value>, String> {
        let bearer = format!("Bearer {}", self.token.as_deref().unwrap_or_default());
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let url = format!("{}{path}&limit=100{cursor}", self.base);
            let page = http::try_send("GET", &url, &[("Authorization", &bearer)], None)?;
            if page.status != 200 {
                return Err(format!("unexpected status: {page:?}"));
            }
            let page = page.json();
            items.extend(
                page["data"]
                    .as_array()
                    .expect("find a list")
                    .iter()
                    .cloned(),
            );
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return Ok(items),
            }
        }
    }

    /// Returns a webhook's only delivery with its attempts. Panics if the number of deliveries
    /// isn't 1.
    #[track_caller]
    pub fn only_delivery(&self, webhook: &Value) -> Value {
        let all = self.deliveries(webhook);
        assert_eq!(all.len(), 1, "expected one delivery: {all:#?}");
        self.delivery(text(&all[0], "id"))
    }

    /// Waits until a webhook has no pending delivery.
    #[track_caller]
    pub fn wait_until_none_pending(&self, webhook: &Value) {
        let id = text(webhook, "id");
        let path = format!("/api/v1/webhooks/{id}/deliveries?state=pending");
        wait_until("no delivery is pending", || {
            let pending = self.get(&path).json();
            pending["data"].as_array().unwrap().is_empty().then_some(())
        });
    }

    #[track_caller]
    pub fn delivery(&self, id: &str) -> Value {
        self.get(&format!("/api/v1/deliveries/{id}"))
            .expect(200)
            .json()
    }

    /// Waits until a delivery is in this state, and returns it.
    #[track_caller]
    pub fn wait_for_state(&self, id: &str, state: &str) -> Value {
        self.wait_for_delivery(id, &format!("is {state}"), |found| found["state"] == state)
    }

    /// Waits until a delivery has at least `count` recorded attempts, and returns it.
    #[track_caller]
    pub fn wait_for_attempts(&self, id: &str, count: usize) -> Value {
        self.wait_for_delivery(id, &format!("has {count} attempts"), |found| {
            attempts(found).len() >= count
        })
    }

    #[track_caller]
    fn wait_for_delivery(&self, id: &str, what: &str, test: impl Fn(&Value) -> bool) -> Value {
        let mut last = Value::Null;
        let what = format!("delivery {id} {what}");
        let found = poll(DEADLINE, || {
            last = self.delivery(id);
            test(&last).then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("timed out waiting until {what}; it is now {last:#}"))
    }

    /// Creates a feedback item in a new project and waits until its delivery to `webhook` is in
    /// this state. The webhook must have no other delivery.
    #[track_caller]
    pub fn deliver_one(&self, webhook: &Value, state: &str) -> Value {
        let project = self.create_project("Delivered");
        self.create_feedback(text(&project, "slug"), "One message");
        let id = text(&self.only_delivery(webhook), "id").to_owned();
        self.wait_for_state(&id, state)
    }
}

/// Returns a member as a string. Panics if it isn't a string.
#[track_caller]
pub fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    match value[member].as_str() {
        Some(text) => text,
        None => panic!("{member} isn't a string in {value:#}"),
    }
}

#[track_caller]
pub fn attempts(delivery: &Value) -> &Vec<Value> {
    match delivery["attempts"].as_array() {
        Some(attempts) => attempts,
        None => panic!("no attempts in {delivery:#}"),
    }
}

/// Converts a timestamp of the API to milliseconds since the Unix epoch. Panics unless it's in UTC
/// and has exactly three decimals.
#[track_caller]
pub fn millis(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_default();
    let shape = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c });
    assert_eq!(
        shape.collect::<String>(),
        "0000-00-00T00:00:00.000Z",
        "not a timestamp: {value}"
    );
    match text.parse::<jiff::Timestamp>() {
        Ok(timestamp) => timestamp.as_millisecond(),
        Err(error) => panic!("{text}: {error}"),
    }
}
