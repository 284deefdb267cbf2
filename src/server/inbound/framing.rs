//! Adapts each response to the HTTP version of its request, and adds `Connection: close` if the
//! connection can't be reused.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::{ConnectionType, Method, Version, header};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage};
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;

use super::connection_state::ConnectionState;
use super::{UNREAD_BODY_MAX_BYTES, UNREAD_BODY_TIMEOUT};

/// Middleware that adapts every response to its connection. It must be the outermost middleware.
///
/// - HTTP/1.0 has no chunked encoding, so closing the connection marks the end of a streamed
///   response.
/// - A protocol upgrade (`Upgrade` or `CONNECT`) is ignored. The connection can't be reused,
///   because the client may already be sending bytes of the other protocol.
/// - If part of the request's body hasn't arrived when the response starts, the response contains
///   `Connection: close`. Before the response starts, the middleware waits briefly for the rest of
///   a short body.
pub async fn adapt_response_to_connection(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let head = request.head();
    let is_http_1_0_or_older = head.version < Version::HTTP_11;
    let is_upgrade_request = head.upgrade() || head.method == Method::CONNECT;
    let connection = request.conn_data::<Rc<ConnectionState>>().cloned();
    if let Some(connection) = &connection {
        connection.begin_exchange();
    }
    let has_short_body = has_short_body(&request);
    let body = RequestBody::share_payload(&mut request, connection.clone());
    let mut response = next.call(request).await?;
    if has_short_body {
        let _ = timeout(UNREAD_BODY_TIMEOUT, body.discard_to_end()).await;
    } else {
        body.discard_arrived_bytes().await;
    }
    if let Some(connection) = &connection {
        connection.set_waits_for_body(false);
    }

    let is_stream = response.response().body().size() == BodySize::Stream;
    let head = response.response_mut().head_mut();
    head.no_chunking(is_http_1_0_or_older || is_upgrade_request);
    if is_upgrade_request || (is_http_1_0_or_older && is_stream) {
        head.set_connection_type(ConnectionType::Close);
    }
    Ok(response.map_body(|_, response| ResponseBody {
        is_finished: matches!(response.size(), BodySize::None | BodySize::Sized(0)),
        response: response.boxed(),
        request: body,
        connection,
    }))
}

/// Returns whether the request's `Content-Length` is at most [`UNREAD_BODY_MAX_BYTES`].
fn has_short_body(request: &ServiceRequest) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
    length.is_some_and(|length| length <= UNREAD_BODY_MAX_BYTES)
}

/// A request's body, shared by the handler and the response.
///
/// While the response holds an unread request body, actix closes the connection after the response.
/// If nothing holds the request body, actix reads a chunked body to its end, without a limit.
#[derive(Clone)]
struct RequestBody {
    payload: Rc<RefCell<Payload>>,
    is_finished: Rc<Cell<bool>>,
    connection: Option<Rc<ConnectionState>>,
}

impl RequestBody {
    fn share_payload(
        request: &mut ServiceRequest,
        connection: Option<Rc<ConnectionState>>,
    ) -> Self {
        let payload = request.take_payload();
        let has_body = !matches!(payload, Payload::None);
        let body = Self {
            payload: Rc::new(RefCell::new(payload)),
            is_finished: Rc::new(Cell::new(!has_body)),
            connection,
        };
        if has_body {
            let payload = Box::pin(body.clone());
            request.set_payload(Payload::Stream { payload });
        }
        body
    }

    /// Reads and discards the part of the body that the handler didn't read. The connection can
    /// then be reused.
    async fn discard_to_end(&self) {
        let mut body = self.clone();
        while !self.is_finished.get() {
            let _ = body.next().await;
        }
    }

    /// Reads and discards the bytes of the body that have arrived but that the handler hasn't read,
    /// up to [`UNREAD_BODY_MAX_BYTES`]. If these bytes are the rest of the body, the connection can
    /// be reused.
    async fn discard_arrived_bytes(&self) {
        let mut body = self.clone();
        let mut left = UNREAD_BODY_MAX_BYTES;
        let mut waited = false;
        poll_fn(|context| {
            while !self.is_finished.get() && left > 0 {
                match Pin::new(&mut body).poll_next(context) {
                    Poll::Ready(Some(Ok(chunk))) => left = left.saturating_sub(chunk.len()),
                    // Yield once, so that actix can parse the bytes that arrived with the head.
                    Poll::Pending if !waited => {
                        waited = true;
                        context.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                    _ => break,
                }
            }
            Poll::Ready(())
        })
        .await;
    }
}

impl Stream for RequestBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let chunk = Pin::new(&mut *self.payload.borrow_mut()).poll_next(context);
        if matches!(chunk, Poll::Ready(None | Some(Err(_)))) {
            self.is_finished.set(true);
        }
        if let Some(connection) = &self.connection {
            connection.set_waits_for_body(chunk.is_pending());
        }
        chunk
    }
}

/// A response's body, which holds the request's body until the response has been sent.
struct ResponseBody {
    response: BoxBody,
    is_finished: bool,
    request: RequestBody,
    connection: Option<Rc<ConnectionState>>,
}

impl MessageBody for ResponseBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.response.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let chunk = self.response.as_pin_mut().poll_next(context);
        self.is_finished |= matches!(chunk, Poll::Ready(None));
        chunk
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        match &self.connection {
            Some(connection) if self.is_finished => {
                connection.end_exchange(self.request.is_finished.get());
            }
            Some(connection) => connection.abort_exchange(),
            None => {}
        }
    }
}
