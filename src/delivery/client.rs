//! Sends requests with awc. Returns responses and failures as data.
//!
//! An [`EndpointClient`] keeps connections alive between attempts. If a reused connection fails
//! before the first byte of a response, the request is sent once more on a new connection. The
//! resend belongs to the same attempt and has the same deadline.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_service::fn_service;
use actix_tls::connect::{ConnectError as TcpConnectError, ConnectInfo, Connection};
use actix_web::HttpMessage;
use actix_web::error::PayloadError;
use actix_web::http::header::{HOST, HeaderName, HeaderValue};
use actix_web::http::{Method, Uri};
use actix_web::web::Bytes;
use awc::error::SendRequestError;
use awc::{Client, ClientResponse, Connector};
use futures_util::Stream;
use rustls::ClientConfig;
use tokio::time::{Instant, timeout_at};

use super::connector::connect;
use super::exchange_progress::{ExchangeProgress, PROGRESS};
use super::outcomes::{self, header_value};
use crate::domain::delivery::{
    AttemptResult, EndpointRequest, EndpointResponse, Outcome, RESPONSE_BODY_MAX_BYTES,
};
use crate::domain::egress_policy::EgressPolicy;
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::explanation;

#[cfg(test)]
mod tests;

/// The maximum idle time after which a connection can be reused. Node.js closes idle connections
/// after 5 s, and the second retry also starts after 5 s, so this time must be shorter.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// Creates clients that share a TLS configuration, an egress policy, and a time limit. Also tests
/// connections without sending a request.
#[derive(Clone)]
pub struct HttpSender {
    tls: Arc<ClientConfig>,
    policy: Arc<EgressPolicy>,
    timeout: Duration,
}

/// Sends requests to one URL and keeps its connections alive. Drop an idle client, because it
/// doesn't release connections that the peer has closed.
pub struct EndpointClient {
    sender: HttpSender,
    url: Rc<EndpointUrl>,
    client: Client,
    method: Method,
}

impl HttpSender {
    /// Creates a sender. `timeout` is the time limit of an attempt, including reading the response
    /// body.
    pub fn new(tls: Arc<ClientConfig>, policy: Arc<EgressPolicy>, timeout: Duration) -> Self {
        Self {
            tls,
            policy,
            timeout,
        }
    }

    /// Creates a client for `url`. Call this function and use the client only within an actix
    /// runtime.
    pub fn client_for(&self, url: &EndpointUrl) -> EndpointClient {
        let url = Rc::new(url.clone());
        EndpointClient {
            sender: self.clone(),
            client: self.new_awc_client(&url),
            url,
            method: Method::POST,
        }
    }

    /// Connects to the host of `url`, with a TLS handshake for `https`. Sends no request.
    pub async fn probe(&self, url: &EndpointUrl) -> Result<(), Outcome> {
        let progress = Rc::new(ExchangeProgress::new(Instant::now() + self.timeout));
        let connecting = connect(url, &self.policy, &self.tls, &progress);
        let connecting = PROGRESS.scope(Rc::clone(&progress), connecting);
        match timeout_at(progress.deadline(), connecting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(outcomes::from_connect_error(error, self.timeout, &progress)),
            Err(_) => Err(outcomes::from_timeout(self.timeout, &progress)),
        }
    }

    fn new_awc_client(&self, url: &Rc<EndpointUrl>) -> Client {
        let (sender, url) = (self.clone(), Rc::clone(url));
        let service = fn_service(move |info: ConnectInfo<Uri>| {
            let (sender, url) = (sender.clone(), Rc::clone(&url));
            async move {
                // Ignore awc's URI, because its host is a placeholder.
                let progress = PROGRESS
                    .try_with(Rc::clone)
                    .map_err(|e| TcpConnectError::Io(io::Error::other(e)))?;
                let stream = connect(&url, &sender.policy, &sender.tls, &progress)
                    .await
                    .map_err(|error| TcpConnectError::Io(io::Error::other(error)))?;
                Ok::<_, TcpConnectError>(Connection::new(info.request().clone(), stream))
            }
        });
        // awc's timeouts end at the response head and don't cover a resend, so we use our own
        // deadline.
        let connector = Connector::new()
            .limit(0)
            .conn_keep_alive(KEEP_ALIVE)
            .timeout(self.timeout.saturating_mul(2))
            .connector(service);
        Client::builder()
            .connector(connector)
            .disable_redirects()
            .disable_timeout()
            .no_default_headers()
            .finish()
    }
}

/// The result of sending the request once.
struct Exchange {
    result: Result<EndpointResponse, Outcome>,
    progress: Rc<ExchangeProgress>,
}

impl EndpointClient {
    /// Sets the method of requests, which is `POST` by default.
    pub fn with_method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    pub fn url(&self) -> &EndpointUrl {
        &self.url
    }

    /// Makes one attempt: sends a request and reads the response. Resends the request once if a
    /// reused connection failed before the response started.
    pub async fn attempt(&self, request: &EndpointRequest) -> AttemptResult {
        let started = Instant::now();
        let deadline = started + self.sender.timeout;
        let mut exchange = self.exchange(&self.client, request, deadline).await;
        if exchange.is_safe_to_resend() {
            // Use a new client, because the pool of the current client may contain more dead
            // connections.
            let client = self.sender.new_awc_client(&self.url);
            exchange = self.exchange(&client, request, deadline).await;
        }
        let (outcome, response) = match exchange.result {
            Ok(response) => (outcomes::from_response(&response), Some(response)),
            Err(outcome) => (outcome, None),
        };
        // If the attempt failed in the middle of a phase, record the duration of this phase too.
        exchange.progress.end_phase();
        AttemptResult {
            outcome,
            duration: started.elapsed(),
            timings: exchange.progress.timings(),
            response,
        }
    }

