//! Sends the attempts of one webhook: over HTTP, or by email.

use std::time::Duration;

use super::client::{EndpointClient, HttpSender};
use crate::domain::delivery::{AttemptResult, AttemptTimings, Outcome, SignedRequest};
use crate::domain::webhook_url::WebhookUrl;

impl TargetClient {
    /// Makes one attempt.
    pub(super) async fn attempt(&self, request: &SignedRequest) -> AttemptResult {
        match self {
            Self::Endpoint(client) => client.attempt(request).await,
            Self::Mail => AttemptResult {
                outcome: Outcome::Internal,
                duration: Duration::ZERO,
                timings: AttemptTimings::default(),
                response: None,
            },
        }
    }
}

/// The connections to the target of a webhook.
pub(super) enum TargetClient {
    Endpoint(EndpointClient),
    Mail,
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
