//! `/docs/api`: the API reference, rendered from the OpenAPI document. The page is public.
//!
//! The document is passed in, because pages must not import the API. The contents are built on the
//! first request, which saves memory in installations that never show the page.

mod openapi_document;
mod schema;

use std::sync::OnceLock;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;
use serde_json::Value;

use super::docs::sidebar::{DocsPage, DocsSidebar};
use super::framework::context::RequestContext;
use super::framework::layout::{Layout, render};
use super::framework::navigation::NavSection;
use super::framework::page_error::PageError;
use schema::FieldDoc;

/// The contents of the API reference, which are built from the OpenAPI document on first use.
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
            .get_or_init(|| openapi_document::build_reference_contents(&(self.document)()))
    }
}

struct ReferenceContents {
    introduction: Vec<Vec<InlineSegment>>,
    overview: Vec<OverviewSection>,
    errors: Vec<ResponseDoc>,
    groups: Vec<CallGroup>,
    schemas: Vec<SchemaDoc>,
}

/// A segment of text, which is plain or formatted as code.
struct InlineSegment {
    text: String,
    is_code: bool,
}

/// A section of the overview. The overview describes rules for all calls.
struct OverviewSection {
    anchor: String,
    title: String,
    description: Vec<InlineSegment>,
}

/// The calls for one kind of resource.
struct CallGroup {
    anchor: String,
    name: String,
    description: Vec<InlineSegment>,
    calls: Vec<CallDoc>,
}

struct CallDoc {
    anchor: String,
    method: String,
    path: String,
    title: String,
    paragraphs: Vec<Vec<InlineSegment>>,
    /// A description of the token that the call requires.
    permission: Vec<InlineSegment>,
    parameters: Vec<FieldDoc>,
    body: Option<RequestBodyDoc>,
    /// The part of the curl command after the base URL.
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
    description: Vec<InlineSegment>,
    /// The name of the body's schema or, if the body is a list, of the schema of its items.
    schema: Option<String>,
    is_list: bool,
    headers: Vec<FieldDoc>,
    example: Option<String>,
    /// Whether several calls share the response, so that the overview describes it.
    is_common: bool,
}

struct SchemaDoc {
    name: String,
    description: Vec<InlineSegment>,
    fields: Vec<FieldDoc>,
}

#[derive(Template)]
#[template(path = "api_reference.html")]
struct ApiReferencePage<'a> {
    layout: Layout,
    sidebar: DocsSidebar,
    reference: &'a ReferenceContents,
    /// The public URL of this installation.
    base_url: String,
}

pub(super) async fn show(
    context: RequestContext,
    reference: web::Data<ApiReference>,
) -> Result<HttpResponse, PageError> {
    let own_origin = context.trusted_proxies().own_origin(&context.request);
    let base_url = context.app.urls.absolute_url(&own_origin, "");
    let (layout, _) = context.build_layout("API reference", NavSection::HelpTopic);
    let reference = reference.contents();
    let groups = reference.groups.iter();
    let sections = groups.map(|group| (group.anchor.as_str(), group.name.as_str()));
    let sections = sections.chain([("overview", "Overview"), ("schemas", "Schemas")]);
    let page = ApiReferencePage {
        layout,
        sidebar: DocsSidebar::new(DocsPage::Api, sections),
        reference,
        base_url,
    };
    render(StatusCode::OK, &page)
}
