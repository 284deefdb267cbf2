//! Pages that only redirect.

use actix_web::{HttpResponse, web};

use super::framework::context::RequestContext;
use super::framework::page_error::PageError;
use crate::domain::account::Role;

/// `/`: redirects to the feedback list or, without a session, to the sign-in page.
pub(super) async fn redirect_to_start_page(context: RequestContext) -> HttpResponse {
    context.redirect(if context.session().is_some() {
        "/feedback"
    } else {
        "/login"
    })
}

/// `/settings`: redirects to the default settings page of the user's role.
pub(super) async fn redirect_to_default_settings(
    context: RequestContext,
) -> Result<HttpResponse, PageError> {
    Ok(context.redirect(match context.user()?.role {
        Role::Admin => "/settings/notifications",
        Role::Member => "/settings/account",
    }))
}

/// Redirects `…/doctor`, the former path of `…/signature-check`.
pub(super) async fn redirect_to_signature_check(
    context: RequestContext,
    webhook: web::Path<String>,
) -> HttpResponse {
    context.redirect(&format!(
        "/settings/notifications/{webhook}/signature-check"
    ))
}

/// Redirects `…/receive`, the former path of `…/endpoint-code`.
pub(super) async fn redirect_to_endpoint_code(
    context: RequestContext,
    webhook: web::Path<String>,
) -> HttpResponse {
    context.redirect(&format!("/settings/notifications/{webhook}/endpoint-code"))
}
