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
use schema::FieldDoc;

/// Where the OpenAPI document comes from, and from the first time on what the page shows of it.
pub struct ApiReference {
    document: fn() -> Value,
    contents: OnceLock<ReferenceContents>,
}

impl ApiReference {
    pub fn new(document: fn() -> Value) -> Self {
        Self {
            document,
            contents: OnceLock::new(),
        }
    }

    fn contents(&self) -> &ReferenceContents {
        self.contents
            .get_or_init(|| document::contents(&(self.document)()))
    }
}

/// The document, as the page shows it.
struct ReferenceContents {
    lead: Vec<Vec<InlineText>>,
    intro: Vec<IntroSection>,
    errors: Vec<ResponseDoc>,
    groups: Vec<CallGroup>,
    schemas: Vec<SchemaDoc>,
}

/// Text, or what is set off from it.
struct InlineText {
    text: String,
    is_code: bool,
}

/// What holds for all calls.
struct IntroSection {
    anchor: String,
    title: String,
    description: Vec<InlineText>,
}

/// The calls about one thing.
struct CallGroup {
    anchor: String,
    name: String,
    description: Vec<InlineText>,
    calls: Vec<CallDoc>,
}

struct CallDoc {
    anchor: String,
    method: String,
    path: String,
    title: String,
    paragraphs: Vec<Vec<InlineText>>,
    /// Whose tokens may make it.
    permission: Vec<InlineText>,
    parameters: Vec<FieldDoc>,
    body: Option<RequestBodyDoc>,
    /// After the address of the installation.
    curl: String,
    responses: Vec<ResponseDoc>,
    errors: Vec<ResponseDoc>,
}

struct RequestBodyDoc {
    is_optional: bool,
    fields: Vec<FieldDoc>,
}

struct ResponseDoc {
    status: String,
    description: Vec<InlineText>,
    /// The schema that it has: its name, and whether it is a page of these.
    schema: Option<String>,
    is_list: bool,
    headers: Vec<FieldDoc>,
    example: Option<String>,
    /// What is said of it is said of every call.
    is_common: bool,
}

struct SchemaDoc {
    name: String,
    description: Vec<InlineText>,
    fields: Vec<FieldDoc>,
}

#[derive(Template)]
#[template(path = "api_reference.html")]
struct ApiReferencePage<'a> {
    layout: Layout,
    reference: &'a ReferenceContents,
    /// The address of this installation.
    base_url: String,
}

pub(super) async fn show(
    context: RequestContext,
    reference: web::Data<ApiReference>,
) -> Result<HttpResponse, PageError> {
    let seen = context.proxies().own_origin(&context.request);
    let base_url = context.app.urls.absolute(&seen, "");
    let (layout, _) = context.layout("API", "");
    let page = ApiReferencePage {
        layout,
        reference: reference.contents(),
        base_url,
    };
    render(StatusCode::OK, &page)
}
