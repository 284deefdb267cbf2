//! Opens a TCP connection to a host with several IP addresses (RFC 8305, "Happy Eyeballs").

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The delay before the attempt to connect to the next IP address, as RFC 8305, section 5,
/// recommends.
const CONNECTION_ATTEMPT_DELAY: Duration = Duration::from_millis(250);

/// An error from connecting to one IP address of a host.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {error}")]
pub struct TcpError {
    pub address: SocketAddr,
    #[source]
    pub error: io::Error,
}

/// Connects to the first IP address that accepts the connection. Tries the next IP address after
/// [`CONNECTION_ATTEMPT_DELAY`], or immediately after a failure, while earlier attempts continue.
/// After a success, the other attempts are dropped. The caller enforces the deadline.
///
/// If all attempts fail, returns the first error other than a missing route, or else the last
/// error. Returns `None` if there is no IP address.
pub async fn connect_to_any(addresses: &[SocketAddr]) -> Option<Result<TcpStream, TcpError>> {
    let mut waiting = interleave_address_families(addresses).into_iter();
    let mut running = FuturesUnordered::new();
    let mut failure: Option<TcpError> = None;
    loop {
        let next = waiting.next();
        let is_last = next.is_none();
        running.extend(next.map(async |address| (address, TcpStream::connect(address).await)));
        let finished = if is_last {
            running.next().await
        } else {
            match timeout(CONNECTION_ATTEMPT_DELAY, running.next()).await {
                Ok(finished) => finished,
                Err(_) => continue,
            }
        };
        match finished {
            Some((_, Ok(stream))) => return Some(Ok(stream)),
            Some((address, Err(error))) => match &failure {
                Some(known) if !is_route_missing(&known.error) => {}
                _ => failure = Some(TcpError { address, error }),
            },
            None if is_last => return failure.map(Err),
            None => {}
        }
    }
}

/// Orders IP addresses so that IPv6 and IPv4 alternate, starting with the family that the resolver
/// prefers.
fn interleave_address_families(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let Some(first) = addresses.first() else {
        return vec![];
    };
    let (preferred, other): (Vec<_>, Vec<_>) = addresses
        .iter()
        .partition(|address| address.is_ipv4() == first.is_ipv4());
    let mut other = other.into_iter();
    let mut order = Vec::with_capacity(addresses.len());
    for address in preferred {
        order.push(address);
        order.extend(other.next());
    }
    order.extend(other);
    order
}

/// Returns whether `error` means that there is no route to the IP address. A missing route may
/// affect only IPv4 or only IPv6. If the connection to another IP address fails for a different
/// reason, the caller reports that reason.
fn is_route_missing(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::AddrNotAvailable
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Vec<SocketAddr> {
        list.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn alternates_between_the_families() {
        for (resolved, tried) in [
            (vec![], vec![]),
            (vec!["1.1.1.1:1"], vec!["1.1.1.1:1"]),
            (
                vec!["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"],
                vec!["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"],
            ),
            (
                vec!["1.1.1.1:1", "[::1]:1", "[::2]:1"],
                vec!["1.1.1.1:1", "[::1]:1", "[::2]:1"],
            ),
        ] {
            let order = interleave_address_families(&addresses(&resolved));
            assert_eq!(order, addresses(&tried), "{resolved:?}");
        }
    }

    #[tokio::test]
    async fn tries_the_next_ip_address_after_a_refused_connection() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let closed = SocketAddr::from(([127, 0, 0, 2], good.port()));
        let stream = connect_to_any(&[closed, good]).await.unwrap().unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        let failure = connect_to_any(&[closed, closed])
            .await
            .unwrap()
            .unwrap_err();
        assert_eq!(failure.error.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(failure.address, closed);
        assert!(connect_to_any(&[]).await.is_none());
    }
}
