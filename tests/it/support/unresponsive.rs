//! A socket address that doesn't respond to connection attempts, like a host behind a firewall that
//! drops packets.

use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// A listener whose queue is full, so the kernel ignores further connection attempts. Clients
/// repeat an attempt after 1 s and 3 s.
pub struct UnresponsivePort {
    listener: Socket,
    address: SocketAddr,
    connections: Vec<Socket>,
}

impl UnresponsivePort {
    /// Starts the listener and fills its queue. `address` is an IPv4 address on loopback. Port 0
    /// selects a free port.
    #[track_caller]
    pub fn start(address: &str) -> Self {
        let address: SocketAddr = address.parse().expect("parse the socket address");
        let listener = tcp_socket();
        listener.bind(&address.into()).expect("bind the port");
        listener.listen(0).expect("listen");
        let bound = listener.local_addr().expect("read the socket address");
        // With a backlog of 0, the queue holds one connection. The kernel doesn't respond to
        // further attempts.
        let connections = (0..3).map(|_| start_connecting(&bound)).collect();
        Self {
            address: bound.as_socket().expect("get the socket address"),
            listener,
            connections,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the number of connection attempts that wait for a response.
    pub fn count_unanswered_attempts(&self) -> usize {
        let SocketAddr::V4(address) = self.address else {
            panic!("not an IPv4 address: {}", self.address);
        };
        // As in proc(5): the peer's address in hexadecimal, and the state SYN_SENT.
        let ip = u32::from_ne_bytes(address.ip().octets());
        let pattern = format!(" {ip:08X}:{:04X} 02 ", address.port());
        let table = std::fs::read_to_string("/proc/net/tcp").expect("read /proc/net/tcp");
        table.matches(&pattern).count()
    }

    /// Clears and extends the queue, so that the next connection attempt succeeds. Returns the
    /// listener.
    pub fn respond(mut self) -> TcpListener {
        self.connections.clear();
        self.listener.listen(16).expect("extend the queue");
        self.listener.into()
    }
}

fn tcp_socket() -> Socket {
    Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).expect("open a socket")
}

fn start_connecting(to: &SockAddr) -> Socket {
    let socket = tcp_socket();
    socket
        .set_nonblocking(true)
        .expect("make the socket non-blocking");
    let _ = socket.connect(to);
    socket
}
