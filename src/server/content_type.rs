//! The `Content-Type` of request bodies. Names of media types and character encodings are
//! case-insensitive (RFC 9110, section 8.3).

use actix_web::http::header::{CONTENT_TYPE, HeaderMap};

pub struct ContentType<'a>(&'a str);

impl<'a> ContentType<'a> {
    pub fn from_headers(headers: &'a HeaderMap) -> Self {
        let value = headers.get(CONTENT_TYPE);
        let value = value.and_then(|value| value.to_str().ok());
        Self(value.unwrap_or_default())
    }

    /// Returns whether the media type is `name`, ignoring parameters.
    pub fn is_media_type(&self, name: &str) -> bool {
        let media_type = self.0.split(';').next().unwrap_or_default();
        media_type.trim().eq_ignore_ascii_case(name)
    }

    /// Returns whether each `charset` parameter is UTF-8. Without a `charset`, UTF-8 is the
    /// default.
    pub fn is_utf8(&self) -> bool {
        let parameters = self.0.split(';').skip(1);
        let mut charsets = parameters.filter_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            let is_charset = name.trim().eq_ignore_ascii_case("charset");
            is_charset.then(|| value.trim().trim_matches(['"', '\'']))
        });
        charsets.all(|name| {
            ["utf-8", "utf8"]
                .iter()
                .any(|utf8| name.eq_ignore_ascii_case(utf8))
        })
    }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn compares_names_without_case() {
        for (value, is_json, is_utf8) in [
            ("application/json", true, true),
            ("APPLICATION/JSON", true, true),
            (" Application/Json ; Charset=\"UTF-8\"", true, true),
            ("application/json;charset=utf8", true, true),
            ("application/json; charset=utf-16", true, false),
            ("application/json; x=y; CHARSET=ISO-8859-1", true, false),
            (
                "application/json; charset=utf-8; charset=latin1",
                true,
                false,
            ),
            ("application/json; charset", true, true),
            ("application/jsonx", false, true),
            ("text/plain; application/json", false, true),
            ("", false, true),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
            let found = ContentType::from_headers(&headers);
            let found = (found.is_media_type("application/json"), found.is_utf8());
            assert_eq!(found, (is_json, is_utf8), "{value:?}");
        }
        assert!(!ContentType::from_headers(&HeaderMap::new()).is_media_type("application/json"));
    }
}
