//! Connections from clients: framing, and how long each phase of a connection can take.

pub mod framing;

use std::net::TcpListener;
use std::time::Duration;

use rustix::net::sockopt;

/// How long a connection can wait for the next request. Common proxies keep idle connections for up
/// to 2 minutes, and must be the side that closes them: a request that a proxy sends while the
/// server closes gets no response.
pub const KEEP_ALIVE: Duration = Duration::from_secs(130);

/// Maximum number of bytes of a request's body that are read after the response.
const UNREAD_MAX_BYTES: usize = 64 * 1024;
/// How long a client can leave sent data unread or unacknowledged, in milliseconds. Then the kernel
/// closes the connection, so that a download that nobody reads doesn't hold memory.
const CLIENT_READ_TIMEOUT_MS: u32 = 30_000;

/// Sets the options that accepted connections inherit.
pub fn set_options(listener: &TcpListener) -> std::io::Result<()> {
    Ok(sockopt::set_tcp_user_timeout(
        listener,
        CLIENT_READ_TIMEOUT_MS,
    )?)
}
