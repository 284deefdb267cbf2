//! The only user of awc: one attempt is one request and its answer, as data.
//!
//! An [`Endpoint`] keeps connections alive between attempts. A request that finds its reused connection dead, before
//! any byte of an answer, is sent once more over a fresh one, within the same attempt and the same time.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_service::fn_service;
use actix_tls::connect::{ConnectError as TcpConnectError, ConnectInfo, Connection};
use actix_web::HttpMessage;
use actix_web::error::{ParseError, PayloadError};
use actix_web::http::Uri;
use actix_web::http::header::{HOST, HeaderName, HeaderValue};
use actix_web::web::Bytes;
use awc::error::{ConnectError, SendRequestError};
use awc::{Client, ClientResponse, Connector};
use futures_util::Stream;
use rustls::{CertificateError, ClientConfig};
use tokio::time::{Instant, timeout_at};

use super::answer_head::HeadError;
use super::connector::{ConnectFailure, connect};
use super::stream::{PROGRESS, Progress};
use crate::clock::Timestamp;
use crate::domain::delivery::{
    AttemptResult, CertificateProblem, EndpointResponse, Outcome, RESPONSE_BODY_MAX_BYTES,
    SignedRequest,
};
use crate::domain::egress_policy::EgressPolicy;
use crate::domain::endpoint_url::EndpointUrl;

#[cfg(test)]
mod tests;

/// Servers close what is idle; Node does after 5 s, which is also when the second retry comes.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// What all endpoints share.
#[derive(Clone)]
pub struct Sender {
    tls: Arc<ClientConfig>,
    policy: Arc<EgressPolicy>,
    timeout: Duration,
}

/// Where one webhook's requests go, with the connections that are kept for them. To be dropped when the webhook is
/// idle: connections that the peer closed stay until then.
pub struct Endpoint {
    sender: Sender,
    url: Rc<EndpointUrl>,
    client: Client,
}

impl Sender {
    /// `timeout`: from an attempt's start to the end of the answer's head, and of what is read of its body.
    pub fn new(tls: Arc<ClientConfig>, policy: Arc<EgressPolicy>, timeout: Duration) -> Self {
        Self {
            tls,
            policy,
            timeout,
        }
    }

    /// To be called, and used, within an actix runtime.
    pub fn endpoint(&self, url: &EndpointUrl) -> Endpoint {
        let url = Rc::new(url.clone());
        Endpoint {
            sender: self.clone(),
            client: self.client(&url),
            url,
        }
    }

