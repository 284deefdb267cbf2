//! Determines the client's IP address, Miniback's own origin as the browser sees it, and whether a
//! page of another origin sent the request.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HOST, HeaderName, HeaderValue, ORIGIN};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, web};
use ipnet::IpNet;

use super::AppState;
use super::urls::Urls;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The maximum number of untrusted peers that are remembered and logged.
const UNTRUSTED_PEERS_MAX: usize = 20;

/// The networks of `--trusted-proxy`. The `X-Forwarded-…` headers of all other senders are ignored.
#[derive(Clone, Debug)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    /// The first peers whose `X-Forwarded-…` headers were ignored.
    untrusted_peers: Arc<Mutex<BTreeSet<IpAddr>>>,
}

impl TrustedProxies {
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self {
            networks,
            untrusted_peers: Arc::default(),
        }
    }

    /// Returns the first peers whose `X-Forwarded-…` headers were ignored, at most 20.
    pub fn untrusted_peers(&self) -> Vec<IpAddr> {
        let peers = self.untrusted_peers.lock();
        let peers = peers.unwrap_or_else(PoisonError::into_inner);
        peers.iter().copied().collect()
    }

    /// Returns a value for `--trusted-proxy` that contains the current networks and `peer`.
    pub fn suggested_trusted_proxy_option(&self, peer: IpAddr) -> String {
        let networks = self.networks.iter().map(ToString::to_string);
        let all: Vec<_> = networks.chain([peer.to_string()]).collect();
        all.join(",")
    }

    /// Logs a warning about a peer whose `X-Forwarded-…` headers are ignored, once for each peer
    /// and for at most 20 peers. The warning can explain why all visitors behind a proxy share one
    /// rate limit.
    fn report_untrusted_peer(&self, peer: IpAddr) {
        let peers = self.untrusted_peers.lock();
        let mut peers = peers.unwrap_or_else(PoisonError::into_inner);
        if peers.len() < UNTRUSTED_PEERS_MAX && peers.insert(peer) {
            tracing::warn!(
                %peer,
                "ignoring X-Forwarded headers from an untrusted peer; if it is your reverse proxy, \
                 set --trusted-proxy {}",
                self.suggested_trusted_proxy_option(peer)
            );
        }
    }

    pub fn is_trusted(&self, ip: IpAddr) -> bool {
        self.networks
            .iter()
            .any(|network| network.contains(&ip.to_canonical()))
    }

    /// Returns the IP address of the client or proxy that has connected.
    pub fn peer_ip(&self, request: &HttpRequest) -> IpAddr {
        // The server sets a peer for every connection, so the default is never used.
        request
            .peer_addr()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| {
                peer.ip().to_canonical()
            })
    }

    /// Returns the client's IP address: from `X-Forwarded-For` or, if a trusted proxy didn't send
    /// one, the address of the peer.
    pub fn client_ip(&self, request: &HttpRequest) -> IpAddr {
        self.forwarded_client_ip(request)
            .unwrap_or_else(|| self.peer_ip(request))
    }

    /// Returns the client's IP address from `X-Forwarded-For`. Reads the header from the right,
    /// skipping trusted proxies. Returns `None` if the peer isn't trusted, or if the last entry
    /// isn't an IP address.
    pub fn forwarded_client_ip(&self, request: &HttpRequest) -> Option<IpAddr> {
        let mut sender = self.peer_ip(request);
        let mut client = None;
        let lines: Vec<&str> = request
            .headers()
            .get_all("x-forwarded-for")
            .filter_map(|v| v.to_str().ok())
            .collect();
        for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            if !self.is_trusted(sender) {
                break;
            }
            // Stop at the first entry that isn't an IP address.
            let Some(ip) = parse_forwarded_for_entry(entry.trim()) else {
                break;
            };
            sender = ip.to_canonical();
            client = Some(sender);
        }
        client
    }

    /// Returns whether the browser used HTTPS. Miniback itself serves only HTTP, so only a trusted
    /// proxy can report HTTPS, in `X-Forwarded-Proto`.
    pub fn is_https(&self, request: &HttpRequest) -> bool {
        let forwarded = request
            .headers()
            .get("x-forwarded-proto")
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        let last = forwarded.rsplit(',').next().unwrap_or_default().trim();
        request
            .peer_addr()
            .is_some_and(|peer| self.is_trusted(peer.ip()))
            && last.eq_ignore_ascii_case("https")
    }

    /// Returns Miniback's own origin as the browser sees it, such as `http://127.0.0.1:8080`.
    pub fn own_origin(&self, request: &HttpRequest) -> String {
        let scheme = if self.is_https(request) {
            "https"
        } else {
            "http"
        };
        let host = request
            .headers()
            .get(HOST)
            .and_then(|v| v.to_str().ok())
            .unwrap_or("localhost");
        format!("{scheme}://{host}")
    }
}

