//! The OpenAPI 3.1 document, generated from the code: descriptions from the handlers, schemas from
//! the structs that are parsed and serialized, and permissions from the route table.
//!
//! This module adds the parts that calls share: errors, headers, conditional requests, security.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::http::{Method, StatusCode};
use actix_web::{HttpRequest, HttpResponse, web};
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ArrayItems, ObjectBuilder, Schema, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{
    Content, Header, HeaderBuilder, Ref, RefOr, Required, Response, ResponseBuilder, Server,
};

use super::auth::X_API_KEY;
use super::{
    deliveries, delivery_totals, feedback, metrics, projects, routes, secrets, test_events,
    webhooks,
};
use crate::domain::account::{Role, Scope};
use crate::intake::{self, endpoint};
use crate::server::AppState;
use crate::server::health;
use crate::server::permissions::{Permission, is_allowed};
use crate::server::problem::ProblemBody;
use crate::server::routing::RouteInfo;

const X_REQUEST_ID: &str = "X-Request-Id";
const REQUEST_ID_DESCRIPTION: &str = "Identifies this request in the server’s log.";

/// Returns the document for an API at `base_url`, which has no slash at its end.
pub fn document(base_url: &str) -> utoipa::openapi::OpenApi {
    static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(build);
    let mut document = DOCUMENT.clone();
    document.servers = Some(vec![Server::new(base_url)]);
    document
}

/// Get the OpenAPI document
///
/// Returns this document. Needs no token.
#[utoipa::path(get, path = "/api/v1/openapi.json", operation_id = "getDocument", tag = "Operations",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object)))]
pub(super) async fn get(app: web::Data<AppState>, request: HttpRequest) -> HttpResponse {
    let seen = app.proxies.own_origin(&request);
    HttpResponse::Ok().json(document(&app.urls.absolute(&seen, "")))
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Miniback", description = include_str!("openapi.md")),
    paths(
        projects::create, projects::list, projects::get, projects::update, projects::delete,
        feedback::create, feedback::list, feedback::get, feedback::update, feedback::delete,
        webhooks::create, webhooks::list, webhooks::get, webhooks::update, webhooks::delete,
        test_events::test_webhook, test_events::test_url, delivery_totals::get, endpoint::submit,
        secrets::get, secrets::rotate, secrets::finish_rotation,
        deliveries::list, deliveries::get, deliveries::redeliver, deliveries::recover,
        metrics::get, health::health, get,
    ),
    components(schemas(ProblemBody)),
    tags(
        (name = "Projects", description = "The subjects of feedback: websites, apps, products."),
        (name = "Feedback", description = "Messages in a project. The status is `NEW`, `REVIEWED`, or `RESOLVED`."),
        (name = "Webhooks", description = "Endpoints that receive events. For admins only."),
        (name = "Deliveries", description = "Events on their way to a webhook, with their attempts. For admins only."),
        (name = "Operations", description = "Monitoring, and this document."),
    ),
)]
struct ApiDoc;

fn build() -> utoipa::openapi::OpenApi {
    let mut document = ApiDoc::openapi();
    document.info.license = None;
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("mb_…")
        .description(Some("An API token."))
        .build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    let key =
        ApiKeyValue::with_description(X_API_KEY.as_str(), "The same token in another header.");
    components.add_security_scheme("apiKey", SecurityScheme::ApiKey(ApiKey::Header(key)));
    for (status, _, description) in ERRORS {
        let mut response = Response::new(description);
        complete_error(status, &mut response);
        components
            .responses
            .insert(error_name(status), response.into());
    }

    reference_list_items(&mut components.schemas);

    for call in documented_routes() {
        let item = document.paths.paths.get_mut(&call.path);
        if let Some(operation) = item.and_then(|item| operation(item, &call.method)) {
            add_shared_parts(operation, &call.path, &call.method, call.permission);
        }
    }
    document
}

/// All routes that belong in the document.
fn documented_routes() -> impl Iterator<Item = RouteInfo> {
    let intake = intake::routes().list().into_iter();
    let endpoints = intake.filter(|route| route.path.starts_with("/api/"));
    routes::routes().list().into_iter().chain(endpoints)
}

fn operation<'a>(item: &'a mut PathItem, method: &Method) -> Option<&'a mut Operation> {
    match *method {
        Method::GET => item.get.as_mut(),
        Method::POST => item.post.as_mut(),
        Method::PATCH => item.patch.as_mut(),
        Method::DELETE => item.delete.as_mut(),
        _ => None,
    }
}