    /// Connects, TLS included, and sends nothing: whether the endpoint can be reached at all.
    pub async fn probe(&self, url: &EndpointUrl) -> Result<(), Outcome> {
        let progress = Progress::new(Instant::now() + self.timeout);
        let connecting = connect(url, &self.policy, &self.tls, &progress);
        match timeout_at(progress.deadline(), connecting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(failure)) => Err(self.outcome_of_connect(failure, &progress)),
            Err(_) => Err(self.timed_out(&progress)),
        }
    }

    fn client(&self, url: &Rc<EndpointUrl>) -> Client {
        let (sender, url) = (self.clone(), Rc::clone(url));
        let service = fn_service(move |info: ConnectInfo<Uri>| {
            let (sender, url) = (sender.clone(), Rc::clone(&url));
            async move {
                // The URI that awc hands over is not looked at: it would read a host otherwise than the URL does.
                let progress = PROGRESS
                    .try_with(Rc::clone)
                    .map_err(|e| TcpConnectError::Io(io::Error::other(e)))?;
                let stream = connect(&url, &sender.policy, &sender.tls, &progress)
                    .await
                    .map_err(|failure| TcpConnectError::Io(io::Error::other(failure)))?;
                Ok::<_, TcpConnectError>(Connection::new(info.request().clone(), stream))
            }
        });
        // awc's own time limits end at the head and are not shared with a second sending: ours go around all of it.
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

/// What came of one sending of the request.
struct Exchange {
    result: Result<EndpointResponse, Outcome>,
    progress: Rc<Progress>,
}

impl Endpoint {
    /// Sends a request and reads the answer, within the time of one attempt.
    pub async fn attempt(&self, request: &SignedRequest) -> AttemptResult {
        let started = Instant::now();
        let deadline = started + self.sender.timeout;
        let mut exchange = self.exchange(&self.client, request, deadline).await;
        if exchange.may_be_sent_again() {
            // A client of its own, for the pool may hold more connections that are dead.
            let client = self.sender.client(&self.url);
            exchange = self.exchange(&client, request, deadline).await;
        }
        let (outcome, answer) = match exchange.result {
            Ok(answer) => (outcome_of_answer(&answer), Some(answer)),
            Err(outcome) => (outcome, None),
        };
        AttemptResult {
            outcome,
            duration: started.elapsed(),
            timings: exchange.progress.timings(),
            response: answer,
        }
    }

    async fn exchange(
        &self,
        client: &Client,
        request: &SignedRequest,
        deadline: Instant,
    ) -> Exchange {
        let progress = Rc::new(Progress::new(deadline));
        let sent = PROGRESS.scope(Rc::clone(&progress), async {
            let response = match timeout_at(deadline, self.send(client, request)).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => return Err(self.sender.outcome_of_error(error, &progress)),
                Err(_) => return Err(self.sender.timed_out(&progress)),
            };
            Ok(self.sender.read_answer(response, &progress).await)
        });
        Exchange {
            result: sent.await,
            progress,
        }
    }

    async fn send(
        &self,
        client: &Client,
        request: &SignedRequest,
    ) -> Result<ClientResponse, SendRequestError> {
        // The path is all that awc needs; where it goes is decided by the connector, and `Host` is our own.
        let mut outgoing = client
            .post(format!("http://endpoint{}", self.url.path_and_query()))
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
    fn may_be_sent_again(&self) -> bool {
        let failed = match &self.result {
            Ok(_) | Err(Outcome::Timeout { .. }) => false,
            Err(_) => true,
        };
        failed && self.progress.is_reused() && !self.progress.answer_began()
    }
}

impl Sender {
    async fn read_answer(
        &self,
        mut response: ClientResponse,
        progress: &Progress,
    ) -> EndpointResponse {
        let mut answer = EndpointResponse {
            status: response.status().as_u16(),
            headers: progress.take_fields(),
            ..EndpointResponse::default()
        };
        // Whatever their fields say, these have no body (RFC 9110).
        if matches!(answer.status, 101 | 204 | 304) {
            return answer;
        }
        let announced = announced_length(&answer.headers);
        let mut payload = response.take_payload();
        loop {
            let next = poll_fn(|cx| Pin::new(&mut payload).poll_next(cx));
            match timeout_at(progress.deadline(), next).await {
                Ok(Some(Ok(chunk))) => {
                    if !take(&mut answer, &chunk) {
                        return answer;
                    }
                    continue;
                }
                Ok(Some(Err(error))) => answer.body_error = Some(body_error(&error)),
                Ok(None) => {
                    // awc takes the end of the connection for the end of the body.
                    let read = answer.body.len() as u64;
                    if let Some(announced) = announced.filter(|a| *a != read) {
                        answer.body_error = Some(format!(
                            "The endpoint announced a body of {announced} bytes and sent {read}."
                        ));
                    }
                }
                Err(_) => {
                    answer.body_error = Some(format!(
                        "The body of the answer did not end within {:?}.",
                        self.timeout
                    ));
                }
            }
            answer.truncated = answer.body_error.is_some();
            return answer;
        }
    }

    fn timed_out(&self, progress: &Progress) -> Outcome {
        Outcome::Timeout {
            after: self.timeout,
            connected: progress.is_connected(),
        }
    }

    fn outcome_of_error(&self, error: SendRequestError, progress: &Progress) -> Outcome {
        match error {
            SendRequestError::Connect(ConnectError::Io(error))
            | SendRequestError::Send(error)
            | SendRequestError::Response(ParseError::Io(error)) => {
                match error.downcast::<ConnectFailure>() {
                    Ok(failure) => self.outcome_of_connect(failure, progress),
                    Err(error) => self.outcome_of_io(error, progress),
                }
            }
            SendRequestError::Connect(ConnectError::Disconnected) => Outcome::ConnectionClosed,
            SendRequestError::Connect(ConnectError::Timeout) | SendRequestError::Timeout => {
                self.timed_out(progress)
            }
            SendRequestError::Response(error) => Outcome::InvalidResponse(match error {
                ParseError::Status | ParseError::Version => {
                    "its first line is not valid".to_owned()
                }
                ParseError::Header => "a field of its head is not valid".to_owned(),
                other => other.to_string(),
            }),
            // What is left cannot be written down or has no connection: values that passed no check of ours.
            other => Outcome::Unreachable(other.to_string()),
        }
    }

    fn outcome_of_connect(&self, failure: ConnectFailure, progress: &Progress) -> Outcome {
        match failure {
            ConnectFailure::NotAllowed(refusal) => Outcome::TargetNotAllowed(refusal),
            ConnectFailure::NameNotFound => Outcome::NameNotFound,
            ConnectFailure::NameLookup(detail) => Outcome::NameLookup(detail),
            ConnectFailure::Tcp(error) => self.outcome_of_io(error, progress),
            ConnectFailure::Tls(error) => match tls_outcome(&error) {
                Some(outcome) => outcome,
                None if is_closed(&error) => {
                    Outcome::Tls("the connection was closed during the handshake".to_owned())
                }
                None => self.outcome_of_io(error, progress),
            },
        }
    }

    fn outcome_of_io(&self, error: io::Error, progress: &Progress) -> Outcome {
        if let Some(broken) = inner::<HeadError>(&error) {
            return Outcome::InvalidResponse(broken.to_string());
        }
        if let Some(outcome) = tls_outcome(&error) {
            return outcome;
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Outcome::ConnectionRefused,
            io::ErrorKind::TimedOut => self.timed_out(progress),
            _ if is_closed(&error) => Outcome::ConnectionClosed,
            _ => Outcome::Unreachable(without_number(&error)),
        }
    }
}

fn outcome_of_answer(answer: &EndpointResponse) -> Outcome {
    match answer.status {
        200..=299 => Outcome::Delivered,
        status => Outcome::Status {
            status,
            location: field(&answer.headers, "location")
                .filter(|_| (300..=399).contains(&status))
                .map(str::to_owned),
        },
    }
}

/// Keeps what there is room for; whether all of it was.
fn take(answer: &mut EndpointResponse, chunk: &Bytes) -> bool {
    let room = RESPONSE_BODY_MAX_BYTES - answer.body.len();
    answer.body.extend(chunk.iter().take(room));
    answer.truncated = chunk.len() > room;
    !answer.truncated
}

fn field<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let found = headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.as_str())
}

