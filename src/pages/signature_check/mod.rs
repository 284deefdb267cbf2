//! "Check a signature": explains why an endpoint can't verify a request that it received.
//!
//! Pasted data is neither stored nor logged. The response contains it again in the form's fields,
//! except the secret. The webhook's own secrets are only compared, never shown.

mod request_parser;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::framework::context::RequestContext;
use super::framework::layout::{Layout, render};
use super::framework::page_error::PageError;
use crate::clock::Timestamp;
use crate::domain::diagnosis::{self, Check, CheckResult, Diagnosis, DiagnosisInput, SentDelivery};
use crate::domain::id::DeliveryId;
use crate::domain::verification::ReceivedRequest;
use crate::domain::webhook::Webhook;
use crate::server::form_data::LargeFormData;
use crate::server::tokens;
use crate::store::DeliveryDetail;
use request_parser::{BodyEncoding, PastedHeaders};

#[derive(Template)]
#[template(path = "signature_check.html")]
struct SignatureCheckPage {
    layout: Layout,
    webhook: Webhook,
    form: SignatureCheckForm,
    result: Option<DiagnosisView>,
}

/// The submitted form with its errors.
#[derive(Default)]
struct SignatureCheckForm {
    headers: String,
    body: String,
    encoding: BodyEncoding,
    clock: String,
    headers_error: Option<&'static str>,
    body_error: Option<&'static str>,
    clock_error: Option<&'static str>,
}

struct DiagnosisView {
    /// Unique for each result, so that the page's script moves the focus to it.
    id: String,
    diagnosis: Diagnosis,
    /// Ids of the webhook and the delivery, if the delivery log contains it.
    delivery: Option<(String, String)>,
    /// Whether the delivery belongs to a different webhook, whose secret signed it.
    is_other_webhook: bool,
}

impl SignatureCheckPage {
    fn encodings(&self) -> [(BodyEncoding, bool); 3] {
        BodyEncoding::ALL.map(|encoding| (encoding, encoding == self.form.encoding))
    }

    fn path(&self) -> String {
        format!(
            "/settings/notifications/{}/signature-check",
            self.webhook.id
        )
    }
}

impl DiagnosisView {
    /// CSS class and icon of a check's result.
    fn style(&self, check: &Check) -> (&'static str, &'static str) {
        match check.result {
            CheckResult::Passed => ("good", "ok"),
            CheckResult::Failed => ("bad", "bad"),
            CheckResult::Unknown => ("", "off"),
        }
    }
}

pub(super) async fn show(
    context: RequestContext,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let webhook = context.webhook(id.into_inner()).await?;
    render_page(
        &context,
        StatusCode::OK,
        webhook,
        SignatureCheckForm::default(),
        None,
    )
}

pub(super) async fn check(
    context: RequestContext,
    id: web::Path<String>,
    LargeFormData(fields): LargeFormData,
) -> Result<HttpResponse, PageError> {
    let webhook = context.webhook(id.into_inner()).await?;
    let mut form = SignatureCheckForm {
        headers: fields.get("headers").to_owned(),
        body: fields.get("body").to_owned(),
        encoding: BodyEncoding::parse(fields.get("encoding")),
        clock: fields.get("clock").trim().to_owned(),
        ..SignatureCheckForm::default()
    };
    let headers = PastedHeaders::parse(&form.headers);
    if headers.is_empty() {
        form.headers_error =
            Some("No headers found. Enter one per line, in the format “Name: value”.");
    }
    let body = request_parser::parse_body(&form.body, form.encoding);
    form.body_error = body.as_ref().err().copied();
    let clock = Some(form.clock.as_str())
        .filter(|text| !text.is_empty())
        .map(parse_time);
    if clock == Some(None) {
        form.clock_error =
            Some("Invalid time. Use the format 2025-10-31T12:34:56Z or Unix seconds.");
    }
    let (Ok(body), None, None) = (body, form.headers_error, form.clock_error) else {
        return render_page(
            &context,
            StatusCode::UNPROCESSABLE_ENTITY,
            webhook,
            form,
            None,
        );
    };
    let secrets = context.webhook_secrets(webhook.id.clone()).await?;
    let logged = find_delivery(&context, &headers).await?;
    let is_other_webhook = logged
        .as_ref()
        .is_some_and(|logged| logged.summary.webhook != webhook.id);
    let attempts: Vec<i64> = logged
        .iter()
        .flat_map(|logged| &logged.summary.attempts)
        .map(|attempt| attempt.started_at.seconds())
        .collect();
    let sent = logged.as_ref().and_then(|logged| logged.request.as_ref());
    let given = fields.get("secret");
    let input = DiagnosisInput {
        received: ReceivedRequest {
            header: &|name| headers.get(name),
            body: &body,
        },
        secrets: &secrets,
        sent: sent.map(|request| SentDelivery {
            body: &request.body,
            attempts: &attempts,
        }),
        endpoint_secret: Some(given).filter(|given| !given.is_empty()),
        endpoint_clock: clock.flatten(),
    };
    let report = DiagnosisView {
        id: format!("result-{}", tokens::random_token()),
        diagnosis: diagnosis::diagnose(&input),
        delivery: logged.map(|logged| {
            let record = logged.summary;
            (
                record.webhook.as_str().to_owned(),
                record.id.as_str().to_owned(),
            )
        }),
        is_other_webhook,
    };
    render_page(&context, StatusCode::OK, webhook, form, Some(report))
}

/// Returns the delivery whose id is in the headers, if the delivery log contains it.
async fn find_delivery(
    context: &RequestContext,
    headers: &PastedHeaders,
) -> Result<Option<DeliveryDetail>, PageError> {
    for name in ["x-miniback-delivery", "webhook-id"] {
        if let Some(id) = headers.get(name)
            && let Some(found) = context
                .app
                .store
                .delivery(DeliveryId::new(id.trim()))
                .await?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// Parses a time in ISO 8601, Unix seconds, or Unix milliseconds.
fn parse_time(text: &str) -> Option<Timestamp> {
    if let Ok(number) = text.parse::<i64>() {
        let millis = if number.abs() < 100_000_000_000 {
            number.checked_mul(1000)?
        } else {
            number
        };
        return Some(Timestamp::from_millis(millis));
    }
    Timestamp::parse(text)
}

fn render_page(
    context: &RequestContext,
    status: StatusCode,
    webhook: Webhook,
    form: SignatureCheckForm,
    result: Option<DiagnosisView>,
) -> Result<HttpResponse, PageError> {
    let (layout, _) = context.layout("Check a signature", "notifications");
    let page = SignatureCheckPage {
        layout,
        webhook,
        form,
        result,
    };
    render(status, &page)
}
