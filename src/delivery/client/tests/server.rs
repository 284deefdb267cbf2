//! Endpoints that misbehave in exactly one way, on loopback, plain or with TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub trait Peer: Read + Write {}
impl<T: Read + Write> Peer for T {}

/// A server, and what it saw.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Seen>,
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

impl Server {
    /// Calls `answer` for each request, with its number (over all connections, from 0); the connection is closed when
    /// that returns false.
    pub fn start(answer: impl Fn(usize, &mut dyn Peer) -> bool + Send + Sync + 'static) -> Self {
        Self::start_on("127.0.0.1:0", |tcp| Some(Box::new(tcp)), answer)
    }

    pub fn with_tls(
        bind: &str,
        (certificate, key): (CertificateDer<'static>, PrivateKeyDer<'static>),
        answer: impl Fn(usize, &mut dyn Peer) -> bool + Send + Sync + 'static,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        let wrap = move |tcp: TcpStream| -> Option<Box<dyn Peer>> {
            let connection = ServerConnection::new(Arc::clone(&config)).ok()?;
            Some(Box::new(StreamOwned::new(connection, tcp)))
        };
        Self::start_on(bind, wrap, answer)
    }

    fn start_on(
        bind: &str,
        wrap: impl Fn(TcpStream) -> Option<Box<dyn Peer>> + Send + Sync + 'static,
        answer: impl Fn(usize, &mut dyn Peer) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(bind).unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let (shared, on_thread) = (Arc::new((wrap, answer)), Arc::clone(&seen));
        thread::spawn(move || {
            for tcp in listener.incoming() {
                let (shared, seen) = (Arc::clone(&shared), Arc::clone(&on_thread));
                seen.connections.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    let Some(mut peer) = tcp.ok().and_then(|tcp| (shared.0)(tcp)) else {
                        return;
                    };
                    while let Some(request) = read_request(&mut *peer) {
                        let number = {
                            let mut requests = seen.requests.lock().unwrap();
                            requests.push(request);
                            requests.len() - 1
                        };
                        if !(shared.1)(number, &mut *peer) {
                            break;
                        }
                    }
                });
            }
        });
        Self { address, seen }
    }

    pub fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<String> {
        self.seen.requests.lock().unwrap().clone()
    }
}

/// One whole request, by its Content-Length.
fn read_request(peer: &mut dyn Peer) -> Option<String> {
    let mut got = Vec::new();
    let mut space = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&got);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "));
            if body.len() >= length.map_or(0, |l| l.parse().unwrap()) {
                return Some(text.into_owned());
            }
        }
        match peer.read(&mut space) {
            Ok(count) if count > 0 => got.extend_from_slice(&space[..count]),
            _ => return None,
        }
    }
}

/// Writes all of it; whether the peer still took it.
pub fn say(peer: &mut dyn Peer, text: impl AsRef<[u8]>) -> bool {
    peer.write_all(text.as_ref()).is_ok() && peer.flush().is_ok()
}

/// Says nothing more, until the other side gives up.
pub fn hang(peer: &mut dyn Peer) -> bool {
    let _ = peer.read(&mut [0; 1]);
    false
}
