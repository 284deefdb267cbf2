//! `/docs/api`: the API's OpenAPI document as a page for people. It asks for no session: there is no secret in it.
//!
//! The document is handed in from outside, for pages do not know the API; it is read once, when somebody first asks for
//! the page: most installations never do, and the memory is theirs.

mod document;
mod schema;

use std::sync::OnceLock;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde_json::Value;

use super::framework::context::RequestContext;
use super::framework::layout::{Layout, render};
use super::framework::page_error::PageError;
use schema::Field;

/// Where the OpenAPI document comes from, and from the first time on what the page shows of it.
pub struct ApiDocs {
    document: fn() -> Value,
    contents: OnceLock<Contents>,
}

impl ApiDocs {
    pub fn new(document: fn() -> Value) -> Self {
        Self {
            document,
            contents: OnceLock::new(),
        }
    }

    fn contents(&self) -> &Contents {
        self.contents
            .get_or_init(|| document::read(&(self.document)()))
    }
}

/// The document, as the page shows it.
struct Contents {
    lead: Vec<Vec<Piece>>,
    basics: Vec<Basic>,
    errors: Vec<Answer>,
    nouns: Vec<Noun>,
    schemas: Vec<Named>,
}

/// Text, or what is set off from it.
struct Piece {
    text: String,
    is_code: bool,
}

/// What holds for all calls.
struct Basic {
    anchor: String,
    title: String,
    words: Vec<Piece>,
}

/// The calls about one thing.
struct Noun {
    anchor: String,
    name: String,
    words: Vec<Piece>,
    calls: Vec<Call>,
}

struct Call {
    anchor: String,
    method: String,
    path: String,
    title: String,
    paragraphs: Vec<Vec<Piece>>,
    /// Whose tokens may make it.
    who: Vec<Piece>,
    parameters: Vec<Field>,
    body: Option<Body>,
    /// After the address of the installation.
    curl: String,
    answers: Vec<Answer>,
    errors: Vec<Answer>,
}

struct Body {
    may_be_left_out: bool,
    fields: Vec<Field>,
}

struct Answer {
    status: String,
    words: Vec<Piece>,
    /// The schema that it has: its name, and whether it is a page of these.
    schema: Option<String>,
    is_list: bool,
    headers: Vec<Field>,
    example: Option<String>,
    /// What is said of it is said of every call.
    is_common: bool,
}

struct Named {
    name: String,
    words: Vec<Piece>,
    fields: Vec<Field>,
}

#[derive(Template)]
#[template(path = "api_reference.html")]
struct ApiDocsPage<'a> {
    layout: Layout,
    docs: &'a Contents,
    /// The address of this installation.
    address: String,
}

pub(super) async fn show(
    context: RequestContext,
    docs: web::Data<ApiDocs>,
) -> Result<HttpResponse, PageError> {
    let seen = context.proxies().own_origin(&context.request);
    let address = context.app.urls.absolute(&seen, "");
    let (layout, _) = context.layout("API", "");
    let page = ApiDocsPage {
        layout,
        docs: docs.contents(),
        address,
    };
    render(StatusCode::OK, &page)
}
