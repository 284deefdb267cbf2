//! Sends the attempts of one webhook: over HTTP, or by email.

use std::time::Duration;

use super::client::{EndpointClient, HttpSender};
use super::request::{self, RequestParts};
use crate::clock::Timestamp;
use crate::domain::delivery::{AttemptResult, AttemptTimings, Outcome};
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::format::{self, Format};
use crate::domain::request_headers::LoggedHeaders;
use crate::domain::webhook_url::WebhookUrl;

/// The connections to the target of a webhook.
pub(super) enum TargetClient {
    Endpoint(EndpointClient),
    Mail,
}

impl TargetClient {
    /// Makes one attempt, which starts at `now`. Also returns the headers for the delivery log, or
    /// `None` if nothing was sent.
    pub(super) async fn attempt(
        &self,
        parts: RequestParts<'_>,
        now: Timestamp,
    ) -> (AttemptResult, Option<LoggedHeaders>) {
        match self {
            Self::Endpoint(client) if !parts.format.is_email() => {
                let host = client.url().host_header();
                let is_ntfy = parts.format == Format::Ntfy;
                let (mut request, logged) = request::build_request(parts, host, now);
                if is_ntfy && format::ntfy_topic(client.url()).is_some() {
                    request.path_and_query = Some(root_with_query(client.url()));
                }
                (client.attempt(&request).await, Some(logged))
            }
            Self::Mail if parts.format.is_email() => (unsent(Outcome::Internal), None),
            Self::Endpoint(_) | Self::Mail => (unsent(Outcome::FormatChanged), None),
        }
    }
}

impl HttpSender {
    /// Creates the client for a webhook. Call this function and use the client only within an actix
    /// runtime.
    pub(super) fn client_for_webhook(&self, url: &WebhookUrl) -> TargetClient {
        match url {
            WebhookUrl::Endpoint(url) => TargetClient::Endpoint(self.client_for(url)),
            WebhookUrl::Mailto(_) => TargetClient::Mail,
        }
    }
}

/// Returns the path and query for a request to the root of the server.
fn root_with_query(url: &EndpointUrl) -> String {
    let query = url.path_and_query().split_once('?');
    query.map_or("/".to_owned(), |(_, query)| format!("/?{query}"))
}

/// Returns the result of an attempt that failed before anything was sent.
fn unsent(outcome: Outcome) -> AttemptResult {
    AttemptResult {
        outcome,
        duration: Duration::ZERO,
        timings: AttemptTimings::default(),
        response: None,
    }
}