/// Middleware that logs untrusted peers that send `X-Forwarded-…` headers.
pub async fn report_untrusted_proxies(
    state: web::Data<AppState>,
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let headers = request.headers();
    if headers.contains_key("x-forwarded-for") || headers.contains_key("x-forwarded-proto") {
        let peer = request.peer_addr().map(|peer| peer.ip().to_canonical());
        if let Some(peer) = peer.filter(|peer| !state.proxies.is_trusted(*peer)) {
            state.proxies.report_untrusted_peer(peer);
        }
    }
    next.call(request).await
}

/// Returns whether the browser's headers say that a page of another origin sent the request.
///
/// Browsers send `Sec-Fetch-Site` over HTTPS and to localhost. Without this header, the function
/// compares `Origin` with Miniback's own origin. A `POST` with neither header doesn't come from a
/// browser.
pub fn is_cross_origin(proxies: &TrustedProxies, urls: &Urls, request: &HttpRequest) -> bool {
    let headers = request.headers();
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return !matches!(site.as_bytes(), b"same-origin" | b"none");
    }
    headers
        .get(ORIGIN)
        .is_some_and(|origin| !is_own_origin(proxies, urls, request, origin))
}

/// Returns whether `origin` is Miniback's own origin, either as the browser sees it or from
/// `--base-url`.
pub fn is_own_origin(
    proxies: &TrustedProxies,
    urls: &Urls,
    request: &HttpRequest,
    origin: &HeaderValue,
) -> bool {
    let own = proxies.own_origin(request);
    [Some(own.as_str()), urls.origin()]
        .into_iter()
        .flatten()
        .any(|own| own.as_bytes() == origin.as_bytes())
}

/// Returns the message for a rejected cross-origin request. If `Origin` is a URL other than
/// Miniback's own origin, the message contains both origins. The cause can be a missing
/// `--base-url`, or a proxy that changes `Host`. Logs the first such request without
/// `Sec-Fetch-Site` as a warning.
pub fn cross_origin_message(
    proxies: &TrustedProxies,
    urls: &Urls,
    request: &HttpRequest,
) -> String {
    static WARNED: AtomicBool = AtomicBool::new(false);
    let own = proxies.own_origin(request);
    let own = urls.origin().unwrap_or(&own);
    let headers = request.headers();
    let origin = headers.get(ORIGIN).and_then(|origin| origin.to_str().ok());
    let is_url = |origin: &&str| origin.starts_with("http") && origin.len() <= 200;
    let Some(origin) = origin.filter(is_url).filter(|origin| *origin != own) else {
        return format!("This form came from a site other than {own}. Nothing was changed.");
    };
    let mut message =
        format!("This form came from {origin}, but Miniback’s URL is {own}. Nothing was changed.");
    if !headers.contains_key(SEC_FETCH_SITE) {
        message.push_str(&format!(
            " If both are the same site, set --base-url to {origin}, with the path if there is one."
        ));
        if !WARNED.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                %origin,
                own_origin = %own,
                "rejected a form from another origin; if both are the same site, set --base-url"
            );
        }
    }
    message
}

/// Parses an entry of `X-Forwarded-For`: an IP address, or an IP address with a port.
pub fn parse_forwarded_for_entry(entry: &str) -> Option<IpAddr> {
    let with_port = || entry.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    entry.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn skips_only_trusted_proxies_in_x_forwarded_for() {
        let proxies = TrustedProxies::new(vec![
            "127.0.0.0/8".parse().unwrap(),
            "10.0.0.0/8".parse().unwrap(),
        ]);
        let client = |peer: &str, forwarded: &[&str]| {
            let mut request =
                TestRequest::default().peer_addr(format!("{peer}:1").parse().unwrap());
            for line in forwarded {
                request = request.append_header(("x-forwarded-for", *line));
            }
            proxies.client_ip(&request.to_http_request()).to_string()
        };
        assert_eq!(client("127.0.0.1", &[]), "127.0.0.1");
        assert_eq!(client("127.0.0.1", &["203.0.113.7"]), "203.0.113.7");
        assert_eq!(
            client("127.0.0.1", &["1.1.1.1, 203.0.113.7, 10.0.0.2"]),
            "203.0.113.7"
        );
        assert_eq!(
            client("127.0.0.1", &["1.1.1.1", "203.0.113.7,10.0.0.2"]),
            "203.0.113.7"
        );
        assert_eq!(client("127.0.0.1", &["203.0.113.7:41000"]), "203.0.113.7");
        assert_eq!(client("127.0.0.1", &["[2001:db8::1]:41000"]), "2001:db8::1");
        assert_eq!(client("127.0.0.1", &["unknown"]), "127.0.0.1");
        assert_eq!(client("203.0.113.9", &["1.1.1.1"]), "203.0.113.9");
    }
}
