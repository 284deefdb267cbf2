//! The sockets that the server listens on: the sockets of `--listen`, or the sockets that systemd
//! has passed.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, ToSocketAddrs};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use listenfd::ListenFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::unix_socket::{self, SocketFile};
use crate::config::ListenAddress;
use crate::domain::egress_policy;
use crate::io_errors;
use crate::server::inbound::Listener;

/// The number of connections that wait until the server has started.
const BACKLOG: i32 = 128;
/// The number of the first file descriptor that systemd passes.
const FIRST_PASSED_SOCKET: usize = 3;

/// The reason the server can't listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(
        "--listen: can’t listen on {address}: {reason}; {advice}",
        reason = io_errors::describe(.source), advice = socket_advice(.source)
    )]
    Socket {
        address: ListenAddress,
        source: io::Error,
    },
    #[error("--listen: {second} overlaps with {first}; remove one of them")]
    Overlap {
        first: ListenAddress,
        second: ListenAddress,
    },
    #[error("--listen: can’t find the IP address of {name}; use an IP address instead")]
    UnknownHost { name: String },
    #[error(
        "--listen: can’t create {path}: {reason}; choose another path",
        path = .path.display(), reason = unix_socket::creation_error_reason(.source)
    )]
    UnixSocket { path: PathBuf, source: io::Error },
    #[error(
        "--listen: another program is listening on {path}; stop it, or choose another path",
        path = .0.display()
    )]
    UnixSocketInUse(PathBuf),
    #[error(
        "--listen: {path} exists and isn’t a socket; move it away, or choose another path",
        path = .0.display()
    )]
    NotASocket(PathBuf),
    #[error(
        "file descriptor {0}, passed in LISTEN_FDS, isn’t a TCP socket or Unix socket that accepts \
         connections; in the socket unit, use only ListenStream=, and Accept=no"
    )]
    PassedSocket(usize),
}

impl ListenError {
    /// Returns whether the configuration is invalid. If not, a later start can succeed.
    pub(super) fn is_configuration_error(&self) -> bool {
        matches!(
            self,
            Self::Overlap { .. } | Self::NotASocket(_) | Self::PassedSocket(_)
        )
    }
}

fn socket_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            "choose a port from 1024 on, or grant the capability CAP_NET_BIND_SERVICE"
        }
        _ => "choose another IP address or port",
    }
}

/// Sockets that listen.
#[derive(Default)]
pub struct Listeners(Vec<BoundListener>);

struct BoundListener {
    /// The address with the actual port.
    address: ListenAddress,
    listener: Listener,
    /// The file of a Unix socket; `None` if systemd has created the file.
    file: Option<SocketFile>,
}

impl Listeners {
    /// Listens on the addresses of `--listen`.
    pub fn bind(addresses: &[ListenAddress]) -> Result<Self, ListenError> {
        let mut bound = Self::default();
        for (index, address) in addresses.iter().enumerate() {
            let listener = match address {
                ListenAddress::Unix(_) if addresses[..index].contains(address) => {
                    return Err(ListenError::Overlap {
                        first: address.clone(),
                        second: address.clone(),
                    });
                }
                ListenAddress::Unix(path) => {
                    let (listener, file) = unix_socket::bind(path)?;
                    BoundListener {
                        address: address.clone(),
                        listener: Listener::Unix(listener),
                        file: Some(file),
                    }
                }
                _ => bind_tcp(address)
                    .map_err(|error| find_overlap(error, &addresses[..index], &bound))?,
            };
            bound.0.push(listener);
        }
        Ok(bound)
    }

    /// Returns the sockets that systemd passed, or `None` if it passed none. Call this function
    /// before starting any thread, because it removes environment variables.
    pub fn passed_by_systemd() -> Result<Option<Self>, ListenError> {
        let mut passed = ListenFd::from_env();
        let mut listeners = Self::default();
        for index in 0..passed.len() {
            let invalid = |_| ListenError::PassedSocket(index + FIRST_PASSED_SOCKET);
            let listener = match passed.take_tcp_listener(index) {
                Ok(Some(listener)) => Self::from_tcp(listener).map_err(invalid)?,
                _ => match passed.take_unix_listener(index).map_err(invalid)? {
                    Some(listener) => Self::from_unix(listener).map_err(invalid)?,
                    None => continue,
                },
            };
            listeners.0.extend(listener.0);
        }
        Ok((!listeners.0.is_empty()).then_some(listeners))
    }

