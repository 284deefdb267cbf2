//! The explanations of failed TLS connections. Each test uses a real server that has the fault.

use std::io::{Read, Write};
use std::net::TcpListener;

use serde_json::json;

use crate::support::api::text;
use crate::support::app::App;
use crate::support::receiver::{Receiver, Reply};
use crate::support::tls_endpoint::{Certificates, LeafCertificate};

/// Tests a URL. Returns the explanation of the failure, or an empty string after a success.
#[track_caller]
fn explanation(app: &App, url: &str) -> String {
    let response = app.api().post("/api/v1/webhooks/test", json!({"url": url}));
    let result = response.expect(200).json();
    let text = result["error"].as_str().unwrap_or_default().to_owned();
    assert_eq!(result["success"], text.is_empty(), "{result:#}");
    assert_is_plain_english(&text);
    text
}

/// Checks that a message is short and contains no text from a library.
#[track_caller]
fn assert_is_plain_english(message: &str) {
    for part in [
        "{", "}", "[", "]", "Other(", "Error", "os error", "webpki", "rustls",
    ] {
        assert!(!message.contains(part), "{part:?} is in {message:?}");
    }
    assert!(message.chars().count() < 600, "too long: {message}");
}

fn app_trusting(files: &[String]) -> App {
    App::builder()
        .option("--ca-file", &files.join(","))
        .option("--retry-delays", "none")
        .start()
}

/// Checks the explanation for a server whose certificate comes from a trusted CA. The explanation
/// must contain all `parts`. Without `parts`, the certificate must be accepted.
#[track_caller]
fn assert_explained(leaf: &LeafCertificate<'_>, parts: &[&str]) {
    let certificates = Certificates::new();
    certificates.issue(leaf);
    let app = app_trusting(&[certificates.file("ca.pem")]);
    let endpoint = certificates.serve(leaf.name, &[]);
    let message = explanation(&app, &endpoint.url());
    for part in parts {
        assert!(message.contains(part), "no {part:?} in {message:?}");
    }
    assert_eq!(message.is_empty(), parts.is_empty(), "{message}");
}

#[test]
fn accepts_the_usual_certificates() {
    for (key, issue) in [
        ("rsa:2048", "-days 30"),
        ("rsa:2048", "-days 30 -sha384"),
        ("ec -pkeyopt ec_paramgen_curve:prime256v1", "-days 30"),
        ("ec -pkeyopt ec_paramgen_curve:secp384r1", "-days 30"),
        ("ed25519", "-days 30"),
    ] {
        let leaf = LeafCertificate {
            key,
            issue,
            ..LeafCertificate::default()
        };
        assert_explained(&leaf, &[]);
    }
}

#[test]
fn explains_a_ca_certificate_used_as_a_server_certificate() {
    let certificates = Certificates::new();
    certificates.run_in_shell(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout own.key -out own.pem -days 30 \
         -subj /CN=localhost -addext subjectAltName=DNS:localhost",
    );
    let app = app_trusting(&[certificates.file("own.pem")]);
    let endpoint = certificates.serve("own", &[]);
    let message = explanation(&app, &endpoint.url());
    assert!(
        message.contains("is a CA certificate (CA:TRUE)"),
        "{message}"
    );

    // The command in the message creates a certificate that works.
    let (_, command) = message.split_once("CA:FALSE: ").unwrap();
    let (command, _) = command.split_once(". ").unwrap();
    certificates.run_in_shell(&command.replace("HOST", "localhost"));
    certificates.run_in_shell("mv cert.pem fixed.pem; mv key.pem fixed.key");
    let app = app_trusting(&[certificates.file("fixed.pem")]);
    let endpoint = certificates.serve("fixed", &[]);
    assert_eq!(explanation(&app, &endpoint.url()), "");
}

#[test]
fn explains_a_certificate_without_alternative_names() {
    let certificates = Certificates::new();
    let app = app_trusting(&[certificates.file("ca.pem")]);
    for (extensions, part) in [
        (
            "basicConstraints=CA:FALSE",
            "has no subject alternative name (SAN)",
        ),
        ("", "isn’t an X.509 version 3 certificate"),
    ] {
        certificates.issue(&LeafCertificate {
            name: "server",
            extensions,
            ..LeafCertificate::default()
        });
        let message = explanation(&app, &certificates.serve("server", &[]).url());
        assert!(message.contains(part), "{message}");
        assert!(!message.contains("Use a host name"), "{message}");

        // The command in the message issues a certificate that works.
        let (_, command) = message.split_once("your own CA: ").unwrap();
        let (command, _) = command.split_once(". ").unwrap();
        certificates.run_in_shell(&command.replace("HOST", "localhost"));
        let fixed = certificates.serve("server", &[]);
        assert_eq!(explanation(&app, &fixed.url()), "");
    }
}

#[test]
fn a_certificate_for_other_names_lists_them() {
    let leaf = LeafCertificate {
        extensions: "subjectAltName=DNS:shop.example,DNS:*.shop.example,IP:10.0.0.7",
        ..LeafCertificate::default()
    };
    assert_explained(
        &leaf,
        &[
            "It covers shop.example, *.shop.example and 10.0.0.7.",
            "Use a host name",
        ],
    );
}

