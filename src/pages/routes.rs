//! The route table of all pages and forms: path, methods, permission, and handler.

use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, Route, web};

use super::framework::auth;
use super::framework::live_updates;
use super::framework::page_error::PageError;
use super::projects::origins;
use super::sign_in::{invitation, setup};
use super::{
    account, api_reference, api_tokens, deliveries, feedback, guide, people, privacy, projects,
    redirects, sign_in, signature_check, static_files, webhooks,
};
use crate::server::permissions::Permission::{self, Admin, Member, Public};
use crate::server::routing::{MethodRoute, PathRoutes, Routes, get, path_routes, post};

pub fn configure(config: &mut web::ServiceConfig) {
    routes().configure(config);
}

/// All routes with their required permissions.
pub fn routes() -> Routes {
    let groups = [
        public_routes,
        feedback_routes,
        webhook_routes,
        delivery_routes,
        project_and_token_routes,
        people_and_privacy_routes,
        account_routes,
    ];
    groups
        .into_iter()
        .fold(Routes::default(), |routes, add| add(routes))
        .default_service(protected(Public, web::to(not_found)))
}

fn public_routes(routes: Routes) -> Routes {
    routes
        .service(page("/", [get(Public, redirects::home)]))
        .service(page("/static/{name}", [get(Public, static_files::get)]))
        .service(page(
            "/login",
            [get(Public, sign_in::show), post(Public, sign_in::sign_in)],
        ))
        .service(page("/logout", [post(Public, sign_in::sign_out)]))
        .service(page(
            "/setup",
            [
                get(Public, setup::show),
                post(Public, setup::create_first_user),
            ],
        ))
        .service(page(
            "/invitation",
            [
                get(Public, invitation::show_invitation),
                post(Public, invitation::accept_invitation),
            ],
        ))
        .service(page(
            "/reset",
            [
                get(Public, invitation::show_reset),
                post(Public, invitation::reset),
            ],
        ))
        .service(page("/sign-in", [get(Public, setup::sign_in_with_link)]))
        .service(page("/docs/api", [get(Public, api_reference::show)]))
        .service(page("/docs/webhooks", [get(Public, guide::show)]))
}

fn feedback_routes(routes: Routes) -> Routes {
    routes
        .service(page("/feedback", [get(Member, feedback::show)]))
        .service(page(
            "/feedback/export.csv",
            [get(Member, feedback::export_csv)],
        ))
        .service(page(
            "/feedback/export.json",
            [get(Member, feedback::export_json)],
        ))
        .service(page(
            "/feedback/status",
            [post(Member, feedback::set_statuses)],
        ))
        .service(page("/feedback/undo", [post(Member, feedback::undo)]))
        .service(page(
            "/feedback/ask-to-delete",
            [post(Member, feedback::confirm_delete)],
        ))
        .service(page("/feedback/delete", [post(Member, feedback::delete)]))
        .service(page("/feedback/{id}", [get(Member, feedback::show_detail)]))
        .service(page(
            "/feedback/{id}/status",
            [post(Member, feedback::set_status)],
        ))
        .service(page("/live", [get(Member, live_updates::stream)]))
}

fn webhook_routes(routes: Routes) -> Routes {
    routes
        .service(page(
            "/settings/notifications",
            [get(Admin, webhooks::show), post(Admin, webhooks::add)],
        ))
        .service(page(
            "/settings/notifications/test",
            [post(Admin, webhooks::test_draft)],
        ))
        .service(page(
            "/settings/notifications/{id}/enabled",
            [post(Admin, webhooks::set_enabled)],
        ))
        .service(page(
            "/settings/notifications/{id}/topics",
            [post(Admin, webhooks::set_topics)],
        ))
        .service(page(
            "/settings/notifications/{id}/edit",
            [post(Admin, webhooks::edit)],
        ))
        .service(page(
            "/settings/notifications/{id}/test",
            [post(Admin, webhooks::test)],
        ))
        .service(page(
            "/settings/notifications/{id}/secret",
            [get(Admin, webhooks::plain_secret)],
        ))
        .service(page(
            "/settings/notifications/{id}/rotate",
            [post(Admin, webhooks::rotate)],
        ))
        .service(page(
            "/settings/notifications/{id}/switch-now",
            [post(Admin, webhooks::switch_now)],
        ))
        .service(page(
            "/settings/notifications/{id}/delete",
            [post(Admin, webhooks::delete)],
        ))
}