/// `Transfer-Encoding` outdoes `Content-Length` (RFC 9112, 6.3).
fn announced_length(headers: &[(String, String)]) -> Option<u64> {
    if field(headers, "transfer-encoding").is_some() {
        return None;
    }
    field(headers, "content-length")?.parse().ok()
}

fn body_error(error: &PayloadError) -> String {
    let detail = match error {
        PayloadError::Incomplete(Some(error)) | PayloadError::Io(error) => without_number(error),
        other => other.to_string(),
    };
    format!("The body of the answer broke off: {detail}.")
}

fn tls_outcome(error: &io::Error) -> Option<Outcome> {
    let rustls::Error::InvalidCertificate(problem) = inner::<rustls::Error>(error)? else {
        return inner::<rustls::Error>(error).map(|e| Outcome::Tls(e.to_string()));
    };
    let at = |time: &rustls::pki_types::UnixTime| {
        let seconds = i64::try_from(time.as_secs()).ok();
        seconds
            .and_then(|s| s.checked_mul(1000))
            .map(Timestamp::from_millis)
    };
    Some(Outcome::Certificate(match problem {
        CertificateError::Expired => CertificateProblem::Expired(None),
        CertificateError::ExpiredContext { not_after, .. } => {
            CertificateProblem::Expired(at(not_after))
        }
        CertificateError::NotValidYet => CertificateProblem::NotYetValid(None),
        CertificateError::NotValidYetContext { not_before, .. } => {
            CertificateProblem::NotYetValid(at(not_before))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            CertificateProblem::WrongName
        }
        CertificateError::UnknownIssuer => CertificateProblem::UnknownIssuer,
        // What tools make by default when they are asked for a self-signed certificate.
        CertificateError::Other(other) if other.0.to_string() == "CaUsedAsEndEntity" => {
            CertificateProblem::Other("it is a certificate authority’s own, not a server’s".into())
        }
        other => CertificateProblem::Other(other.to_string()),
    }))
}

fn inner<E: std::error::Error + 'static>(error: &io::Error) -> Option<&E> {
    error.get_ref()?.downcast_ref()
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::BrokenPipe
            | Kind::NotConnected
            | Kind::UnexpectedEof
            | Kind::WriteZero
    )
}

/// Without the number that says the same to a machine.
fn without_number(error: &io::Error) -> String {
    let text = error.to_string();
    match text.split_once(" (os error ") {
        Some((text, _)) => text.to_owned(),
        None => text,
    }
}
