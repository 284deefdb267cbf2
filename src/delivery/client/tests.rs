//! What comes of an attempt, against endpoints that misbehave.

use std::collections::BTreeSet;

use self::server::{Server, hang, say};
use super::*;
use crate::delivery::connector::{check_before_save, tls_config};
use crate::domain::egress_policy::EgressDenied;

mod server;
mod tls;

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(20);
/// For tests that wait for it to be over.
const SHORT: Duration = Duration::from_secs(1);

const NO_CONTENT: &str = "HTTP/1.1 204 No Content\r\n\r\n";

fn sender_with(timeout: Duration) -> Sender {
    Sender::new(Arc::new(tls_config(&[]).unwrap()), Arc::default(), timeout)
}

fn url_of(text: &str) -> EndpointUrl {
    EndpointUrl::parse(text).unwrap()
}

fn request() -> SignedRequest {
    let headers = [
        ("Content-Type", "application/json"),
        ("User-Agent", "Miniback-Webhook/1.0"),
        ("X-Miniback-Signature", "00ff"),
        ("webhook-id", "dlv_1"),
        ("X-Own", "a"),
    ];
    SignedRequest {
        headers: headers.map(|(n, v)| (n.to_owned(), v.to_owned())).into(),
        body: br#"{"event":"test"}"#.to_vec(),
    }
}

fn endpoint(server: &Server, timeout: Duration) -> Endpoint {
    sender_with(timeout).endpoint(&url_of(&format!("http://{}/a/b?x={{1}}#f", server.address)))
}

/// The one attempt at an endpoint that answers each request with `text` and then closes.
async fn answered(text: impl AsRef<[u8]> + Send + Sync + 'static) -> AttemptResult {
    let server = Server::start(move |_, peer| {
        say(peer, &text);
        false
    });
    endpoint(&server, LONG).attempt(&request()).await
}

fn answer_of(result: AttemptResult) -> EndpointResponse {
    assert_eq!(result.outcome, Outcome::Delivered);
    result.response.unwrap()
}

