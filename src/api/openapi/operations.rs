//! Adds errors, headers, conditional requests, and security to the operations of the OpenAPI
//! document.

use actix_web::http::{Method, StatusCode};
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::SecurityRequirement;
use utoipa::openapi::{
    Content, Header, HeaderBuilder, Ref, RefOr, Required, Response, ResponseBuilder,
};

use crate::api::hosted;
use crate::domain::account::{Role, Scope};
use crate::server::permissions::{Permission, is_allowed};

const X_REQUEST_ID: &str = "X-Request-Id";
const REQUEST_ID_DESCRIPTION: &str = "Identifies this request in the server’s log.";

/// Errors that many operations share: the status, a function that selects the operations, and a
/// description.
const SHARED_ERROR_RESPONSES: [(&str, OperationPredicate, &str); 11] = [
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
        "412",
        |call| call.is_versioned,
        "The object doesn’t have the version in `If-Match`",
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
        |call| call.has_body || call.rejects_unknown_query,
        "Invalid field, limit, cursor, or filter, or an unknown query parameter",
    ),
    (
        "503",
        |call| call.permission != Permission::Public,
        "The server is busy or restarting",
    ),
    (
        "507",
        |call| call.permission != Permission::Public && !call.is_read,
        "The server’s disk is full",
    ),
];

type OperationPredicate = fn(&OperationProperties) -> bool;

/// The properties of an operation that determine which errors it can return.
struct OperationProperties {
    permission: Permission,
    is_read: bool,
    has_body: bool,
    rejects_unknown_query: bool,
    has_id: bool,
    /// Whether the operation changes or deletes an object that has a version.
    is_versioned: bool,
}

/// Returns the shared error responses with their names in the document.
pub(super) fn shared_error_responses() -> impl Iterator<Item = (String, RefOr<Response>)> {
    SHARED_ERROR_RESPONSES
        .into_iter()
        .map(|(status, _, description)| {
            let mut response = Response::new(description);
            add_error_headers_and_body(status, &mut response);
            (error_response_name(status), response.into())
        })
}

/// Returns the name of a shared error in the document, for example `Unauthorized` for 401.
fn error_response_name(status: &str) -> String {
    let reason = status
        .parse::<u16>()
        .ok()
        .and_then(|code| StatusCode::from_u16(code).ok());
    let reason = reason.and_then(|status| status.canonical_reason());
    reason.unwrap_or(status).replace(' ', "")
}

/// Adds the headers and the body that all responses with this error status have.
fn add_error_headers_and_body(status: &str, response: &mut Response) {
    match status {
        "401" => add_response_header(response, "WWW-Authenticate", "`Bearer`"),
        "503" | "507" => add_response_header(response, "Retry-After", "Seconds to wait."),
        _ => {}
    }
    add_response_header(response, X_REQUEST_ID, REQUEST_ID_DESCRIPTION);
    let problem = Content::new(Some(Ref::from_schema_name("Problem")));
    response
        .content
        .insert("application/problem+json".into(), problem);
}

/// Adds the errors, headers, conditional requests, and security that result from the path, method,
/// and permission of an operation.
pub(super) fn add_errors_headers_and_security(
    operation: &mut Operation,
    path: &str,
    method: &Method,
    permission: Permission,
) {
    let call = OperationProperties {
        permission,
        is_read: *method == Method::GET,
        has_body: operation.request_body.is_some(),
        rejects_unknown_query: path.starts_with("/api/v1/"),
        has_id: path.contains('{'),
        is_versioned: matches!(*method, Method::PATCH | Method::DELETE),
    };
    let responses = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        let RefOr::T(response) = response else {
            continue;
        };
        if status.as_str() >= "400" {
            add_error_headers_and_body(status, response);
            continue;
        }
        add_response_header(response, X_REQUEST_ID, REQUEST_ID_DESCRIPTION);
        if status == "201" {
            add_response_header(response, "Location", "The path of the created object.");
        }
    }
    for (status, applies, _) in SHARED_ERROR_RESPONSES {
        if applies(&call) && !responses.contains_key(status) {
            let shared = Ref::from_response_name(error_response_name(status));
            responses.insert(status.into(), shared.into());
        }
    }
    if call.is_read && path != "/metrics" && !path.ends_with("/secret") {
        add_if_none_match(operation);
    }
    if call.is_versioned {
        add_if_match(operation);
    }
    // The calls that rotate a secret or test a saved webhook have an optional body.
    let is_optional = path.ends_with("/rotate") || path.ends_with("/{id}/test");
    if let (Some(body), true) = (&mut operation.request_body, is_optional) {
        body.required = Some(Required::False);
    }
    let mut schemes = vec!["token", "apiKey"];
    if path.starts_with(hosted::PATH_PREFIX) {
        schemes.push("apiKeyInQuery");
    }
    operation.security = Some(security_requirements(permission, &schemes));
}

/// Adds the `ETag` header, the `If-None-Match` parameter, and the response 304.
fn add_if_none_match(operation: &mut Operation) {
    if let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200") {
        add_response_header(
            response,
            "ETag",
            "Changes when the response changes. Send it back as `If-None-Match`.",
        );
    }
    let not_modified = ResponseBuilder::new()
        .description("Not modified")
        .header("ETag", Header::default())
        .header(X_REQUEST_ID, Header::default());
    operation
        .responses
        .responses
        .insert("304".into(), not_modified.into());
    let condition = ParameterBuilder::new()
        .name("If-None-Match")
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "The `ETag` of an earlier response. If nothing has changed, the response is 304 \
             without a body.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build();
    operation.parameters.get_or_insert_default().push(condition);
}

/// Adds the `If-Match` parameter, and the `ETag` of the changed object to the response.
fn add_if_match(operation: &mut Operation) {
    if let Some(RefOr::T(response)) = operation.responses.responses.get_mut("200") {
        add_response_header(response, "ETag", "The new version of the object.");
    }
    let condition = ParameterBuilder::new()
        .name("If-Match")
        .parameter_in(ParameterIn::Header)
        .description(Some(
            "The `ETag` of the object. If somebody else has changed the object since, the response \
             is 412 and nothing is changed.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build();
    operation.parameters.get_or_insert_default().push(condition);
}

fn add_response_header(response: &mut Response, name: &str, description: &str) {
    let header = HeaderBuilder::new()
        .schema(ObjectBuilder::new().schema_type(Type::String))
        .description(Some(description))
        .build();
    response.headers.insert(name.into(), header);
}

/// Returns the alternative ways to authenticate an operation with the security schemes; none for a
/// public operation. Each alternative requires a scope, and the role `admin` if only admins are
/// allowed.
fn security_requirements(permission: Permission, schemes: &[&str]) -> Vec<SecurityRequirement> {
    let mut requirements = Vec::new();
    if permission == Permission::Public {
        return requirements;
    }
    for scheme in schemes {
        for scope in [Scope::Full, Scope::Submit, Scope::Metrics] {
            let roles: &[&str] = if is_allowed(permission, Role::Member, scope) {
                &[]
            } else if is_allowed(permission, Role::Admin, scope) {
                &["admin"]
            } else {
                continue;
            };
            let all = [scope.as_str()].into_iter().chain(roles.iter().copied());
            requirements.push(SecurityRequirement::new(*scheme, all));
        }
    }
    requirements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_scopes_come_from_the_permission() {
        let scopes = |permission| -> Vec<String> {
            let to_json = |r: &SecurityRequirement| serde_json::to_string(r).unwrap();
            security_requirements(permission, &["token"])
                .iter()
                .take(2)
                .map(to_json)
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
