//! Parsers for option values such as durations, networks, and the public URL. The error of a parser
//! says which value to use instead.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use crate::config_files;

/// The delays of `--retry-delays`: at most 20; empty for `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryDelays(pub Vec<Duration>);

fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim())
        .map_err(|_| "use a duration like 500ms, 5s, or 30d".into())
}

pub(super) fn parse_positive_duration(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("use a duration longer than 0".into()),
        time => Ok(time),
    }
}

/// Parses `--timeout`: at most 1 h, because a hanging attempt occupies a slot, and delays shutdown,
/// until the timeout.
pub(super) fn parse_timeout(text: &str) -> Result<Duration, String> {
    match parse_positive_duration(text)? {
        time if time > Duration::from_secs(3600) => Err("use a duration of at most 1h".into()),
        time => Ok(time),
    }
}

pub(super) fn parse_retry_delays(text: &str) -> Result<RetryDelays, String> {
    if text.trim() == "none" {
        return Ok(RetryDelays(Vec::new()));
    }
    let delays = text
        .split(',')
        .map(parse_duration)
        .collect::<Result<Vec<_>, _>>();
    match delays {
        Ok(delays) if delays.len() <= 20 => Ok(RetryDelays(delays)),
        Ok(_) => Err("use at most 20 delays".into()),
        Err(_) => Err("use delays like 1s,5s,15s, or none".into()),
    }
}

/// Parses `--base-url`: an HTTP or HTTPS URL with an optional path.
pub fn parse_base_url(text: &str) -> Result<Url, String> {
    let hint = "use the public URL, like https://example.com or https://example.com/miniback";
    let url = Url::parse(text.trim()).map_err(|_| hint.to_owned())?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        // The path appears in cookies and routes, where these characters have a special meaning.
        && !url.path().contains(['{', '}', ';', ',', '%', '*']);
    if is_plain && !url.path().contains("//") {
        Ok(url)
    } else {
        Err(hint.into())
    }
}

/// Rejects a base path whose first segment is also the first segment of a route. All URLs work with
/// and without the base path, so such a path would be ambiguous.
pub(super) fn check_base_path(url: &Url, route_prefixes: &BTreeSet<String>) -> Result<(), String> {
    let first = url.path_segments().and_then(|mut path| path.next());
    match first.filter(|first| route_prefixes.contains(*first)) {
        None => Ok(()),
        Some(first) => Err(format!(
            "--base-url: its path starts with /{first}, which Miniback uses itself; \
             choose another path, like /miniback"
        )),
    }
}

/// The networks of `--trusted-proxy`; empty for `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedNetworks(pub Vec<IpNet>);

pub(super) fn parse_trusted_networks(text: &str) -> Result<TrustedNetworks, String> {
    if text.trim() == "none" {
        return Ok(TrustedNetworks(Vec::new()));
    }
    let network = |text: &str| {
        let text = text.trim();
        text.parse()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
    };
    text.split(',')
        .map(network)
        .collect::<Result<_, _>>()
        .map(TrustedNetworks)
        .map_err(|_| "use IP addresses and networks such as 10.0.0.0/8, separated by commas, or the word none".into())
}

/// Parses a duration, or a whole number of seconds without a unit.
pub(super) fn parse_delay(text: &str) -> Result<Duration, String> {
    match text.trim().parse::<u32>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
        Err(_) => parse_duration(text),
    }
}

/// Reads a secret from the first line of `file`. Errors start with `variable`.
pub(super) fn read_secret_file(variable: &str, file: &Path) -> Result<String, String> {
    config_files::read_secret(file)
        .map_err(|error| format!("{variable}: can’t read {}: {error}", file.display()))
}

/// Parses a port. Replaces the error of the standard library, which doesn't mention the valid
/// range.
pub(super) fn parse_port(text: &str) -> Result<u16, String> {
    text.trim()
        .parse()
        .map_err(|_| "use a number from 0 to 65535".into())
}

/// Parses a number of deliveries.
pub(super) fn parse_delivery_count(text: &str) -> Result<u32, String> {
    text.trim()
        .parse()
        .map_err(|_| "use a number from 0 to 4294967295".into())
}

/// Parses the status of a response: 200 to 599.
pub(super) fn parse_response_status(text: &str) -> Result<u16, String> {
    match text.trim().parse() {
        Ok(status @ 200..=599) => Ok(status),
        _ => Err("use a status from 200 to 599".into()),
    }
}
