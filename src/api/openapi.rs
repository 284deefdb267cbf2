//! The OpenAPI 3.1 document, generated from the code. The descriptions come from the handlers, the
//! schemas from the structs that are parsed and serialized, and the permissions from the route
//! table.
//!
//! [`operations`] adds the error responses, headers, and parameters that operations have in common.
//! [`events`] describes the requests that endpoints receive.

mod events;
mod operations;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::http::Method;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ArrayItems, Schema};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Ref, RefOr, Server};

use self::events::describe_webhooks;
use self::operations::add_errors_headers_and_security;
use super::auth::{API_KEY_PARAMETER, X_API_KEY};
use super::{
    deliveries, delivery_totals, feedback, hosted, metrics, projects, redelivery, routes, secrets,
    test_events, webhooks,
};
use crate::intake::{self, endpoint};
use crate::server::AppState;
use crate::server::health;
use crate::server::problem::ProblemBody;
use crate::server::routing::ListedRoute;

/// The OpenAPI document.
#[derive(Clone, Serialize)]
pub struct Document {
    #[serde(flatten)]
    pub(super) api: utoipa::openapi::OpenApi,
    // Utoipa doesn't support this member.
    webhooks: Map<String, Value>,
}

/// Returns the document for an API at `base_url`: a URL without a slash at the end, or `/`.
pub fn document(base_url: &str) -> Document {
    static DOCUMENT: LazyLock<Document> = LazyLock::new(|| Document {
        api: build_document(),
        webhooks: describe_webhooks(),
    });
    let mut document = DOCUMENT.clone();
    document.api.servers = Some(vec![Server::new(base_url)]);
    document
}

/// Get the OpenAPI document
///
/// Returns this document. Requires no token.
#[utoipa::path(
    get,
    path = "/api/v1/openapi.json",
    operation_id = "getDocument",
    tag = "Operations",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object))
)]
pub(super) async fn get(app: web::Data<AppState>, request: HttpRequest) -> HttpResponse {
    let own_origin = app.proxies.own_origin(&request);
    HttpResponse::Ok().json(document(&app.urls.absolute_url(&own_origin, "")))
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Miniback", description = include_str!("openapi.md")),
    paths(
        projects::create,
        projects::list,
        projects::get,
        projects::update,
        projects::delete,
        feedback::create,
        feedback::list,
        feedback::get,
        feedback::update,
        feedback::delete,
        webhooks::create,
        webhooks::list,
        webhooks::get,
        webhooks::update,
        webhooks::delete,
        test_events::test_webhook,
        test_events::test_url,
        delivery_totals::get,
        endpoint::submit,
        secrets::get,
        secrets::rotate,
        secrets::finish_rotation,
        deliveries::list,
        deliveries::get,
        redelivery::redeliver,
        redelivery::retry,
        redelivery::cancel,
        redelivery::recover,
        hosted::projects::list,
        hosted::projects::create,
        hosted::projects::get,
        hosted::feedback::list,
        hosted::feedback::create,
        metrics::get,
        health::get_health,
        get,
    ),
    components(schemas(ProblemBody)),
    tags(
        (name = "Projects", description = "The websites, apps, and products that people give feedback on."),
        (
            name = "Feedback",
            description = "Messages in a project. The status is `NEW`, `REVIEWED`, or `RESOLVED`.",
        ),
        (name = "Webhooks", description = "Endpoints that receive events. For admins only."),
        (
            name = "Deliveries",
            description = "Events sent to webhooks, with all attempts. For admins only.",
        ),
        (
            name = "Hosted API paths",
            description = "The paths of the hosted Miniback’s API, for clients written for it: \
                change the host and the token. Clients can also send the token as `?api_key=`. \
                Unknown query parameters are ignored. New clients should use `/api/v1`.",
        ),
        (name = "Operations", description = "Monitoring and this document."),
    )
)]
struct ApiDoc;

fn build_document() -> utoipa::openapi::OpenApi {
    let mut document = ApiDoc::openapi();
    document.info.license = None;
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("mb_…")
        .description(Some("An API token."))
        .build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    let key = ApiKeyValue::with_description(
        X_API_KEY.as_str(),
        "An API token, as an alternative to `Authorization`.",
    );
    components.add_security_scheme("apiKey", SecurityScheme::ApiKey(ApiKey::Header(key)));
    let key = ApiKeyValue::with_description(
        API_KEY_PARAMETER,
        "An API token. Proxies may log URLs, so a header is safer.",
    );
    components.add_security_scheme("apiKeyInQuery", SecurityScheme::ApiKey(ApiKey::Query(key)));
    components
        .responses
        .extend(operations::shared_error_responses());

    replace_list_items_with_refs(&mut components.schemas);

    for call in documented_routes() {
        let item = document.paths.paths.get_mut(&call.path);
        if let Some(operation) = item.and_then(|item| operation_mut(item, &call.method)) {
            add_errors_headers_and_security(operation, &call.path, &call.method, call.permission);
        }
    }
    document
}

/// Returns the routes of the API and of the widget's endpoint. `/healthz` is also in the document,
/// but has no route table.
fn documented_routes() -> impl Iterator<Item = ListedRoute> {
    let intake = intake::routes().list().into_iter();
    let endpoints = intake.filter(|route| route.path.starts_with("/api/"));
    routes::routes().list().into_iter().chain(endpoints)
}

fn operation_mut<'a>(item: &'a mut PathItem, method: &Method) -> Option<&'a mut Operation> {
    match *method {
        Method::GET => item.get.as_mut(),
        Method::POST => item.post.as_mut(),
        Method::PATCH => item.patch.as_mut(),
        Method::DELETE => item.delete.as_mut(),
        _ => None,
    }
}

/// Replaces the item schema of each list with a reference. Otherwise, `List_Project` would repeat
/// the whole schema of a project, because utoipa inlines item schemas.
fn replace_list_items_with_refs(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    for (name, list) in schemas {
        let (Some(item), RefOr::T(Schema::Object(list))) = (name.strip_prefix("List_"), list)
        else {
            continue;
        };
        if let Some(RefOr::T(Schema::Array(data))) = list.properties.get_mut("data") {
            data.items = ArrayItems::RefOrSchema(Box::new(Ref::from_schema_name(item).into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_lists_exactly_the_routes_that_are_served() {
        // The document omits CORS preflights.
        let served = documented_routes().filter(|call| call.method != Method::OPTIONS);
        let mut served: BTreeSet<String> = served
            .map(|call| format!("{} {}", call.method, call.path))
            .collect();
        served.insert("GET /healthz".to_owned());
        let document = serde_json::to_value(document("/")).unwrap();
        let mut described = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                described.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
        assert_eq!(described, served, "left: the document, right: the routes");
    }
}
