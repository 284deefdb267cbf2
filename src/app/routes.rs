//! Registers the routes of the health check, the intake, the API, and the pages.

use std::collections::BTreeSet;

use actix_web::http::header::LOCATION;
use actix_web::{HttpResponse, web};

use crate::server::health;
use crate::{api, intake, pages};

/// Mounts the routes under the base path, unless it is empty. The caller also registers the routes
/// at the root, for a proxy that strips the base path.
pub(super) fn mount_under_base_path(config: &mut web::ServiceConfig, base_path: &str) {
    if !base_path.is_empty() {
        let home = format!("{base_path}/");
        let redirect_to_home = move || {
            let home = home.clone();
            async move {
                HttpResponse::SeeOther()
                    .insert_header((LOCATION, home))
                    .finish()
            }
        };
        config
            .route(base_path, web::get().to(redirect_to_home))
            .service(web::scope(base_path).configure(register_routes));
    }
}

pub(super) fn register_routes(config: &mut web::ServiceConfig) {
    config
        .configure(health::configure)
        .configure(intake::configure)
        .configure(api::configure)
        .configure(pages::configure);
}

/// Returns the first path segment of each route. The base path can't start with any of these
/// segments.
pub fn route_prefixes() -> BTreeSet<String> {
    let tables = [intake::routes(), api::routes(), pages::routes()];
    let paths = tables
        .iter()
        .flat_map(|table| table.list())
        .map(|route| route.path);
    paths
        .chain([health::HEALTH_PATH.to_owned()])
        .filter_map(|path| path.split('/').nth(1).map(str::to_owned))
        .filter(|segment| !segment.is_empty())
        .collect()
}
