//! The page of one feedback item, at a permanent URL. The query string contains the filters and
//! the order of the list from which the page was opened.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::PATH;
use super::item::{FeedbackItemView, item_path};
use super::item_details::FeedbackDetails;
use super::query::FeedbackListQuery;
use crate::domain::feedback::Feedback;
use crate::domain::id::{FeedbackId, Id};
use crate::pages::deliveries::row::truncate_message;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::layout::{Layout, render};
use crate::pages::framework::navigation::{NavSection, with_query};
use crate::pages::framework::page_error::PageError;
use crate::store::{FeedbackFilter, FeedbackOrder, PageRequest};

#[derive(Template)]
#[template(path = "feedback_detail.html")]
struct FeedbackDetailPage {
    layout: Layout,
    item: FeedbackItemView,
    list_path: String,
    /// The path of the previous item in the list.
    previous: Option<String>,
    /// The path of the next item in the list.
    next: Option<String>,
}

pub async fn show(
    context: RequestContext,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let feedback = context
        .app
        .store
        .feedback(FeedbackId::parse_or_nil(id.into_inner()))
        .await?
        .ok_or(PageError::ItemNotFound)?;
    let query = FeedbackListQuery::parse(&context).await?;
    let details = FeedbackDetails::load(&context, &feedback).await?;
    let previous = find_neighbor(&context, &feedback, &query, query.order.reversed()).await?;
    let next = find_neighbor(&context, &feedback, &query, query.order).await?;
    let (mut layout, _) = context.build_layout("Feedback details", NavSection::Feedback);
    layout.subject = truncate_message(&feedback.message);
    let is_confirming_delete = context.query_param("delete").is_some();
    let item = FeedbackItemView::for_page(feedback, &layout, &query, details, is_confirming_delete);
    let list_path = with_query(PATH, &item.back);
    let page = FeedbackDetailPage {
        list_path: layout.path(list_path),
        previous: previous.map(|path| layout.path(path)),
        next: next.map(|path| layout.path(path)),
        layout,
        item,
    };
    render(StatusCode::OK, &page)
}

/// Returns the path of the item after `feedback` in the filtered list, sorted by `order`. Returns
/// `None` at the end of the list, or if a filter is invalid.
async fn find_neighbor(
    context: &RequestContext,
    feedback: &Feedback,
    query: &FeedbackListQuery,
    order: FeedbackOrder,
) -> Result<Option<String>, PageError> {
    if query.filter_problem().is_some() {
        return Ok(None);
    }
    let filter = FeedbackFilter {
        order,
        ..query.to_feedback_filter()
    };
    let request = PageRequest {
        limit: 1,
        before: Some(feedback.id.ulid()),
    };
    let store = context.app.store.clone();
    let user = context.user()?.id;
    let read = async move { store.feedback_list(filter, request).await };
    let list = context.app.long_reads.run(&user, read).await?;
    let neighbor = list.items.first();
    Ok(neighbor.map(|neighbor| item_path(neighbor.id, query, None)))
}
