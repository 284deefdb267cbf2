//! Parses `--listen`, the addresses of the sockets that `serve` listens on.

use std::fmt;
use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

/// The maximum length of the path of a Unix socket, in bytes.
const SOCKET_PATH_MAX: usize = 107;

const HINT: &str = "use HOST:PORT, :PORT, or unix:PATH, like 127.0.0.1:8080";

#[derive(Clone, Debug, Args)]
pub struct ListenerOptions {
    /// Where serve listens: HOST:PORT, :PORT (all network interfaces), or unix:PATH; port 0 picks
    /// a free port. Sockets passed by systemd are used instead
    #[arg(
        long,
        env = "MINIBACK_LISTEN",
        default_value = "127.0.0.1:8080",
        value_parser = ListenAddress::parse,
        value_delimiter = ',',
        value_name = "ADDRESS,…"
    )]
    pub listen: Vec<ListenAddress>,
}

/// One value of `--listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// `:PORT`: all network interfaces, over IPv4 and IPv6.
    AllInterfaces(u16),
    Socket(SocketAddr),
    /// A host name, which is looked up when the server starts.
    Host {
        name: String,
        port: u16,
    },
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AllInterfaces(port) => write!(f, ":{port}"),
            Self::Socket(address) => address.fmt(f),
            Self::Host { name, port } => write!(f, "{name}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl ListenAddress {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("unix:") {
            return parse_socket_path(path);
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Socket(address));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(format!("remove {scheme}://; {HINT}"));
        }
        if text.contains('/') {
            return Err(format!("for a Unix socket, use unix:{text}"));
        }
        if text.parse::<Ipv6Addr>().is_ok() {
            return Err("put the IPv6 address in brackets, like [::1]:8080".into());
        }
        match text.rsplit_once(':') {
            Some((host, port)) => parse_host_and_port(host, port),
            None if parse_port(text).is_some() => Err(format!(
                "use :{text} for all network interfaces, or 127.0.0.1:{text} for this machine only"
            )),
            None if url::Host::parse(text).is_ok() => Err(format!("add a port, like {text}:8080")),
            None => Err(HINT.into()),
        }
    }

    /// Returns whether other machines may be able to connect. Host names other than `localhost`
    /// aren't looked up.
    pub(super) fn is_reachable_from_other_machines(&self) -> bool {
        !self.is_loopback_port() && !matches!(self, Self::Unix(_))
    }

    /// Returns whether this is a port that only programs on this machine can connect to.
    pub fn is_loopback_port(&self) -> bool {
        match self {
            Self::Socket(address) => address.ip().to_canonical().is_loopback(),
            Self::Host { name, .. } => name == "localhost" || name.ends_with(".localhost"),
            Self::AllInterfaces(_) | Self::Unix(_) => false,
        }
    }
}

fn parse_host_and_port(host: &str, port: &str) -> Result<ListenAddress, String> {
    let Some(number) = parse_port(port) else {
        return Err("the port must be a number from 0 to 65535".into());
    };
    match host {
        "" => return Ok(ListenAddress::AllInterfaces(number)),
        "*" => return Err(format!("for all network interfaces, use :{number}")),
        _ => {}
    }
    match url::Host::parse(host) {
        Ok(url::Host::Domain(name)) => Ok(ListenAddress::Host { name, port: number }),
        Ok(url::Host::Ipv4(ip)) => Ok(ListenAddress::Socket((ip, number).into())),
        Ok(url::Host::Ipv6(ip)) => Ok(ListenAddress::Socket((ip, number).into())),
        Err(_) => Err(HINT.into()),
    }
}

fn parse_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

fn parse_socket_path(path: &str) -> Result<ListenAddress, String> {
    match path.len() {
        0 => Err("add a path, like unix:/run/miniback/miniback.sock".into()),
        length if length > SOCKET_PATH_MAX => Err(format!(
            "the path of a Unix socket can have at most {SOCKET_PATH_MAX} bytes"
        )),
        _ if path.ends_with('/') => Err("the path of a Unix socket can’t end with a slash".into()),
        _ => Ok(ListenAddress::Unix(path.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_formats_every_form() {
        for (text, expected) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            (" 0.0.0.0:0 ", "0.0.0.0:0"),
            ("[::1]:8080", "[::1]:8080"),
            (":8080", ":8080"),
            ("localhost:8080", "localhost:8080"),
            ("Feedback.Internal:80", "feedback.internal:80"),
            ("unix:/run/miniback.sock", "unix:/run/miniback.sock"),
            ("unix:a b", "unix:a b"),
        ] {
            let address = ListenAddress::parse(text).unwrap();
            assert_eq!(address.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn explains_each_mistake() {
        let long = format!("unix:/{}", "x".repeat(SOCKET_PATH_MAX));
        for (text, part) in [
            ("", "use HOST:PORT, :PORT, or unix:PATH"),
            ("8080", "use :8080 for all network interfaces"),
            ("localhost", "add a port, like localhost:8080"),
            ("127.0.0.1", "add a port, like 127.0.0.1:8080"),
            ("127.0.0.1:99999", "from 0 to 65535"),
            ("127.0.0.1:", "from 0 to 65535"),
            ("localhost:+80", "from 0 to 65535"),
            ("::1", "in brackets"),
            ("::1:8080", "in brackets"),
            ("*:8080", "use :8080"),
            ("http://127.0.0.1:8080", "remove http://"),
            ("/run/miniback.sock", "use unix:/run/miniback.sock"),
            ("a b:80", "use HOST:PORT"),
            ("unix:", "add a path"),
            ("unix:/run/", "slash"),
            (long.as_str(), "at most 107 bytes"),
        ] {
            let error = ListenAddress::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
