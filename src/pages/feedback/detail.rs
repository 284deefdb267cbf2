//! The page of one feedback item, at a permanent URL.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::item::{FeedbackDetails, FeedbackItemView};
use crate::domain::id::FeedbackId;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::layout::{Layout, render};
use crate::pages::framework::navigation::NavSection;
use crate::pages::framework::page_error::PageError;

#[derive(Template)]
#[template(path = "feedback_detail.html")]
struct FeedbackDetailPage {
    layout: Layout,
    item: FeedbackItemView,
}

pub async fn show(
    context: RequestContext,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let feedback = context
        .app
        .store
        .feedback(FeedbackId::new(id.into_inner()))
        .await?
        .ok_or(PageError::ItemNotFound)?;
    let details = FeedbackDetails::load(&context, &feedback).await?;
    let (layout, _) = context.build_layout("Feedback details", NavSection::Feedback);
    let is_confirming_delete = context.query_param("delete").is_some();
    let item = FeedbackItemView::for_page(feedback, &layout, details, is_confirming_delete);
    render(StatusCode::OK, &FeedbackDetailPage { layout, item })
}