    async fn exchange(
        &self,
        client: &Client,
        request: &EndpointRequest,
        deadline: Instant,
    ) -> Exchange {
        let timeout = self.sender.timeout;
        let progress = Rc::new(ExchangeProgress::new(deadline));
        let sent = PROGRESS.scope(Rc::clone(&progress), async {
            let response = match timeout_at(deadline, self.send(client, request)).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => {
                    return Err(outcomes::from_send_error(error, timeout, &progress));
                }
                Err(_) => return Err(outcomes::from_timeout(timeout, &progress)),
            };
            Ok(read_response(response, timeout, &progress).await)
        });
        Exchange {
            result: sent.await,
            progress,
        }
    }

    async fn send(
        &self,
        client: &Client,
        request: &EndpointRequest,
    ) -> Result<ClientResponse, SendRequestError> {
        let target = request.path_and_query.as_deref();
        let target = target.unwrap_or(self.url.path_and_query());
        // The host in this URL is a placeholder. The connector decides where to connect, and we set
        // `Host`.
        let mut outgoing = client
            .request(self.method.clone(), format!("http://endpoint{target}"))
            .camel_case()
            .no_decompress();
        let headers = outgoing.headers_mut();
        let host = HeaderValue::from_str(&self.url.host_header());
        headers.insert(HOST, host.map_err(|e| SendRequestError::Http(e.into()))?);
        for (name, value) in &request.headers {
            headers.append(
                HeaderName::from_bytes(name.as_bytes())
                    .map_err(|e| SendRequestError::Http(e.into()))?,
                HeaderValue::from_str(value).map_err(|e| SendRequestError::Http(e.into()))?,
            );
        }
        outgoing.send_body(request.body.clone()).await
    }
}

impl Exchange {
    /// Returns whether the request can be resent: a reused connection failed before the first byte
    /// of a response, and the attempt didn't time out.
    fn is_safe_to_resend(&self) -> bool {
        let failed = match &self.result {
            Ok(_) | Err(Outcome::Timeout(_)) => false,
            Err(_) => true,
        };
        failed && self.progress.is_reused() && !self.progress.has_response_started()
    }
}

/// Reads the response body, up to its size limit and the deadline. An error in the body is stored
/// in the response and doesn't fail the attempt.
async fn read_response(
    mut incoming: ClientResponse,
    timeout: Duration,
    progress: &ExchangeProgress,
) -> EndpointResponse {
    let mut response = EndpointResponse {
        status: incoming.status().as_u16(),
        headers: progress.take_response_headers(),
        ..EndpointResponse::default()
    };
    // Responses with these statuses never have a body, whatever their headers say (RFC 9110).
    if matches!(response.status, 101 | 204 | 304) {
        return response;
    }
    let declared = declared_length(&response.headers);
    let mut payload = incoming.take_payload();
    loop {
        let next = poll_fn(|cx| Pin::new(&mut payload).poll_next(cx));
        match timeout_at(progress.deadline(), next).await {
            Ok(Some(Ok(chunk))) => {
                if !append_up_to_limit(&mut response, &chunk) {
                    return response;
                }
                continue;
            }
            Ok(Some(Err(error))) => response.body_error = Some(body_error_message(&error)),
            Ok(None) => {
                // awc treats a closed connection as the end of the body, even if bytes are missing.
                let read = response.body.len() as u64;
                if let Some(declared) = declared.filter(|length| *length != read) {
                    response.body_error = Some(format!(
                        "The endpoint announced a body of {declared} bytes but sent {read}."
                    ));
                }
            }
            Err(_) => {
                response.body_error = Some(format!(
                    "The response body didn’t end within {}.",
                    explanation::format_duration(timeout)
                ));
            }
        }
        response.truncated = response.body_error.is_some();
        return response;
    }
}

/// Appends a chunk up to the size limit. Returns whether the whole chunk fit.
fn append_up_to_limit(response: &mut EndpointResponse, chunk: &Bytes) -> bool {
    let room = RESPONSE_BODY_MAX_BYTES - response.body.len();
    response.body.extend(chunk.iter().take(room));
    response.truncated = chunk.len() > room;
    !response.truncated
}

/// Returns the body length that `Content-Length` declares. Returns `None` if `Transfer-Encoding` is
/// present, because it overrides `Content-Length` (RFC 9112, section 6.3).
fn declared_length(headers: &[(String, String)]) -> Option<u64> {
    if header_value(headers, "transfer-encoding").is_some() {
        return None;
    }
    header_value(headers, "content-length")?.parse().ok()
}

fn body_error_message(error: &PayloadError) -> String {
    let detail = match error {
        PayloadError::Incomplete(Some(error)) | PayloadError::Io(error) => {
            outcomes::describe_body_error(error)
        }
        error => {
            tracing::debug!(%error, "reading a response body failed");
            "its encoding isn’t valid".to_owned()
        }
    };
    format!("The response body ended early: {detail}.")
}
