//! The route table of all pages and forms: path, methods, permission, and handler. The route of a
//! form has a [`FormPage`], which renders the page that contains the form.

mod notifications;
mod settings;

use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, Route, web};

use super::framework::auth;
use super::framework::form_page::FormPage;
use super::framework::live_updates;
use super::framework::page_error::PageError;
use super::sign_in::{demo_link, one_time_links, setup};
use super::{
    api_reference, docs, feedback, getting_started, guide, redirects, sign_in, static_files,
};
use crate::server::permissions::Permission::{self, Member, Public};
use crate::server::routing::{MethodRoute, PathRoutes, Routes, get, path_routes, post};

pub fn configure(config: &mut web::ServiceConfig) {
    routes().configure(config);
}

/// All routes with their required permissions.
pub fn routes() -> Routes {
    let groups = [
        add_public_routes,
        add_design_page,
        add_feedback_routes,
        notifications::add_webhook_routes,
        notifications::add_delivery_routes,
        settings::add_project_and_token_routes,
        settings::add_people_and_privacy_routes,
        settings::add_account_routes,
    ];
    groups
        .into_iter()
        .fold(Routes::default(), |routes, add| add(routes))
        .default_service(with_auth(Public, web::to(not_found)))
}

#[cfg(debug_assertions)]
fn add_design_page(routes: Routes) -> Routes {
    let show = get(Public, super::design::show);
    routes.service(page_routes("/docs/design", [show]))
}

#[cfg(not(debug_assertions))]
fn add_design_page(routes: Routes) -> Routes {
    routes
}

fn add_public_routes(routes: Routes) -> Routes {
    routes
        .service(page_routes("/", [get(Public, redirects::redirect_home)]))
        .service(page_routes(
            "/static/{name}",
            [get(Public, static_files::get_static_file)],
        ))
        .service(
            page_routes(
                "/login",
                [get(Public, sign_in::show), post(Public, sign_in::sign_in)],
            )
            .with_app_data(FormPage::new("/login", sign_in::show)),
        )
        .service(
            page_routes("/logout", [post(Public, sign_in::sign_out)])
                .with_app_data(FormPage::new("/login", sign_in::show)),
        )
        .service(
            page_routes(
                "/setup",
                [
                    get(Public, setup::show),
                    post(Public, setup::create_first_user),
                ],
            )
            .with_app_data(FormPage::new("/setup?token={token}", setup::show)),
        )
        .service(
            page_routes(
                "/invitation",
                [
                    get(Public, one_time_links::show_invitation),
                    post(Public, one_time_links::accept_invitation),
                ],
            )
            .with_app_data(FormPage::new(
                "/invitation?token={token}",
                one_time_links::show_invitation,
            )),
        )
        .service(
            page_routes(
                "/reset",
                [
                    get(Public, one_time_links::show_password_reset),
                    post(Public, one_time_links::reset_password),
                ],
            )
            .with_app_data(FormPage::new(
                "/reset?token={token}",
                one_time_links::show_password_reset,
            )),
        )
        .service(page_routes(
            "/sign-in",
            [get(Public, demo_link::sign_in_with_link)],
        ))
        .service(page_routes("/docs", [get(Public, docs::show)]))
        .service(page_routes("/docs/api", [get(Public, api_reference::show)]))
        .service(page_routes("/docs/webhooks", [get(Public, guide::show)]))
        .service(page_routes(
            "/docs/schemas/{event}.json",
            [get(Public, docs::event_schemas::get)],
        ))
        .service(page_routes(
            "/docs/webhooks.md",
            [get(Public, guide::show_markdown)],
        ))
}

fn add_feedback_routes(routes: Routes) -> Routes {
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
        .service(
            page_routes("/feedback/status", [post(Member, feedback::set_statuses)])
                .with_app_data(FormPage::new("/feedback?{back}", feedback::show)),
        )
        .service(
            page_routes(
                "/feedback/undo",
                [post(Member, feedback::undo_status_changes)],
            )
            .with_app_data(FormPage::new("/feedback?{back}", feedback::show)),
        )
        .service(
            page_routes(
                "/feedback/ask-to-delete",
                [post(Member, feedback::request_delete_confirmation)],
            )
            .with_app_data(
                FormPage::new("/feedback?{back}", feedback::show).with_action("/feedback/status"),
            ),
        )
        .service(
            page_routes("/feedback/delete", [post(Member, feedback::delete)])
                .with_app_data(FormPage::new("/feedback?{back}", feedback::show)),
        )
        .service(page_routes(
            "/feedback/{id}",
            [get(Member, feedback::show_detail)],
        ))
        .service(
            page_routes(
                "/feedback/{id}/status",
                [post(Member, feedback::set_status)],
            )
            .with_app_data(FormPage::new("/feedback?{back}", feedback::show)),
        )
        .service(
            page_routes(
                "/getting-started",
                [post(Member, getting_started::set_visibility)],
            )
            .with_app_data(FormPage::new("/feedback", feedback::show)),
        )
        .service(page_routes(
            "/live",
            [get(Member, live_updates::stream_changes)],
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
