//! A client for Miniback's API, with the calls that the demo needs.
//!
//! It uses only the public API and runs within an actix runtime.

use std::time::Duration;

use awc::error::{JsonPayloadError, SendRequestError};
use awc::http::Method;
use awc::http::header::AUTHORIZATION;
use awc::{Client, Connector};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// A client that calls one installation with an API token. It doesn't implement `Debug`, so the
/// token can't be logged.
#[derive(Clone)]
pub struct ApiClient {
    /// The installation's URL without a trailing slash, such as `http://127.0.0.1:8080`.
    base: String,
    client: Client,
}

#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("Miniback at {base} can’t be reached.")]
    Unreachable {
        base: String,
        #[source]
        source: SendRequestError,
    },
    #[error("Miniback rejected {call} with {status}: {detail}")]
    Rejected {
        call: String,
        status: u16,
        detail: String,
    },
    #[error("Miniback’s response to {call} isn’t the expected JSON.")]
    InvalidResponse {
        call: String,
        #[source]
        source: JsonPayloadError,
    },
}

#[derive(Serialize)]
pub struct ProjectRequest<'a> {
    pub name: &'a str,
    pub slug: &'a str,
}

#[derive(Serialize)]
pub struct FeedbackRequest<'a> {
    /// The project's id or slug.
    pub project: &'a str,
    pub message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<&'a str>,
}

#[derive(Serialize)]
pub struct WebhookRequest<'a> {
    pub url: &'a str,
    pub description: &'a str,
    pub topics: &'a [&'a str],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<&'a str>,
    pub format: &'a str,
    pub retries: &'a str,
}

#[derive(Serialize)]
struct StatusRequest<'a> {
    status: &'a str,
}

/// The id of a created or changed object. Other members of the response are ignored.
#[derive(Debug, Deserialize)]
pub struct IdResponse {
    pub id: String,
}

/// The pending deliveries of a webhook.
#[derive(Debug, Deserialize)]
struct DeliveryList {
    data: Vec<PendingDelivery>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PendingDelivery {
    next_attempt_at: Option<String>,
}

/// A problem in the format of RFC 9457. Only its detail is read.
#[derive(Default, Deserialize)]
struct ErrorBody {
    #[serde(default)]
    detail: String,
}

impl ApiClient {
    pub fn new(base: impl Into<String>, token: &str) -> Self {
        // Use a new connection for each call, so that no call fails because of a closed idle
        // connection.
        let connector = Connector::new().conn_keep_alive(Duration::ZERO);
        let client = Client::builder()
            .connector(connector)
            .disable_redirects()
            .timeout(Duration::from_secs(10))
            .add_default_header((AUTHORIZATION, format!("Bearer {token}")))
            .finish();
        Self {
            base: base.into().trim_end_matches('/').to_owned(),
            client,
        }
    }

    pub async fn create_project(
        &self,
        project: &ProjectRequest<'_>,
    ) -> Result<IdResponse, ApiError> {
        self.send_json(Method::POST, "/api/v1/projects", project)
            .await
    }

    pub async fn create_feedback(
        &self,
        feedback: &FeedbackRequest<'_>,
    ) -> Result<IdResponse, ApiError> {
        self.send_json(Method::POST, "/api/v1/feedback", feedback)
            .await
    }

    pub async fn set_status(
        &self,
        feedback_id: &str,
        status: &str,
    ) -> Result<IdResponse, ApiError> {
        let path = format!("/api/v1/feedback/{feedback_id}");
        self.send_json(Method::PATCH, &path, &StatusRequest { status })
            .await
    }

    pub async fn create_webhook(
        &self,
        webhook: &WebhookRequest<'_>,
    ) -> Result<IdResponse, ApiError> {
        self.send_json(Method::POST, "/api/v1/webhooks", webhook)
            .await
    }

    /// Returns the time of the earliest next attempt for a webhook, or `None` if no delivery is
    /// pending.
    pub async fn next_attempt_at(&self, webhook_id: &str) -> Result<Option<Timestamp>, ApiError> {
        let path = format!("/api/v1/webhooks/{webhook_id}/deliveries?state=pending");
        let list: DeliveryList = self.send(Method::GET, &path, None::<&()>).await?;
        let times = list
            .data
            .iter()
            .filter_map(|delivery| Timestamp::parse(delivery.next_attempt_at.as_deref()?));
        Ok(times.min())
    }

    async fn send_json<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ApiError> {
        self.send(method, path, Some(body)).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, ApiError> {
        let call = format!("{method} {path}");
        let request = self.client.request(method, format!("{}{path}", self.base));
        let response = match body {
            Some(body) => request.send_json(body).await,
            None => request.send().await,
        };
        let mut response = response.map_err(|source| ApiError::Unreachable {
            base: self.base.clone(),
            source,
        })?;
        let status = response.status();
        if status.is_success() {
            return response
                .json()
                .await
                .map_err(|source| ApiError::InvalidResponse { call, source });
        }
        // A proxy may return an error page that isn't JSON. In this case, only the status is known.
        let problem: ErrorBody = response.json().await.unwrap_or_default();
        let detail = if problem.detail.is_empty() {
            status.canonical_reason().unwrap_or("unknown").to_owned() + "."
        } else {
            problem.detail
        };
        Err(ApiError::Rejected {
            call,
            status: status.as_u16(),
            detail,
        })
    }
}
