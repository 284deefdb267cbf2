//! Fuzz targets for webhook URLs, the origins of websites, and `--base-url`.

use http::header::HeaderValue;
use http::uri::PathAndQuery;
use miniback::config::parse_base_url;
use miniback::domain::egress_policy::EgressPolicy;
use miniback::domain::endpoint_url::{EndpointUrl, Host, Scheme, URL_MAX_CHARS};
use miniback::domain::project::{ORIGINS_MAX, check_origins, parse_origin};
use miniback::server::urls::Urls;
use url::Url;

use super::support::{first_line, text};

/// Fuzzes the parser of webhook URLs. Input: a URL.
pub fn endpoint_url(data: &[u8]) -> bool {
    let text = text(data);
    let Ok(url) = EndpointUrl::parse(&text) else {
        return false;
    };
    assert_eq!(url.as_str(), text.trim());
    assert!(url.as_str().chars().count() <= URL_MAX_CHARS);
    assert_eq!(EndpointUrl::parse(url.as_str()).as_ref(), Ok(&url));

    let path = url.path_and_query();
    assert!(path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic()));
    assert!(!path.contains('#'));
    PathAndQuery::try_from(path).expect("the path fits in a request line");
    let host = url.host_header();
    assert!(host.bytes().all(|byte| byte.is_ascii_graphic()) && !host.contains(['@', '/']));
    HeaderValue::from_str(&host).expect("the host fits in a header");
    let scheme = match url.scheme() {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let normalized = format!("{scheme}://{host}{path}");
    // Skip a URL that percent-encoding has made too long.
    if normalized.len() <= URL_MAX_CHARS {
        let normalized = EndpointUrl::parse(&normalized).expect("the normalized URL is valid");
        assert!(normalized.is_equivalent(&url), "{normalized:?} {url:?}");
        assert_eq!(normalized.host(), url.host());
    }

    // By default, a webhook's URL needs HTTPS and a public IP address. Localhost is allowed with
    // any scheme.
    let is_allowed = EgressPolicy::default().check_url(&url).is_ok();
    match url.host() {
        Host::Name(name) => {
            assert_eq!(name, name.to_ascii_lowercase());
            let is_localhost = name == "localhost";
            assert_eq!(is_allowed, url.scheme() == Scheme::Https || is_localhost);
        }
        Host::Ip(ip) if is_allowed => {
            assert!(ip.is_loopback() || url.scheme() == Scheme::Https);
        }
        Host::Ip(_) => {}
    }
    true
}

/// Fuzzes the parsers of `--base-url` and of allowed origins. Input: a base URL on the first line,
/// then origins.
pub fn origins(data: &[u8]) -> bool {
    let text = text(data);
    let (base_url, lines) = first_line(&text);
    let is_base_url_valid = check_base_url(base_url);
    let lines: Vec<String> = lines.lines().map(str::to_owned).collect();
    for line in &lines {
        if let Some(origin) = parse_origin(line) {
            assert_eq!(parse_origin(&origin).as_ref(), Some(&origin));
        }
    }
    let count = lines.len();
    let Ok(origins) = check_origins(lines) else {
        return is_base_url_valid;
    };
    assert!(origins.len() <= count.min(ORIGINS_MAX));
    for (index, origin) in origins.iter().enumerate() {
        assert_eq!(parse_origin(origin).as_ref(), Some(origin));
        assert!(!origins[..index].contains(origin));
        assert!(origin.bytes().all(|byte| byte.is_ascii_graphic()));
    }
    let again = check_origins(origins.clone());
    assert_eq!(again.expect("the origins are valid"), origins);
    is_base_url_valid || !origins.is_empty()
}

fn check_base_url(text: &str) -> bool {
    let Ok(base_url) = parse_base_url(text) else {
        return false;
    };
    let again = parse_base_url(base_url.as_str());
    assert_eq!(again.as_ref(), Ok(&base_url));
    let urls = Urls::new(Some(&base_url));
    let path = urls.path("/login");
    assert!(path.starts_with('/') && !path.starts_with("//"), "{path}");
    let cookie_path = urls.cookie_path();
    assert!(cookie_path.starts_with('/'));
    assert!(
        cookie_path
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b';')
    );
    let absolute = urls.absolute_url("http://unused.example", "/login");
    let absolute = Url::parse(&absolute).expect("an absolute URL is valid");
    assert_eq!(absolute.path(), path);
    assert_eq!(absolute.origin(), base_url.origin());
    true
}
