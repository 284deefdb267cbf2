//! Tests of TLS connections and certificates.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::{Duration as Days, OffsetDateTime};

use super::server::{Peer, Server, hang};
use super::*;
use crate::delivery::tls::tls_config;

struct TestCa {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    file: tempfile::NamedTempFile,
}

fn ca_params() -> CertificateParams {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn new_test_ca() -> TestCa {
    let (params, key) = (ca_params(), KeyPair::generate().unwrap());
    let certificate = params.self_signed(&key).unwrap();
    TestCa::new(params, key, certificate.der().clone())
}

fn new_ca_file(certificate: &CertificateDer<'_>) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let base64 = STANDARD.encode(certificate);
    write!(
        file,
        "-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n"
    )
    .unwrap();
    file
}

impl TestCa {
    fn new(params: CertificateParams, key: KeyPair, certificate: CertificateDer<'static>) -> Self {
        Self {
            issuer: Issuer::new(params, key),
            file: new_ca_file(&certificate),
            certificate,
        }
    }

    /// Returns a new intermediate CA, issued by this CA. All intermediate CAs have the same name.
    fn issue_intermediate(&self) -> Self {
        let (mut params, key) = (ca_params(), KeyPair::generate().unwrap());
        let name = rcgen::DnType::CommonName;
        params.distinguished_name.push(name, "test intermediate");
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self::new(params, key, certificate.der().clone())
    }

    /// Issues a certificate for `names`, with a new key. `days` contains the start and the end of
    /// the validity period, in days from now.
    fn issue_certificate(
        &self,
        names: &[&str],
        days: (i64, i64),
    ) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = OffsetDateTime::now_utc() + Days::days(days.0);
        params.not_after = OffsetDateTime::now_utc() + Days::days(days.1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (certificate.der().clone(), key)
    }

    fn sender_with_ca_file(&self) -> HttpSender {
        let tls = tls_config(&[self.file.path().to_owned()]).unwrap();
        HttpSender::new(Arc::new(tls), Arc::default(), LONG_TIMEOUT)
    }
}

fn respond_ok(_: usize, peer: &mut dyn Peer) -> bool {
    write(
        peer,
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    )
}

async fn attempt_outcome(sender: &HttpSender, server: &Server, host: &str) -> Outcome {
    let url = format!("https://{host}:{}/", server.address.port());
    sender
        .client_for(&parse_url(&url))
        .attempt(&request())
        .await
        .outcome
}

#[actix_rt::test]
async fn accepts_ca_file_certificates_for_names_and_ip_addresses() {
    let ca = new_test_ca();
    let valid = || ca.issue_certificate(&["localhost", "127.0.0.1", "::1"], (-1, 1));
    let sender = ca.sender_with_ca_file();
    let server = Server::start_with_tls("127.0.0.1:0", valid(), respond_ok);
    for host in ["localhost", "LOCALHOST.", "127.0.0.1", "2130706433"] {
        assert_eq!(
            attempt_outcome(&sender, &server, host).await,
            Outcome::Delivered,
            "{host}"
        );
    }
    // For `localhost`, the client tries 127.0.0.1 first. Another test may listen on the same port
    // of 127.0.0.1, so find a port that is free on 127.0.0.1 too.
    let server = loop {
        let server = Server::start_with_tls("[::1]:0", valid(), respond_ok);
        if std::net::TcpStream::connect(("127.0.0.1", server.address.port())).is_err() {
            break server;
        }
    };
    for host in ["localhost", "[::1]", "[0:0::1]"] {
        assert_eq!(
            attempt_outcome(&sender, &server, host).await,
            Outcome::Delivered,
            "{host}"
        );
    }
}

#[actix_rt::test]
async fn reuses_tls_connections_and_measures_each_phase() {
    let ca = new_test_ca();
    let server = Server::start_with_tls(
        "127.0.0.1:0",
        ca.issue_certificate(&["localhost"], (-1, 1)),
        respond_ok,
    );
    let sender = ca.sender_with_ca_file();
    let client = sender.client_for(&parse_url(&format!(
        "https://localhost:{}",
        server.address.port()
    )));
    let first = client.attempt(&request()).await;
    assert_eq!(first.outcome, Outcome::Delivered);
    let timings = first.timings;
    assert_eq!(timings.dns, None);
    assert!(timings.connect.is_some() && timings.tls.is_some() && timings.waiting.is_some());
    let second = client.attempt(&request()).await;
    assert_eq!(second.outcome, Outcome::Delivered);
    assert_eq!((second.timings.connect, second.timings.tls), (None, None));
    assert!(second.timings.waiting.is_some());
    assert_eq!(server.connection_count(), 1);
}

#[actix_rt::test]
async fn reports_why_a_certificate_is_invalid() {
    use crate::domain::tls_problem::CertificateProblem as Problem;
    let ca = new_test_ca();
    let sender = ca.sender_with_ca_file();
    let outcome_for = async |names: &[&str], days| {
        let server =
            Server::start_with_tls("127.0.0.1:0", ca.issue_certificate(names, days), respond_ok);
        let outcome = attempt_outcome(&sender, &server, "localhost").await;
        assert!(server.requests().is_empty());
        outcome
    };
    let expired = outcome_for(&["localhost"], (-20, -10)).await;
    assert!(
        matches!(
            expired,
            Outcome::Certificate(Problem::Expired { at: Some(_), .. })
        ),
        "{expired:?}"
    );
    let early = outcome_for(&["localhost"], (10, 20)).await;
    assert!(
        matches!(
            early,
            Outcome::Certificate(Problem::NotYetValid { at: Some(_), .. })
        ),
        "{early:?}"
    );
    let other = outcome_for(&["other.example"], (-1, 1)).await;
    let names = vec!["other.example".to_owned()];
    assert_eq!(other, Outcome::Certificate(Problem::WrongName(names)));

    let server = Server::start_with_tls(
        "127.0.0.1:0",
        ca.issue_certificate(&["localhost"], (-1, 1)),
        respond_ok,
    );
    let unknown = attempt_outcome(&sender_with_timeout(LONG_TIMEOUT), &server, "localhost").await;
    assert_eq!(unknown, Outcome::Certificate(Problem::UnknownIssuer));
    assert!(server.requests().is_empty());
}

#[actix_rt::test]
async fn distinguishes_an_outdated_ca_from_a_broken_chain() {
    use crate::domain::tls_problem::CertificateProblem as Problem;
    // All test CAs have the same name, so `renewed` looks like `known` with a new key.
    let (known, renewed) = (new_test_ca(), new_test_ca());
    let sender = known.sender_with_ca_file();
    let outcome_for = async |sender: &HttpSender, chain: Vec<_>, key| {
        let server = Server::start_with_certificate_chain("127.0.0.1:0", (chain, key), respond_ok);
        let outcome = attempt_outcome(sender, &server, "localhost").await;
        assert!(server.requests().is_empty());
        outcome
    };
    let outdated = Outcome::Certificate(Problem::OtherIssuerKey);
    let (leaf, key) = renewed.issue_certificate(&["localhost"], (-1, 1));
    assert_eq!(outcome_for(&sender, vec![leaf], key).await, outdated);
    let text = outdated.explanation();
    assert!(
        text.contains("--ca-file is out of date") && text.contains("wrong certificate"),
        "{text}"
    );
    assert!(text.contains("openssl verify -CAfile"), "{text}");

    let intermediate = renewed.issue_intermediate();
    let (leaf, key) = intermediate.issue_certificate(&["localhost"], (-1, 1));
    let chain = vec![leaf, intermediate.certificate.clone()];
    assert_eq!(outcome_for(&sender, chain, key).await, outdated);

    // The endpoint sends the certificate of an intermediate CA that didn't sign the server
    // certificate.
    let (leaf, key) = known
        .issue_intermediate()
        .issue_certificate(&["localhost"], (-1, 1));
    let chain = vec![leaf, known.issue_intermediate().certificate.clone()];
    let broken = Outcome::Certificate(Problem::InvalidSignature);
    assert_eq!(outcome_for(&sender, chain, key).await, broken);
    assert!(!broken.explanation().contains("--ca-file"));

    let (leaf, _) = known.issue_certificate(&["localhost"], (-1, 1));
    let (_, other_key) = known.issue_certificate(&["localhost"], (-1, 1));
    let mismatch = outcome_for(&sender, vec![leaf], other_key).await;
    assert_eq!(mismatch, Outcome::Certificate(Problem::KeyMismatch));

    let sender = renewed.sender_with_ca_file();
    let server = Server::start_with_tls(
        "127.0.0.1:0",
        renewed.issue_certificate(&["localhost"], (-1, 1)),
        respond_ok,
    );
    let outcome = attempt_outcome(&sender, &server, "localhost").await;
    assert_eq!(outcome, Outcome::Delivered);
}

#[actix_rt::test]
async fn reports_an_endpoint_without_tls_as_a_tls_failure() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = parse_url(&format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    ));
    let responses = [&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], b""];
    std::thread::spawn(move || {
        for (tcp, response) in listener.incoming().zip(responses) {
            let mut tcp = tcp.unwrap();
            std::io::Read::read(&mut tcp, &mut [0; 4096]).unwrap();
            tcp.write_all(response).unwrap();
        }
    });
    let sender = sender_with_timeout(LONG_TIMEOUT);
    for _ in responses {
        let outcome = sender.client_for(&url).attempt(&request()).await.outcome;
        assert!(matches!(outcome, Outcome::Tls(_)), "{outcome:?}");
    }
    let hanging = Server::start(|_, peer| hang(peer));
    let outcome = attempt_outcome(&sender_with_timeout(SHORT_TIMEOUT), &hanging, "localhost").await;
    assert_eq!(outcome.error_code(), Some("tls_timeout"));
}

#[test]
fn reports_an_unusable_ca_file() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    let mut garbage = tempfile::NamedTempFile::new().unwrap();
    write!(
        garbage,
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    .unwrap();
    let mut broken = tempfile::NamedTempFile::new().unwrap();
    write!(broken, "-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap();
    let missing = empty.path().with_extension("missing");
    for path in [empty.path(), garbage.path(), broken.path(), &missing] {
        let error = tls_config(&[path.to_owned()]).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("--ca-file: can’t use {}: it ", path.display())),
            "{error}"
        );
    }
    assert_eq!(tls_config(&[]).unwrap().alpn_protocols, [b"http/1.1"]);
}
