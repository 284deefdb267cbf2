//! "Check a signature": what an endpoint saw is pasted, and the page says what is wrong with it.
//!
//! Nothing that is pasted is kept or logged: it comes by a post and goes back into the fields of the answer, but for
//! the secret, which no page shows again. The secrets in force are compared with here, and never shown.

mod request_parser;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::framework::context::RequestContext;
use super::framework::idempotent_form::SubmissionKeys;
use super::framework::layout::{Layout, render};
use super::framework::page_error::PageError;
use crate::clock::Timestamp;
use crate::domain::diagnosis::{self, Check, CheckResult, Diagnosis, DiagnosisInput, SentDelivery};
use crate::domain::id::{DeliveryId, WebhookId};
use crate::domain::verification::ReceivedRequest;
use crate::domain::webhook::Webhook;
use crate::server::form_data::LargeFormData;
use crate::store::DeliveryDetail;
use request_parser::{Encoding, Headers};

#[derive(Template)]
#[template(path = "signature_check.html")]
struct DoctorPage {
    layout: Layout,
    webhook: Webhook,
    form: Form,
    result: Option<Report>,
}

/// The fields as they were pasted.
#[derive(Default)]
struct Form {
    headers: String,
    body: String,
    encoding: Encoding,
    clock: String,
    headers_problem: Option<&'static str>,
    body_problem: Option<&'static str>,
    clock_problem: Option<&'static str>,
}

struct Report {
    /// Another one each time: the script goes to what is new.
    id: String,
    diagnosis: Diagnosis,
    /// The delivery in the log: its webhook's id and its own.
    delivery: Option<(String, String)>,
    /// It was sent to another webhook, by whose secret it is signed.
    elsewhere: bool,
}

impl DoctorPage {
    fn encodings(&self) -> [(Encoding, bool); 3] {
        Encoding::ALL.map(|one| (one, one == self.form.encoding))
    }

    fn address(&self) -> String {
        format!("/settings/notifications/{}/doctor", self.webhook.id)
    }
}

impl Report {
    /// Kind and shape of a check's state.
    fn look(&self, check: &Check) -> (&'static str, &'static str) {
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
    let webhook = find(&context, id).await?;
    page(&context, StatusCode::OK, webhook, Form::default(), None)
}

pub(super) async fn examine(
    context: RequestContext,
    id: web::Path<String>,
    LargeFormData(fields): LargeFormData,
) -> Result<HttpResponse, PageError> {
    let webhook = find(&context, id).await?;
    let mut form = Form {
        headers: fields.get("headers").to_owned(),
        body: fields.get("body").to_owned(),
        encoding: Encoding::parse(fields.get("encoding")),
        clock: fields.get("clock").trim().to_owned(),
        ..Form::default()
    };
    let headers = Headers::read(&form.headers);
    if headers.is_empty() {
        form.headers_problem = Some("No header is found in this: one a line, Name: value.");
    }
    let body = request_parser::body(&form.body, form.encoding);
    form.body_problem = body.as_ref().err().copied();
    let clock = Some(form.clock.as_str())
        .filter(|text| !text.is_empty())
        .map(moment);
    if clock == Some(None) {
        form.clock_problem =
            Some("This is no time: write it like 2025-10-31T12:34:56Z, or in Unix seconds.");
    }
    let (Ok(body), None, None) = (body, form.headers_problem, form.clock_problem) else {
        return page(
            &context,
            StatusCode::UNPROCESSABLE_ENTITY,
            webhook,
            form,
            None,
        );
    };
    let store = &context.app.store;
    let secrets = store
        .webhook_secrets(webhook.id.clone(), context.app.clock.now())
        .await?
        .ok_or(PageError::ItemNotFound)?;
    let logged = delivery(&context, &headers).await?;
    let elsewhere = logged
        .as_ref()
        .is_some_and(|logged| logged.record.webhook != webhook.id);
    let attempts: Vec<i64> = logged
        .iter()
        .flat_map(|logged| &logged.record.attempts)
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
    let report = Report {
        id: format!("result-{}", SubmissionKeys::key()),
        diagnosis: diagnosis::diagnose(&input),
        delivery: logged.map(|logged| {
            let record = logged.record;
            (
                record.webhook.as_str().to_owned(),
                record.id.as_str().to_owned(),
            )
        }),
        elsewhere,
    };
    page(&context, StatusCode::OK, webhook, form, Some(report))
}

/// The delivery that the headers name, if the log has it.
async fn delivery(
    context: &RequestContext,
    headers: &Headers,
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

/// ISO 8601, Unix seconds, or milliseconds.
fn moment(text: &str) -> Option<Timestamp> {
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

async fn find(context: &RequestContext, id: web::Path<String>) -> Result<Webhook, PageError> {
    context
        .app
        .store
        .webhook(WebhookId::new(id.into_inner()))
        .await?
        .ok_or(PageError::ItemNotFound)
}

fn page(
    context: &RequestContext,
    status: StatusCode,
    webhook: Webhook,
    form: Form,
    result: Option<Report>,
) -> Result<HttpResponse, PageError> {
    let (layout, _) = context.layout("Check a signature", "notifications");
    let page = DoctorPage {
        layout,
        webhook,
        form,
        result,
    };
    render(status, &page)
}
