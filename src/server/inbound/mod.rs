//! Handles connections from clients: frames the responses, and enforces a deadline for each phase.

mod client_stream;
mod connection_state;
pub mod framing;
mod socket;
mod worker_threads;

use std::future::ready;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, KeepAlive, Protocol, Request};
use actix_service::{
    IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config,
};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Response, Server};
use actix_web::{Error, rt::net::TcpStream, rt::net::UnixStream};

use client_stream::ClientStream;
use connection_state::Connections;
use socket::ClientSocket;
pub use socket::Listener;
pub use worker_threads::WorkerThreads;

/// The maximum time that a connection waits for the next request. Common proxies keep idle
/// connections for up to 2 minutes, and the proxy must close them first. If the server closes a
/// connection just when a proxy sends a request, the proxy receives no response.
const IDLE_TIMEOUT: Duration = Duration::from_secs(130);
/// Maximum time for the head of a request to arrive. The time starts when the first byte of the
/// head arrives or, for the first request, when the connection is accepted.
const REQUEST_HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum time without progress in sending, as reported by the kernel. A client's kernel
/// reports free space in large steps, so the server can be blocked for tens of seconds while a slow
/// client reads steadily.
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// Size of the send buffer. The kernel doubles this size, and reports free space when a third of
/// the buffer is free.
const SEND_BUFFER_BYTES: usize = 128 * 1024;
/// The maximum number of connections that wait until they are accepted. With the standard library's
/// 128, clients of a burst lose their first packet and connect a second later.
const LISTEN_BACKLOG: i32 = 4096;
/// The maximum time that a client can continue to send after a response to an incomplete request.
const LINGER_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum number of bytes of a request's body that are read and discarded after the handler
/// returns.
const UNREAD_BODY_MAX_BYTES: usize = 64 * 1024;
/// The maximum time that a response is delayed until the rest of a short body arrives. Many clients
/// send the head and the body separately.
const UNREAD_BODY_TIMEOUT: Duration = Duration::from_millis(150);

/// The peer of every connection to a Unix socket: a process on this machine.
const UNIX_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// The limits of an HTTP server.
#[derive(Clone, Copy)]
pub struct ServerLimits {
    /// The number of threads.
    pub workers: usize,
    /// The number of connections at which a thread stops accepting more connections.
    pub connections_per_worker: usize,
    /// The time limit for requests in flight when the server stops.
    pub shutdown_timeout: Duration,
}

impl ServerLimits {
    /// Returns the number of open connections at which each new connection evicts a connection that
    /// waits for its client.
    fn eviction_threshold(&self) -> usize {
        self.connections_per_worker - self.connections_per_worker.div_ceil(16)
    }
}

/// A connection and its peer.
type AcceptedConnection = (ClientSocket, Option<SocketAddr>);

/// Starts an HTTP server on `listeners`. `new_app` is called in each worker thread, once for each
/// listener. The worker threads add themselves to `workers`.
pub fn serve<F, I, S, B>(
    listeners: Vec<Listener>,
    limits: ServerLimits,
    workers: &WorkerThreads,
    new_app: F,
) -> std::io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    B: MessageBody + 'static,
{
    let mut builder = Server::build()
        .disable_signals()
        .workers(limits.workers)
        .max_concurrent_connections(limits.connections_per_worker)
        .shutdown_timeout(limits.shutdown_timeout.as_secs());
    let stopping = builder.graceful_shutdown_signal();
    let workers = workers.clone();
    let new_service = move || {
        workers.add_current();
        let connections = Connections::of_this_thread(limits.eviction_threshold());
        let stopping = stopping.clone();
        let http = http_service(new_app(), move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        });
        fn_service(move |(socket, client): AcceptedConnection| {
            let stream = ClientStream::new(socket, connections.add());
            ready(Ok::<_, DispatchError>((stream, Protocol::Http1, client)))
        })
        .and_then(http)
    };
    for listener in listeners {
        listener.set_options()?;
        let new_service = new_service.clone();
        builder = match listener {
            Listener::Tcp(listener) => builder.listen("miniback", listener, move || {
                fn_service(|stream: TcpStream| {
                    let client = stream.peer_addr().ok();
                    ready(Ok::<_, DispatchError>((ClientSocket::Tcp(stream), client)))
                })
                .and_then(new_service())
            })?,
            Listener::Unix(listener) => builder.listen_uds("miniback", listener, move || {
                fn_service(|stream: UnixStream| {
                    ready(Ok::<_, DispatchError>((
                        ClientSocket::Unix(stream),
                        Some(UNIX_PEER),
                    )))
                })
                .and_then(new_service())
            })?,
        };
    }
    Ok(builder.run())
}

/// Creates the service that handles the requests of connections. `stopping` returns a future that
/// resolves when the server stops.
fn http_service<I, S, B, Fut>(
    app: I,
    stopping: impl Fn() -> Fut + 'static,
) -> impl ServiceFactory<
    (ClientStream, Protocol, Option<SocketAddr>),
    Config = (),
    Response = (),
    Error = DispatchError,
    InitError = (),
>
where
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<Error> + 'static,
    S::InitError: std::fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    B: MessageBody + 'static,
    Fut: Future<Output = ()> + 'static,
{
    let app = app.into_factory();
    let app = app.map_err(|error| error.into().error_response());
    // `ClientStream` enforces all deadlines, so the deadlines of actix are disabled.
    HttpService::build()
        .keep_alive(KeepAlive::Os)
        .client_request_timeout(Duration::ZERO)
        .client_disconnect_timeout(Duration::ZERO)
        .graceful_shutdown_signal(stopping)
        .on_connect_ext(|stream: &ClientStream, data| {
            data.insert(stream.connection_state().clone());
        })
        .finish(map_config(app, |()| AppConfig::default()))
}
