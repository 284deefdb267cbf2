//! A client of the hosted API, as its users write one: typed, strict about members, and without
//! knowledge of `/api/v1`.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use crate::support::http::{self, Response};

/// How the client sends its token.
#[derive(Clone, Copy, Debug)]
pub enum SendToken {
    XApiKey,
    Bearer,
    Query,
}

pub struct HostedClient {
    base: String,
    token: String,
    send_token: SendToken,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Projects {
    data: Vec<Project>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Project {
    pub id: String,
    pub name: String,
    pub slug: String,
    pub status: String,
    pub created_at: String,
    pub updated_at: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedbackPage {
    pub data: Vec<Feedback>,
    pub pagination: Pagination,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Feedback {
    pub id: String,
    pub message: String,
    pub status: String,
    pub created_at: String,
    pub context: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Pagination {
    pub total: usize,
    pub limit: usize,
    pub offset: usize,
    pub has_more: bool,
}

impl FeedbackPage {
    pub fn messages(&self) -> Vec<&str> {
        self.data.iter().map(|item| item.message.as_str()).collect()
    }
}

impl HostedClient {
    /// Creates a client for the installation at `base`, a URL without a trailing slash.
    pub fn new(base: &str, token: &str, send_token: SendToken) -> Self {
        Self {
            base: base.to_owned(),
            token: token.to_owned(),
            send_token,
        }
    }

    #[track_caller]
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        self.send_with(method, path, &[], body)
    }

    #[track_caller]
    pub fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Response {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = headers.to_vec();
        let mut url = format!("{}{path}", self.base);
        match self.send_token {
            SendToken::XApiKey => headers.push(("x-api-key", &self.token)),
            SendToken::Bearer => headers.push(("Authorization", &bearer)),
            SendToken::Query => {
                url.push(if path.contains('?') { '&' } else { '?' });
                url.push_str("api_key=");
                url.push_str(&self.token);
            }
        }
        let body = body.map(Value::to_string);
        if body.is_some() {
            headers.push(("Content-Type", "application/json"));
        }
        http::send(method, &url, &headers, body.as_deref().map(str::as_bytes))
    }

    #[track_caller]
    pub fn projects(&self) -> Vec<Project> {
        parse::<Projects>(&self.send("GET", "/api/projects", None).expect(200)).data
    }

    #[track_caller]
    pub fn create_project(&self, body: &Value) -> Project {
        let created = self.send("POST", "/api/projects", Some(body));
        parse(&created.expect(201))
    }

    /// Returns the project with this id or slug.
    #[track_caller]
    pub fn project(&self, project: &str) -> Project {
        let path = format!("/api/projects/{project}");
        parse(&self.send("GET", &path, None).expect(200))
    }

    /// Returns a page of a project's feedback. `query` is empty or starts with `?`.
    #[track_caller]
    pub fn feedback(&self, project: &str, query: &str) -> FeedbackPage {
        let path = format!("/api/projects/{project}/feedback{query}");
        parse(&self.send("GET", &path, None).expect(200))
    }

    #[track_caller]
    pub fn submit(&self, project: &str, message: &str, context: Value) -> Feedback {
        let body = json!({"message": message, "context": context});
        parse(&self.try_submit(project, &body).expect(201))
    }

    #[track_caller]
    pub fn try_submit(&self, project: &str, body: &Value) -> Response {
        let path = format!("/api/projects/{project}/feedback");
        self.send("POST", &path, Some(body))
    }
}

#[track_caller]
fn parse<T: DeserializeOwned>(response: &Response) -> T {
    match serde_json::from_str(&response.text) {
        Ok(value) => value,
        Err(error) => panic!("{error}: {response:?}"),
    }
}