#[actix_rt::test]
async fn exactly_the_signed_request_is_written() {
    let server = Server::start(|_, peer| say(peer, NO_CONTENT));
    let result = endpoint(&server, LONG).attempt(&request()).await;
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
async fn a_large_and_an_empty_body_have_a_length_too() {
    let server = Server::start(|_, peer| say(peer, NO_CONTENT));
    let endpoint = endpoint(&server, LONG);
    for length in [0, 300_000] {
        let mut request = request();
        request.body = vec![b'x'; length];
        assert_eq!(endpoint.attempt(&request).await.outcome, Outcome::Delivered);
    }
    for (request, length) in server.requests().iter().zip([0, 300_000]) {
        assert!(request.contains(&format!("\r\nContent-Length: {length}\r\n")));
        assert!(!request.to_lowercase().contains("transfer-encoding"));
    }
    assert_eq!(server.connections(), 1);
}

#[actix_rt::test]
async fn interim_answers_are_skipped_and_each_delivery_gets_its_own_answer() {
    let server = Server::start(|number, peer| {
        let answer = format!(
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
             HTTP/1.1 {} Made\r\nContent-Length: 1\r\nx-One: ä\r\n\r\n{number}",
            200 + number
        );
        // A byte at a time, in so many writes.
        answer.bytes().all(|byte| say(peer, [byte]))
    });
    let endpoint = endpoint(&server, LONG);
    for number in 0..3u16 {
        let answer = answer_of(endpoint.attempt(&request()).await);
        assert_eq!(answer.status, 200 + number);
        assert_eq!(answer.body, number.to_string().as_bytes());
        assert_eq!(answer.headers[1], ("x-One".to_owned(), "ä".to_owned()));
        assert!(!answer.truncated && answer.body_error.is_none());
    }
    assert_eq!(server.connections(), 1);
}

#[actix_rt::test]
async fn a_dead_connection_is_noticed_and_the_request_sent_once_more() {
    // Reads the second request of a connection, and closes without a byte.
    let server = Server::start(|number, peer| number != 1 && say(peer, NO_CONTENT));
    let endpoint = endpoint(&server, LONG);
    for _ in 0..2 {
        let result = endpoint.attempt(&request()).await;
        assert_eq!(result.outcome, Outcome::Delivered);
        assert!(result.timings.connect.is_some());
    }
    assert_eq!((server.requests().len(), server.connections()), (3, 2));
}

#[actix_rt::test]
async fn an_endpoint_that_hangs_up_is_asked_twice_at_most_and_on_a_fresh_connection_once() {
    let server = Server::start(|number, peer| number == 0 && say(peer, NO_CONTENT));
    let endpoint = endpoint(&server, LONG);
    let outcomes = [
        endpoint.attempt(&request()).await.outcome,
        endpoint.attempt(&request()).await.outcome,
        endpoint.attempt(&request()).await.outcome,
    ];
    let closed = Outcome::ConnectionClosed;
    assert_eq!(outcomes, [Outcome::Delivered, closed.clone(), closed]);
    assert_eq!(server.requests().len(), 1 + 2 + 1);
}

#[actix_rt::test]
async fn nothing_is_sent_again_once_a_byte_of_an_answer_came_or_the_time_is_up() {
    for (second, broken) in [("HT", true), ("HTTP/1.1 103 Early Hints\r\n\r\n", false)] {
        let server = Server::start(move |number, peer| {
            say(peer, if number == 0 { NO_CONTENT } else { second }) && number == 0
        });
        let endpoint = endpoint(&server, LONG);
        endpoint.attempt(&request()).await;
        let outcome = endpoint.attempt(&request()).await.outcome;
        assert_eq!(
            matches!(outcome, Outcome::InvalidResponse(_)),
            broken,
            "{outcome:?}"
        );
        assert_eq!(
            matches!(outcome, Outcome::ConnectionClosed),
            !broken,
            "{outcome:?}"
        );
        assert_eq!(server.requests().len(), 2);
    }
    let server = Server::start(|number, peer| match number {
        0 => say(peer, NO_CONTENT),
        _ => hang(peer),
    });
    let endpoint = endpoint(&server, SHORT);
    endpoint.attempt(&request()).await;
    let timeout = Outcome::Timeout {
        after: SHORT,
        connected: true,
    };
    assert_eq!(endpoint.attempt(&request()).await.outcome, timeout);
    assert_eq!(server.requests().len(), 2);
}

#[actix_rt::test]
async fn no_complete_head_within_the_time_is_a_timeout() {
    for beginning in [
        "",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Slow: ",
    ] {
        let server = Server::start(move |_, peer| say(peer, beginning) && hang(peer));
        let result = endpoint(&server, SHORT).attempt(&request()).await;
        let timeout = Outcome::Timeout {
            after: SHORT,
            connected: true,
        };
        assert_eq!(result.outcome, timeout, "{beginning:?}");
        assert_eq!(result.response, None);
    }
}

#[actix_rt::test]
async fn after_a_2xx_head_nothing_about_the_body_makes_it_a_failure() {
    let problem = |answer: &EndpointResponse| answer.body_error.clone().unwrap_or_default();

    let short = answer_of(answered("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab").await);
    assert_eq!((&short.body[..], short.truncated), (&b"ab"[..], true));
    assert!(
        problem(&short).contains("100 bytes and sent 2"),
        "{}",
        problem(&short)
    );

    let broken = answer_of(
        answered("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n").await,
    );
    assert_eq!((&broken.body[..], broken.truncated), (&b"ab"[..], true));
    assert!(
        problem(&broken).contains("broke off"),
        "{}",
        problem(&broken)
    );

    let server = Server::start(|_, peer| {
        say(peer, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab") && hang(peer)
    });
    let slow = answer_of(endpoint(&server, SHORT).attempt(&request()).await);
    assert_eq!((&slow.body[..], slow.truncated), (&b"ab"[..], true));
    assert!(problem(&slow).contains("within 1s"), "{}", problem(&slow));

    let server = Server::start(|_, peer| {
        say(
            peer,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        while say(peer, "4\r\nabcd\r\n") {}
        false
    });
    let endless = answer_of(endpoint(&server, LONG).attempt(&request()).await);
    assert_eq!(
        (endless.body.len(), endless.truncated),
        (RESPONSE_BODY_MAX_BYTES, true)
    );
    assert_eq!(endless.body_error, None);
}

#[actix_rt::test]
async fn a_body_of_exactly_16_kib_is_whole() {
    for (length, truncated) in [(16_384, false), (16_385, true)] {
        let body = "x".repeat(length);
        let answer = answer_of(
            answered(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
            ))
            .await,
        );
        assert_eq!((answer.body.len(), answer.truncated), (16_384, truncated));
        assert_eq!(answer.body_error, None);
    }
}

#[actix_rt::test]
async fn a_body_that_ends_with_the_connection_is_read_and_the_connection_not_reused() {
    let server = Server::start(|number, peer| {
        say(peer, format!("HTTP/1.1 200 OK\r\n\r\nhello {number}"));
        false
    });
    let endpoint = endpoint(&server, LONG);
    for number in 0..2 {
        let answer = answer_of(endpoint.attempt(&request()).await);
        assert_eq!(answer.body, format!("hello {number}").as_bytes());
        assert_eq!((answer.truncated, answer.body_error), (false, None));
    }
    assert_eq!((server.requests().len(), server.connections()), (2, 2));
}

#[actix_rt::test]
async fn a_compressed_body_is_kept_as_it_came_and_a_204_has_none() {
    let gzip = answer_of(
        answered(*b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00").await,
    );
    assert_eq!(
        (&gzip.body[..], gzip.body_error),
        (&b"\x1f\x8b\x08\x00"[..], None)
    );
    let server = Server::start(|_, peer| {
        say(peer, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n") && hang(peer)
    });
    let empty = answer_of(endpoint(&server, LONG).attempt(&request()).await);
    assert_eq!((empty.body.len(), empty.truncated), (0, false));
}

#[actix_rt::test]
async fn any_other_status_is_a_failure_and_a_redirect_is_not_followed() {
    let redirect = answered(
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/next\r\nContent-Length: 0\r\n\r\n",
    )
    .await;
    let location = Some("http://127.0.0.1:9/next".to_owned());
    assert_eq!(
        redirect.outcome,
        Outcome::Status {
            status: 302,
            location
        }
    );
    let failed = answered(
        "HTTP/1.1 500 No\r\nRetry-After: 7\r\nLocation: /x\r\nContent-Length: 4\r\n\r\noops",
    )
    .await;
    assert_eq!(
        failed.outcome,
        Outcome::Status {
            status: 500,
            location: None
        }
    );
    let answer = failed.response.unwrap();
    assert_eq!(answer.body, b"oops");
    assert_eq!(
        answer.headers[0],
        ("Retry-After".to_owned(), "7".to_owned())
    );
    let switched = answered(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
    )
    .await;
    assert_eq!(
        switched.outcome,
        Outcome::Status {
            status: 101,
            location: None
        }
    );
}

#[actix_rt::test]
async fn what_is_no_answer_is_a_failure_with_a_name() {
    let fields = |count: usize| {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{}\r\n",
            "x: a\r\n".repeat(count - 1)
        )
    };
    for (text, said) in [
        ("SSH-2.0-OpenSSH_9\r\n".to_owned(), "SSH-2.0"),
        (
            "HTTP/1.1 200 OK\r\nContent-Le".to_owned(),
            "middle of its head",
        ),
        (fields(97), "97 fields"),
        (
            format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(200_000)),
            "128 KiB",
        ),
        ("HTTP/1.1 103 Hints\r\n\r\n".repeat(10_000), "interim"),
        ("HTTP/1.1 abc OK\r\n\r\n".to_owned(), "first line"),
        ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n".to_owned(), "a field"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n".to_owned(),
            "a field",
        ),
    ] {
        let outcome = answered(text).await.outcome;
        let Outcome::InvalidResponse(detail) = &outcome else {
            panic!("{said}: {outcome:?}")
        };
        assert!(detail.contains(said), "{detail}");
    }
    assert_eq!(answered(fields(96)).await.outcome, Outcome::Delivered);
    assert_eq!(answered("").await.outcome, Outcome::ConnectionClosed);
}

#[actix_rt::test]
async fn nobody_listening_is_a_refused_connection() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let url = url_of(&format!("http://{host}:{}", free.port()));
        let result = sender_with(LONG).endpoint(&url).attempt(&request()).await;
        assert_eq!(result.outcome, Outcome::ConnectionRefused, "{host}");
    }
}

