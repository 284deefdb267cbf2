//! Tests emails against a mail server that follows a script.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Mutex;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::delivery::tls::tls_config;
use crate::domain::endpoint_url::Host;
use crate::domain::mail_server::{MailCredentials, MailEncryption, MailSender, MailServer};

const LONG_TIMEOUT: Duration = Duration::from_secs(20);
const SHORT_TIMEOUT: Duration = Duration::from_millis(500);

/// What the mail server does instead of its usual reply.
#[derive(Clone, Copy)]
enum Fault {
    Reply(&'static str),
    Close,
    Hang,
}

/// A mail server that replies to each command, apart from one fault per connection.
struct ScriptedServer {
    address: SocketAddr,
    received: Arc<Mutex<Vec<String>>>,
}

impl ScriptedServer {
    /// Starts a server. `faults` contains the fault of each connection: the beginning of a command,
    /// empty for the greeting or `.` for the end of an email, and what happens then.
    async fn start(faults: Vec<(&'static str, Fault)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&received);
        actix_rt::spawn(async move {
            let mut faults = VecDeque::from(faults);
            while let Ok((stream, _)) = listener.accept().await {
                let (log, fault) = (Arc::clone(&log), faults.pop_front());
                actix_rt::spawn(async move { serve(stream, log, fault).await });
            }
        });
        Self { address, received }
    }

    fn client(&self, timeout: Duration, encryption: MailEncryption) -> MailClient {
        let settings = MailSettings {
            server: MailServer {
                host: Host::Ip(self.address.ip()),
                port: self.address.port(),
                encryption,
                credentials: Some(MailCredentials {
                    user: "user".into(),
                    password: "password".into(),
                }),
            },
            sender: MailSender::parse("Miniback <bot@acme.example>").unwrap(),
        };
        MailClient::new(Arc::new(tls_config(&[]).unwrap()), Some(settings), timeout)
    }

    fn received(&self) -> Vec<String> {
        self.received.lock().unwrap().clone()
    }
}

/// Handles a connection. Returns when it is closed.
async fn serve(
    stream: TcpStream,
    log: Arc<Mutex<Vec<String>>>,
    fault: Option<(&'static str, Fault)>,
) -> Option<()> {
    let mut stream = BufReader::new(stream);
    let (mut command, mut is_content) = (String::new(), false);
    loop {
        if !is_content {
            let default = match command.get(..4).unwrap_or(&command) {
                "" => "220 ready\r\n",
                "EHLO" => "250-hello\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n",
                "AUTH" => "235 ok\r\n",
                "DATA" => "354 go ahead\r\n",
                _ if command.starts_with('.') => "250 2.0.0 queued\r\n",
                _ => "250 ok\r\n",
            };
            let is_fault = |start: &str| match start {
                "" => command.is_empty(),
                start => command.starts_with(start),
            };
            match fault {
                Some((start, Fault::Reply(reply))) if is_fault(start) => {
                    stream.write_all(reply.as_bytes()).await.ok()?;
                    is_content = start == "DATA" && reply.starts_with("354");
                }
                Some((start, Fault::Close)) if is_fault(start) => return None,
                Some((start, Fault::Hang)) if is_fault(start) => {
                    std::future::pending::<()>().await;
                }
                _ => {
                    stream.write_all(default.as_bytes()).await.ok()?;
                    is_content = command.starts_with("DATA");
                }
            }
        }
        command.clear();
        if stream.read_line(&mut command).await.ok()? == 0 {
            return None;
        }
        if is_content && command == ".\r\n" {
            is_content = false;
        }
        log.lock().unwrap().push(command.trim_end().to_owned());
    }
}

fn mail(settings: &MailClient) -> OutgoingMail {
    let content = b"Subject: x\r\n\r\nfirst\r\n.\r\n.last\r\n";
    let date = Timestamp::from_millis(1_761_914_096_789);
    let settings = settings.0.settings.as_ref();
    OutgoingMail::new(settings, "dlv_1", "sam@example.com", date, content)
}

async fn send_with_fault(
    step: &'static str,
    fault: Fault,
    timeout: Duration,
) -> (AttemptResult, Vec<String>) {
    let server = ScriptedServer::start(vec![(step, fault)]).await;
    let client = server.client(timeout, MailEncryption::None);
    let result = client.send(&mail(&client)).await;
    (result, server.received())
}

#[actix_web::test]
async fn sends_an_email_and_keeps_the_connection() {
    let server = ScriptedServer::start(vec![("NEVER", Fault::Hang)]).await;
    let client = server.client(LONG_TIMEOUT, MailEncryption::None);
    for _ in 0..2 {
        let result = client.send(&mail(&client)).await;
        assert_eq!(result.outcome, Outcome::Delivered);
        let response = result.response.unwrap();
        assert_eq!(
            (response.status, response.body.as_slice()),
            (250, &b"2.0.0 queued"[..])
        );
        assert!(result.timings.connect.is_some() || result.timings.waiting.is_some());
    }
    let email = [
        "MAIL FROM:<bot@acme.example>",
        "RCPT TO:<sam@example.com>",
        "DATA",
        "From: Miniback <bot@acme.example>",
        "To: sam@example.com",
        "Date: Fri, 31 Oct 2025 12:34:56 +0000",
        "Message-ID: <dlv_1@acme.example>",
        "Subject: x",
        "",
        "first",
        "..",
        "..last",
        ".",
    ];
    let expected = ["EHLO [127.0.0.1]", "AUTH PLAIN AHVzZXIAcGFzc3dvcmQ="]
        .into_iter()
        .chain(email)
        .chain(email);
    assert_eq!(server.received(), expected.collect::<Vec<_>>());
}

#[actix_web::test]
async fn uses_a_new_connection_if_the_server_closed_an_idle_one() {
    for fault in [Fault::Close, Fault::Reply("421 4.4.2 timeout\r\n")] {
        let server = ScriptedServer::start(vec![("NEVER", Fault::Hang)]).await;
        let client = server.client(LONG_TIMEOUT, MailEncryption::None);
        let stale = ScriptedServer::start(vec![("MAIL", fault)]).await;
        let stale = stale.client(LONG_TIMEOUT, MailEncryption::None);
        let progress = MailProgress::new(Instant::now() + LONG_TIMEOUT);
        let settings = stale.0.settings.clone().unwrap();
        let connection = stale.connect(&settings, &progress).await;
        client.0.idle.borrow_mut().extend(connection.ok());
        assert_eq!(client.0.idle.borrow().len(), 1);
        assert_eq!(
            client.send(&mail(&client)).await.outcome,
            Outcome::Delivered
        );
        assert!(
            server
                .received()
                .contains(&"RCPT TO:<sam@example.com>".to_owned())
        );
    }
}

/// The beginning of each command with its step.
const STEPS: [(&str, MailStep); 7] = [
    ("", MailStep::Greeting),
    ("EHLO", MailStep::Hello),
    ("AUTH", MailStep::SignIn),
    ("MAIL", MailStep::Sender),
    ("RCPT", MailStep::Recipient),
    ("DATA", MailStep::Data),
    (".", MailStep::Content),
];

#[actix_web::test]
async fn reports_an_error_reply_at_each_step() {
    for (command, step) in STEPS {
        for (reply, code) in [("451-4.7.1 later\r\n451 bye\r\n", 451), ("550 no\r\n", 550)] {
            let (result, _) = send_with_fault(command, Fault::Reply(reply), LONG_TIMEOUT).await;
            let expected = MailFailure::Reply { step, code };
            assert_eq!(result.outcome, Outcome::Mail(expected), "{command} {code}");
            assert_eq!(result.outcome.is_permanent(), code == 550);
            let response = result.response.unwrap();
            assert_eq!(response.status, code);
            assert!(!response.body.is_empty());
        }
    }
}

#[actix_web::test]
async fn reports_a_closed_connection_at_each_step() {
    for (command, step) in STEPS {
        let (result, _) = send_with_fault(command, Fault::Close, LONG_TIMEOUT).await;
        assert_eq!(
            result.outcome,
            Outcome::Mail(MailFailure::Closed(step)),
            "{command}"
        );
    }
}

#[actix_web::test]
async fn a_hanging_server_ends_the_attempt_at_its_time_limit() {
    for (command, step) in STEPS {
        let (result, _) = send_with_fault(command, Fault::Hang, SHORT_TIMEOUT).await;
        let after = SHORT_TIMEOUT;
        assert_eq!(
            result.outcome,
            Outcome::Mail(MailFailure::Timeout { after, step })
        );
        assert!(result.outcome.is_timeout());
    }
}

#[actix_web::test]
async fn accepts_replies_without_text() {
    for (command, reply) in [
        ("", "220\r\n"),
        ("EHLO", "250\r\n"),
        ("EHLO", "250-\r\n250 AUTH PLAIN\r\n"),
        ("AUTH", "235\r\n"),
        ("MAIL", "250\r\n"),
        ("RCPT", "250\r\n"),
        ("DATA", "354\r\n"),
        (".", "250\r\n"),
    ] {
        let server = ScriptedServer::start(vec![(command, Fault::Reply(reply))]).await;
        let mut client = server.client(LONG_TIMEOUT, MailEncryption::None);
        if reply == "250\r\n" && command == "EHLO" {
            // This reply offers no sign-in.
            let settings = Rc::get_mut(&mut client.0).unwrap().settings.as_mut();
            settings.unwrap().server.credentials = None;
        }
        let result = client.send(&mail(&client)).await;
        assert_eq!(result.outcome, Outcome::Delivered, "{command} {reply}");
        let response = result.response.unwrap();
        let text = if command == "." { "" } else { "2.0.0 queued" };
        assert_eq!(response.body, text.as_bytes());
    }
}

#[actix_web::test]
async fn ignores_the_case_of_ehlo_keywords() {
    let reply = Fault::Reply("250-hello\r\n250 auth plain\r\n");
    let (result, received) = send_with_fault("EHLO", reply, LONG_TIMEOUT).await;
    assert_eq!(result.outcome, Outcome::Delivered);
    assert!(received[1].starts_with("AUTH PLAIN "), "{received:?}");
}

#[actix_web::test]
async fn a_code_without_text_can_be_an_error() {
    for (command, step) in STEPS {
        let (result, _) = send_with_fault(command, Fault::Reply("550\r\n"), LONG_TIMEOUT).await;
        let expected = MailFailure::Reply { step, code: 550 };
        assert_eq!(result.outcome, Outcome::Mail(expected), "{command}");
        assert_eq!(result.response.unwrap().status, 550);
    }
}

#[actix_web::test]
async fn an_unexpected_code_of_success_is_a_failure() {
    for (command, code, step) in [
        ("AUTH", 354, MailStep::SignIn),
        ("MAIL", 354, MailStep::Sender),
        ("RCPT", 354, MailStep::Recipient),
        ("DATA", 250, MailStep::Data),
        (".", 354, MailStep::Content),
    ] {
        let reply: &'static str = if code == 250 {
            "250 x\r\n"
        } else {
            "354 x\r\n"
        };
        let (result, _) = send_with_fault(command, Fault::Reply(reply), LONG_TIMEOUT).await;
        let expected = MailFailure::Reply { step, code };
        assert_eq!(result.outcome, Outcome::Mail(expected), "{command}");
        assert!(!result.outcome.is_permanent());
        let response = result.response.unwrap();
        assert_eq!((response.status, &response.body[..]), (code, &b"x"[..]));
    }
}

#[actix_web::test]
async fn masks_the_password_in_a_reply() {
    for reply in [
        "535 wrong: password\r\n",
        "535 wrong: AHVzZXIAcGFzc3dvcmQ=\r\n",
        "535 wrong: cGFzc3dvcmQ=\r\n",
        "535 wrong: cGFzc3dvcmQ\r\n",
    ] {
        let (result, _) = send_with_fault("AUTH", Fault::Reply(reply), LONG_TIMEOUT).await;
        let body = String::from_utf8(result.response.unwrap().body).unwrap();
        assert_eq!(body, "wrong: ••••••", "{reply}");
    }
    let echo = Fault::Reply("250 password\r\n");
    let (result, _) = send_with_fault(".", echo, LONG_TIMEOUT).await;
    assert_eq!(result.outcome, Outcome::Delivered);
    assert_eq!(result.response.unwrap().body, "••••••".as_bytes());
}

#[actix_web::test]
async fn detects_a_server_that_does_not_speak_smtp() {
    for reply in ["HTTP/1.1 400 Bad Request\r\n", "\u{0}\u{1}\r\n"] {
        let (result, _) = send_with_fault("", Fault::Reply(reply), LONG_TIMEOUT).await;
        let expected = MailFailure::InvalidReply(MailStep::Greeting);
        assert_eq!(result.outcome, Outcome::Mail(expected), "{reply}");
    }
}

#[actix_web::test]
async fn sends_nothing_without_starttls_or_sign_in() {
    let server = ScriptedServer::start(vec![("NEVER", Fault::Hang)]).await;
    let client = server.client(LONG_TIMEOUT, MailEncryption::StartTls);
    let result = client.send(&mail(&client)).await;
    assert_eq!(result.outcome, Outcome::Mail(MailFailure::NoStartTls));
    assert_eq!(server.received(), ["EHLO [127.0.0.1]"]);

    let no_sign_in = Fault::Reply("250 hello\r\n");
    let (result, received) = send_with_fault("EHLO", no_sign_in, LONG_TIMEOUT).await;
    assert_eq!(result.outcome, Outcome::Mail(MailFailure::NoSignIn));
    assert_eq!(received, ["EHLO [127.0.0.1]"]);
}

#[actix_web::test]
async fn reports_an_unreachable_or_missing_server() {
    let server = ScriptedServer::start(vec![]).await;
    let mut client = server.client(LONG_TIMEOUT, MailEncryption::None);
    let state = Rc::get_mut(&mut client.0).unwrap();
    // Nothing listens on this port of 127.0.0.2.
    state.settings.as_mut().unwrap().server.host = Host::Ip([127, 0, 0, 2].into());
    let result = client.send(&mail(&client)).await;
    let refused = MailFailure::Connection(Box::new(Outcome::ConnectionRefused));
    assert_eq!(result.outcome, Outcome::Mail(refused));

    let client = MailClient::new(Arc::new(tls_config(&[]).unwrap()), None, LONG_TIMEOUT);
    let result = client.send(&mail(&client)).await;
    assert_eq!(result.outcome, Outcome::Mail(MailFailure::NotConfigured));
}

#[actix_web::test]
async fn an_international_email_needs_an_extension_of_the_server() {
    let server = ScriptedServer::start(vec![("NEVER", Fault::Hang)]).await;
    let client = server.client(LONG_TIMEOUT, MailEncryption::None);
    let mut international = mail(&client);
    international.to = "\u{e4}da@example.com".into();
    let result = client.send(&international).await;
    assert_eq!(
        result.outcome,
        Outcome::Mail(MailFailure::NoInternationalEmail)
    );
}
