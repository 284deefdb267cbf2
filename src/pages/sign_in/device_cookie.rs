//! Recognizes browsers that have signed in before, by a signed cookie. A stranger who guesses
//! passwords can't delay the first attempt of such a browser.
//!
//! OWASP calls such a cookie a "device cookie". It belongs to one user and grants no access.

use actix_web::HttpResponse;
use actix_web::cookie::time::Duration as CookieDuration;
use ring::hmac;

use super::throttle::Client;
use crate::domain::account::User;
use crate::domain::id::UserId;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::session;
use crate::server::{cookies, tokens};

/// The lifetime of the cookie in days. Browsers don't allow a longer lifetime.
const DEVICE_COOKIE_MAX_AGE_DAYS: i64 = 400;
/// Maximum number of cookie values that are verified for one request.
const VERIFIED_VALUES_MAX: usize = 8;

/// Returns the name of the user's cookie. A browser can have cookies of several users.
fn cookie_name(user: &UserId) -> String {
    let hash = tokens::sha256(user.to_string());
    format!("miniback_device_{}", hex::encode(&hash[..4]))
}

fn signed_text(user: &UserId, device: &str) -> String {
    format!("device {user} {device}")
}

/// Returns the cookie's value, if the browser has signed in as this user before.
fn find_valid_cookie_value(context: &RequestContext, user: &UserId) -> Option<String> {
    let key = &context.state.device_key;
    let name = cookie_name(user);
    let mut values =
        cookies::cookie_values(context.request.headers(), &name).take(VERIFIED_VALUES_MAX);
    let value = values.find(|value| is_valid_cookie_value(key, user, value));
    value.map(str::to_owned)
}

fn is_valid_cookie_value(key: &hmac::Key, user: &UserId, value: &str) -> bool {
    let Some((device, tag)) = value.split_once('.') else {
        return false;
    };
    hex::decode(tag)
        .is_ok_and(|tag| hmac::verify(key, signed_text(user, device).as_bytes(), &tag).is_ok())
}

fn generate_cookie_value(key: &hmac::Key, user: &UserId) -> String {
    let device = tokens::random_token();
    let tag = hmac::sign(key, signed_text(user, &device).as_bytes());
    format!("{device}.{}", hex::encode(tag))
}

/// Returns the client that is signing in: the browser if it has signed in as `user` before,
/// otherwise its IP address.
pub fn sign_in_client(context: &RequestContext, user: Option<&User>) -> Client {
    match user.and_then(|user| find_valid_cookie_value(context, &user.id)) {
        Some(value) => Client::from_identity(value),
        None => Client::from_ip(context.client_ip()),
    }
}

/// Adds the cookie to the response of a successful sign-in.
pub fn set_device_cookie(context: &RequestContext, response: &mut HttpResponse, user: &UserId) {
    let value = find_valid_cookie_value(context, user)
        .unwrap_or_else(|| generate_cookie_value(&context.state.device_key, user));
    let mut cookie = session::build_cookie(context, cookie_name(user), value);
    cookie.set_max_age(CookieDuration::days(DEVICE_COOKIE_MAX_AGE_DAYS));
    session::set_cookie(response, &cookie);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_valid_for_one_user_and_one_installation() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &[1; 32]);
        let other_key = hmac::Key::new(hmac::HMAC_SHA256, &[2; 32]);
        let (ada, bob) = (UserId::from_bytes([1; 16]), UserId::from_bytes([2; 16]));
        let value = generate_cookie_value(&key, &ada);
        assert!(is_valid_cookie_value(&key, &ada, &value));
        assert!(!is_valid_cookie_value(&key, &bob, &value));
        assert!(!is_valid_cookie_value(&other_key, &ada, &value));
        let (device, tag) = value.split_once('.').unwrap();
        for forged in [
            String::new(),
            device.to_owned(),
            format!("{device}."),
            format!("{device}x.{tag}"),
            format!("{device}.{}", &tag[..62]),
            format!(
                "{device}.{}",
                tag.replace(|c: char| c.is_ascii_digit(), "0")
            ),
        ] {
            assert!(!is_valid_cookie_value(&key, &ada, &forged), "{forged}");
        }
    }
}