/// Replaces the item schema in each list by a reference. utoipa repeats the whole schema of a
/// project in `List_Project`.
fn reference_list_items(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
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

/// Errors that many calls share: status, the calls it applies to, and its description.
const ERRORS: [(&str, AppliesTo, &str); 10] = [
    ("400", |call| call.has_body, "Invalid JSON or UTF-8"),
    (
        "401",
        |call| call.permission != Permission::Public,
        "No token, an unknown token, or two different tokens",
    ),
    (
        "403",
        |call| call.permission != Permission::Public,
        "The token isn’t allowed to do this",
    ),
    ("404", |call| call.has_id, "Not found"),
    (
        "408",
        |call| call.has_body,
        "The body took too long to arrive",
    ),
    (
        "413",
        |call| call.has_body,
        "The body is larger than 64 KiB",
    ),
    (
        "415",
        |call| call.has_body,
        "The body isn’t `application/json`",
    ),
    (
        "422",
        |call| call.has_body || call.has_query,
        "Invalid field, limit, cursor, or filter",
    ),
    (
        "503",
        |call| call.permission != Permission::Public,
        "The server is busy or restarting. Try again",
    ),
    (
        "507",
        |call| call.permission != Permission::Public && !call.is_read,
        "The server’s disk is full",
    ),
];

type AppliesTo = fn(&OperationKind) -> bool;

/// The properties of a call that decide which errors it can return.
struct OperationKind {
    permission: Permission,
    is_read: bool,
    has_body: bool,
    has_query: bool,
    has_id: bool,
}

/// Returns the name of a shared error in the document: `Unauthorized` for 401.
fn error_name(status: &str) -> String {
    let reason = status
        .parse::<u16>()
        .ok()
        .and_then(|code| StatusCode::from_u16(code).ok());
    let reason = reason.and_then(|status| status.canonical_reason());
    reason.unwrap_or(status).replace(' ', "")
}

/// Adds the headers and the body that all responses with this error status have.
fn complete_error(status: &str, response: &mut Response) {
    match status {
        "401" => add_header(response, "WWW-Authenticate", "`Bearer`"),
        "503" | "507" => add_header(response, "Retry-After", "Seconds to wait."),
        _ => {}
    }
    add_header(response, X_REQUEST_ID, REQUEST_ID_DESCRIPTION);
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    response
        .content
        .insert("application/problem+json".into(), problem);
}

/// Adds the shared parts to a call: errors, headers, conditional requests, and security.
fn add_shared_parts(
    operation: &mut Operation,
    path: &str,
    method: &Method,
    permission: Permission,
) {
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let call = OperationKind {
        permission,
        is_read: *method == Method::GET,
        has_body: operation.request_body.is_some(),
        has_query: parameters
            .iter()
            .any(|parameter| matches!(parameter.parameter_in, ParameterIn::Query)),
        has_id: path.contains('{'),
    };
    let responses = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        let RefOr::T(response) = response else {
            continue;
        };
        if status.as_str() >= "400" {
            complete_error(status, response);
            continue;
        }
        add_header(response, X_REQUEST_ID, REQUEST_ID_DESCRIPTION);
        if status == "201" {
            add_header(response, "Location", "The path of the created object.");
        }
    }
    for (status, applies, _) in ERRORS {
        if applies(&call) && !responses.contains_key(status) {
            let shared = Ref::from_response_name(error_name(status));
            responses.insert(status.into(), shared.into());
        }
    }
    if call.is_read && path != "/metrics" && !path.ends_with("/secret") {
        add_conditional_request(operation);
    }
    // The only optional body.
    if let (Some(body), true) = (&mut operation.request_body, path.ends_with("/rotate")) {
        body.required = Some(Required::False);
    }
    operation.security = Some(security_requirements(permission));
}

/// Adds `ETag`, `If-None-Match`, and the response 304.
fn add_conditional_request(operation: &mut Operation) {
    if let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200") {
        add_header(
            response,
            "ETag",
            "Changes when the response changes. Send it back as `If-None-Match`.",
        );
    }
    let same = ResponseBuilder::new()
        .description("Not changed since. No body")
        .header("ETag", Header::default())
        .header(X_REQUEST_ID, Header::default());
    operation
        .responses
        .responses
        .insert("304".into(), same.into());
    let condition = ParameterBuilder::new()
        .name("If-None-Match")
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "The `ETag` of an earlier response. If nothing has changed, the response is 304 without a body.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build();
    operation.parameters.get_or_insert_default().push(condition);
}

fn add_header(response: &mut Response, name: &str, description: &str) {
    let header = HeaderBuilder::new()
        .schema(ObjectBuilder::new().schema_type(Type::String))
        .description(Some(description))
        .build();
    response.headers.insert(name.into(), header);
}

/// Returns the alternatives for authenticating a call: each has a scope, and the role `admin` if
/// only admins are allowed.
fn security_requirements(permission: Permission) -> Vec<SecurityRequirement> {
    let mut requirements = Vec::new();
    if permission == Permission::Public {
        return requirements;
    }
    for scheme in ["token", "apiKey"] {
        for scope in [Scope::Full, Scope::Submit, Scope::Metrics] {
            let roles: &[&str] = if is_allowed(permission, Role::Member, scope) {
                &[]
            } else if is_allowed(permission, Role::Admin, scope) {
                &["admin"]
            } else {
                continue;
            };
            let all = [scope.as_str()].into_iter().chain(roles.iter().copied());
            requirements.push(SecurityRequirement::new(scheme, all));
        }
    }
    requirements
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_document_lists_exactly_the_routes_that_are_served() {
        // The document has no CORS preflights.
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

    #[test]
    fn required_scopes_come_from_the_permission() {
        let scopes = |permission| -> Vec<String> {
            let of = |r: &SecurityRequirement| serde_json::to_string(r).unwrap();
            security_requirements(permission)
                .iter()
                .take(2)
                .map(of)
                .collect()
        };
        assert_eq!(
            scopes(Permission::Submit),
            [r#"{"token":["full"]}"#, r#"{"token":["submit"]}"#]
        );
        assert_eq!(
            scopes(Permission::Admin)[0],
            r#"{"token":["full","admin"]}"#
        );
    }
}
