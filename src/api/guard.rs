//! Who makes a call: its token, as `Authorization: Bearer …` or as `X-Api-Key: …`, and whether the token's user may do
//! this (`server::access` weighs it).

use std::future::{Ready, ready};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, ResponseError, web};

use super::etag;
use super::problem::Problem;
use crate::domain::account::ApiToken;
use crate::server::access::{Needs, allows};
use crate::server::{Site, tokens};

/// The token by which a call is made, for handlers.
#[derive(Clone)]
pub(super) struct Caller(pub(super) ApiToken);

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // The guard has put it there, on every route that needs one.
        ready(
            request
                .extensions()
                .get::<Self>()
                .cloned()
                .ok_or(Problem::Unauthorized(MISSING)),
        )
    }
}

pub(super) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

const MISSING: &str =
    "Send an API token: Authorization: Bearer mb_… (miniback token create makes one).";
const UNKNOWN: &str = "This token is not known; it may have been revoked.";
const AMBIGUOUS: &str = "Two different tokens were sent; send one.";

/// Middleware of one route: lets pass who may do it.
pub(super) async fn guard(
    needs: Needs,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if needs != Needs::Nothing {
        match caller(needs, &request).await {
            Ok(caller) => {
                request.extensions_mut().insert(caller);
            }
            Err(problem) => return Ok(request.into_response(problem.error_response())),
        }
    }
    Ok(etag::tag(next.call(request).await?.map_into_boxed_body()))
}

/// The token that was sent. It may be sent in both headers; an `Authorization` of another scheme is not for us, but for
/// a proxy that stands before us.
fn token_in(headers: &HeaderMap) -> Result<&str, Problem> {
    let bearers = headers.get_all(AUTHORIZATION).filter_map(|value| {
        let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token)
    });
    let keys = headers.get_all(X_API_KEY).map(|value| value.to_str());
    let mut sent = bearers
        .chain(keys.map(|key| key.unwrap_or_default()))
        .map(str::trim);
    let token = sent
        .next()
        .filter(|token| token.starts_with(tokens::API_TOKEN_PREFIX))
        .ok_or(Problem::Unauthorized(MISSING))?;
    // Which of two was meant is not for us to guess.
    if sent.any(|other| other != token) {
        return Err(Problem::Unauthorized(AMBIGUOUS));
    }
    Ok(token)
}

async fn caller(needs: Needs, request: &ServiceRequest) -> Result<Caller, Problem> {
    let token = token_in(request.headers())?;
    // `Site` is given to every app that is built; without it nothing could be answered anyway.
    let site = request
        .app_data::<web::Data<Site>>()
        .ok_or(Problem::Unauthorized(UNKNOWN))?;
    let found = site
        .store
        .token(tokens::hash(token), site.clock.now())
        .await?;
    let (token, stale) = found.ok_or(Problem::Unauthorized(UNKNOWN))?;
    if !allows(needs, token.user.role, token.scope) {
        return Err(Problem::Forbidden(format!(
            "A token of scope {} of a user with the role {} may not do this.",
            token.scope.as_str(),
            token.user.role
        )));
    }
    if stale {
        let (store, id) = (site.store.clone(), token.id.clone());
        // Nobody waits for this: that it is used is worth less than the call itself.
        actix_web::rt::spawn(async move { store.touch_token(id).await });
    }
    Ok(Caller(token))
}
