//! The routes under `/settings`, apart from Settings → Notifications.

use super::page_routes;
use crate::pages::framework::form_page::FormPage;
use crate::pages::projects::origins;
use crate::pages::{account, api_tokens, people, privacy, projects, redirects};
use crate::server::permissions::Permission::{Admin, Member};
use crate::server::routing::{Routes, get, post};

pub(super) fn add_project_and_token_routes(routes: Routes) -> Routes {
    routes
        .service(
            page_routes(
                "/settings/projects",
                [get(Member, projects::show), post(Admin, projects::create)],
            )
            .with_app_data(FormPage::new("/settings/projects?add", projects::show)),
        )
        .service(
            page_routes(
                "/settings/projects/{project}/origins",
                [post(Admin, origins::allow_origin)],
            )
            .with_app_data(FormPage::new(
                "/settings/projects?open={project}",
                projects::show,
            )),
        )
        .service(
            page_routes(
                "/settings/projects/{id}/edit",
                [post(Admin, projects::edit)],
            )
            .with_app_data(FormPage::new(
                "/settings/projects?open={id}",
                projects::show,
            )),
        )
        .service(
            page_routes(
                "/settings/projects/{id}/status",
                [post(Admin, projects::set_status)],
            )
            .with_app_data(FormPage::new(
                "/settings/projects?open={id}",
                projects::show,
            )),
        )
        .service(
            page_routes(
                "/settings/projects/{id}/delete",
                [post(Admin, projects::delete)],
            )
            .with_app_data(FormPage::new(
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
            .with_app_data(FormPage::new("/settings/tokens?add", api_tokens::show)),
        )
        .service(
            page_routes(
                "/settings/tokens/{id}/revoke",
                [post(Admin, api_tokens::revoke)],
            )
            .with_app_data(FormPage::new(
                "/settings/tokens?revoke={id}",
                api_tokens::show,
            )),
        )
}

pub(super) fn add_people_and_privacy_routes(routes: Routes) -> Routes {
    routes
        .service(
            page_routes(
                "/settings/people",
                [get(Admin, people::show), post(Admin, people::invite_user)],
            )
            .with_app_data(FormPage::new("/settings/people?add", people::show)),
        )
        .service(
            page_routes(
                "/settings/people/links/{id}/revoke",
                [post(Admin, people::revoke_link)],
            )
            .with_app_data(FormPage::new("/settings/people", people::show)),
        )
        .service(
            page_routes(
                "/settings/people/{id}/reset",
                [post(Admin, people::create_reset_link)],
            )
            .with_app_data(FormPage::new("/settings/people", people::show)),
        )
        .service(
            page_routes(
                "/settings/people/{id}/role",
                [post(Admin, people::set_role)],
            )
            .with_app_data(FormPage::new("/settings/people?role={id}", people::show)),
        )
        .service(
            page_routes(
                "/settings/people/{id}/remove",
                [post(Admin, people::remove_user)],
            )
            .with_app_data(FormPage::new("/settings/people?remove={id}", people::show)),
        )
        .service(
            page_routes(
                "/settings/privacy",
                [
                    get(Admin, privacy::show),
                    post(Admin, privacy::search_by_email),
                ],
            )
            .with_app_data(FormPage::new("/settings/privacy", privacy::show)),
        )
        .service(
            page_routes("/settings/privacy/export", [post(Admin, privacy::export)]).with_app_data(
                FormPage::new("/settings/privacy", privacy::show).with_action("/settings/privacy"),
            ),
        )
        .service(
            page_routes("/settings/privacy/erase", [post(Admin, privacy::erase)]).with_app_data(
                FormPage::new("/settings/privacy", privacy::show).with_action("/settings/privacy"),
            ),
        )
}

pub(super) fn add_account_routes(routes: Routes) -> Routes {
    routes
        .service(page_routes(
            "/settings",
            [get(Member, redirects::redirect_to_default_settings)],
        ))
        .service(page_routes(
            "/settings/account",
            [get(Member, account::show)],
        ))
        .service(
            page_routes(
                "/settings/account/sessions/{id}/end",
                [post(Member, account::end_session)],
            )
            .with_app_data(FormPage::new("/settings/account", account::show)),
        )
        .service(
            page_routes(
                "/settings/account/password",
                [post(Member, account::set_password)],
            )
            .with_app_data(FormPage::new("/settings/account", account::show)),
        )
        .service(
            page_routes(
                "/settings/account/sign-out-everywhere",
                [post(Member, account::sign_out_everywhere)],
            )
            .with_app_data(FormPage::new("/settings/account", account::show)),
        )
}
