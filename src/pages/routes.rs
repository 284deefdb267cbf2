//! The route table of all pages and forms: path, methods, permission, and handler.

use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, Route, web};

use super::framework::auth;
use super::framework::form_page::FormPage;
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
        .service(
            page_routes(
                "/login",
                [get(Public, sign_in::show), post(Public, sign_in::sign_in)],
            )
            .with_data(FormPage::new("/login", sign_in::show)),
        )
        .service(
            page_routes("/logout", [post(Public, sign_in::sign_out)])
                .with_data(FormPage::new("/login", sign_in::show)),
        )
        .service(
            page_routes(
                "/setup",
                [
                    get(Public, setup::show),
                    post(Public, setup::create_first_user),
                ],
            )
            .with_data(FormPage::new("/setup?token={token}", setup::show)),
        )
        .service(
            page_routes(
                "/invitation",
                [
                    get(Public, one_time_links::show_invitation),
                    post(Public, one_time_links::accept_invitation),
                ],
            )
            .with_data(FormPage::new(
                "/invitation?token={token}",
                one_time_links::show_invitation,
            )),
        )
        .service(
            page_routes(
                "/reset",
                [
                    get(Public, one_time_links::show_reset),
                    post(Public, one_time_links::accept_reset),
                ],
            )
            .with_data(FormPage::new(
                "/reset?token={token}",
                one_time_links::show_reset,
            )),
        )
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
        .service(
            page_routes("/feedback/status", [post(Member, feedback::set_statuses)])
                .with_data(FormPage::new("/feedback?{back}", feedback::show)),
        )
        .service(
            page_routes("/feedback/undo", [post(Member, feedback::undo)])
                .with_data(FormPage::new("/feedback?{back}", feedback::show)),
        )
        .service(
            page_routes(
                "/feedback/ask-to-delete",
                [post(Member, feedback::confirm_delete)],
            )
            .with_data(
                FormPage::new("/feedback?{back}", feedback::show).with_action("/feedback/status"),
            ),
        )
        .service(
            page_routes("/feedback/delete", [post(Member, feedback::delete)])
                .with_data(FormPage::new("/feedback?{back}", feedback::show)),
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
            .with_data(FormPage::new("/feedback?{back}", feedback::show)),
        )
        .service(page_routes("/live", [get(Member, live_updates::stream)]))
}

fn webhook_routes(routes: Routes) -> Routes {
    routes
        .service(
            page_routes(
                "/settings/notifications",
                [get(Admin, webhooks::show), post(Admin, webhooks::add)],
            )
            .with_data(FormPage::new("/settings/notifications?add", webhooks::show)),
        )
        .service(
            page_routes(
                "/settings/notifications/test",
                [post(Admin, webhooks::test_draft)],
            )
            .with_data(
                FormPage::new("/settings/notifications?add", webhooks::show)
                    .with_action("/settings/notifications"),
            ),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/enabled",
                [post(Admin, webhooks::set_enabled)],
            )
            .with_data(FormPage::new(
                "/settings/notifications?open={id}",
                webhooks::show,
            )),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/topics",
                [post(Admin, webhooks::set_topics)],
            )
            .with_data(FormPage::new(
                "/settings/notifications?open={id}",
                webhooks::show,
            )),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/edit",
                [post(Admin, webhooks::edit)],
            )
            .with_data(FormPage::new(
                "/settings/notifications?open={id}",
                webhooks::show,
            )),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/test",
                [post(Admin, webhooks::test)],
            )
            .with_data(FormPage::new(
                "/settings/notifications?open={id}",
                webhooks::show,
            )),
        )
        .service(page_routes(
            "/settings/notifications/{id}/secret",
            [get(Admin, webhooks::plain_secret)],
        ))
        .service(
            page_routes(
                "/settings/notifications/{id}/rotate",
                [post(Admin, webhooks::rotate)],
            )
            .with_data(FormPage::new(
                "/settings/notifications?rotate={id}",
                webhooks::show,
            )),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/switch-now",
                [post(Admin, webhooks::switch_now)],
            )
            .with_data(FormPage::new(
                "/settings/notifications?open={id}",
                webhooks::show,
            )),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/delete",
                [post(Admin, webhooks::delete)],
            )
            .with_data(FormPage::new(
                "/settings/notifications?delete={id}",
                webhooks::show,
            )),
        )
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
        .service(
            page_routes(
                "/settings/notifications/{id}/recover",
                [post(Admin, deliveries::redeliver_failed)],
            )
            .with_data(FormPage::new(
                "/settings/notifications/{id}/deliveries",
                deliveries::show,
            )),
        )
        .service(page_routes(
            "/settings/notifications/{id}/deliveries/{delivery}",
            [get(Admin, deliveries::detail::show)],
        ))
        .service(
            page_routes(
                "/settings/notifications/{id}/deliveries/{delivery}/redeliver",
                [post(Admin, deliveries::detail::redeliver)],
            )
            .with_data(FormPage::new(
                "/settings/notifications/{id}/deliveries/{delivery}",
                deliveries::detail::show,
            )),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/signature-check",
                [
                    get(Admin, signature_check::show),
                    post(Admin, signature_check::check),
                ],
            )
            .with_data(FormPage::new(
                "/settings/notifications/{id}/signature-check",
                signature_check::show,
            )),
        )
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
        .service(
            page_routes(
                "/settings/projects",
                [get(Member, projects::show), post(Admin, projects::create)],
            )
            .with_data(FormPage::new("/settings/projects?add", projects::show)),
        )
        .service(
            page_routes(
                "/settings/projects/{project}/origins",
                [post(Admin, origins::allow_origin)],
            )
            .with_data(FormPage::new(
                "/settings/projects?open={project}",
                projects::show,
            )),
        )
        .service(
            page_routes(
                "/settings/projects/{id}/edit",
                [post(Admin, projects::edit)],
            )
            .with_data(FormPage::new(
                "/settings/projects?open={id}",
                projects::show,
            )),
        )
        .service(
            page_routes(
                "/settings/projects/{id}/status",
                [post(Admin, projects::set_status)],
            )
            .with_data(FormPage::new(
                "/settings/projects?open={id}",
                projects::show,
            )),
        )
        .service(
            page_routes(
                "/settings/projects/{id}/delete",
                [post(Admin, projects::delete)],
            )
            .with_data(FormPage::new(
                "/settings/projects?delete={id}",
                projects::show,
            )),
        )
        .service(
            page_routes(
                "/settings/tokens",
                [
                    get(Admin, api_tokens::show),
                    post(Admin, api_tokens::create),
                ],
            )
            .with_data(FormPage::new("/settings/tokens?add", api_tokens::show)),
        )
        .service(
            page_routes(
                "/settings/tokens/{id}/revoke",
                [post(Admin, api_tokens::revoke)],
            )
            .with_data(FormPage::new(
                "/settings/tokens?revoke={id}",
                api_tokens::show,
            )),
        )
}

