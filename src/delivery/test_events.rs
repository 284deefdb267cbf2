//! Sends test events, each in one signed attempt, and returns the result to the caller.

use std::time::Duration;

use super::DispatcherHandle;
use super::request::{self, RequestParts};
use crate::clock::Timestamp;
use crate::domain::delivery::{AttemptResult, Outcome};
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::event::EventType;
use crate::domain::explanation::test_advice;
use crate::domain::format::Format;
use crate::domain::id::DeliveryId;
use crate::domain::request_headers::LoggedHeaders;
use crate::domain::secret::Secret;
use crate::domain::webhook::{CustomHeaders, Secrets, Webhook};
use crate::domain::webhook_url::WebhookUrl;
use crate::formats::{self, Event, EventContent};
use crate::store::{AttemptRecord, StoreError};

/// The result of a test.
#[derive(Clone, Debug)]
pub struct TestReport {
    pub outcome: Outcome,
    /// The status of the response, if a response arrived.
    pub status: Option<u16>,
    pub duration: Duration,
    /// The first 16 KiB of the response body. Invalid UTF-8 is replaced.
    pub response_body: String,
    /// Advice for an endpoint that fails because a test has no `data.feedback`.
    pub hint: Option<&'static str>,
}

impl DispatcherHandle {
    /// Tests a saved webhook, enabled or not, and records the test in the delivery log. Returns
    /// `None` if the webhook has been deleted.
    pub async fn test_webhook(
        &self,
        webhook: &Webhook,
        user: &str,
    ) -> Result<Option<TestReport>, StoreError> {
        let (delivery, at) = self.store.allocate_test_delivery_id().await?;
        let Some(secrets) = self.store.webhook_secrets(webhook.id, at).await? else {
            return Ok(None);
        };
        let test = TestRequest {
            url: &webhook.url,
            delivery: &delivery,
            at,
            secrets: &secrets,
            headers: &webhook.headers,
        };
        let (body, request_headers, result) = self.send_test(test, user).await?;
        let report = TestReport::from_result(&result);
        let attempt = AttemptRecord {
            started_at: at,
            error: result.error_message(),
            result,
            request_headers,
            hold: None,
        };
        self.store
            .record_test_delivery(webhook.id, delivery, body, attempt)
            .await?;
        Ok(Some(report))
    }

    /// Tests a URL and a secret that aren't saved. Nothing is recorded in the delivery log.
    pub async fn test_url(
        &self,
        url: &WebhookUrl,
        secret: Secret,
        user: &str,
    ) -> Result<TestReport, StoreError> {
        let (delivery, at) = self.store.allocate_test_delivery_id().await?;
        let secrets = Secrets {
            current: secret,
            next: None,
        };
        let test = TestRequest {
            url,
            delivery: &delivery,
            at,
            secrets: &secrets,
            headers: &CustomHeaders::new(),
        };
        let (_, _, result) = self.send_test(test, user).await?;
        Ok(TestReport::from_result(&result))
    }

    async fn send_test(&self, test: TestRequest<'_>, user: &str) -> Result<SentTest, StoreError> {
        let content = EventContent {
            event: Event::Test { user },
            at: test.at,
            link: None,
        };
        let body = formats::render(Format::Standard, false, &content);
        let parts = RequestParts {
            delivery_id: &test.delivery.to_string(),
            event: EventType::Test.as_str(),
            event_at: test.at,
            body: body.clone(),
            secrets: test.secrets,
            headers: test.headers,
        };
        let host = test.url.endpoint().map(EndpointUrl::host_header);
        let host = host.unwrap_or_default();
        let (request, request_headers) = request::build_signed_request(parts, host, test.at);
        Ok((
            body,
            request_headers,
            self.send_request(test.url, request).await?,
        ))
    }
}

struct TestRequest<'a> {
    url: &'a WebhookUrl,
    delivery: &'a DeliveryId,
    at: Timestamp,
    secrets: &'a Secrets,
    headers: &'a CustomHeaders,
}

/// The body, the request headers for the delivery log, and the result of a test.
type SentTest = (Vec<u8>, LoggedHeaders, AttemptResult);

impl TestReport {
    fn from_result(result: &AttemptResult) -> Self {
        let response = result.response.as_ref();
        Self {
            outcome: result.outcome.clone(),
            status: response.map(|response| response.status),
            duration: result.duration,
            hint: response.and_then(|r| test_advice(r.status, &r.body)),
            response_body: response
                .map(|r| String::from_utf8_lossy(&r.body).into_owned())
                .unwrap_or_default(),
        }
    }

    /// Returns the likely cause of the failure and how to fix it; empty after a success.
    pub fn advice(&self) -> &'static str {
        self.hint.unwrap_or_else(|| self.outcome.advice())
    }

    /// Returns the summary of the outcome, followed by the advice.
    pub fn explanation(&self) -> String {
        format!("{} {}", self.outcome.summary(), self.advice())
            .trim_end()
            .to_owned()
    }

    pub fn is_success(&self) -> bool {
        self.outcome.is_success()
    }
}
