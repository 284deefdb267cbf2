//! Addresses that only lead on.

use actix_web::HttpResponse;

use super::framework::context::Visit;
use super::framework::page_error::PageError;
use crate::domain::account::Role;

/// `/`: to where one belongs.
pub(super) async fn show(visit: Visit) -> HttpResponse {
    visit.redirect(if visit.session().is_some() {
        "/feedback"
    } else {
        "/login"
    })
}

/// `/settings`: the first of them that one may see.
pub(super) async fn settings(visit: Visit) -> Result<HttpResponse, PageError> {
    Ok(visit.redirect(match visit.user()?.role {
        Role::Admin => "/settings/notifications",
        Role::Member => "/settings/account",
    }))
}
