//! `GET /healthz`: checks that the database responds, is intact, and hasn't been moved or replaced,
//! and that the dispatcher runs.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use tokio::time::{sleep, timeout};
use utoipa::ToSchema;

use super::AppState;
use super::inbound::WorkerThreads;
use super::proxy_test::respond_to_proxy_test;
use crate::store::{Store, StoreError};

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
pub async fn get_health(app: web::Data<AppState>, request: HttpRequest) -> HttpResponse {
    if let Some(response) = respond_to_proxy_test(&app, &request) {
        return response;
    }
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

/// Returns the part of the server that has ended or doesn't respond within `time_limit`, or `None`
/// if all parts respond.
///
/// Ignores everything that a restart wouldn't fix or could make worse: a full or read-only disk, a
/// locked or corrupt database, and replaced database files.
pub async fn find_hanging_part(
    app: &AppState,
    workers: &WorkerThreads,
    time_limit: Duration,
) -> Option<&'static str> {
    let (database, dispatcher, http_server) = tokio::join!(
        timeout(time_limit, is_database_open(&app.store)),
        timeout(time_limit, app.delivery.is_running()),
        timeout(time_limit, workers.wait_until_responsive()),
    );
    let parts = [
        ("database", database.unwrap_or(false)),
        ("dispatcher", dispatcher.unwrap_or(false)),
        ("HTTP server", http_server.is_ok()),
    ];
    let mut hanging = parts.into_iter().filter(|(_, responds)| !responds);
    hanging.next().map(|(part, _)| part)
}

/// Waits until the database responds, and returns whether it is open. Never returns while the
/// writer is blocked.
async fn is_database_open(store: &Store) -> bool {
    loop {
        match store.ping().await {
            // The writer's queue is full. A writer that isn't blocked has space again soon.
            Err(StoreError::Overloaded) => sleep(Duration::from_millis(20)).await,
            result => return !matches!(result, Err(StoreError::Closed)),
        }
    }
}
