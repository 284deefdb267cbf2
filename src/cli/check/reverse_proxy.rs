//! Tests the reverse proxy: sends a request with a forged `X-Forwarded-For` header through
//! `--base-url`, and checks what has arrived at the running server.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use url::{Host, Url};

use super::CheckReport;
use crate::app::listeners;
use crate::clock::Clock;
use crate::config::{ListenAddress, ServeOptions};
use crate::delivery::{self, DeliverySettings};
use crate::domain::delivery::AttemptResult;
use crate::domain::egress_policy::EgressPolicy;
use crate::domain::endpoint_url::EndpointUrl;
use crate::random;
use crate::server::health::HEALTH_PATH;
use crate::server::proxy_test::{ArrivedRequest, KEY_NAME, ProxyTestTokens, TOKEN_HEADER};
use crate::store::{self, Store, StoreError};

/// The forged IP address, which is reserved for documentation (RFC 5737).
const FORGED_IP: &str = "192.0.2.1";

const SHARED_LIMIT: &str = "so all visitors share one rate limit";

/// Tests the reverse proxy, if `--base-url` is set and a server is running.
pub(super) async fn check_reverse_proxy(
    options: &ServeOptions,
    settings: &DeliverySettings,
    store: &Store,
    report: &mut CheckReport,
) -> Result<(), StoreError> {
    let Some(base_url) = &options.base_url else {
        return Ok(());
    };
    let name = format!("reverse proxy at {base_url}");
    if store::lock_holder(&options.data.data_dir).is_none() {
        report.report_advice(&format!(
            "{name}: not tested, because the server isn't running"
        ));
        return Ok(());
    }
    if is_own_url(base_url, &options.listener.listen) {
        report.report_advice(&format!("{name}: none; --base-url is the URL of --listen"));
        return Ok(());
    }
    let key = store
        .get_or_create_signing_key(KEY_NAME, random::bytes())
        .await?;
    let Some(result) = send_request(base_url, settings, &key).await else {
        return Ok(());
    };
    match parse_response(&result) {
        Ok(arrived) => report_arrived(&name, &arrived, report),
        Err(reason) => report.report_warning(&format!("{name}: not tested: {reason}")),
    }
    Ok(())
}

/// Returns whether a socket of `--listen` has the host and the port of the URL.
fn is_own_url(url: &Url, listen: &[ListenAddress]) -> bool {
    let ip = match url.host() {
        Some(Host::Domain("localhost")) => Some(Ipv4Addr::LOCALHOST.into()),
        Some(Host::Domain(_)) | None => None,
        Some(Host::Ipv4(ip)) => Some(IpAddr::from(ip)),
        Some(Host::Ipv6(ip)) => Some(IpAddr::from(ip)),
    };
    let sockets = listeners::socket_addresses(listen).unwrap_or_default();
    url.scheme() == "http"
        && sockets.iter().any(|socket| {
            let is_own_ip = ip == Some(socket.ip()) || socket.ip().is_unspecified();
            ip.is_some() && is_own_ip && url.port_or_known_default() == Some(socket.port())
        })
}

/// Sends the request. Returns `None` if the URL can't be requested.
async fn send_request(
    base_url: &Url,
    settings: &DeliverySettings,
    key: &[u8],
) -> Option<AttemptResult> {
    let base = base_url.as_str().trim_end_matches('/');
    let url = EndpointUrl::parse(&format!("{base}{HEALTH_PATH}")).ok()?;
    // The public URL isn't a webhook, so it can have any IP address.
    let everything = ["0.0.0.0/0", "::/0"].into_iter();
    let everything = everything
        .filter_map(|network| network.parse().ok())
        .collect();
    let policy = EgressPolicy::new(everything, false, Vec::new(), Vec::new());
    let settings = DeliverySettings {
        policy: Arc::new(policy),
        ..settings.clone()
    };
    let token = ProxyTestTokens::new(key).create_token(Clock::system().now());
    let headers = vec![
        (TOKEN_HEADER.to_string(), token),
        ("X-Forwarded-For".to_owned(), FORGED_IP.to_owned()),
    ];
    Some(delivery::get(&settings, &url, headers).await)
}

/// Returns the request that arrived, or the reason the response doesn't contain it.
fn parse_response(result: &AttemptResult) -> Result<ArrivedRequest, String> {
    match &result.response {
        Some(response) if result.outcome.is_success() => serde_json::from_slice(&response.body)
            .map_err(|_| {
                "the response isn't from the server that uses this data directory".to_owned()
            }),
        _ => Err(result.outcome.explanation()),
    }
}

fn report_arrived(name: &str, arrived: &ArrivedRequest, report: &mut CheckReport) {
    let ArrivedRequest {
        peer,
        suggested_trusted_proxy,
        ..
    } = arrived;
    let mut problems = Vec::new();
    if !arrived.is_trusted {
        problems.push(format!(
            "it connects from {peer}, which isn't in --trusted-proxy, {SHARED_LIMIT}; set \
             --trusted-proxy {suggested_trusted_proxy}"
        ));
    }
    match arrived.forwarded_for.last().map(String::as_str) {
        None => problems.push(format!(
            "it doesn't set X-Forwarded-For, {SHARED_LIMIT}; configure it to send the client's IP \
             address in this header"
        )),
        Some(FORGED_IP) => problems.push(
            "it passes on the client's own X-Forwarded-For, so clients can evade rate limits; \
             configure it to add the client's IP address to this header"
                .to_owned(),
        ),
        Some(_) => {}
    }
    for problem in &problems {
        report.report_failure(&format!("{name}: {problem} (docs/reverse-proxies.md)"));
    }
    if problems.is_empty() {
        report.report_ok(&format!("{name}: sends the client's IP address"));
    }
}
