//! The test of the reverse proxy by `miniback check`. The command sends a request with a forged
//! `X-Forwarded-For` header to the public URL, and the response describes the request that arrived.
//!
//! The request has a token that only a program with access to the database can create. Strangers
//! therefore can't find out which proxies are trusted.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, HeaderName};
use actix_web::{HttpRequest, HttpResponse};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::AppState;
use crate::clock::Timestamp;
use crate::random;

/// The header with the token.
pub const TOKEN_HEADER: HeaderName = HeaderName::from_static("x-miniback-proxy-test");
/// The name of the signing key in the database.
pub const KEY_NAME: &str = "proxy_tests";
/// The maximum age of a token.
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);

/// Creates and checks tokens.
pub struct ProxyTestTokens(hmac::Key);

impl ProxyTestTokens {
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Returns a new token, which contains a nonce so that no cache has a response to the request.
    pub fn create_token(&self, now: Timestamp) -> String {
        let nonce = URL_SAFE_NO_PAD.encode(random::bytes::<12>());
        let signed = format!("{}.{nonce}", now.millis());
        let tag = URL_SAFE_NO_PAD.encode(hmac::sign(&self.0, signed.as_bytes()));
        format!("{signed}.{tag}")
    }

    fn is_valid(&self, token: &str, now: Timestamp) -> bool {
        let Some((signed, tag)) = token.rsplit_once('.') else {
            return false;
        };
        let tag = URL_SAFE_NO_PAD.decode(tag).unwrap_or_default();
        let time = signed.split('.').next().and_then(|time| time.parse().ok());
        let is_recent = time.is_some_and(|millis| {
            let created = Timestamp::from_millis(millis);
            now.since(created) <= TOKEN_LIFETIME && created.since(now) <= TOKEN_LIFETIME
        });
        is_recent && hmac::verify(&self.0, signed.as_bytes(), &tag).is_ok()
    }
}

/// The request that arrived, in the response to a test.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArrivedRequest {
    /// The IP address of the client or proxy that has connected.
    pub peer: String,
    pub is_trusted: bool,
    /// The client's IP address from `X-Forwarded-For`, which the rate limits use; `None` if they
    /// use the address of the peer.
    pub forwarded_client: Option<IpAddr>,
    /// The entries of `X-Forwarded-For`, from left to right.
    pub forwarded_for: Vec<String>,
    /// The value of `--trusted-proxy` that also trusts the peer.
    pub suggested_trusted_proxy: String,
}

/// Returns the response to a test, or `None` if the request isn't a test or its token is invalid.
pub(super) fn respond_to_proxy_test(app: &AppState, request: &HttpRequest) -> Option<HttpResponse> {
    let token = request.headers().get(TOKEN_HEADER)?.to_str().ok()?;
    if !app.proxy_tests.is_valid(token, app.clock.now()) {
        return None;
    }
    let lines = request.headers().get_all("x-forwarded-for");
    let entries = lines.filter_map(|line| line.to_str().ok());
    let entries = entries.flat_map(|line| line.split(','));
    let peer = app.proxies.peer_ip(request);
    let arrived = ArrivedRequest {
        peer: peer.to_string(),
        is_trusted: app.proxies.is_trusted(peer),
        forwarded_client: app.proxies.forwarded_client_ip(request),
        forwarded_for: entries.map(|entry| entry.trim().to_owned()).collect(),
        suggested_trusted_proxy: app.proxies.suggested_trusted_proxy_option(peer),
    };
    let mut response = HttpResponse::Ok();
    Some(
        response
            .insert_header((CACHE_CONTROL, "no-store"))
            .json(arrived),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_valid_for_a_minute_and_only_with_their_key() {
        let tokens = ProxyTestTokens::new(&[1; 32]);
        let now = Timestamp::from_millis(1_764_000_000_000);
        let token = tokens.create_token(now);
        assert_ne!(token, tokens.create_token(now));
        for (seconds, expected) in [(0, true), (60, true), (61, false)] {
            let difference = Duration::from_secs(seconds);
            assert_eq!(tokens.is_valid(&token, now.plus(difference)), expected);
            assert_eq!(tokens.is_valid(&token, now.minus(difference)), expected);
        }
        assert!(!ProxyTestTokens::new(&[2; 32]).is_valid(&token, now));
        for invalid in ["", ".", "1.2.3", &token[1..], &token[..token.len() - 1]] {
            assert!(!tokens.is_valid(invalid, now), "{invalid}");
        }
    }
}
