//! `GET /healthz`: whether the database answers and the delivery loop runs.

use actix_web::{HttpResponse, web};

use serde::Serialize;
use utoipa::ToSchema;

use super::AppState;

pub const PATH: &str = "/healthz";

pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource(PATH).get(health).head(health));
}

/// What is answered.
#[derive(Serialize, ToSchema)]
pub struct Health {
    #[schema(example = "ok")]
    status: &'static str,
}

/// Ask whether all is well
///
/// For a load balancer or a watchdog: the database answers and the delivery loop runs.
#[utoipa::path(get, path = "/healthz", operation_id = "getHealth", tag = "Operations", responses(
    (status = 200, description = "All is well", body = Health),
    (status = 503, description = "Something is not; the log says what", body = Health),
))]
pub async fn health(app: web::Data<AppState>) -> HttpResponse {
    let (stored, alive) = tokio::join!(app.store.ping(), app.delivery.is_alive());
    if stored.is_ok() && alive {
        return HttpResponse::Ok().json(Health { status: "ok" });
    }
    if let Err(error) = stored {
        tracing::error!(%error, "the database does not answer");
    }
    if !alive {
        tracing::error!("the delivery loop does not answer");
    }
    HttpResponse::ServiceUnavailable().json(Health {
        status: "unavailable",
    })
}
