//! Miniback's API as the demo uses it: four calls, blocking, over HTTP.
//!
//! Whoever calls this from async code does so in `web::block` or `spawn_blocking`.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::http::Response;

/// An installation's API, and a token for it. It has no `Debug`: the token is nobody's business.
#[derive(Clone)]
pub struct Api {
    /// The installation's address, without a slash at the end: `http://127.0.0.1:8080`.
    pub base: String,
    token: String,
    agent: Agent,
}

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("Miniback at {base} cannot be reached: {source}.")]
    Unreachable {
        base: String,
        #[source]
        source: Box<ureq::Error>,
    },
    /// Miniback understood the call and said no.
    #[error("Miniback refused {call} with {status}: {detail}")]
    Rejected {
        call: String,
        status: u16,
        detail: String,
    },
    #[error("Miniback answered {call} with something that is not the JSON it promises: {source}.")]
    InvalidResponse {
        call: String,
        #[source]
        source: Box<ureq::Error>,
    },
}

#[derive(Serialize)]
pub struct NewProject<'a> {
    pub name: &'a str,
    pub slug: &'a str,
}

#[derive(Serialize)]
pub struct NewFeedback<'a> {
    /// An id or a slug.
    pub project: &'a str,
    pub message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<&'a str>,
}

#[derive(Serialize)]
pub struct NewWebhook<'a> {
    pub url: &'a str,
    pub description: &'a str,
    pub secret: &'a str,
}

/// What was made, as far as the demo needs to know it.
#[derive(Debug, Deserialize)]
pub struct Created {
    pub id: String,
}

#[derive(Debug, Deserialize)]
pub struct CreatedProject {
    pub id: String,
    pub slug: String,
}

/// An RFC 9457 problem.
#[derive(Default, Deserialize)]
struct Problem {
    #[serde(default)]
    detail: String,
}

impl Api {
    pub fn new(base: impl Into<String>, token: impl Into<String>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // The demo never leaves this machine, whatever HTTP_PROXY says.
            .proxy(None)
            .timeout_global(Some(Duration::from_secs(10)))
            // Miniback closes idle connections after 5 s; one that it is about to close is not used
            // again.
            .max_idle_age(Duration::from_secs(3))
            .build();
        Self {
            base: base.into().trim_end_matches('/').to_owned(),
            token: token.into(),
            agent: config.into(),
        }
    }

    pub fn create_project(&self, project: &NewProject) -> Result<CreatedProject, ApiError> {
        self.post("/api/v1/projects", project)
    }

    pub fn create_feedback(&self, feedback: &NewFeedback) -> Result<Created, ApiError> {
        self.post("/api/v1/feedback", feedback)
    }

    pub fn set_status(&self, feedback_id: &str, status: &str) -> Result<Created, ApiError> {
        let path = format!("/api/v1/feedback/{feedback_id}");
        let request = self.agent.patch(self.url(&path));
        let answer = request
            .header("Authorization", self.authorization())
            .send_json(serde_json::json!({ "status": status }));
        self.read(format!("PATCH {path}"), answer)
    }

    pub fn create_webhook(&self, webhook: &NewWebhook) -> Result<Created, ApiError> {
        self.post("/api/v1/webhooks", webhook)
    }

    fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ApiError> {
        let request = self.agent.post(self.url(path));
        let answer = request
            .header("Authorization", self.authorization())
            .send_json(body);
        self.read(format!("POST {path}"), answer)
    }

    fn read<T: DeserializeOwned>(
        &self,
        call: String,
        answer: Result<Response<ureq::Body>, ureq::Error>,
    ) -> Result<T, ApiError> {
        let mut answer = answer.map_err(|source| ApiError::Unreachable {
            base: self.base.clone(),
            source: Box::new(source),
        })?;
        let status = answer.status();
        if status.is_success() {
            return answer
                .body_mut()
                .read_json()
                .map_err(|source| ApiError::InvalidResponse {
                    call,
                    source: Box::new(source),
                });
        }
        // A proxy's error page is no problem document; the status is then all there is to say.
        let problem: Problem = answer.body_mut().read_json().unwrap_or_default();
        let detail = if problem.detail.is_empty() {
            status.canonical_reason().unwrap_or("no reason").to_owned() + "."
        } else {
            problem.detail
        };
        Err(ApiError::Rejected {
            call,
            status: status.as_u16(),
            detail,
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }
}
