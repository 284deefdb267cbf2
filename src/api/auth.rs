//! Authenticates a call by its API token (`Authorization: Bearer …` or `X-Api-Key: …`) and checks
//! whether the token grants the permission that the route requires. The hosted API paths also
//! accept the token as `?api_key=…`.

use std::future::{Ready, ready};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderName, HeaderValue, REFERRER_POLICY};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, ResponseError, web};

use super::{etag, known_query_parameters};
use crate::domain::account::ApiToken;
use crate::server::permissions::{Permission, is_allowed};
use crate::server::problem::Problem;
use crate::server::security_events::Actor;
use crate::server::{AppState, tokens};

/// The API token of the current request, as a handler argument.
#[derive(Clone)]
pub(super) struct Caller(pub(super) ApiToken);

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // On every route that isn't public, `authorize` adds the caller to the request's
        // extensions.
        ready(
            request
                .extensions()
                .get::<Self>()
                .cloned()
                .ok_or(Problem::Unauthorized(MISSING_TOKEN_MESSAGE)),
        )
    }
}

pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// The query parameter that can contain the token in a call to a hosted API path.
pub(super) const API_KEY_PARAMETER: &str = "api_key";

/// The parts of a request that can contain the API token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenLocations {
    Headers,
    HeadersAndQuery,
}

const MISSING_TOKEN_MESSAGE: &str =
    "Send an API token: “Authorization: Bearer mb_…”. To create one, run “miniback token create”.";
const UNKNOWN_TOKEN_MESSAGE: &str = "Unknown API token. It may have been revoked.";
const CONFLICTING_TOKENS_MESSAGE: &str = "The request has two different API tokens. Send only one.";

/// Route middleware that checks the caller's permission and the query parameters, and adds an
/// `ETag` to JSON responses of `GET` and `HEAD`.
pub(super) async fn authorize(
    permission: Permission,
    locations: TokenLocations,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let mut response = check_and_handle(permission, locations, request, next).await?;
    if locations == TokenLocations::HeadersAndQuery {
        // The URL may contain the token, so browsers must not send it to anybody as `Referer`.
        let no_referrer = HeaderValue::from_static("no-referrer");
        response.headers_mut().insert(REFERRER_POLICY, no_referrer);
    }
    Ok(response)
}

async fn check_and_handle(
    permission: Permission,
    locations: TokenLocations,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if permission != Permission::Public {
        match authenticate(permission, locations, &request).await {
            Ok(caller) => {
                request.extensions_mut().insert(Actor {
                    user: caller.0.user.id,
                    token: Some(caller.0.id),
                });
                request.extensions_mut().insert(caller);
            }
            Err(problem) => return Ok(request.into_response(problem.error_response())),
        }
    }
    if let Err(problem) = check_query_parameters(&request) {
        return Ok(request.into_response(problem.error_response()));
    }
    Ok(etag::add_etag(
        next.call(request).await?.map_into_boxed_body(),
    ))
}

/// Returns the SHA-256 of the request's API token. Ignores an `Authorization` header with another
/// scheme than `Bearer`, because it may be meant for a reverse proxy. Fails if the request contains
/// no API token, or two different tokens.
fn find_token_hash(
    request: &ServiceRequest,
    locations: TokenLocations,
) -> Result<[u8; 32], Problem> {
    let headers = request.headers();
    let bearers = headers.get_all(AUTHORIZATION).filter_map(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    let keys = headers.get_all(X_API_KEY).map(|value| value.to_str());
    let in_query = match locations {
        TokenLocations::Headers => "",
        TokenLocations::HeadersAndQuery => request.query_string(),
    };
    let in_query: Vec<_> = url::form_urlencoded::parse(in_query.as_bytes())
        .filter(|(name, _)| name == API_KEY_PARAMETER)
        .collect();
    let mut sent = bearers
        .chain(keys.map(|key| key.unwrap_or_default()))
        .chain(in_query.iter().map(|(_, value)| value.as_ref()))
        .map(str::trim);
    let token = sent
        .next()
        .filter(|token| token.starts_with(tokens::API_TOKEN_PREFIX))
        .ok_or(Problem::Unauthorized(MISSING_TOKEN_MESSAGE))?;
    if sent.any(|other| other != token) {
        return Err(Problem::Unauthorized(CONFLICTING_TOKENS_MESSAGE));
    }
    Ok(tokens::sha256(token))
}

fn check_query_parameters(request: &ServiceRequest) -> Result<(), Problem> {
    // Most calls have no query. Don't look up the route for them.
    if request.query_string().is_empty() {
        return Ok(());
    }
    let route = request.match_pattern().unwrap_or_default();
    let base_path = request
        .app_data::<web::Data<AppState>>()
        .map_or("", |app| app.urls.base_path());
    let route = route.strip_prefix(base_path).unwrap_or(&route);
    known_query_parameters::check_query_string(request.method(), route, request.query_string())
}

async fn authenticate(
    permission: Permission,
    locations: TokenLocations,
    request: &ServiceRequest,
) -> Result<Caller, Problem> {
    let hash = find_token_hash(request, locations)?;
    // The state is always present, because `app` adds it to every worker.
    let app = request
        .app_data::<web::Data<AppState>>()
        .ok_or(Problem::Unauthorized(UNKNOWN_TOKEN_MESSAGE))?;
    let found = app.store.api_token_by_hash(hash, app.clock.now()).await?;
    let (token, needs_touch) = found.ok_or(Problem::Unauthorized(UNKNOWN_TOKEN_MESSAGE))?;
    if !is_allowed(permission, token.user.role, token.scope) {
        return Err(Problem::Forbidden(format!(
            "This token isn’t allowed to do that (scope {}, role {}).",
            token.scope.as_str(),
            token.user.role
        )));
    }
    if needs_touch {
        let (store, id) = (app.store.clone(), token.id);
        // Don't wait, because updating `last_used_at` must not delay the call.
        actix_web::rt::spawn(async move { store.touch_token(id).await });
    }
    Ok(Caller(token))
}
