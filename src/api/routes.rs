//! Every call on one screen: address, methods, who may make it, and the handler.

use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, Resource, ResponseError, Route, web};

use super::guard::guard;
use super::problem::Problem;
use super::{deliveries, document, feedback, metrics, projects, secrets, webhook_tests, webhooks};
use crate::server::access::Needs::{self, Admin, Member, Metrics, Nothing, Submit};
use crate::server::routing::{Entry, address, delete, get, patch, post};

/// The calls, as they are served and as the document has them.
pub(super) fn calls() -> Vec<(&'static str, Vec<Entry>)> {
    vec![
        ("/metrics", vec![get(Metrics, metrics::get)]),
        ("/api/v1/openapi.json", vec![get(Nothing, document::get)]),
        (
            "/api/v1/projects",
            vec![get(Member, projects::list), post(Admin, projects::create)],
        ),
        (
            "/api/v1/projects/{project}",
            vec![
                get(Member, projects::get),
                patch(Admin, projects::change),
                delete(Admin, projects::delete),
            ],
        ),
        (
            "/api/v1/feedback",
            vec![get(Member, feedback::list), post(Submit, feedback::create)],
        ),
        (
            "/api/v1/feedback/{id}",
            vec![
                get(Member, feedback::get),
                patch(Member, feedback::change),
                delete(Member, feedback::delete),
            ],
        ),
        (
            "/api/v1/webhooks",
            vec![get(Admin, webhooks::list), post(Admin, webhooks::create)],
        ),
        (
            "/api/v1/webhooks/test",
            vec![post(Admin, webhook_tests::unsaved)],
        ),
        (
            "/api/v1/webhooks/{id}",
            vec![
                get(Admin, webhooks::get),
                patch(Admin, webhooks::change),
                delete(Admin, webhooks::delete),
            ],
        ),
        (
            "/api/v1/webhooks/{id}/test",
            vec![post(Admin, webhook_tests::saved)],
        ),
        (
            "/api/v1/webhooks/{id}/secret",
            vec![get(Admin, secrets::get)],
        ),
        (
            "/api/v1/webhooks/{id}/secret/rotate",
            vec![post(Admin, secrets::rotate)],
        ),
        (
            "/api/v1/webhooks/{id}/secret/rotate/finish",
            vec![post(Admin, secrets::finish)],
        ),
        (
            "/api/v1/webhooks/{id}/deliveries",
            vec![get(Admin, deliveries::list)],
        ),
        (
            "/api/v1/webhooks/{id}/recover",
            vec![post(Admin, deliveries::recover)],
        ),
        ("/api/v1/deliveries/{id}", vec![get(Admin, deliveries::get)]),
        (
            "/api/v1/deliveries/{id}/redeliver",
            vec![post(Admin, deliveries::redeliver)],
        ),
    ]
}

pub fn configure(config: &mut web::ServiceConfig) {
    for (path, methods) in calls() {
        config.service(call(path, methods));
    }
    // What is left beneath these is no page.
    config.service(web::scope("/api").default_service(web::to(nothing_here)));
}

fn call(path: &str, methods: Vec<Entry>) -> Resource {
    address(path, methods, guarded, |allow| {
        web::to(move || {
            let problem = Problem::MethodNotAllowed {
                allow: allow.clone(),
            };
            async move { problem.error_response() }
        })
    })
}

fn guarded(needs: Needs, route: Route) -> Route {
    route.wrap(from_fn(move |request, next| guard(needs, request, next)))
}

async fn nothing_here() -> HttpResponse {
    Problem::NotFound("There is nothing at this address; the API’s addresses begin with /api/v1/.")
        .error_response()
}
