//! The API's route table: paths, methods, required permissions, and handlers.

use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, ResponseError, Route, web};

use super::auth::{TokenLocations, authorize};
use super::{
    deliveries, delivery_totals, feedback, hosted, metrics, openapi, projects, redelivery, secrets,
    test_events, webhooks,
};
use crate::server::permissions::Permission::{self, Admin, Member, Metrics, Public, Submit};
use crate::server::problem::{Problem, method_not_allowed};
use crate::server::routing::{
    MethodRoute, PathRoutes, Routes, delete, get, patch, path_routes, post, scope,
};

pub fn configure(config: &mut web::ServiceConfig) {
    routes().configure(config);
}

/// Returns all routes of the API, with the permission that each route requires.
pub fn routes() -> Routes {
    let v1 = add_webhook_routes(add_project_and_feedback_routes(scope("/v1")))
        .service(api_routes_at("/openapi.json", [get(Public, openapi::get)]))
        .default_service(web::to(not_found));
    Routes::default()
        .service(api_routes_at("/metrics", [get(Metrics, metrics::get)]))
        .service(add_hosted_routes(scope("/api").service(v1)).default_service(web::to(not_found)))
}

fn add_project_and_feedback_routes(routes: Routes) -> Routes {
    routes
        .service(api_routes_at(
            "/projects",
            [get(Member, projects::list), post(Admin, projects::create)],
        ))
        .service(api_routes_at(
            "/projects/{project}",
            [
                get(Member, projects::get),
                patch(Admin, projects::update),
                delete(Admin, projects::delete),
            ],
        ))
        .service(api_routes_at(
            "/feedback",
            [get(Member, feedback::list), post(Submit, feedback::create)],
        ))
        .service(api_routes_at(
            "/feedback/{id}",
            [
                get(Member, feedback::get),
                patch(Member, feedback::update),
                delete(Member, feedback::delete),
            ],
        ))
}

fn add_webhook_routes(routes: Routes) -> Routes {
    routes
        .service(api_routes_at(
            "/webhooks",
            [get(Admin, webhooks::list), post(Admin, webhooks::create)],
        ))
        .service(api_routes_at(
            "/webhooks/test",
            [post(Admin, test_events::test_url)],
        ))
        .service(api_routes_at(
            "/webhooks/{id}",
            [
                get(Admin, webhooks::get),
                patch(Admin, webhooks::update),
                delete(Admin, webhooks::delete),
            ],
        ))
        .service(api_routes_at(
            "/webhooks/{id}/test",
            [post(Admin, test_events::test_webhook)],
        ))
        .service(api_routes_at(
            "/webhooks/{id}/secret",
            [get(Admin, secrets::get)],
        ))
        .service(api_routes_at(
            "/webhooks/{id}/secret/rotate",
            [post(Admin, secrets::rotate)],
        ))
        .service(api_routes_at(
            "/webhooks/{id}/secret/rotate/finish",
            [post(Admin, secrets::finish_rotation)],
        ))
        .service(api_routes_at(
            "/webhooks/{id}/accounting",
            [get(Admin, delivery_totals::get)],
        ))
        .service(api_routes_at(
            "/webhooks/{id}/deliveries",
            [get(Admin, deliveries::list)],
        ))
        .service(api_routes_at(
            "/webhooks/{id}/recover",
            [post(Admin, redelivery::recover)],
        ))
        .service(api_routes_at(
            "/deliveries/{id}",
            [get(Admin, deliveries::get)],
        ))
        .service(api_routes_at(
            "/deliveries/{id}/redeliver",
            [post(Admin, redelivery::redeliver)],
        ))
        .service(api_routes_at(
            "/deliveries/{id}/retry",
            [post(Admin, redelivery::retry)],
        ))
        .service(api_routes_at(
            "/deliveries/{id}/cancel",
            [post(Admin, redelivery::cancel)],
        ))
}

fn add_hosted_routes(routes: Routes) -> Routes {
    routes
        .service(hosted_routes_at(
            "/projects",
            [
                get(Member, hosted::projects::list),
                post(Admin, hosted::projects::create),
            ],
        ))
        .service(hosted_routes_at(
            "/projects/{projectId}",
            [get(Member, hosted::projects::get)],
        ))
        .service(hosted_routes_at(
            "/projects/{projectId}/feedback",
            [
                get(Member, hosted::feedback::list),
                post(Submit, hosted::feedback::create),
            ],
        ))
}

fn api_routes_at<const N: usize>(path: &str, methods: [MethodRoute; N]) -> PathRoutes {
    path_routes(path, methods, with_auth, method_not_allowed)
}

fn hosted_routes_at<const N: usize>(path: &str, methods: [MethodRoute; N]) -> PathRoutes {
    path_routes(path, methods, with_hosted_auth, method_not_allowed)
}

fn with_auth(permission: Permission, route: Route) -> Route {
    route.wrap(from_fn(move |request, next| {
        authorize(permission, TokenLocations::Headers, request, next)
    }))
}

fn with_hosted_auth(permission: Permission, route: Route) -> Route {
    route.wrap(from_fn(move |request, next| {
        authorize(permission, TokenLocations::HeadersAndQuery, request, next)
    }))
}

async fn not_found() -> HttpResponse {
    Problem::NotFound("This path doesn’t exist. API paths start with /api/v1/.").error_response()
}
