//! The intake's route table. All routes are public.

use actix_web::middleware::from_fn;
use actix_web::{HttpResponse, web};

use super::error_page::{IntakeError, intake_page_middleware};
use super::{endpoint, public_form, widget_script};
use crate::server::permissions::Permission::Public;
use crate::server::problem::method_not_allowed;
use crate::server::routing::{MethodRoute, PathRoutes, Routes, get, options, path_routes, post};

/// Registers the routes. Call this function before `api::configure`, whose scope `/api` also
/// matches the path of the endpoint.
pub fn configure(config: &mut web::ServiceConfig) {
    routes().configure(config);
}

/// Returns all routes of the intake.
pub fn routes() -> Routes {
    Routes::default()
        .service(path_routes(
            "/api/feedback",
            [
                post(Public, endpoint::submit),
                options(Public, endpoint::preflight),
            ],
            |_, route| route.wrap(from_fn(endpoint::allow_any_origin)),
            |allow| method_not_allowed(allow).wrap(from_fn(endpoint::allow_any_origin)),
        ))
        .service(page_routes("/widget.js", [get(Public, widget_script::get)]))
        .service(page_routes(
            "/f/{slug}",
            [
                get(Public, public_form::show),
                post(Public, public_form::submit),
            ],
        ))
}

fn page_routes<const N: usize>(path: &str, methods: [MethodRoute; N]) -> PathRoutes {
    path_routes(
        path,
        methods,
        |_, route| route.wrap(from_fn(intake_page_middleware)),
        |allow| {
            let method_not_allowed = move || {
                let error = IntakeError::MethodNotAllowed(allow.clone());
                async move { Err::<HttpResponse, _>(error) }
            };
            web::to(method_not_allowed).wrap(from_fn(intake_page_middleware))
        },
    )
}
