//! Sends test events, each in one attempt, and returns the result to the caller.

use std::time::Duration;

use super::{DispatcherHandle, OutgoingMessage};
use crate::clock::Timestamp;
use crate::domain::delivery::{AttemptResult, Outcome};
use crate::domain::event::EventType;
use crate::domain::explanation::response_advice;
use crate::domain::feedback::FeedbackStatus;
use crate::domain::format::Format;
use crate::domain::id::DeliveryId;
use crate::domain::secret::Secret;
use crate::domain::webhook::{CustomHeaders, Secrets, Topic, Webhook};
use crate::domain::webhook_url::WebhookUrl;
use crate::formats::{self, Event, EventContent, example_feedback};
use crate::store::{AttemptRecord, StoreError, TestEvent};

/// The result of a test.
#[derive(Clone, Debug)]
pub struct TestReport {
    pub outcome: Outcome,
    /// The status of the response, if a response arrived.
    pub status: Option<u16>,
    pub duration: Duration,
    /// The first 16 KiB of the response body. Invalid UTF-8 is replaced.
    pub response_body: String,
    /// Advice that depends on the response.
    pub hint: Option<&'static str>,
}

/// A webhook that can be tested before it is saved.
#[derive(Clone, Debug)]
pub struct UnsavedWebhook {
    pub url: WebhookUrl,
    pub format: Format,
    pub details: bool,
    /// Unused if the format isn't signed.
    pub secret: Secret,
}

impl DispatcherHandle {
    /// Tests a saved webhook, enabled or not, and records the test in the delivery log. Returns
    /// `None` if the webhook has been deleted. `user` is the email of the user who started the
    /// test.
    pub async fn test_webhook(
        &self,
        webhook: &Webhook,
        event: EventType,
        user: &str,
    ) -> Result<Option<TestReport>, StoreError> {
        let (delivery, at) = self.store.allocate_test_delivery_id().await?;
        let Some(secrets) = self.store.webhook_secrets(webhook.id, at).await? else {
            return Ok(None);
        };
        let test = self.render_test(
            event,
            webhook.format,
            webhook.details,
            &webhook.url,
            user,
            at,
        );
        let message = test_message(&delivery, at, &test, secrets, webhook.headers.clone());
        let (result, request_headers) = self.send_message(&webhook.url, message).await?;
        let report = TestReport::new(event, webhook.format, &result);
        let attempt = AttemptRecord {
            started_at: at,
            error: result.error_message(),
            result,
            request_headers,
            hold: None,
        };
        self.store
            .record_test_delivery(webhook.id, delivery, test, attempt)
            .await?;
        Ok(Some(report))
    }

    /// Tests a webhook that isn't saved. Nothing is recorded in the delivery log.
    pub async fn test_unsaved_webhook(
        &self,
        webhook: &UnsavedWebhook,
        event: EventType,
        user: &str,
    ) -> Result<TestReport, StoreError> {
        let (delivery, at) = self.store.allocate_test_delivery_id().await?;
        let test = self.render_test(
            event,
            webhook.format,
            webhook.details,
            &webhook.url,
            user,
            at,
        );
        let secrets = Secrets {
            current: webhook.secret.clone(),
            next: None,
        };
        let message = test_message(&delivery, at, &test, secrets, CustomHeaders::new());
        let (result, _) = self.send_message(&webhook.url, message).await?;
        Ok(TestReport::new(event, webhook.format, &result))
    }

    /// Renders `test`, or an example of another event.
    fn render_test(
        &self,
        event: EventType,
        format: Format,
        details: bool,
        url: &WebhookUrl,
        user: &str,
        at: Timestamp,
    ) -> TestEvent {
        let mut feedback = example_feedback(at);
        // A program must see every member. A person would open a link to a page that doesn't exist.
        let links = Some(self.store.feedback_links()).filter(|_| format == Format::Standard);
        let link = links.and_then(|links| links.link_to(&feedback.id));
        let content = EventContent {
            event: match event {
                EventType::Test => Event::Test { user },
                EventType::Topic(Topic::FeedbackCreated) => Event::Created(&feedback),
                EventType::Topic(Topic::FeedbackUpdated) => {
                    let previous_status = feedback.status;
                    feedback.status = FeedbackStatus::Reviewed;
                    Event::Updated {
                        feedback: &feedback,
                        previous_status,
                    }
                }
            },
            at,
            link,
        };
        TestEvent {
            event,
            format,
            details,
            body: formats::add_ntfy_topic(format, url, formats::render(format, details, &content)),
        }
    }
}

fn test_message(
    delivery: &DeliveryId,
    at: Timestamp,
    test: &TestEvent,
    secrets: Secrets,
    headers: CustomHeaders,
) -> OutgoingMessage {
    OutgoingMessage {
        id: delivery.to_string(),
        event: test.event.as_str().to_owned(),
        at,
        format: test.format,
        body: test.body.clone(),
        secrets,
        headers,
    }
}

impl TestReport {
    fn new(event: EventType, format: Format, result: &AttemptResult) -> Self {
        let response = result.response.as_ref();
        let is_test = event == EventType::Test;
        Self {
            outcome: result.outcome.clone(),
            status: response.map(|response| response.status),
            duration: result.duration,
            hint: response.and_then(|r| response_advice(format, is_test, r.status, &r.body)),
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
