//! "Check a signature": explains why an endpoint can't verify a request that it received.
//!
//! Pasted data is neither stored nor logged. The response contains it again in the form's fields,
//! except the secret. The webhook's own secrets are only compared, never shown.

pub mod request_parser;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::deliveries::row::outcome_summary;
use super::framework::context::RequestContext;
use super::framework::format::DisplayTime;
use super::framework::layout::{Layout, render};
use super::framework::navigation::{Breadcrumb, NavSection};
use super::framework::page_error::PageError;
use crate::clock::Timestamp;
use crate::domain::diagnosis::{self, Check, CheckResult, Diagnosis, DiagnosisInput, SentDelivery};
use crate::domain::id::{DeliveryId, Id};
use crate::domain::verification::ReceivedRequest;
use crate::domain::webhook::Webhook;
use crate::server::form_data::RaisedLimitFormData;
use crate::server::tokens;
use crate::store::{DeliveryDetail, DeliveryFilter, PageRequest};
use request_parser::{BodyEncoding, PastedHeaders};

/// Maximum number of deliveries in the list "Compare with a delivery".
const DELIVERIES_OFFERED: usize = 20;

#[derive(Template)]
#[template(path = "signature_check.html")]
struct SignatureCheckPage {
    layout: Layout,
    webhook: Webhook,
    form: SignatureCheckForm,
    /// The recent deliveries with at least one attempt.
    deliveries: Vec<DeliveryOption>,
    result: Option<DiagnosisView>,
}

/// A delivery in the list "Compare with a delivery".
struct DeliveryOption {
    id: String,
    event: &'static str,
    /// The last response or failure, such as `401 in 4 ms` or `timed out after 10 s`.
    response: String,
    created_at: DisplayTime,
    is_selected: bool,
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

/// The parsed form.
struct PastedRequest {
    headers: PastedHeaders,
    body: Vec<u8>,
    /// The time on the endpoint's server when it verified the request.
    clock: Option<Timestamp>,
}

impl SignatureCheckForm {
    /// Returns whether the fields of the request are empty, so that only a secret can be checked.
    fn has_no_request(&self) -> bool {
        [&self.headers, &self.body, &self.clock]
            .into_iter()
            .all(|field| field.trim().is_empty())
    }

