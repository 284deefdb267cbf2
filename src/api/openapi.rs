//! The OpenAPI 3.1 document, made from the code: what a call takes and answers is described beside its handler, its
//! schemas are the very structs that are read and written, and who may make it comes from the routes.
//!
//! What all calls have in common (the errors, the request's id, conditional reads) is added here, from what a call is.

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
use super::problem::Body;
use super::{
    deliveries, delivery_totals, door, feedback, metrics, projects, routes, secrets, test_events,
    webhooks,
};
use crate::domain::account::{Role, Scope};
use crate::server::Site;
use crate::server::access::{Needs, allows};
use crate::server::health;

const X_REQUEST_ID: &str = "X-Request-Id";
const NAMES_IT: &str = "By which the log names this request.";

/// The document; `address` is where the API is reached, without a slash at its end.
pub fn document(address: &str) -> utoipa::openapi::OpenApi {
    static MADE: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(make);
    let mut document = MADE.clone();
    document.servers = Some(vec![Server::new(address)]);
    document
}

/// Read this document
///
/// This document. It needs no token.
#[utoipa::path(get, path = "/api/v1/openapi.json", operation_id = "getDocument", tag = "Operations",
    responses((status = 200, description = "An OpenAPI 3.1 document", body = Object)))]
pub(super) async fn get(site: web::Data<Site>, request: HttpRequest) -> HttpResponse {
    let seen = site.proxies.seen_origin(&request);
    HttpResponse::Ok().json(document(&site.links.absolute(&seen, "")))
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Miniback", description = include_str!("openapi.md")),
    paths(
        projects::create, projects::list, projects::get, projects::change, projects::delete,
        feedback::create, feedback::list, feedback::get, feedback::change, feedback::delete,
        webhooks::create, webhooks::list, webhooks::get, webhooks::change, webhooks::delete,
        test_events::saved, test_events::unsaved, delivery_totals::get, door::take,
        secrets::get, secrets::rotate, secrets::finish,
        deliveries::list, deliveries::get, deliveries::redeliver, deliveries::recover,
        metrics::get, health::health, get,
    ),
    components(schemas(Body)),
    tags(
        (name = "Projects", description = "What feedback is about."),
        (name = "Feedback", description = "One message in a project, with a status: `NEW`, `REVIEWED` or `RESOLVED`."),
        (name = "Webhooks", description = "Endpoints that hear of what happens. They are the admins’."),
        (name = "Deliveries", description = "Events on their way to a webhook, each with its attempts. They are the admins’."),
        (name = "Operations", description = "For those who run it."),
    ),
)]
struct Described;

