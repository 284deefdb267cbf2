//! The routes of Settings → Notifications: webhooks and their deliveries.

use super::page_routes;
use crate::pages::framework::form_page::FormPage;
use crate::pages::{deliveries, redirects, signature_check, webhooks};
use crate::server::permissions::Permission::Admin;
use crate::server::routing::{Routes, get, post};

pub(super) fn add_webhook_routes(routes: Routes) -> Routes {
    routes
        .service(
            page_routes(
                "/settings/notifications",
                [get(Admin, webhooks::show), post(Admin, webhooks::add)],
            )
            .with_app_data(FormPage::new("/settings/notifications?add", webhooks::show)),
        )
        .service(
            page_routes(
                "/settings/notifications/test",
                [post(Admin, webhooks::test_draft)],
            )
            .with_app_data(
                FormPage::new("/settings/notifications?add", webhooks::show)
                    .with_action("/settings/notifications"),
            ),
        )
        .service(
            page_routes(
                "/settings/notifications/preview",
                [post(Admin, webhooks::preview_draft)],
            )
            .with_app_data(
                FormPage::new("/settings/notifications?add", webhooks::show)
                    .with_action("/settings/notifications"),
            ),
        )
        .service(
            page_routes(
                "/settings/notifications/email",
                [post(Admin, webhooks::add_email)],
            )
            .with_app_data(FormPage::new(
                "/settings/notifications?add-email",
                webhooks::show,
            )),
        )
        .service(
            page_routes(
                "/settings/notifications/email/test",
                [post(Admin, webhooks::test_email_draft)],
            )
            .with_app_data(
                FormPage::new("/settings/notifications?add-email", webhooks::show)
                    .with_action("/settings/notifications/email"),
            ),
        )
        // These routes are registered before the routes of one webhook, so `endpoint-code` and
        // `deliveries` aren't read as an id.
        .service(page_routes(
            "/settings/notifications/endpoint-code",
            [get(Admin, webhooks::show_endpoint_code_for_draft)],
        ))
        .service(page_routes(
            "/settings/notifications/deliveries",
            [get(Admin, deliveries::show_all)],
        ))
        .service(
            page_routes(
                "/settings/notifications/recover",
                [post(Admin, deliveries::redeliver_all_failed)],
            )
            .with_app_data(FormPage::new(
                "/settings/notifications/deliveries?webhook={webhook}&redeliver={period}",
                deliveries::show_all,
            )),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/enabled",
                [post(Admin, webhooks::set_enabled)],
            )
            .with_app_data(FormPage::new(
                "/settings/notifications?open={id}",
                webhooks::show,
            )),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/topics",
                [post(Admin, webhooks::set_topics)],
            )
            .with_app_data(FormPage::new(
                "/settings/notifications?open={id}",
                webhooks::show,
            )),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/edit",
                [post(Admin, webhooks::edit)],
            )
            .with_app_data(FormPage::new(
                "/settings/notifications?open={id}",
                webhooks::show,
            )),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/preview",
                [post(Admin, webhooks::preview_settings)],
            )
            .with_app_data(
                FormPage::new("/settings/notifications?open={id}", webhooks::show)
                    .with_action("/settings/notifications/{id}/edit"),
            ),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/test",
                [post(Admin, webhooks::send_test)],
            )
            .with_app_data(FormPage::new(
                "/settings/notifications?open={id}",
                webhooks::show,
            )),
        )
        .service(page_routes(
            "/settings/notifications/{id}/secret",
            [get(Admin, webhooks::show_plain_secret)],
        ))
        .service(
            page_routes(
                "/settings/notifications/{id}/rotate",
                [post(Admin, webhooks::rotate_secret)],
            )
            .with_app_data(FormPage::new(
                "/settings/notifications?rotate={id}",
                webhooks::show,
            )),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/switch-now",
                [post(Admin, webhooks::end_secret_overlap)],
            )
            .with_app_data(FormPage::new(
                "/settings/notifications?open={id}",
                webhooks::show,
            )),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/delete",
                [post(Admin, webhooks::delete)],
            )
            .with_app_data(FormPage::new(
                "/settings/notifications?delete={id}",
                webhooks::show,
            )),
        )
}

pub(super) fn add_delivery_routes(routes: Routes) -> Routes {
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
            .with_app_data(FormPage::new(
                "/settings/notifications/{id}/deliveries?redeliver={period}",
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
                [post(Admin, deliveries::actions::redeliver)],
            )
            .with_app_data(FormPage::new(
                "/settings/notifications/{id}/deliveries/{delivery}",
                deliveries::detail::show,
            )),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/deliveries/{delivery}/retry",
                [post(Admin, deliveries::actions::retry)],
            )
            .with_app_data(FormPage::new(
                "/settings/notifications/{id}/deliveries/{delivery}",
                deliveries::detail::show,
            )),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/deliveries/{delivery}/cancel",
                [post(Admin, deliveries::actions::cancel)],
            )
            .with_app_data(FormPage::new(
                "/settings/notifications/{id}/deliveries/{delivery}",
                deliveries::detail::show,
            )),
        )
        .service(
            page_routes(
                "/settings/notifications/{id}/signature-check",
                [
                    get(Admin, signature_check::show),
                    post(Admin, signature_check::check_signature),
                ],
            )
            .with_app_data(FormPage::new(
                "/settings/notifications/{id}/signature-check",
                signature_check::show,
            )),
        )
        .service(page_routes(
            "/settings/notifications/{id}",
            [get(Admin, webhooks::show_webhook)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/doctor",
            [get(Admin, redirects::redirect_to_signature_check)],
        ))
        .service(page_routes(
            "/settings/notifications/{id}/receive",
            [get(Admin, redirects::redirect_to_endpoint_code)],
        ))
}
