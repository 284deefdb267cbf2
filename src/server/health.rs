//! `GET /healthz`: checks that the database responds, is intact, and hasn't been moved or replaced,
//! and that the dispatcher runs.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;
use crate::store::StoreError;

pub const HEALTH_PATH: &str = "/healthz";

pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource(HEALTH_PATH).get(get_health).head(get_health));
}

#[derive(Serialize, ToSchema)]
pub struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Check health
///
/// Checks that the database responds, is intact, and hasn't been moved or replaced, and that the
/// dispatcher runs. Use this call for load balancers and watchdogs.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "getHealth",
    tag = "Operations",
    responses(
        (status = 200, description = "Healthy", body = Health),
        (status = 503, description = "Unhealthy. See the server log", body = Health),
    )
)]
pub async fn get_health(app: web::Data<AppState>) -> HttpResponse {
    let (ping, is_alive) = tokio::join!(app.store.ping(), app.delivery.is_alive());
    // Ignore a full disk, because a restart wouldn't free space. The metrics report full disks.
    let ping = match ping {
        Err(StoreError::DiskFull) => Ok(()),
        ping => ping,
    };
    // A database problem is logged when it is detected, and also stops the dispatcher. Don't log
    // the failed checks again.
    let has_problem = app.store.database_problem().is_some();
    if !has_problem && ping.is_ok() && is_alive {
        return HttpResponse::Ok().json(Health { status: "ok" });
    }
    if !has_problem {
        if let Err(error) = ping {
            tracing::error!(%error, "database not responding");
        }
        if !is_alive {
            tracing::error!("dispatcher not responding");
        }
    }
    HttpResponse::ServiceUnavailable().json(Health {
        status: "unavailable",
    })
}
