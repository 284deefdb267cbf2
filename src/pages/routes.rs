//! The route table of all pages and forms: path, methods, permission, and handler.

use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, Route, web};

use super::framework::auth;
use super::framework::live_updates;
use super::framework::page_error::PageError;
use super::projects::origins;
use super::sign_in::{one_time_links, setup};
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
        .default_service(with_auth(Public, web::to(not_found)))
}

fn public_routes(routes: Routes) -> Routes {
    routes
        .service(page_routes("/", [get(Public, redirects::home)]))
        .service(page_routes(
            "/static/{name}",
            [get(Public, static_files::get)],
        ))
        .service(page_routes(
            "/login",
            [get(Public, sign_in::show), post(Public, sign_in::sign_in)],
        ))
        .service(page_routes("/logout", [post(Public, sign_in::sign_out)]))
        .service(page_routes(
            "/setup",
            [
                get(Public, setup::show),
                post(Public, setup::create_first_user),
            ],
        ))
        .service(page_routes(
            "/invitation",
            [
                get(Public, one_time_links::show_invitation),
                post(Public, one_time_links::accept_invitation),
            ],
        ))
        .service(page_routes(
            "/reset",
            [
                get(Public, one_time_links::show_reset),
                post(Public, one_time_links::accept_reset),
            ],
        ))
        .service(page_routes(
            "/sign-in",
            [get(Public, setup::sign_in_with_link)],
        ))
        .service(page_routes("/docs/api", [get(Public, api_reference::show)]))
        .service(page_routes("/docs/webhooks", [get(Public, guide::show)]))
}

fn feedback_routes(routes: Routes) -> Routes {
    routes
        .service(page_routes("/feedback", [get(Member, feedback::show)]))
        .service(page_routes(
            "/feedback/export.csv",
            [get(Member, feedback::export_csv)],
        ))
        .service(page_routes(
            "/feedback/export.json",
            [get(Member, feedback::export_json)],
        ))
        .service(page_routes(
            "/feedback/status",
            [post(Member, feedback::set_statuses)],
        ))
        .service(page_routes(
            "/feedback/undo",
            [post(Member, feedback::undo)],
        ))
        .service(page_routes(
            "/feedback/ask-to-delete",
            [post(Member, feedback::confirm_delete)],
        ))
        .service(page_routes(
            "/feedback/delete",
            [post(Member, feedback::delete)],
        ))
        .service(page_routes(
            "/feedback/{id}",
            [get(Member, feedback::show_detail)],
        ))
        .service(page_routes(
            "/feedback/{id}/status",
            [post(Member, feedback::set_status)],
        ))
        .service(page_routes("/live", [get(Member, live_updates::stream)]))
}

fn webhook_routes(routes: Routes) -> Routes {
    routes
        .service(page_routes(
            "/settings/notifications",
            [get(Admin, webhooks::show), post(Admin, webhooks::add)],
        ))
        .service(page_routes(
            "/settings/notifications/test",
            [post(Admin, webhooks::test_draft)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/enabled",
            [post(Admin, webhooks::set_enabled)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/topics",
            [post(Admin, webhooks::set_topics)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/edit",
            [post(Admin, webhooks::edit)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/test",
            [post(Admin, webhooks::test)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/secret",
            [get(Admin, webhooks::plain_secret)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/rotate",
            [post(Admin, webhooks::rotate)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/switch-now",
            [post(Admin, webhooks::switch_now)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/delete",
            [post(Admin, webhooks::delete)],
        ))
}

fn delivery_routes(routes: Routes) -> Routes {
    routes
        .service(page_routes(
            "/settings/notifications/{id}/endpoint-code",
            [get(Admin, webhooks::show_endpoint_code)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/deliveries",
            [get(Admin, deliveries::show)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/recover",
            [post(Admin, deliveries::redeliver_failed)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/deliveries/{delivery}",
            [get(Admin, deliveries::detail::show)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/deliveries/{delivery}/redeliver",
            [post(Admin, deliveries::actions::redeliver)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/deliveries/{delivery}/retry",
            [post(Admin, deliveries::actions::retry)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/deliveries/{delivery}/cancel",
            [post(Admin, deliveries::actions::cancel)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/signature-check",
            [
                get(Admin, signature_check::show),
                post(Admin, signature_check::check),
            ],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/doctor",
            [get(Admin, redirects::signature_check)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/receive",
            [get(Admin, redirects::endpoint_code)],
        ))
}

fn project_and_token_routes(routes: Routes) -> Routes {
    routes
        .service(page_routes(
            "/settings/projects",
            [get(Member, projects::show), post(Admin, projects::create)],
        ))
        .service(page_routes(
            "/settings/projects/{project}/origins",
            [post(Admin, origins::allow_origin)],
        ))
        .service(page_routes(
            "/settings/projects/{id}/edit",
            [post(Admin, projects::edit)],
        ))
        .service(page_routes(
            "/settings/projects/{id}/status",
            [post(Admin, projects::set_status)],
        ))
        .service(page_routes(
            "/settings/projects/{id}/delete",
            [post(Admin, projects::delete)],
        ))
        .service(page_routes(
            "/settings/tokens",
            [
                get(Admin, api_tokens::show),
                post(Admin, api_tokens::create),
            ],
        ))
        .service(page_routes(
            "/settings/tokens/{id}/revoke",
            [post(Admin, api_tokens::revoke)],
        ))
}

fn people_and_privacy_routes(routes: Routes) -> Routes {
    routes
        .service(page_routes(
            "/settings/people",
            [get(Admin, people::show), post(Admin, people::invite)],
        ))
        .service(page_routes(
            "/settings/people/links/{id}/revoke",
            [post(Admin, people::revoke_link)],
        ))
        .service(page_routes(
            "/settings/people/{id}/reset",
            [post(Admin, people::reset_password)],
        ))
        .service(page_routes(
            "/settings/people/{id}/role",
            [post(Admin, people::set_role)],
        ))
        .service(page_routes(
            "/settings/people/{id}/remove",
            [post(Admin, people::remove)],
        ))
        .service(page_routes(
            "/settings/privacy",
            [get(Admin, privacy::show), post(Admin, privacy::find)],
        ))
        .service(page_routes(
            "/settings/privacy/export",
            [post(Admin, privacy::export)],
        ))
        .service(page_routes(
            "/settings/privacy/erase",
            [post(Admin, privacy::erase)],
        ))
}

fn account_routes(routes: Routes) -> Routes {
    routes
        .service(page_routes("/settings", [get(Member, redirects::settings)]))
        .service(page_routes(
            "/settings/account",
            [get(Member, account::show)],
        ))
        .service(page_routes(
            "/settings/account/sessions/{id}/end",
            [post(Member, account::end_session)],
        ))
        .service(page_routes(
            "/settings/account/password",
            [post(Member, account::set_password)],
        ))
        .service(page_routes(
            "/settings/account/sign-out-everywhere",
            [post(Member, account::sign_out_everywhere)],
        ))
}

fn page_routes<const N: usize>(path: &str, methods: [MethodRoute; N]) -> PathRoutes {
    path_routes(path, methods, with_auth, |allow| {
        let method_not_allowed = move || {
            let error = PageError::MethodNotAllowed(allow.clone());
            async move { Err::<HttpResponse, _>(error) }
        };
        with_auth(Public, web::to(method_not_allowed))
    })
}

fn with_auth(permission: Permission, route: Route) -> Route {
    route.wrap(from_fn(move |request, next| {
        auth::middleware(permission, request, next)
    }))
}

async fn not_found() -> Result<HttpResponse, PageError> {
    Err(PageError::NotFound)
}
