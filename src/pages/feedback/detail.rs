//! One feedback by itself: what a link leads to.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::item::{ItemView, Opened};
use crate::domain::id::FeedbackId;
use crate::pages::framework::context::Visit;
use crate::pages::framework::layout::{Frame, render};
use crate::pages::framework::page_error::PageError;

#[derive(Template)]
#[template(path = "feedback_one.html")]
struct OnePage {
    frame: Frame,
    item: ItemView,
}

pub async fn show(visit: Visit, id: web::Path<String>) -> Result<HttpResponse, PageError> {
    let feedback = visit
        .site
        .store
        .feedback(FeedbackId::new(id.into_inner()))
        .await?
        .ok_or(PageError::Gone)?;
    let opened = Opened::load(&visit, &feedback).await?;
    let (frame, _) = visit.frame("One feedback", "feedback");
    let delete = visit.query("delete").is_some();
    let item = ItemView::alone(feedback, &frame, opened, delete);
    render(StatusCode::OK, &OnePage { frame, item })
}