    /// Uses a TCP socket that listens already.
    pub fn from_tcp(listener: TcpListener) -> io::Result<Self> {
        check_listening(&listener)?;
        Ok(Self(vec![BoundListener {
            address: ListenAddress::Socket(listener.local_addr()?),
            listener: Listener::Tcp(listener),
            file: None,
        }]))
    }

    fn from_unix(listener: UnixListener) -> io::Result<Self> {
        check_listening(&listener)?;
        let address = listener.local_addr()?;
        let path = address.as_pathname().map(ToOwned::to_owned);
        Ok(Self(vec![BoundListener {
            address: ListenAddress::Unix(path.unwrap_or_else(|| "(abstract socket)".into())),
            listener: Listener::Unix(listener),
            file: None,
        }]))
    }

    /// Returns the addresses, with the actual ports.
    pub fn addresses(&self) -> Vec<ListenAddress> {
        self.0.iter().map(|bound| bound.address.clone()).collect()
    }

    /// Splits the listeners from the files of Unix sockets, which must exist until the server
    /// stops.
    pub(super) fn into_parts(self) -> (Vec<Listener>, Vec<SocketFile>) {
        let (listeners, files): (Vec<_>, Vec<_>) = self
            .0
            .into_iter()
            .map(|bound| (bound.listener, bound.file))
            .unzip();
        (listeners, files.into_iter().flatten().collect())
    }
}

fn check_listening(socket: impl std::os::fd::AsFd) -> io::Result<()> {
    match sockopt::socket_acceptconn(socket)? {
        true => Ok(()),
        false => Err(ErrorKind::InvalidInput.into()),
    }
}

fn bind_tcp(address: &ListenAddress) -> Result<BoundListener, ListenError> {
    let fail = |source| ListenError::Socket {
        address: address.clone(),
        source,
    };
    let listener = match (address, socket_address(address)?) {
        (ListenAddress::AllInterfaces(port), _) => bind_all_interfaces(*port),
        (_, Some(address)) => TcpListener::bind(address),
        (_, None) => Err(ErrorKind::InvalidInput.into()),
    };
    let listener = listener.map_err(fail)?;
    Ok(BoundListener {
        address: ListenAddress::Socket(listener.local_addr().map_err(fail)?),
        listener: Listener::Tcp(listener),
        file: None,
    })
}

/// Listens on all interfaces, over IPv6 and IPv4 or, if the machine has no IPv6, only over IPv4.
fn bind_all_interfaces(port: u16) -> io::Result<TcpListener> {
    match bind_dual_stack(port) {
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))
        }
        bound => Ok(bound?),
    }
}

/// Listens on `[::]`, also for IPv4. The standard library leaves this to a setting of the system.
fn bind_dual_stack(port: u16) -> Result<TcpListener, Errno> {
    let (family, flags) = (AddressFamily::INET6, SocketFlags::CLOEXEC);
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_ipv6_v6only(&socket, false)?;
    rustix::net::bind(
        &socket,
        &SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0),
    )?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Returns a better error if the socket overlaps with one of the `earlier` sockets.
fn find_overlap(error: ListenError, earlier: &[ListenAddress], bound: &Listeners) -> ListenError {
    let ListenError::Socket { address, source } = error else {
        return error;
    };
    let wanted = socket_address(&address).ok().flatten();
    let overlaps = |bound: &BoundListener| match (socket_address(&bound.address), wanted) {
        (Ok(Some(bound)), Some(wanted)) => {
            let ips = [bound.ip(), wanted.ip()];
            bound.port() == wanted.port()
                && (ips[0] == ips[1] || ips.iter().any(IpAddr::is_unspecified))
        }
        _ => false,
    };
    let mut earlier = earlier.iter().zip(&bound.0);
    match earlier.find(|(_, bound)| source.kind() == ErrorKind::AddrInUse && overlaps(bound)) {
        Some((first, _)) => ListenError::Overlap {
            first: first.clone(),
            second: address,
        },
        None => ListenError::Socket { address, source },
    }
}

