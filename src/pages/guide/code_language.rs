//! The language of the example code in the guide: the language in the URL (`?language=KEY`) or, if
//! the URL contains none, in a cookie that stores the last choice. The cookie contains nothing
//! else.

use actix_web::HttpResponse;
use actix_web::cookie::time::Duration as CookieDuration;

use crate::pages::framework::context::RequestContext;
use crate::pages::framework::session;
use crate::server::cookies;

const COOKIE_NAME: &str = "miniback_language";
const LANGUAGE_COOKIE_MAX_AGE_DAYS: i64 = 365;

/// Returns the key of the chosen example: from the URL or, if the URL contains no key, from the
/// cookie. The key isn't validated, so it may not match any example.
pub(super) fn chosen_language(context: &RequestContext) -> Option<String> {
    let remembered = || {
        let headers = context.request.headers();
        let mut values = cookies::cookie_values(headers, COOKIE_NAME);
        values.next().map(str::to_owned)
    };
    context.query_param("language").or_else(remembered)
}

/// Stores `key` in the cookie if the URL contains this key.
pub(super) fn remember_language(
    context: &RequestContext,
    response: &mut HttpResponse,
    key: &'static str,
) {
    if context.query_param("language").as_deref() != Some(key) {
        return;
    }
    let mut cookie = session::build_cookie(context, COOKIE_NAME.to_owned(), key.to_owned());
    cookie.set_max_age(CookieDuration::days(LANGUAGE_COOKIE_MAX_AGE_DAYS));
    session::set_cookie(response, &cookie);
}
