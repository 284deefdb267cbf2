//! Tests of connections: reuse, resending, timeouts, and the egress policy.

use super::server::hang;
use super::*;
use crate::delivery::connector::check_url_before_save;
use crate::domain::egress_policy::EgressDenied;

#[actix_rt::test]
async fn resends_when_a_reused_connection_is_closed() {
    // The server closes the connection after the second request, without a response.
    let server = Server::start(|number, peer| number != 1 && write(peer, NO_CONTENT_RESPONSE));
    let endpoint = endpoint_client(&server, LONG_TIMEOUT);
    for _ in 0..2 {
        let result = endpoint.attempt(&request()).await;
        assert_eq!(result.outcome, Outcome::Delivered);
        assert!(result.timings.connect.is_some());
    }
    assert_eq!((server.requests().len(), server.connection_count()), (3, 2));
}

#[actix_rt::test]
async fn resends_at_most_once_and_never_on_a_new_connection() {
    let server = Server::start(|number, peer| number == 0 && write(peer, NO_CONTENT_RESPONSE));
    let endpoint = endpoint_client(&server, LONG_TIMEOUT);
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
async fn does_not_resend_after_a_response_byte_or_a_timeout() {
    for (second, broken) in [("HT", true), ("HTTP/1.1 103 Early Hints\r\n\r\n", false)] {
        let server = Server::start(move |number, peer| {
            write(
                peer,
                if number == 0 {
                    NO_CONTENT_RESPONSE
                } else {
                    second
                },
            ) && number == 0
        });
        let endpoint = endpoint_client(&server, LONG_TIMEOUT);
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
        0 => write(peer, NO_CONTENT_RESPONSE),
        _ => hang(peer),
    });
    let endpoint = endpoint_client(&server, SHORT_TIMEOUT);
    endpoint.attempt(&request()).await;
    let outcome = endpoint.attempt(&request()).await.outcome;
    assert_eq!(outcome.error_code(), Some("timeout"));
    assert_eq!(server.requests().len(), 2);
}

#[actix_rt::test]
async fn times_out_without_a_complete_response_head() {
    for beginning in [
        "",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX-Slow: ",
    ] {
        let server = Server::start(move |_, peer| write(peer, beginning) && hang(peer));
        let result = endpoint_client(&server, SHORT_TIMEOUT)
            .attempt(&request())
            .await;
        assert_eq!(
            result.outcome.error_code(),
            Some("timeout"),
            "{beginning:?}"
        );
        assert_eq!(result.response, None);
    }
}

#[actix_rt::test]
async fn reports_a_refused_connection() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let url = parse_url(&format!("http://{host}:{}", closed.port()));
        let result = sender_with_timeout(LONG_TIMEOUT)
            .client_for(&url)
            .attempt(&request())
            .await;
        assert_eq!(result.outcome, Outcome::ConnectionRefused, "{host}");
    }
}

#[actix_rt::test]
async fn checks_the_egress_policy_when_connecting() {
    let server = Server::start(|_, peer| write(peer, NO_CONTENT_RESPONSE));
    let policy = EgressPolicy::new(vec![], false, vec![server.address], vec![]);
    let url = parse_url(&format!("http://localhost:{}", server.address.port()));
    let check = check_url_before_save(&policy, &url).await;
    assert!(matches!(check, Err(EgressDenied::OwnSocket)));
    let sender = HttpSender::new(
        Arc::new(tls_config(&[]).unwrap()),
        Arc::new(policy),
        LONG_TIMEOUT,
    );
    let result = sender.client_for(&url).attempt(&request()).await;
    assert!(matches!(
        result.outcome,
        Outcome::TargetNotAllowed(EgressDenied::OwnSocket)
    ));
    assert_eq!(server.connection_count(), 0);
}

#[actix_rt::test]
async fn a_hanging_endpoint_does_not_delay_another() {
    let hanging = Server::start(|_, peer| hang(peer));
    let healthy = Server::start(|_, peer| write(peer, NO_CONTENT_RESPONSE));
    let (slow, fast) = (
        endpoint_client(&hanging, LONG_TIMEOUT),
        endpoint_client(&healthy, LONG_TIMEOUT),
    );
    let request = request();
    let waiting = futures_util::future::join_all((0..150).map(|_| slow.attempt(&request)));
    let winner = futures_util::future::select(waiting, Box::pin(fast.attempt(&request))).await;
    assert!(matches!(winner, futures_util::future::Either::Right(_)));
}