/// Returns the IP address and port to listen on, or `None` for a Unix socket. Looks up host names,
/// and prefers IPv4. `localhost` isn't looked up.
fn socket_address(address: &ListenAddress) -> Result<Option<SocketAddr>, ListenError> {
    let (name, port) = match address {
        ListenAddress::AllInterfaces(port) => {
            return Ok(Some((Ipv6Addr::UNSPECIFIED, *port).into()));
        }
        ListenAddress::Socket(address) => return Ok(Some(*address)),
        ListenAddress::Unix(_) => return Ok(None),
        ListenAddress::Host { name, port } if name == "localhost" => {
            return Ok(Some((Ipv4Addr::LOCALHOST, *port).into()));
        }
        ListenAddress::Host { name, port } => (name, *port),
    };
    let unknown = || ListenError::UnknownHost { name: name.clone() };
    let found = (name.as_str(), port).to_socket_addrs();
    let mut found: Vec<_> = found.map_err(|_| unknown())?.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found.first().copied().map(Some).ok_or_else(unknown)
}

/// Returns the IP addresses and ports of all TCP sockets in `addresses`.
pub fn socket_addresses(addresses: &[ListenAddress]) -> Result<Vec<SocketAddr>, ListenError> {
    let found = addresses.iter().map(socket_address);
    found.filter_map(Result::transpose).collect()
}

/// Returns the IP address and port at which a program on this machine can connect to `address`:
/// loopback if the server listens on all interfaces. Returns `None` for a Unix socket.
pub fn local_socket_address(address: &ListenAddress) -> Result<Option<SocketAddr>, ListenError> {
    // Over IPv4, because a machine without IPv6 listens only on IPv4.
    if let ListenAddress::AllInterfaces(port) = address {
        return Ok(Some((Ipv4Addr::LOCALHOST, *port).into()));
    }
    Ok(socket_address(address)?.map(|mut address| {
        match address.ip() {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        address
    }))
}

/// Returns the URLs of the sockets, such as `http://127.0.0.1:8080` or `unix:/run/miniback.sock`.
pub fn listener_urls(addresses: &[ListenAddress]) -> Vec<String> {
    let url = |address: &ListenAddress| match address {
        ListenAddress::Unix(_) => address.to_string(),
        ListenAddress::AllInterfaces(port) => format!("http://[::]:{port}"),
        _ => format!("http://{address}"),
    };
    addresses.iter().map(url).collect()
}

/// Returns the origin of a URL that a person can open in a browser, such as
/// `http://localhost:8080`. Use it for the setup URL if `--base-url` isn't set. `listen` is the
/// value of `--listen`, or the addresses of the running server.
///
/// The origin belongs to the first TCP socket. If this socket listens on all network interfaces,
/// the host is the machine's public IP address or, without a public IP address, `localhost`: a
/// container has only private IP addresses, and its published port is reachable on `localhost`.
/// If there are only Unix sockets, the origin is `http://localhost`, where a proxy may be running.
pub fn browser_origin(listen: &[ListenAddress]) -> String {
    let first = listen
        .iter()
        .find(|address| !matches!(address, ListenAddress::Unix(_)));
    match first {
        None | Some(ListenAddress::Unix(_)) => "http://localhost".to_owned(),
        Some(ListenAddress::AllInterfaces(port)) => origin_of_all_interfaces(*port),
        Some(ListenAddress::Socket(address)) if address.ip().to_canonical().is_unspecified() => {
            origin_of_all_interfaces(address.port())
        }
        Some(address) => format!("http://{address}"),
    }
}

fn origin_of_all_interfaces(port: u16) -> String {
    match public_ip_address() {
        Some(ip) => format!("http://{}", SocketAddr::new(ip, port)),
        None => format!("http://localhost:{port}"),
    }
}

/// Returns a public IP address of this machine's own interfaces; an IPv4 address, if there is one.
fn public_ip_address() -> Option<IpAddr> {
    let interfaces = if_addrs::get_if_addrs().ok()?;
    let mut public: Vec<_> = interfaces
        .iter()
        .map(if_addrs::Interface::ip)
        .filter(|ip| egress_policy::is_global(*ip))
        .collect();
    public.sort_by_key(IpAddr::is_ipv6);
    public.first().copied()
}
