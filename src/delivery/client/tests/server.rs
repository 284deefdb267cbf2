//! Test endpoints on loopback, with or without TLS, with scripted responses.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

pub trait Peer: Read + Write {}
impl<T: Read + Write> Peer for T {}

/// A running test endpoint. It records the number of connections and the requests.
pub struct Server {
    pub address: SocketAddr,
    traffic: Arc<Traffic>,
}

#[derive(Default)]
struct Traffic {
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
}

impl Server {
    /// Starts a server without TLS. Calls `respond` for each request, with the number of requests
    /// that preceded it on all connections. Closes the connection if `respond` returns false.
    pub fn start(respond: impl Fn(usize, &mut dyn Peer) -> bool + Send + Sync + 'static) -> Self {
        Self::start_on("127.0.0.1:0", |tcp| Some(Box::new(tcp)), respond)
    }

    pub fn start_with_tls(
        bind: &str,
        (certificate, key): (CertificateDer<'static>, PrivateKeyDer<'static>),
        respond: impl Fn(usize, &mut dyn Peer) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self::start_with_certificate_chain(bind, (vec![certificate], key), respond)
    }

    /// Starts a TLS server with a certificate chain and a private key, which don't have to match.
    pub fn start_with_certificate_chain(
        bind: &str,
        (chain, key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
        respond: impl Fn(usize, &mut dyn Peer) -> bool + Send + Sync + 'static,
    ) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = provider.key_provider.load_private_key(key).unwrap();
        let certificate = SingleCertAndKey::from(CertifiedKey::new(chain, key));
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(certificate));
        let config = Arc::new(config);
        let wrap = move |tcp: TcpStream| -> Option<Box<dyn Peer>> {
            let connection = ServerConnection::new(Arc::clone(&config)).ok()?;
            Some(Box::new(StreamOwned::new(connection, tcp)))
        };
        Self::start_on(bind, wrap, respond)
    }

    fn start_on(
        bind: &str,
        wrap: impl Fn(TcpStream) -> Option<Box<dyn Peer>> + Send + Sync + 'static,
        respond: impl Fn(usize, &mut dyn Peer) -> bool + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(bind).unwrap();
        let address = listener.local_addr().unwrap();
        let traffic = Arc::new(Traffic::default());
        let (shared, on_thread) = (Arc::new((wrap, respond)), Arc::clone(&traffic));
        thread::spawn(move || {
            for tcp in listener.incoming() {
                let (shared, traffic) = (Arc::clone(&shared), Arc::clone(&on_thread));
                traffic.connections.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    let Some(mut peer) = tcp.ok().and_then(|tcp| (shared.0)(tcp)) else {
                        return;
                    };
                    while let Some(request) = read_request(&mut *peer) {
                        let number = {
                            let mut requests = traffic.requests.lock().unwrap();
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
        Self { address, traffic }
    }

    pub fn connection_count(&self) -> usize {
        self.traffic.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<String> {
        self.traffic.requests.lock().unwrap().clone()
    }
}

/// Reads one request with its body. Returns `None` if the connection is closed before the
/// request is complete.
fn read_request(peer: &mut dyn Peer) -> Option<String> {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let text = String::from_utf8_lossy(&received);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("Content-Length: "));
            if body.len() >= length.map_or(0, |l| l.parse().unwrap()) {
                return Some(text.into_owned());
            }
        }
        match peer.read(&mut buffer) {
            Ok(count) if count > 0 => received.extend_from_slice(&buffer[..count]),
            _ => return None,
        }
    }
}

/// Writes all of `text`. Returns whether the write succeeded.
pub fn write(peer: &mut dyn Peer, text: impl AsRef<[u8]>) -> bool {
    peer.write_all(text.as_ref()).is_ok() && peer.flush().is_ok()
}

/// Sends nothing until the client closes the connection.
pub fn hang(peer: &mut dyn Peer) -> bool {
    let _ = peer.read(&mut [0; 1]);
    false
}
