//! Fuzz targets for headers: `Retry-After` in responses of endpoints, and the headers of requests.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::test::TestRequest;
use miniback::clock::Timestamp;
use miniback::domain::retry::hold_length;
use miniback::intake::translations::Translations;
use miniback::server::cookies;
use miniback::server::idempotency_key::idempotency_key;
use miniback::server::request_origin::{TrustedProxies, cross_origin_message, is_cross_origin};
use miniback::server::urls::Urls;

use super::support::{first_line, text};

/// Fuzzes `Retry-After`. Input: the value of the header.
pub fn retry_after(data: &[u8]) -> bool {
    let text = text(data);
    let now = Timestamp::from_millis(1_767_225_600_000);
    let hour = Duration::from_secs(3600);
    let hold_until = |status, text: &str, now: Timestamp| {
        hold_length(status, text, now).map(|length| now.plus(length))
    };
    assert_eq!(hold_until(500, &text, now), None);
    let until = hold_until(503, &text, now);
    assert_eq!(hold_until(429, &text, now), until);
    assert_eq!(hold_until(429, &format!(" {text}\t"), now), until);
    if let Ok(seconds @ 1..=3600) = text.parse::<u64>()
        && !text.starts_with('+')
    {
        assert_eq!(until, Some(now.plus(Duration::from_secs(seconds))));
    }
    let Some(until) = until else {
        return false;
    };
    assert!(now < until && until <= now.plus(hour));
    let later = hold_until(503, &text, now.plus(Duration::from_secs(1)));
    assert!(
        later.is_none_or(|later| until <= later),
        "a hold becomes shorter"
    );
    // The same time as an HTTP date must give the same result.
    let millis = u64::try_from(until.millis()).expect("the time is after 1970");
    let date = std::time::UNIX_EPOCH + Duration::from_millis(millis);
    let date = httpdate::fmt_http_date(date);
    assert_eq!(hold_until(503, &date, now), Some(until), "{date}");
    true
}

/// Fuzzes the headers of requests to Miniback. Input: the headers, one per line.
pub fn request_headers(data: &[u8]) -> bool {
    let text = text(data);
    let request = request(&text);
    let headers = request.headers();
    check_origin(&request);
    let client_ip = check_client_ip(&request, &text);

    let mut has_cookie = false;
    for name in ["session", "a", ""] {
        for value in cookies::cookie_values(headers, name) {
            has_cookie = true;
            assert_eq!(value.trim_matches('"'), value);
            assert!(!value.contains(';'));
            assert!(text.contains(value));
        }
    }
    let key = idempotency_key(&request);
    if let Ok(Some(key)) = &key {
        assert!((1..=255).contains(&key.len()));
        assert!(
            key.bytes()
                .all(|byte| byte == b' ' || byte.is_ascii_graphic() || byte == b'\t')
        );
    }
    let language = headers.get("accept-language");
    let language = language.and_then(|value| value.to_str().ok());
    let language = language.unwrap_or_default();
    let chosen = &Translations::for_accept_language(language).lang;
    let upper = language.to_ascii_uppercase();
    assert_eq!(Translations::for_accept_language(&upper).lang, *chosen);
    let spaced = language.replace(',', " ,\t");
    assert_eq!(Translations::for_accept_language(&spaced).lang, *chosen);

    has_cookie || client_ip.is_some() || chosen != "en" || matches!(key, Ok(Some(_)))
}

fn request(text: &str) -> HttpRequest {
    let mut request =
        TestRequest::post().peer_addr("127.0.0.1:1".parse().expect("a socket address"));
    for line in text.lines() {
        if let Some((name, value)) = line.split_once(':')
            && let Ok(name) = HeaderName::from_bytes(name.trim().as_bytes())
            && let Ok(value) = HeaderValue::from_str(value.trim())
        {
            request = request.append_header((name, value));
        }
    }
    request.to_http_request()
}

/// Checks that only headers from a trusted proxy determine the client's IP address. Returns this IP
/// address if it differs from the proxy's IP address.
fn check_client_ip(request: &HttpRequest, text: &str) -> Option<IpAddr> {
    let trusting = |network: &str| TrustedProxies::new(vec![network.parse().expect("a network")]);
    let peer: IpAddr = "127.0.0.1".parse().expect("an IP address");
    assert_eq!(trusting("10.0.0.0/8").client_ip(request), peer);
    assert!(!trusting("10.0.0.0/8").is_https(request));
    let client = trusting("127.0.0.0/8").client_ip(request);
    assert_eq!(client, client.to_canonical());
    assert!(
        client == peer || text.to_ascii_lowercase().contains("x-forwarded-for"),
        "{client}"
    );
    (client != peer).then_some(client)
}

fn check_origin(request: &HttpRequest) {
    let proxies = TrustedProxies::new(vec!["127.0.0.0/8".parse().expect("a network")]);
    let urls = Urls::new(None);
    let own = proxies.own_origin(request);
    assert!(own.starts_with(if proxies.is_https(request) {
        "https://"
    } else {
        "http://"
    }));
    let headers = request.headers();
    let site = headers.get("sec-fetch-site");
    let origin = headers.get("origin");
    let is_cross = is_cross_origin(&proxies, &urls, request);
    match (site, origin) {
        (Some(site), _) => assert_eq!(is_cross, site != "same-origin" && site != "none"),
        (None, Some(origin)) => assert_eq!(is_cross, origin.as_bytes() != own.as_bytes()),
        (None, None) => assert!(!is_cross),
    }
    let message = cross_origin_message(&proxies, &urls, request);
    assert!(message.len() <= 1000 + own.len());
    let (first, _) = first_line(&message);
    assert_eq!(first, message, "a message is one line");
}
