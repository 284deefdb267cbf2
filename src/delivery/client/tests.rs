//! Tests attempts against endpoints that respond in various ways.

use std::collections::BTreeSet;

use self::server::{Server, write};
use super::*;
use crate::delivery::tls::tls_config;

mod connection;
mod response;
mod server;
mod tls;

/// A time limit that no test reaches.
const LONG_TIMEOUT: Duration = Duration::from_secs(20);
/// A time limit for tests that wait until it expires.
const SHORT_TIMEOUT: Duration = Duration::from_secs(1);

const NO_CONTENT_RESPONSE: &str = "HTTP/1.1 204 No Content\r\n\r\n";

fn sender_with_timeout(timeout: Duration) -> HttpSender {
    HttpSender::new(Arc::new(tls_config(&[]).unwrap()), Arc::default(), timeout)
}

fn parse_url(text: &str) -> EndpointUrl {
    EndpointUrl::parse(text).unwrap()
}

fn request() -> EndpointRequest {
    let headers = [
        ("Content-Type", "application/json"),
        ("User-Agent", "Miniback-Webhook/1.0"),
        ("X-Miniback-Signature", "00ff"),
        ("webhook-id", "dlv_1"),
        ("X-Own", "a"),
    ];
    EndpointRequest {
        path_and_query: None,
        headers: headers.map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
        body: br#"{"event":"test"}"#.to_vec(),
    }
}

fn endpoint_client(server: &Server, timeout: Duration) -> EndpointClient {
    sender_with_timeout(timeout).client_for(&parse_url(&format!(
        "http://{}/a/b?x={{1}}#f",
        server.address
    )))
}

/// Makes one attempt at an endpoint that responds with `text` and then closes the connection.
async fn attempt_with_response(text: impl AsRef<[u8]> + Send + Sync + 'static) -> AttemptResult {
    let server = Server::start(move |_, peer| {
        write(peer, &text);
        false
    });
    endpoint_client(&server, LONG_TIMEOUT)
        .attempt(&request())
        .await
}

/// Asserts that an attempt succeeded, and returns its response.
fn successful_response(result: AttemptResult) -> EndpointResponse {
    assert_eq!(result.outcome, Outcome::Delivered);
    result.response.unwrap()
}

#[actix_rt::test]
async fn sends_exactly_the_signed_request() {
    let server = Server::start(|_, peer| write(peer, NO_CONTENT_RESPONSE));
    let result = endpoint_client(&server, LONG_TIMEOUT)
        .attempt(&request())
        .await;
    assert_eq!(result.outcome, Outcome::Delivered);
    let requests = server.requests();
    let (head, body) = requests[0].split_once("\r\n\r\n").unwrap();
    assert_eq!(body, r#"{"event":"test"}"#);
    let mut lines = head.split("\r\n");
    assert_eq!(lines.next(), Some("POST /a/b?x=%7B1%7D HTTP/1.1"));
    let (dates, lines): (Vec<_>, BTreeSet<_>) = {
        let (dates, others): (Vec<_>, Vec<_>) = lines.partition(|l| l.starts_with("Date: "));
        (dates, others.into_iter().collect())
    };
    assert_eq!(dates.len(), 1);
    let host = format!("Host: {}", server.address);
    let expected = [
        &host,
        "Content-Length: 16",
        "Content-Type: application/json",
        "User-Agent: Miniback-Webhook/1.0",
        "X-Miniback-Signature: 00ff",
        "Webhook-Id: dlv_1",
        "X-Own: a",
    ];
    assert_eq!(lines, BTreeSet::from(expected));
    assert_eq!(head.split("\r\n").count(), 1 + expected.len() + 1);
}

#[actix_rt::test]
async fn sends_a_content_length_for_large_and_empty_bodies() {
    let server = Server::start(|_, peer| write(peer, NO_CONTENT_RESPONSE));
    let endpoint = endpoint_client(&server, LONG_TIMEOUT);
    for length in [0, 300_000] {
        let mut request = request();
        request.body = vec![b'x'; length];
        assert_eq!(endpoint.attempt(&request).await.outcome, Outcome::Delivered);
    }
    for (request, length) in server.requests().iter().zip([0, 300_000]) {
        assert!(request.contains(&format!("\r\nContent-Length: {length}\r\n")));
        assert!(!request.to_lowercase().contains("transfer-encoding"));
    }
    assert_eq!(server.connection_count(), 1);
}
