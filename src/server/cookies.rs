//! Reads cookies. Other programs on the same host also set cookies, so the header can contain
//! arbitrary text and repeated names.

use actix_web::http::header::{COOKIE, HeaderMap};

/// Returns all values of the cookie `name`, in the order in which the browser sent them.
pub fn cookie_values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(COOKIE)
        .flat_map(|header| header.as_bytes().split(|byte| *byte == b';'))
        .filter_map(move |cookie| {
            let cookie = std::str::from_utf8(cookie).ok()?;
            let (found, value) = cookie.split_once('=')?;
            (found.trim() == name).then(|| value.trim().trim_matches('"'))
        })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn finds_all_values_between_other_cookies() {
        let mut headers = HeaderMap::new();
        for line in [
            &b"garbage; a=1;; =x; b=\"2\"; a2=3; a=\xff"[..],
            b" a = 4 ;A=5;a=6=7;%61=8",
        ] {
            headers.append(COOKIE, HeaderValue::from_bytes(line).unwrap());
        }
        let of = |name| cookie_values(&headers, name).collect::<Vec<_>>();
        assert_eq!(of("a"), ["1", "4", "6=7"]);
        assert_eq!(of("b"), ["2"]);
        assert!(of("c").is_empty());
    }
}
