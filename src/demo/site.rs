//! The sample site: a product's page with a feedback form, whose own server hands what it gets to Miniback's API.
//!
//! The form works as a plain page (post, redirect, page); the script fetches the same pages and puts their form in
//! place, so that there is one way to render it. Beside the form, in a frame, stands the receiver's page.

use std::io;
use std::net::TcpListener;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{App, HttpResponse, HttpServer, web};
use askama::Template;
use ring::digest;
use serde::Deserialize;
use tokio::sync::watch;

use super::api::{Api, ApiError, NewFeedback};
use super::server::{DemoServer, NotFound, files, html, page_headers, url_of};
use crate::random;

/// A message of 10,000 characters, each four bytes long and percent-encoded, and the rest of the form.
const MAX_FORM_BYTES: usize = 160 * 1024;

struct Site {
    api: Api,
    project: String,
    url: String,
    receiver_url: String,
}

/// The page, as it is first shown, after a success and after a refusal alike.
#[derive(Template)]
#[template(path = "demo/site.html")]
struct Page<'a> {
    receiver_url: &'a str,
    miniback_url: &'a str,
    sent: bool,
    form: Form,
    errors: Errors,
}

#[derive(Default, Deserialize)]
struct Form {
    #[serde(default)]
    message: String,
    #[serde(default)]
    email: String,
    /// Made with the page: what two presses of "Send" have in common.
    #[serde(default)]
    key: String,
}

/// What was wrong, each at its place.
#[derive(Default)]
struct Errors {
    message: Option<String>,
    email: Option<String>,
    /// What no field can mend.
    form: Option<String>,
}

#[derive(Deserialize)]
struct Query {
    sent: Option<String>,
}

/// Starts the sample site on `listener`, within a tokio runtime. Its form goes to `project` (a slug).
pub fn start(
    listener: TcpListener,
    api: Api,
    project: String,
    receiver_url: String,
) -> io::Result<DemoServer> {
    let url = url_of(&listener)?;
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
         frame-src {receiver_url}; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    let site = web::Data::new(Site {
        api,
        project,
        url: url.clone(),
        receiver_url,
    });
    let server = HttpServer::new(move || {
        App::new()
            .app_data(site.clone())
            .app_data(web::FormConfig::default().limit(MAX_FORM_BYTES))
            .wrap(page_headers(&policy))
            .configure(|config| {
                let script = include_str!("../../static/demo_site.js");
                files(config, script, include_str!("../../static/demo_site.svg"));
            })
            .route("/", web::get().to(show))
            .route("/feedback", web::post().to(send))
            // Where a reload after a refused post without JavaScript ends up.
            .route("/feedback", web::get().to(to_start))
            .default_service(web::to(not_found))
    })
    .workers(1)
    .disable_signals()
    .shutdown_timeout(1)
    .listen(listener)?
    .run();
    Ok(DemoServer::spawn(url, server, watch::Sender::new(false)))
}

async fn show(site: web::Data<Site>, query: web::Query<Query>) -> HttpResponse {
    let sent = query.sent.is_some();
    page(
        &site,
        StatusCode::OK,
        sent,
        Form::default(),
        Errors::default(),
    )
}

async fn to_start() -> HttpResponse {
    see_other("/")
}

async fn send(site: web::Data<Site>, form: web::Form<Form>) -> HttpResponse {
    let mut form = form.into_inner();
    // Browsers send line ends as CR LF, whatever was typed.
    form.message = form.message.replace("\r\n", "\n");
    form.email = form.email.trim().to_owned();

    let (api, project, url) = (site.api.clone(), site.project.clone(), site.url.clone());
    let sending = web::block(move || {
        let feedback = NewFeedback {
            project: &project,
            message: &form.message,
            email: Some(form.email.as_str()).filter(|email| !email.is_empty()),
            url: Some(&url),
        };
        let outcome = api.create_feedback(&feedback, Some(&idempotency_key(&form)));
        (outcome, form)
    });
    let Ok((outcome, form)) = sending.await else {
        return HttpResponse::ServiceUnavailable().finish();
    };
    match outcome {
        Ok(_) => see_other("/?sent#feedback"),
        Err(error) => {
            // What was sent stays out of the log: the error names the call and the answer's status alone.
            if let ApiError::Refused { call, status, .. } = &error {
                tracing::warn!(%call, status, "the sample site's feedback was refused");
            } else {
                tracing::warn!(%error, "the sample site's feedback could not be sent");
            }
            let (status, errors) = explain(error);
            page(&site, status, false, form, errors)
        }
    }
}

/// The same for two presses of "Send", another as soon as a word was changed in between.
fn idempotency_key(form: &Form) -> String {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in [&form.key, &form.email, &form.message] {
        context.update(&part.len().to_be_bytes());
        context.update(part.as_bytes());
    }
    in_hex(context.finish().as_ref())
}

/// The API's answer in the words of this site, which knows nothing of projects and tokens.
fn explain(error: ApiError) -> (StatusCode, Errors) {
    let mut errors = Errors::default();
    let status = match error {
        ApiError::Refused { status, fields, .. } if status == 422 || status == 413 => {
            for field in fields {
                match field.field.as_str() {
                    "message" => errors.message = Some(field.message),
                    "email" => errors.email = Some(field.message),
                    _ => errors.form = Some("We take no feedback here at the moment.".to_owned()),
                }
            }
            if status == 413 {
                errors.message =
                    Some("That is more than we can take. Please make it shorter.".into());
            }
            StatusCode::UNPROCESSABLE_ENTITY
        }
        ApiError::Refused { status: 403, .. } => {
            errors.form = Some("We take no feedback here at the moment.".to_owned());
            StatusCode::FORBIDDEN
        }
        _ => StatusCode::BAD_GATEWAY,
    };
    if errors.message.is_none() && errors.email.is_none() && errors.form.is_none() {
        errors.form = Some(
            "That did not get through. Your words are still here: please try again in a moment."
                .to_owned(),
        );
    }
    (status, errors)
}

fn page(
    site: &Site,
    status: StatusCode,
    sent: bool,
    mut form: Form,
    errors: Errors,
) -> HttpResponse {
    if form.key.is_empty() {
        form.key = in_hex(&random::bytes::<16>());
    }
    let page = Page {
        receiver_url: &site.receiver_url,
        miniback_url: &site.api.base,
        sent,
        form,
        errors,
    };
    html(status, &page)
}

fn see_other(to: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((LOCATION, to))
        .finish()
}

async fn not_found() -> HttpResponse {
    let page = NotFound {
        name: "Fernweh",
        look: "site",
    };
    html(StatusCode::NOT_FOUND, &page)
}

fn in_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