#[test]
fn explains_outdated_signatures_and_keys() {
    for (key, issue, parts) in [
        ("rsa:2048", "-days 30 -sha1", ["SHA-1", "-sha256"]),
        ("rsa:2048", "-days 30 -md5", ["MD5", "-sha256"]),
        (
            "rsa:1024",
            "-days 30",
            ["fewer than 2,048 bits", "rsa:2048"],
        ),
    ] {
        let leaf = LeafCertificate {
            key,
            issue,
            ..LeafCertificate::default()
        };
        assert_explained(&leaf, &parts);
    }
}

#[test]
fn explains_a_ca_with_a_short_key() {
    let certificates = Certificates::new();
    certificates.run_in_shell(
        "openssl req -x509 -newkey rsa:1024 -nodes -keyout short.key -out short.pem -days 30 \
         -subj '/CN=Short CA'",
    );
    certificates.issue(&LeafCertificate {
        issuer: "short",
        ..LeafCertificate::default()
    });
    let app = app_trusting(&[certificates.file("short.pem")]);
    let message = explanation(&app, &certificates.serve("leaf", &[]).url());
    assert!(message.contains("fewer than 2,048 bits"), "{message}");
}

#[test]
fn expired_and_future_certificates_show_both_dates() {
    let year = jiff::Timestamp::now().strftime("%Y").to_string();
    let today = format!("{year}.");
    for (dates, part) in [
        (
            "20200101000000Z 20210101000000Z",
            "expired on January 1, 2021.",
        ),
        (
            "21200101000000Z 21210101000000Z",
            "isn’t valid until January 1, 2120.",
        ),
    ] {
        let certificates = Certificates::new();
        certificates.issue(&LeafCertificate::default());
        let (start, end) = dates.split_once(' ').unwrap();
        // Use `openssl ca`, because `openssl x509` can't set the start date.
        certificates.run_in_shell(&format!(
            "touch index.txt; echo 01 > serial\n\
             printf '[ca]\\ndefault_ca=d\\n[d]\\ndatabase=index.txt\\nserial=serial\\nnew_certs_dir=.\\n\
             default_md=sha256\\npolicy=p\\n[p]\\ncommonName=supplied\\n' > ca.cnf\n\
             openssl ca -batch -config ca.cnf -cert ca.pem -keyfile ca.key -in leaf.csr \
             -out leaf.pem -notext -startdate {start} -enddate {end} -extfile leaf.ext"
        ));
        let app = app_trusting(&[certificates.file("ca.pem")]);
        let message = explanation(&app, &certificates.serve("leaf", &[]).url());
        for part in [part, "On Miniback’s machine, the date is", &today, "clock"] {
            assert!(message.contains(part), "no {part:?} in {message:?}");
        }
    }
}

#[test]
fn explains_unknown_issuers_and_self_signed_certificates() {
    let certificates = Certificates::new();
    certificates.issue(&LeafCertificate::default());
    certificates.run_in_shell(
        "openssl req -x509 -newkey rsa:2048 -nodes -keyout own.key -out own.pem -days 30 \
         -subj /CN=localhost -addext subjectAltName=DNS:localhost \
         -addext basicConstraints=critical,CA:FALSE",
    );
    let app = App::start();
    let message = explanation(&app, &certificates.serve("leaf", &[]).url());
    assert!(
        message.contains("unknown authority") && message.contains("--ca-file"),
        "{message}"
    );
    let message = explanation(&app, &certificates.serve("own", &[]).url());
    assert!(
        message.contains("self-signed") && message.contains("--ca-file"),
        "{message}"
    );
    // The advice in the message fixes the error.
    let app = app_trusting(&[certificates.file("own.pem")]);
    let endpoint = certificates.serve("own", &[]);
    assert_eq!(explanation(&app, &endpoint.url()), "");
}

#[test]
fn explains_certificates_with_the_wrong_purpose_or_issuer() {
    let leaf = LeafCertificate {
        extensions: "subjectAltName=DNS:localhost\nextendedKeyUsage=clientAuth",
        ..LeafCertificate::default()
    };
    assert_explained(&leaf, &["isn’t meant for servers", "serverAuth"]);

    let certificates = Certificates::new();
    certificates.issue(&LeafCertificate {
        name: "between",
        subject: "/CN=Between",
        extensions: "basicConstraints=CA:FALSE",
        ..LeafCertificate::default()
    });
    certificates.issue(&LeafCertificate {
        issuer: "between",
        ..LeafCertificate::default()
    });
    let app = app_trusting(&[certificates.file("ca.pem")]);
    let endpoint = certificates.serve("leaf", &["-cert_chain", "between.pem"]);
    let message = explanation(&app, &endpoint.url());
    assert!(message.contains("CA:TRUE"), "{message}");
}