    /// Parses the fields. Returns `None` and sets the errors if a field is invalid.
    fn parse(&mut self) -> Option<PastedRequest> {
        let headers = PastedHeaders::parse(&self.headers);
        if headers.is_empty() {
            self.headers_error = Some(
                "No headers found. Enter one per line, in the format “Name: value”. To check only the secret, leave the other fields empty.",
            );
        }
        let body = request_parser::decode_body(&self.body, self.encoding);
        self.body_error = body.as_ref().err().copied();
        let clock = (!self.clock.is_empty()).then(|| parse_time(&self.clock));
        if clock == Some(None) {
            self.clock_error =
                Some("Invalid time. Use the format 2025-10-31T12:34:56Z or Unix seconds.");
        }
        let (Ok(body), None, None) = (body, self.headers_error, self.clock_error) else {
            return None;
        };
        Some(PastedRequest {
            headers,
            body,
            clock: clock.flatten(),
        })
    }
}

/// The result of the check.
struct DiagnosisView {
    /// The HTML id of the result. It is different for each result, so that the page's script moves
    /// the focus to the new result.
    id: String,
    diagnosis: Diagnosis,
    /// The ids of the delivery's webhook and of the delivery; `None` if the delivery isn't in the
    /// delivery log.
    delivery: Option<(String, String)>,
    /// Whether the delivery belongs to a different webhook, whose secret signed it. If so, the
    /// diagnosis isn't shown, because it's about this webhook's secrets.
    is_other_webhook: bool,
}

impl SignatureCheckPage {
    fn encoding_options(&self) -> [(BodyEncoding, bool); 3] {
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
    fn new(diagnosis: Diagnosis) -> Self {
        Self {
            id: format!("result-{}", tokens::random_token()),
            diagnosis,
            delivery: None,
            is_other_webhook: false,
        }
    }

    /// Returns the checks to show, except checks whose message is already in the summary.
    fn checks(&self) -> Vec<&Check> {
        let diagnosis = &self.diagnosis;
        let is_repeated =
            |check: &Check| check.message == diagnosis.finding || check.message == diagnosis.advice;
        let checks = diagnosis.checks.iter();
        checks
            .filter(|check| !self.is_other_webhook && !is_repeated(check))
            .collect()
    }

    /// Returns the CSS class and the icon of a check's result.
    fn css_class_and_icon(&self, check: &Check) -> (&'static str, &'static str) {
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
    let webhook = context.signed_webhook(id.into_inner()).await?;
    let mut form = SignatureCheckForm::default();
    if let Some(id) = context.query_param("delivery") {
        let delivery = context
            .app
            .store
            .delivery(DeliveryId::parse_or_nil(id))
            .await?;
        let delivery = delivery.filter(|delivery| delivery.summary.webhook == webhook.id);
        let request = delivery.as_ref().and_then(DeliveryDetail::request);
        form.headers = request.map_or_else(String::new, |request| format_headers(request.headers));
    }
    render_page(&context, StatusCode::OK, webhook, form, None).await
}

/// Formats the headers that identify and sign a logged request, as lines `Name: value`.
fn format_headers(headers: &[(String, String)]) -> String {
    let is_relevant = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.starts_with("x-miniback-") || name.starts_with("webhook-")
    };
    let relevant = headers.iter().filter(|(name, _)| is_relevant(name));
    relevant
        .map(|(name, value)| format!("{name}: {value}\n"))
        .collect()
}

pub(super) async fn check_signature(
    context: RequestContext,
    id: web::Path<String>,
    RaisedLimitFormData(fields): RaisedLimitFormData,
) -> Result<HttpResponse, PageError> {
    let webhook = context.signed_webhook(id.into_inner()).await?;
    let mut form = SignatureCheckForm {
        headers: fields.get("headers").to_owned(),
        body: fields.get("body").to_owned(),
        encoding: BodyEncoding::parse(fields.get("encoding")),
        clock: fields.get("clock").trim().to_owned(),
        ..SignatureCheckForm::default()
    };
    let endpoint_secret = Some(fields.get("secret")).filter(|secret| !secret.is_empty());
    let result = match endpoint_secret.filter(|_| form.has_no_request()) {
        Some(secret) => {
            let secrets = context.webhook_secrets(webhook.id).await?;
            DiagnosisView::new(diagnosis::diagnose_secret(secret, &secrets))
        }
        None => {
            let Some(pasted) = form.parse() else {
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return render_page(&context, status, webhook, form, None).await;
            };
            diagnose_request(&context, &webhook, &pasted, endpoint_secret).await?
        }
    };
    render_page(&context, StatusCode::OK, webhook, form, Some(result)).await
}

/// Compares a pasted request with the delivery log and the webhook's secrets.
async fn diagnose_request(
    context: &RequestContext,
    webhook: &Webhook,
    pasted: &PastedRequest,
    endpoint_secret: Option<&str>,
) -> Result<DiagnosisView, PageError> {
    let secrets = context.webhook_secrets(webhook.id).await?;
    let logged = find_delivery(context, &pasted.headers).await?;
    let summary = logged.as_ref().map(|logged| &logged.summary);
    let attempts: Vec<i64> = summary
        .iter()
        .flat_map(|summary| &summary.attempts)
        .map(|attempt| attempt.started_at.seconds())
        .collect();
    let sent = logged.as_ref().and_then(DeliveryDetail::request);
    let input = DiagnosisInput {
        received: ReceivedRequest {
            header: &|name| pasted.headers.get(name),
            body: &pasted.body,
        },
        secrets: &secrets,
        sent: sent.map(|request| SentDelivery {
            body: request.body,
            attempts: &attempts,
        }),
        endpoint_secret,
        endpoint_clock: pasted.clock,
    };
    Ok(DiagnosisView {
        delivery: summary.map(|summary| (summary.webhook.to_string(), summary.id.to_string())),
        is_other_webhook: summary.is_some_and(|summary| summary.webhook != webhook.id),
        ..DiagnosisView::new(diagnosis::diagnose(&input))
    })
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
                .delivery(DeliveryId::parse_or_nil(id.trim()))
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

/// Returns the recent deliveries of a webhook that have at least one attempt.
async fn load_delivery_options(
    context: &RequestContext,
    webhook: &Webhook,
) -> Result<Vec<DeliveryOption>, PageError> {
    let now = context.app.clock.now();
    let selected = context
        .query_param("delivery")
        .map(DeliveryId::parse_or_nil);
    let page = PageRequest {
        limit: DELIVERIES_OFFERED,
        before: None,
    };
    let store = &context.app.store;
    let recent = store
        .deliveries(webhook.id, DeliveryFilter::default(), page)
        .await?;
    let options = recent.items.iter().filter_map(|delivery| {
        Some(DeliveryOption {
            response: outcome_summary(delivery.attempts.last()?),
            event: delivery.event.as_str(),
            created_at: DisplayTime::new(delivery.created_at, now),
            is_selected: selected == Some(delivery.id),
            id: delivery.id.to_string(),
        })
    });
    Ok(options.collect())
}

async fn render_page(
    context: &RequestContext,
    status: StatusCode,
    webhook: Webhook,
    form: SignatureCheckForm,
    result: Option<DiagnosisView>,
) -> Result<HttpResponse, PageError> {
    let (mut layout, _) = context.build_layout("Check a signature", NavSection::Notifications);
    layout.breadcrumb = vec![Breadcrumb::notifications(), Breadcrumb::webhook(&webhook)];
    let page = SignatureCheckPage {
        layout,
        deliveries: load_delivery_options(context, &webhook).await?,
        webhook,
        form,
        result,
    };
    render(status, &page)
}