#[actix_rt::test]
async fn the_policy_is_asked_when_a_connection_is_made() {
    let server = Server::start(|_, peer| say(peer, NO_CONTENT));
    let policy = EgressPolicy::new(vec![], false, vec![server.address], vec![]);
    let url = url_of(&format!("http://localhost:{}", server.address.port()));
    let refused = check_before_save(&policy, &url).await;
    assert!(matches!(refused, Err(EgressDenied::OwnSocket { .. })));
    let sender = Sender::new(Arc::new(tls_config(&[]).unwrap()), Arc::new(policy), LONG);
    let result = sender.endpoint(&url).attempt(&request()).await;
    assert!(matches!(
        result.outcome,
        Outcome::TargetNotAllowed(EgressDenied::OwnSocket { .. })
    ));
    assert_eq!(server.connections(), 0);
}

#[actix_rt::test]
async fn one_endpoint_that_hangs_holds_up_no_request_to_another() {
    let hanging = Server::start(|_, peer| hang(peer));
    let healthy = Server::start(|_, peer| say(peer, NO_CONTENT));
    let (slow, fast) = (endpoint(&hanging, LONG), endpoint(&healthy, LONG));
    let request = request();
    let waiting = futures_util::future::join_all((0..150).map(|_| slow.attempt(&request)));
    let winner = futures_util::future::select(waiting, Box::pin(fast.attempt(&request))).await;
    assert!(matches!(winner, futures_util::future::Either::Right(_)));
}

#[test]
fn a_bodys_length_is_that_of_its_field_unless_it_comes_in_chunks() {
    let headers = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    };
    assert_eq!(
        announced_length(&headers(&[("content-LENGTH", "5")])),
        Some(5)
    );
    assert_eq!(
        announced_length(&headers(&[
            ("Content-Length", "5"),
            ("Transfer-Encoding", "chunked")
        ])),
        None
    );
    assert_eq!(announced_length(&[]), None);
}