fn people_and_privacy_routes(routes: Routes) -> Routes {
    routes
        .service(
            page_routes(
                "/settings/people",
                [get(Admin, people::show), post(Admin, people::invite)],
            )
            .with_data(FormPage::new("/settings/people?add", people::show)),
        )
        .service(
            page_routes(
                "/settings/people/links/{id}/revoke",
                [post(Admin, people::revoke_link)],
            )
            .with_data(FormPage::new("/settings/people", people::show)),
        )
        .service(
            page_routes(
                "/settings/people/{id}/reset",
                [post(Admin, people::reset_password)],
            )
            .with_data(FormPage::new("/settings/people", people::show)),
        )
        .service(
            page_routes(
                "/settings/people/{id}/role",
                [post(Admin, people::set_role)],
            )
            .with_data(FormPage::new("/settings/people?role={id}", people::show)),
        )
        .service(
            page_routes(
                "/settings/people/{id}/remove",
                [post(Admin, people::remove)],
            )
            .with_data(FormPage::new("/settings/people?remove={id}", people::show)),
        )
        .service(
            page_routes(
                "/settings/privacy",
                [get(Admin, privacy::show), post(Admin, privacy::find)],
            )
            .with_data(FormPage::new("/settings/privacy", privacy::show)),
        )
        .service(
            page_routes("/settings/privacy/export", [post(Admin, privacy::export)]).with_data(
                FormPage::new("/settings/privacy", privacy::show).with_action("/settings/privacy"),
            ),
        )
        .service(
            page_routes("/settings/privacy/erase", [post(Admin, privacy::erase)]).with_data(
                FormPage::new("/settings/privacy", privacy::show).with_action("/settings/privacy"),
            ),
        )
}

fn account_routes(routes: Routes) -> Routes {
    routes
        .service(page_routes("/settings", [get(Member, redirects::settings)]))
        .service(page_routes(
            "/settings/account",
            [get(Member, account::show)],
        ))
        .service(
            page_routes(
                "/settings/account/sessions/{id}/end",
                [post(Member, account::end_session)],
            )
            .with_data(FormPage::new("/settings/account", account::show)),
        )
        .service(
            page_routes(
                "/settings/account/password",
                [post(Member, account::set_password)],
            )
            .with_data(FormPage::new("/settings/account", account::show)),
        )
        .service(
            page_routes(
                "/settings/account/sign-out-everywhere",
                [post(Member, account::sign_out_everywhere)],
            )
            .with_data(FormPage::new("/settings/account", account::show)),
        )
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
