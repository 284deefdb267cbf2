//! Tests that a person sends: one attempt, signed and sent like any other, told at once.

use std::time::Duration;

use super::Handle;
use super::request::{self, Parts};
use crate::clock::Timestamp;
use crate::domain::delivery::{AttemptResult, Outcome};
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::event::{self, EventType};
use crate::domain::explanation::TestHint;
use crate::domain::id::DeliveryId;
use crate::domain::secret::Secret;
use crate::domain::webhook::{CustomHeaders, Secrets, Webhook};
use crate::store::{AttemptRecord, StoreError};

/// What came of a test.
#[derive(Clone, Debug)]
pub struct TestReport {
    pub outcome: Outcome,
    /// Of the answer, if there was one.
    pub status: Option<u16>,
    pub duration: Duration,
    /// The start of the answer's body (16 KiB at most); what is not UTF-8 is replaced.
    pub response_body: String,
    /// The endpoint takes for granted what a test does not have.
    pub hint: Option<TestHint>,
}

impl Handle {
    /// Tests a saved webhook, whether it is enabled or not, and logs it. `None`: it was deleted meanwhile.
    pub async fn test_webhook(
        &self,
        webhook: &Webhook,
        user: &str,
    ) -> Result<Option<TestReport>, StoreError> {
        let (delivery, at) = self.store.begin_test().await?;
        let Some(secrets) = self.store.webhook_secrets(webhook.id.clone(), at).await? else {
            return Ok(None);
        };
        let test = Test {
            url: &webhook.url,
            delivery: &delivery,
            at,
            secrets: &secrets,
            headers: &webhook.headers,
        };
        let (body, request_headers, result) = self.send_test(test, user).await?;
        let report = TestReport::of(&result, webhook.failing_since.is_some());
        let attempt = AttemptRecord {
            started_at: at,
            ended_at: at.plus(result.duration),
            error: result.error_message(),
            result,
            request_headers,
            hold_until: None,
        };
        self.store
            .record_test(webhook.id.clone(), delivery, body, attempt)
            .await?;
        Ok(Some(report))
    }

    /// Tests an address that is not saved, with a secret that is not saved either; nothing is logged.
    pub async fn test_url(
        &self,
        url: &EndpointUrl,
        secret: Secret,
        user: &str,
    ) -> Result<TestReport, StoreError> {
        let (delivery, at) = self.store.begin_test().await?;
        let secrets = Secrets {
            current: secret,
            next: None,
        };
        let test = Test {
            url,
            delivery: &delivery,
            at,
            secrets: &secrets,
            headers: &CustomHeaders::new(),
        };
        Ok(TestReport::of(&self.send_test(test, user).await?.2, false))
    }

    async fn send_test(&self, test: Test<'_>, user: &str) -> Result<Sent, StoreError> {
        let body = event::test_body(user, test.at);
        let parts = Parts {
            id: test.delivery.as_str(),
            event: EventType::Test.as_str(),
            event_at: test.at,
            body: body.clone(),
            secrets: test.secrets,
            headers: test.headers,
        };
        let request = request::sign(parts, test.at);
        let logged = request::logged(&request, test.headers, test.url.host_header());
        Ok((body, logged, self.send(test.url, request).await?))
    }
}

struct Test<'a> {
    url: &'a EndpointUrl,
    delivery: &'a DeliveryId,
    at: Timestamp,
    secrets: &'a Secrets,
    headers: &'a CustomHeaders,
}

/// Body, headers for the log, and what came of it.
type Sent = (Vec<u8>, Vec<(String, String)>, AttemptResult);

impl TestReport {
    /// `others_fail`: what is not a test fails there too.
    fn of(result: &AttemptResult, others_fail: bool) -> Self {
        let answer = result.response.as_ref();
        Self {
            outcome: result.outcome.clone(),
            status: answer.map(|answer| answer.status),
            duration: result.duration,
            hint: answer.and_then(|a| TestHint::from_response(a.status, &a.body, others_fail)),
            response_body: answer
                .map(|a| String::from_utf8_lossy(&a.body).into_owned())
                .unwrap_or_default(),
        }
    }

    /// What to do; empty for a success.
    pub fn advice(&self) -> &'static str {
        self.hint
            .map_or_else(|| self.outcome.advice(), TestHint::advice)
    }

    /// What happened and what to do, as one text.
    pub fn explanation(&self) -> String {
        format!("{} {}", self.outcome.summary(), self.advice())
            .trim_end()
            .to_owned()
    }

    pub fn is_success(&self) -> bool {
        self.outcome.is_success()
    }
}
