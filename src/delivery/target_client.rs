//! Sends the attempts of one webhook: over HTTP, or by email.

use std::time::Duration;

use super::client::{EndpointClient, HttpSender};
use super::mail::{MailClient, OutgoingMail};
use super::request::{self, RequestParts};
use crate::clock::Timestamp;
use crate::domain::delivery::{AttemptResult, AttemptTimings, Outcome};
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::format::{self, Format};
use crate::domain::request_headers::LoggedHeaders;
use crate::domain::webhook_url::{MailtoUrl, WebhookUrl};

/// Creates the clients of webhooks. All emails go to the same mail server, over its connections.
pub(super) struct TargetSender {
    pub(super) http: HttpSender,
    pub(super) mail: MailClient,
}

/// The connections to the target of a webhook.
pub(super) enum TargetClient {
    Endpoint(EndpointClient),
    Mail { client: MailClient, url: MailtoUrl },
}

impl TargetSender {
    /// Creates the client for a webhook. Call this function and use the client only within an actix
    /// runtime.
    pub(super) fn client_for(&self, url: &WebhookUrl) -> TargetClient {
        match url {
            WebhookUrl::Endpoint(url) => TargetClient::Endpoint(self.http.client_for(url)),
            WebhookUrl::Mailto(url) => TargetClient::Mail {
                client: self.mail.clone(),
                url: url.clone(),
            },
        }
    }
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
            Self::Mail { client, url } if parts.format.is_email() => {
                let mail = client.prepare(parts.delivery_id, url, parts.event_at, &parts.body);
                let logged = logged_headers(&mail);
                (client.send(&mail).await, logged)
            }
            Self::Endpoint(_) | Self::Mail { .. } => (unsent(Outcome::FormatChanged), None),
        }
    }
}

fn logged_headers(mail: &OutgoingMail) -> Option<LoggedHeaders> {
    let email = mail.headers().to_vec();
    (!email.is_empty()).then_some(LoggedHeaders::Email { email })
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