#[test]
fn explains_servers_without_a_common_algorithm() {
    let certificates = Certificates::new();
    certificates.issue(&LeafCertificate::default());
    certificates.issue(&LeafCertificate {
        name: "p521",
        key: "ec -pkeyopt ec_paramgen_curve:secp521r1",
        ..LeafCertificate::default()
    });
    let app = app_trusting(&[certificates.file("ca.pem")]);
    let old_cipher = ["-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"];
    for (name, args) in [("leaf", &old_cipher[..]), ("p521", &[])] {
        let message = explanation(&app, &certificates.serve(name, args).url());
        assert!(message.contains("“handshake failure”"), "{message}");
        assert!(
            message.contains("ECDHE") && message.contains("P-384"),
            "{message}"
        );
        assert!(!message.contains("Check that the port"), "{message}");
    }
}

#[test]
fn explains_servers_with_an_old_tls_version() {
    let certificates = Certificates::new();
    certificates.issue(&LeafCertificate::default());
    let app = app_trusting(&[certificates.file("ca.pem")]);
    for version in ["-tls1", "-tls1_1"] {
        let message = explanation(&app, &certificates.serve("leaf", &[version]).url());
        assert!(
            message.contains("only TLS versions before 1.2"),
            "{version}: {message}"
        );
        assert!(
            message.contains("Enable TLS 1.2 or 1.3"),
            "{version}: {message}"
        );
    }
}

#[test]
fn explains_servers_that_require_a_client_certificate() {
    let certificates = Certificates::new();
    certificates.issue(&LeafCertificate::default());
    let app = app_trusting(&[certificates.file("ca.pem")]);
    for version in ["-tls1_2", "-tls1_3"] {
        let args = [version, "-Verify", "1", "-verify_return_error"];
        let message = explanation(&app, &certificates.serve("leaf", &args).url());
        assert!(
            message.contains("requires a client certificate"),
            "{version}: {message}"
        );
    }
    // A server that requests a client certificate without requiring it works.
    let endpoint = certificates.serve("leaf", &["-verify", "1"]);
    assert_eq!(explanation(&app, &endpoint.url()), "");
}

#[test]
fn explains_a_server_without_a_certificate_for_the_name() {
    let certificates = Certificates::new();
    certificates.issue(&LeafCertificate::default());
    let app = app_trusting(&[certificates.file("ca.pem")]);
    let args = ["-servername", "other.example", "-servername_fatal"];
    let args = [&args[..], &["-cert2", "leaf.pem", "-key2", "leaf.key"]].concat();
    let message = explanation(&app, &certificates.serve("leaf", &args).url());
    assert!(
        message.contains("no certificate for this host name"),
        "{message}"
    );
}

/// Starts a server that reads the first bytes of each connection, sends `response`, and closes the
/// connection. Returns its URL.
fn port_that_sends(response: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(response);
        }
    });
    format!("https://{address}/")
}

#[test]
fn explains_ports_that_do_not_use_tls() {
    let app = App::start();
    let plain = Receiver::script(|_| Reply::status(200));
    let url = format!("https://{}/", plain.address());
    let message = explanation(&app, &url);
    assert!(message.contains("plain HTTP instead of TLS"), "{message}");
    for (response, part) in [
        (&b"SSH-2.0-OpenSSH_9.9\r\n"[..], "“SSH-2.0-OpenSSH_9.9"),
        (b"220 mail.example ESMTP\r\n", "“220 mail.example"),
        (b"", "closed the connection during the TLS handshake"),
        // This TLS alert has no known meaning.
        (b"\x15\x03\x03\x00\x02\x02\xfe", "The TLS handshake failed."),
        (b"\x15\x03\x03\x00\x02\x02\x50", "alert “internal error”"),
    ] {
        let message = explanation(&app, &port_that_sends(response));
        assert!(message.contains(part), "{response:?}: {message}");
    }
}

#[test]
fn explains_plain_http_to_a_tls_port() {
    let app = App::start();
    let alert = port_that_sends(b"\x15\x03\x01\x00\x02\x02\x16");
    let message = explanation(&app, &alert.replace("https:", "http:"));
    assert!(message.contains("TLS instead of plain HTTP") && message.contains("https://"));
}

#[test]
fn the_delivery_log_and_check_show_the_same_explanation() {
    let certificates = Certificates::new();
    certificates.issue(&LeafCertificate {
        issue: "-days 30 -sha1",
        ..LeafCertificate::default()
    });
    let app = app_trusting(&[certificates.file("ca.pem")]);
    let endpoint = certificates.serve("leaf", &[]);
    let webhook = app.api().create_webhook(&endpoint.url());
    let delivery = app.api().deliver_one(&webhook, "failed");
    let attempt = &delivery["attempts"][0];
    assert_eq!(attempt["errorCode"], "certificate_signature");
    assert!(text(attempt, "error").contains("SHA-1"), "{attempt:#}");
    let args = ["check", "--ca-file", &certificates.file("ca.pem")];
    let checked = app.run(&args, "");
    assert!(
        checked.stdout.contains("signed with SHA-1"),
        "{}",
        checked.stdout
    );
    assert!(checked.stdout.contains("-sha256"), "{}", checked.stdout);
}
