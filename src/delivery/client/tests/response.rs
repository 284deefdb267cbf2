//! Tests of responses: status, headers, and body.

use super::server::hang;
use super::*;

#[actix_rt::test]
async fn skips_interim_responses() {
    let server = Server::start(|number, peer| {
        let response = format!(
            "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n\
             HTTP/1.1 {} OK\r\nContent-Length: 1\r\nx-One: ä\r\n\r\n{number}",
            200 + number
        );
        // Write one byte at a time.
        response.bytes().all(|byte| write(peer, [byte]))
    });
    let endpoint = endpoint_client(&server, LONG_TIMEOUT);
    for number in 0..3u16 {
        let response = successful_response(endpoint.attempt(&request()).await);
        assert_eq!(response.status, 200 + number);
        assert_eq!(response.body, number.to_string().as_bytes());
        assert_eq!(response.headers[1], ("x-One".to_owned(), "ä".to_owned()));
        assert!(!response.truncated && response.body_error.is_none());
    }
    assert_eq!(server.connection_count(), 1);
}

#[actix_rt::test]
async fn succeeds_after_a_2xx_head_regardless_of_the_body() {
    let body_error = |response: &EndpointResponse| response.body_error.clone().unwrap_or_default();

    let short = successful_response(
        attempt_with_response("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nab").await,
    );
    assert_eq!((&short.body[..], short.truncated), (&b"ab"[..], true));
    assert!(
        body_error(&short).contains("100 bytes but sent 2"),
        "{}",
        body_error(&short)
    );

    let broken = successful_response(
        attempt_with_response(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\nzz\r\n",
        )
        .await,
    );
    assert_eq!((&broken.body[..], broken.truncated), (&b"ab"[..], true));
    assert!(
        body_error(&broken).contains("a chunk size isn’t valid"),
        "{}",
        body_error(&broken)
    );

    let server = Server::start(|_, peer| {
        write(peer, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab") && hang(peer)
    });
    let slow = successful_response(
        endpoint_client(&server, SHORT_TIMEOUT)
            .attempt(&request())
            .await,
    );
    assert_eq!((&slow.body[..], slow.truncated), (&b"ab"[..], true));
    assert!(
        body_error(&slow).contains("within 1 s"),
        "{}",
        body_error(&slow)
    );

    let server = Server::start(|_, peer| {
        write(
            peer,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        while write(peer, "4\r\nabcd\r\n") {}
        false
    });
    let endless = successful_response(
        endpoint_client(&server, LONG_TIMEOUT)
            .attempt(&request())
            .await,
    );
    assert_eq!(
        (endless.body.len(), endless.truncated),
        (RESPONSE_BODY_MAX_BYTES, true)
    );
    assert_eq!(endless.body_error, None);
}

#[actix_rt::test]
async fn stores_at_most_16_kib_of_the_body() {
    for (length, truncated) in [(16_384, false), (16_385, true)] {
        let body = "x".repeat(length);
        let response = successful_response(
            attempt_with_response(format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{body}"
            ))
            .await,
        );
        assert_eq!(
            (response.body.len(), response.truncated),
            (16_384, truncated)
        );
        assert_eq!(response.body_error, None);
    }
}

#[actix_rt::test]
async fn reads_a_body_without_a_length_to_the_end_of_the_connection() {
    let server = Server::start(|number, peer| {
        write(peer, format!("HTTP/1.1 200 OK\r\n\r\nhello {number}"));
        false
    });
    let endpoint = endpoint_client(&server, LONG_TIMEOUT);
    for number in 0..2 {
        let response = successful_response(endpoint.attempt(&request()).await);
        assert_eq!(response.body, format!("hello {number}").as_bytes());
        assert_eq!((response.truncated, response.body_error), (false, None));
    }
    assert_eq!((server.requests().len(), server.connection_count()), (2, 2));
}

#[actix_rt::test]
async fn neither_decompresses_a_body_nor_reads_the_body_of_a_204() {
    let gzip = successful_response(
        attempt_with_response(
            *b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\
            \x1f\x8b\x08\x00",
        )
        .await,
    );
    assert_eq!(
        (&gzip.body[..], gzip.body_error),
        (&b"\x1f\x8b\x08\x00"[..], None)
    );
    let server = Server::start(|_, peer| {
        write(peer, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n") && hang(peer)
    });
    let empty = successful_response(
        endpoint_client(&server, LONG_TIMEOUT)
            .attempt(&request())
            .await,
    );
    assert_eq!((empty.body.len(), empty.truncated), (0, false));
}

#[actix_rt::test]
async fn fails_on_a_non_2xx_status_and_does_not_follow_redirects() {
    let redirect = attempt_with_response(
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
    let failed = attempt_with_response(
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
    let response = failed.response.unwrap();
    assert_eq!(response.body, b"oops");
    assert_eq!(
        response.headers[0],
        ("Retry-After".to_owned(), "7".to_owned())
    );
    let switched = attempt_with_response(
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
async fn describes_an_invalid_response() {
    for (text, detail_part) in [
        ("SSH-2.0-OpenSSH_9\r\n".to_owned(), "SSH-2.0"),
        (
            "HTTP/1.1 200 OK\r\nContent-Le".to_owned(),
            "middle of the head",
        ),
        (
            format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(200_000)),
            "128 KiB",
        ),
        ("HTTP/1.1 103 Hints\r\n\r\n".repeat(10_000), "interim"),
        ("HTTP/1.1 abc OK\r\n\r\n".to_owned(), "status line"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n".to_owned(),
            "Content-Length",
        ),
    ] {
        let outcome = attempt_with_response(text).await.outcome;
        let Outcome::InvalidResponse(detail) = &outcome else {
            panic!("{detail_part}: {outcome:?}")
        };
        assert!(detail.contains(detail_part), "{detail}");
    }
    assert_eq!(
        attempt_with_response("").await.outcome,
        Outcome::ConnectionClosed
    );
}

#[test]
fn ignores_the_content_length_of_a_chunked_body() {
    let headers = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    };
    assert_eq!(
        declared_length(&headers(&[("content-LENGTH", "5")])),
        Some(5)
    );
    assert_eq!(
        declared_length(&headers(&[
            ("Content-Length", "5"),
            ("Transfer-Encoding", "chunked")
        ])),
        None
    );
    assert_eq!(declared_length(&[]), None);
}
