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
use crate::domain::delivery::{AttemptResult, Outcome};
use crate::domain::egress_policy::EgressPolicy;
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::explanation::status_text;
use crate::random;
use crate::server::health::HEALTH_PATH;
use crate::server::proxy_test::{ArrivedRequest, KEY_NAME, ProxyTestTokens, TOKEN_HEADER};
use crate::server::request_origin::parse_forwarded_for_entry;
use crate::store::{self, Store, StoreError};

/// The forged IP address, which is reserved for documentation (RFC 5737).
const FORGED_IP: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

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
        ("X-Forwarded-For".to_owned(), FORGED_IP.to_string()),
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
        _ => Err(explain_failure(&result.outcome)),
    }
}

/// Explains why the public URL didn't respond as expected. The explanations of outcomes are about
/// webhooks, so a status and a timeout have their own explanations.
fn explain_failure(outcome: &Outcome) -> String {
    let about_proxy = |text: String| text.replace("endpoint", "proxy");
    match outcome {
        Outcome::Status {
            status: 300..=399,
            location: Some(location),
        } => format!(
            "it redirects to {location}; set --base-url to the URL that visitors use, and \
             configure the proxy not to redirect {HEALTH_PATH}"
        ),
        Outcome::Status { status, .. } => {
            let advice = match status {
                401 | 403 => "configure it to let requests to this path through without a sign-in",
                502..=504 => "check that it forwards requests to --listen, and read its log",
                _ => "check --base-url, and that it forwards requests to --listen",
            };
            let status = status_text(*status);
            format!("it responds to {HEALTH_PATH} with {status}; {advice}")
        }
        Outcome::Timeout(_) => format!(
            "{} Check that this machine can reach --base-url, and that the proxy is running.",
            about_proxy(outcome.summary())
        ),
        _ => about_proxy(outcome.explanation()),
    }
}

fn report_arrived(name: &str, arrived: &ArrivedRequest, report: &mut CheckReport) {
    let mut problems = Vec::new();
    if !arrived.is_trusted {
        problems.push(format!(
            "it connects from {}, which isn't in --trusted-proxy, {SHARED_LIMIT}; set \
             --trusted-proxy {}",
            arrived.peer, arrived.suggested_trusted_proxy
        ));
    }
    problems.extend(find_header_problem(arrived));
    for problem in &problems {
        report.report_failure(&format!("{name}: {problem} (docs/reverse-proxies.md)"));
    }
    if problems.is_empty() {
        report.report_ok(&format!("{name}: sends the client's IP address"));
    }
}

/// Returns the problem of `X-Forwarded-For`. If the proxy isn't trusted, the server hasn't used the
/// header, so this function reads the last entry.
fn find_header_problem(arrived: &ArrivedRequest) -> Option<String> {
    let Some(last) = arrived.forwarded_for.last() else {
        return Some(format!(
            "it doesn't set X-Forwarded-For, {SHARED_LIMIT}; configure it to send the client's IP \
             address in this header"
        ));
    };
    let last_ip = parse_forwarded_for_entry(last);
    if last_ip == Some(FORGED_IP) {
        return Some(
            "it passes on the client's own X-Forwarded-For, so clients can evade rate limits; \
             configure it to add the client's IP address to this header"
                .to_owned(),
        );
    }
    let client = if arrived.is_trusted {
        arrived.forwarded_client
    } else {
        last_ip
    };
    if client.is_some() {
        return None;
    }
    Some(format!(
        "the last entry of its X-Forwarded-For is “{last}”, which isn't an IP address, \
         {SHARED_LIMIT}; configure it to send the client's IP address in this header"
    ))
}
