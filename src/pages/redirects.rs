//! Addresses that only lead on.

use actix_web::HttpResponse;

use super::framework::context::RequestContext;
use super::framework::page_error::PageError;
use crate::domain::account::Role;

/// `/`: to where one belongs.
pub(super) async fn home(context: RequestContext) -> HttpResponse {
    context.redirect(if context.session().is_some() {
        "/feedback"
    } else {
        "/login"
    })
}

/// `/settings`: the first of them that one may see.
pub(super) async fn settings(context: RequestContext) -> Result<HttpResponse, PageError> {
    Ok(context.redirect(match context.user()?.role {
        Role::Admin => "/settings/notifications",
        Role::Member => "/settings/account",
    }))
}
