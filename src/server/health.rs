//! `GET /healthz`: whether the database answers and the delivery loop runs.

use actix_web::{HttpResponse, web};

use super::Site;

pub fn configure(config: &mut web::ServiceConfig) {
    config.service(web::resource("/healthz").get(health).head(health));
}

async fn health(site: web::Data<Site>) -> HttpResponse {
    let (stored, alive) = tokio::join!(site.store.ping(), site.delivery.is_alive());
    if stored.is_ok() && alive {
        return HttpResponse::Ok().json(serde_json::json!({"status": "ok"}));
    }
    if let Err(error) = stored {
        tracing::error!(%error, "the database does not answer");
    }
    if !alive {
        tracing::error!("the delivery loop does not answer");
    }
    HttpResponse::ServiceUnavailable().json(serde_json::json!({"status": "unavailable"}))
}
