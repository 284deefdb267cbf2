//! How values are written: times, lists, networks, the public address. Each error says how it should be.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

/// What our own addresses begin with.
const OWN_ADDRESSES: [&str; 13] = [
    "api",
    "docs",
    "f",
    "feedback",
    "healthz",
    "login",
    "logout",
    "metrics",
    "settings",
    "setup",
    "sign-in",
    "static",
    "widget.js",
];

/// The delays of `--retry-delays`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryDelays(pub Vec<Duration>);

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text.trim()).map_err(|_| "write a time like 500ms, 5s or 30d".into())
}

pub(super) fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("write a time longer than 0".into()),
        time => Ok(time),
    }
}

/// A timeout holds a slot and the shutdown: an hour is the most.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    match positive_duration(text)? {
        time if time > Duration::from_secs(3600) => Err("write a time of at most 1h".into()),
        time => Ok(time),
    }
}

pub(super) fn retry_delays(text: &str) -> Result<RetryDelays, String> {
    if text.trim() == "none" {
        return Ok(RetryDelays(Vec::new()));
    }
    let delays = text.split(',').map(duration).collect::<Result<Vec<_>, _>>();
    match delays {
        Ok(delays) if delays.len() <= 20 => Ok(RetryDelays(delays)),
        Ok(_) => Err("give at most 20 delays".into()),
        Err(_) => Err("write delays like 1s,5s,15s, or none".into()),
    }
}

pub(super) fn base_url(text: &str) -> Result<Url, String> {
    let hint = "write the public address, like https://example.com or https://example.com/miniback";
    let url = Url::parse(text.trim()).map_err(|_| hint.to_owned())?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none()
        // The path stands in cookies and in routes, where these would mean something.
        && !url.path().contains(['{', '}', ';', ',', '%', '*']);
    // A proxy may strip the path or not: a path that begins as one of our own addresses would mean both.
    let first = url
        .path()
        .trim_start_matches('/')
        .split('/')
        .next()
        .unwrap_or_default();
    if OWN_ADDRESSES.contains(&first) {
        return Err(format!(
            "its path begins with /{first}, an address of Miniback’s own; choose another one, like /miniback"
        ));
    }
    if plain && !url.path().contains("//") {
        Ok(url)
    } else {
        Err(hint.into())
    }
}

pub(super) fn socket_address(text: &str) -> Result<SocketAddr, String> {
    let hint = "write an address and a port, like 127.0.0.1:8080 or [::1]:8080";
    text.trim().parse().map_err(|_| hint.into())
}

pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let text = text.trim();
    text.parse()
        .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
        .map_err(|_| "write networks like 10.0.0.0/8, or addresses".into())
}

/// Bare seconds are taken as well.
pub(super) fn delay(text: &str) -> Result<Duration, String> {
    match text.trim().parse::<u32>() {
        Ok(seconds) => Ok(Duration::from_secs(seconds.into())),
        Err(_) => duration(text),
    }
}

/// A secret from a file that `variable` names: its first line.
pub(super) fn read_secret_file(variable: &str, file: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{variable}: cannot read {}: {error}", file.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