fn make() -> utoipa::openapi::OpenApi {
    let mut document = Described::openapi();
    document.info.license = None;
    let components = document.components.get_or_insert_default();
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("mb_…")
        .description(Some("An API token."))
        .build();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    let key =
        ApiKeyValue::with_description(X_API_KEY.as_str(), "The same token, in another header.");
    components.add_security_scheme("apiKey", SecurityScheme::ApiKey(ApiKey::Header(key)));
    for (status, _, description) in ERRORS {
        let mut response = Response::new(description);
        finish_error(status, &mut response);
        components
            .responses
            .insert(error_name(status), response.into());
    }

    name_what_lists_hold(&mut components.schemas);

    for call in routes::routes().list() {
        let item = document.paths.paths.get_mut(&call.path);
        if let Some(operation) = item.and_then(|item| operation(item, &call.method)) {
            complete(operation, &call.path, &call.method, call.needs);
        }
    }
    document
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

/// `List_Project` holds the whole schema of a project once more; a reference says which it is.
fn name_what_lists_hold(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
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

/// Errors that calls of a kind have in common: which calls, and what is said of them.
const ERRORS: [(&str, Applies, &str); 10] = [
    (
        "400",
        |call| call.takes_body,
        "The body is no JSON, or no UTF-8",
    ),
    (
        "401",
        |call| call.needs != Needs::Nothing,
        "No token, an unknown one, or two different ones",
    ),
    (
        "403",
        |call| call.needs != Needs::Nothing,
        "The token may not do this",
    ),
    ("404", |call| call.names_one, "There is none of this id"),
    (
        "408",
        |call| call.takes_body,
        "The body took too long to arrive",
    ),
    (
        "413",
        |call| call.takes_body,
        "The body has more than 64 KiB",
    ),
    (
        "415",
        |call| call.takes_body,
        "The body is not `application/json`",
    ),
    (
        "422",
        |call| call.takes_body || call.takes_query,
        "A field, limit, cursor or filter is wrong",
    ),
    (
        "503",
        |call| call.needs != Needs::Nothing,
        "The server is busy or restarting; try again",
    ),
    (
        "507",
        |call| call.needs != Needs::Nothing && !call.reads,
        "The server’s disk is full",
    ),
];

type Applies = fn(&Kind) -> bool;

/// What a call is, as far as its errors go.
struct Kind {
    needs: Needs,
    reads: bool,
    takes_body: bool,
    takes_query: bool,
    names_one: bool,
}

/// `Unauthorized` for 401: under which name an error stands in the document.
fn error_name(status: &str) -> String {
    let reason = status
        .parse::<u16>()
        .ok()
        .and_then(|code| StatusCode::from_u16(code).ok());
    let reason = reason.and_then(|status| status.canonical_reason());
    reason.unwrap_or(status).replace(' ', "")
}

/// What is said of an error, wherever it comes from.
fn finish_error(status: &str, response: &mut Response) {
    match status {
        "401" => header(response, "WWW-Authenticate", "`Bearer`"),
        "503" | "507" => header(response, "Retry-After", "Seconds to wait."),
        _ => {}
    }
    header(response, X_REQUEST_ID, NAMES_IT);
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    response
        .content
        .insert("application/problem+json".into(), problem);
}

/// Adds what the call itself does not say: the errors of its kind, the headers, conditional reads, who may make it.
fn complete(operation: &mut Operation, path: &str, method: &Method, needs: Needs) {
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let call = Kind {
        needs,
        reads: *method == Method::GET,
        takes_body: operation.request_body.is_some(),
        takes_query: parameters
            .iter()
            .any(|parameter| matches!(parameter.parameter_in, ParameterIn::Query)),
        names_one: path.contains('{'),
    };
    let responses = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        let RefOr::T(response) = response else {
            continue;
        };
        if status.as_str() >= "400" {
            finish_error(status, response);
            continue;
        }
        header(response, X_REQUEST_ID, NAMES_IT);
        if status == "201" {
            header(response, "Location", "The address of what was made.");
        }
    }
    for (status, applies, _) in ERRORS {
        if applies(&call) && !responses.contains_key(status) {
            let shared = Ref::from_response_name(error_name(status));
            responses.insert(status.into(), shared.into());
        }
    }
    if call.reads && path != "/metrics" && !path.ends_with("/secret") {
        conditional(operation);
    }
    // The one body that may be left out.
    if let (Some(body), true) = (&mut operation.request_body, path.ends_with("/rotate")) {
        body.required = Some(Required::False);
    }
    operation.security = Some(security(needs));
}

/// `ETag` and `If-None-Match`.
fn conditional(operation: &mut Operation) {
    if let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200") {
        header(
            response,
            "ETag",
            "Changes when the answer does; for `If-None-Match`.",
        );
    }
    let same = ResponseBuilder::new()
        .description("It has not changed since; no body")
        .header("ETag", Header::default())
        .header(X_REQUEST_ID, Header::default());
    operation
        .responses
        .responses
        .insert("304".into(), same.into());
    let condition = ParameterBuilder::new()
        .name("If-None-Match")
        .parameter_in(ParameterIn::Header)
        .description(Some("The `ETag` of an earlier answer: where nothing has changed since, 304 comes in place of the body."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build();
    operation.parameters.get_or_insert_default().push(condition);
}

fn header(response: &mut Response, name: &str, description: &str) {
    let header = HeaderBuilder::new()
        .schema(ObjectBuilder::new().schema_type(Type::String))
        .description(Some(description))
        .build();
    response.headers.insert(name.into(), header);
}

/// Which tokens may make a call: each alternative with its scope, and the role where only admins may.
fn security(needs: Needs) -> Vec<SecurityRequirement> {
    let mut requirements = Vec::new();
    if needs == Needs::Nothing {
        return requirements;
    }
    for scheme in ["token", "apiKey"] {
        for scope in [Scope::Full, Scope::Submit, Scope::Metrics] {
            let roles: &[&str] = if allows(needs, Role::Member, scope) {
                &[]
            } else if allows(needs, Role::Admin, scope) {
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
    fn the_document_has_the_calls_that_are_served_and_no_others() {
        // What a browser asks before it calls is no call.
        let calls = routes::routes().list().into_iter();
        let served = calls.filter(|call| call.method != Method::OPTIONS);
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
    fn the_scopes_come_from_the_routes() {
        let scopes = |needs| -> Vec<String> {
            let of = |r: &SecurityRequirement| serde_json::to_string(r).unwrap();
            security(needs).iter().take(2).map(of).collect()
        };
        assert_eq!(
            scopes(Needs::Submit),
            [r#"{"token":["full"]}"#, r#"{"token":["submit"]}"#]
        );
        assert_eq!(scopes(Needs::Admin)[0], r#"{"token":["full","admin"]}"#);
    }
}