fn delivery_routes(routes: Routes) -> Routes {
    routes
        .service(page(
            "/settings/notifications/{id}/endpoint-code",
            [get(Admin, webhooks::show_endpoint_code)],
        ))
        .service(page(
            "/settings/notifications/{id}/deliveries",
            [get(Admin, deliveries::show)],
        ))
        .service(page(
            "/settings/notifications/{id}/recover",
            [post(Admin, deliveries::redeliver_failed)],
        ))
        .service(page(
            "/settings/notifications/{id}/deliveries/{delivery}",
            [get(Admin, deliveries::detail::show)],
        ))
        .service(page(
            "/settings/notifications/{id}/deliveries/{delivery}/redeliver",
            [post(Admin, deliveries::actions::redeliver)],
        ))
        .service(page(
            "/settings/notifications/{id}/deliveries/{delivery}/retry",
            [post(Admin, deliveries::actions::retry)],
        ))
        .service(page(
            "/settings/notifications/{id}/deliveries/{delivery}/cancel",
            [post(Admin, deliveries::actions::cancel)],
        ))
        .service(page(
            "/settings/notifications/{id}/signature-check",
            [
                get(Admin, signature_check::show),
                post(Admin, signature_check::check),
            ],
        ))
        .service(page(
            "/settings/notifications/{id}/doctor",
            [get(Admin, redirects::signature_check)],
        ))
        .service(page(
            "/settings/notifications/{id}/receive",
            [get(Admin, redirects::endpoint_code)],
        ))
}

fn project_and_token_routes(routes: Routes) -> Routes {
    routes
        .service(page(
            "/settings/projects",
            [get(Member, projects::show), post(Admin, projects::create)],
        ))
        .service(page(
            "/settings/projects/{project}/origins",
            [post(Admin, origins::allow_origin)],
        ))
        .service(page(
            "/settings/projects/{id}/edit",
            [post(Admin, projects::edit)],
        ))
        .service(page(
            "/settings/projects/{id}/status",
            [post(Admin, projects::set_status)],
        ))
        .service(page(
            "/settings/projects/{id}/delete",
            [post(Admin, projects::delete)],
        ))
        .service(page(
            "/settings/tokens",
            [
                get(Admin, api_tokens::show),
                post(Admin, api_tokens::create),
            ],
        ))
        .service(page(
            "/settings/tokens/{id}/revoke",
            [post(Admin, api_tokens::revoke)],
        ))
}

fn people_and_privacy_routes(routes: Routes) -> Routes {
    routes
        .service(page(
            "/settings/people",
            [get(Admin, people::show), post(Admin, people::invite)],
        ))
        .service(page(
            "/settings/people/links/{id}/revoke",
            [post(Admin, people::revoke_link)],
        ))
        .service(page(
            "/settings/people/{id}/reset",
            [post(Admin, people::reset_password)],
        ))
        .service(page(
            "/settings/people/{id}/role",
            [post(Admin, people::set_role)],
        ))
        .service(page(
            "/settings/people/{id}/remove",
            [post(Admin, people::remove)],
        ))
        .service(page(
            "/settings/privacy",
            [get(Admin, privacy::show), post(Admin, privacy::find)],
        ))
        .service(page(
            "/settings/privacy/export",
            [post(Admin, privacy::export)],
        ))
        .service(page(
            "/settings/privacy/erase",
            [post(Admin, privacy::erase)],
        ))
}

fn account_routes(routes: Routes) -> Routes {
    routes
        .service(page("/settings", [get(Member, redirects::settings)]))
        .service(page("/settings/account", [get(Member, account::show)]))
        .service(page(
            "/settings/account/sessions/{id}/end",
            [post(Member, account::end_session)],
        ))
        .service(page(
            "/settings/account/password",
            [post(Member, account::set_password)],
        ))
        .service(page(
            "/settings/account/sign-out-everywhere",
            [post(Member, account::sign_out_everywhere)],
        ))
}

fn page<const N: usize>(path: &str, methods: [MethodRoute; N]) -> PathRoutes {
    path_routes(path, methods, protected, |allow| {
        let method_not_allowed = move || {
            let error = PageError::MethodNotAllowed(allow.clone());
            async move { Err::<HttpResponse, _>(error) }
        };
        protected(Public, web::to(method_not_allowed))
    })
}

fn protected(permission: Permission, route: Route) -> Route {
    route.wrap(from_fn(move |request, next| {
        auth::middleware(permission, request, next)
    }))
}

async fn not_found() -> Result<HttpResponse, PageError> {
    Err(PageError::NotFound)
}
