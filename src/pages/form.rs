//! `/f/{slug}`: a project's feedback form as a plain page, for where scripts are blocked and for links in mails. Nobody
//! signs in; it is the widget's door with the widget's limits, in the language that the browser asks for.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT_LANGUAGE, CONTENT_LANGUAGE, RETRY_AFTER, VARY};
use actix_web::{HttpResponse, web};
use askama::Template;

use super::fields::FormData;
use super::framework::context::RequestContext;
use super::framework::layout::{Layout, render};
use super::framework::page_error::PageError;
use crate::domain::project::{Project, ProjectStatus};
use crate::domain::validation::ValidationErrors;
use crate::intake::translations::Words;
use crate::intake::{Given, PROJECT_FIELD, Refusal, Sender};
use crate::server::tokens;

#[derive(Template)]
#[template(path = "form.html")]
struct FormPage {
    layout: Layout,
    words: &'static Words,
    /// `None`: there is no such project.
    project: Option<Project>,
    state: State,
    form: Form,
    /// What no field can mend.
    problem: Option<String>,
    message_problem: Option<String>,
    email_problem: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Sent,
    Paused,
}

#[derive(Default)]
struct Form {
    message: String,
    email: String,
    stamp: String,
    /// What two presses of "Send" have in common.
    key: String,
}

impl FormPage {
    async fn new(context: &RequestContext, slug: &str) -> Result<Self, PageError> {
        let found = context.app.store.project(slug.to_owned()).await?;
        let project = found.filter(|project| project.slug == slug);
        let wished = context
            .request
            .headers()
            .get(ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let words = Words::wished(wished);
        let state = match &project {
            Some(project) if project.status == ProjectStatus::Paused => State::Paused,
            _ => State::Open,
        };
        // Not the visit's own frame: that would take the messages of who is signed in here by chance.
        let layout = Layout::new(
            &context.app.urls,
            words.label,
            "",
            None,
            context.app.clock.now(),
        );
        let form = Form {
            stamp: context.app.door.stamps.issue(layout.now),
            key: tokens::random_token(),
            ..Form::default()
        };
        Ok(Self {
            layout,
            words,
            project,
            state,
            form,
            problem: None,
            message_problem: None,
            email_problem: None,
        })
    }

    fn is_sent(&self) -> bool {
        self.state == State::Sent
    }

    fn is_paused(&self) -> bool {
        self.state == State::Paused
    }

    fn address(&self) -> String {
        let slug = self.project.as_ref().map_or("", |project| &project.slug);
        self.layout.path(format!("/f/{slug}"))
    }

    fn answer(&self, status: StatusCode) -> Result<HttpResponse, PageError> {
        let mut response = render(status, self)?;
        let headers = response.headers_mut();
        headers.insert(CONTENT_LANGUAGE, language(self.words));
        headers.insert(VARY, ACCEPT_LANGUAGE.into());
        Ok(response)
    }

    /// The same page with what was wrong.
    fn refuse(mut self, refusal: &Refusal) -> Result<HttpResponse, PageError> {
        let mut wait = None;
        let status = match refusal {
            Refusal::Invalid(invalid) => {
                self.tell(invalid);
                StatusCode::UNPROCESSABLE_ENTITY
            }
            Refusal::Limited(limited) => {
                self.problem = Some(self.words.too_many.to_owned());
                wait = Some(limited.seconds());
                StatusCode::TOO_MANY_REQUESTS
            }
            _ => {
                self.state = State::Paused;
                StatusCode::FORBIDDEN
            }
        };
        let mut response = self.answer(status)?;
        if let Some(seconds) = wait {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        Ok(response)
    }

    fn tell(&mut self, invalid: &ValidationErrors) {
        let about = |field| invalid.message_for(field).map(str::to_owned);
        self.message_problem = about("message");
        self.email_problem = about("email");
        if about("stamp").is_some() {
            self.problem = Some(self.words.too_fast.to_owned());
        }
    }
}

fn language(words: &Words) -> actix_web::http::header::HeaderValue {
    actix_web::http::header::HeaderValue::from_static(words.lang)
}

pub(super) async fn show(
    context: RequestContext,
    slug: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let mut page = FormPage::new(&context, &slug).await?;
    if page.project.is_none() {
        return page.answer(StatusCode::NOT_FOUND);
    }
    if context.query_param("sent").is_some() {
        page.state = State::Sent;
    }
    page.answer(StatusCode::OK)
}

pub(super) async fn send(
    context: RequestContext,
    slug: web::Path<String>,
    fields: FormData,
) -> Result<HttpResponse, PageError> {
    let mut page = FormPage::new(&context, &slug).await?;
    let Some(project) = &page.project else {
        return page.answer(StatusCode::NOT_FOUND);
    };
    // Browsers send line ends as CR LF, whatever was typed.
    let message = fields.get("message").replace("\r\n", "\n");
    let email = fields.get("email").trim().to_owned();
    let given = |name| Some(fields.get(name).to_owned()).filter(|text| !text.is_empty());
    // The same for two presses of "Send", another as soon as a word was changed in between.
    let key = given("key").map(|key| {
        let words = serde_json::to_vec(&[&key, &email, &message]).unwrap_or_default();
        hex::encode(tokens::sha256(words))
    });
    let sent = Given {
        slug: project.slug.clone(),
        message: message.clone(),
        email: Some(email.clone()).filter(|email| !email.is_empty()),
        url: None,
        context: None,
        website: given("website"),
        stamp: given("stamp"),
        key,
        call: "send by form",
    };
    let sender = Sender::of(&context.app, &context.request);
    let refusal = match context.app.take_feedback(sent, sender).await {
        Ok(_) | Err(Refusal::IdempotentFeedbackDeleted) => {
            return Ok(context.redirect(&format!("/f/{}?sent", project.slug)));
        }
        Err(Refusal::Store(error)) => return Err(error.into()),
        Err(refusal) => refusal,
    };
    // The words stay. The stamp too, for it has only to grow older; one that is none of ours or too old is replaced.
    page.form.message = message;
    page.form.email = email;
    let now = page.layout.now;
    if let Some(stamp) = given("stamp").filter(|stamp| context.app.door.stamps.will_do(stamp, now))
    {
        page.form.stamp = stamp;
    }
    if let Some(key) = given("key") {
        page.form.key = key;
    }
    if let Refusal::Invalid(invalid) = &refusal
        && invalid.message_for(PROJECT_FIELD).is_some()
    {
        page.project = None;
        return page.answer(StatusCode::NOT_FOUND);
    }
    page.refuse(&refusal)
}
