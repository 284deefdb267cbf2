//! Where a request comes from: the client's address and our own origin as the browser sees it, through trusted proxies.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::{HOST, HeaderMap};
use ipnet::IpNet;

/// The networks (`--trusted-proxy`) whose `X-Forwarded-…` headers are believed.
#[derive(Clone, Debug)]
pub struct TrustedProxies(pub Vec<IpNet>);

impl TrustedProxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.0
            .iter()
            .any(|network| network.contains(&address.to_canonical()))
    }

    /// The client's address: `X-Forwarded-For` is read from the right, past the proxies that are trusted.
    pub fn client_ip(&self, request: &HttpRequest) -> IpAddr {
        // Requests come over TCP only, so there is a peer; without one nobody is trusted.
        let peer = request
            .peer_addr()
            .map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| {
                peer.ip().to_canonical()
            });
        self.client_ip_from(peer, request.headers())
    }

    fn client_ip_from(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        let lines: Vec<&str> = headers
            .get_all("x-forwarded-for")
            .filter_map(|v| v.to_str().ok())
            .collect();
        for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
            if !self.trusts(client) {
                break;
            }
            // What a trusted proxy cannot have written ends the chain.
            let Some(address) = parse_forwarded_for(entry.trim()) else {
                break;
            };
            client = address.to_canonical();
        }
        client
    }

    /// Whether the browser speaks https with us, or with the trusted proxy before us.
    pub fn is_https(&self, request: &HttpRequest) -> bool {
        let forwarded = request
            .headers()
            .get("x-forwarded-proto")
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default();
        let last = forwarded.rsplit(',').next().unwrap_or_default().trim();
        request
            .peer_addr()
            .is_some_and(|peer| self.trusts(peer.ip()))
            && last.eq_ignore_ascii_case("https")
    }

    /// Our origin as the request has it: `http://127.0.0.1:8080`.
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

/// An entry of `X-Forwarded-For`: an address; some proxies add the port.
fn parse_forwarded_for(entry: &str) -> Option<IpAddr> {
    let with_port = || entry.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    entry.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;

    #[test]
    fn forwarded_addresses_are_read_from_the_right_past_trusted_proxies_only() {
        let proxies = TrustedProxies(vec![
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
