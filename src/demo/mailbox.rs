//! A mailbox, as a person on the team would see it: a mail server on loopback that accepts every
//! email, and a page that shows the emails.

use std::collections::VecDeque;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, ContentType};
use actix_web::{HttpResponse, web};
use askama::Template;
use mail_parser::{Address, MessageParser};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::server::render_page;

const EMAILS_MAX: usize = 50;
/// The maximum length of a line, in bytes. Longer lines are read in parts.
const LINE_MAX: u64 = 1024;
const EMAIL_MAX_BYTES: usize = 1024 * 1024;
/// The policy of an email's HTML: it loads nothing and runs no scripts.
const HTML_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'self'";

/// The emails in the mailbox; cheap to clone.
#[derive(Clone, Default)]
pub struct Mailbox(Arc<Mutex<Emails>>);

#[derive(Default)]
struct Emails {
    /// The number of all emails received, including emails that are no longer stored.
    count: usize,
    newest_first: VecDeque<Arc<Email>>,
}

/// A received email, decoded.
#[derive(Default)]
struct Email {
    /// The position in the order of arrival, starting at 1.
    number: usize,
    from: String,
    to: String,
    reply_to: String,
    subject: String,
    /// The time in the header `Date`, in ISO 8601.
    date: String,
    text: String,
    html: String,
}

impl Email {
    fn parse(raw: &[u8]) -> Option<Self> {
        let email = MessageParser::default().parse(raw)?;
        let part = |text: Option<std::borrow::Cow<'_, str>>| text.unwrap_or_default().into_owned();
        Some(Self {
            number: 0,
            from: first_address(email.from()),
            to: first_address(email.to()),
            reply_to: first_address(email.reply_to()),
            subject: email.subject().unwrap_or_default().to_owned(),
            date: email
                .date()
                .map(|date| date.to_rfc3339())
                .unwrap_or_default(),
            text: part(email.body_text(0)),
            html: part(email.body_html(0)),
        })
    }
}

fn first_address(list: Option<&Address<'_>>) -> String {
    let address = list.and_then(|list| list.first()?.address.as_deref());
    address.unwrap_or_default().to_owned()
}

impl Mailbox {
    /// Stores an email. Returns whether it could be read.
    fn store(&self, raw: &[u8]) -> bool {
        let Some(mut email) = Email::parse(raw) else {
            return false;
        };
        let mut emails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        emails.count += 1;
        email.number = emails.count;
        emails.newest_first.push_front(Arc::new(email));
        emails.newest_first.truncate(EMAILS_MAX);
        true
    }

    fn newest_first(&self) -> Vec<Arc<Email>> {
        let emails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        emails.newest_first.iter().cloned().collect()
    }
}

/// Starts the mail server on `listener`. Must be called within a tokio runtime.
pub fn start(listener: TcpListener, mailbox: Mailbox) -> io::Result<JoinHandle<()>> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    Ok(tokio::spawn(async move {
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                let mailbox = mailbox.clone();
                tokio::spawn(async move { serve_client(stream, &mailbox).await });
            }
        }
    }))
}

/// Speaks SMTP (RFC 5321) with a client, and accepts every email.
async fn serve_client(stream: TcpStream, mailbox: &Mailbox) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 localhost\r\n").await?;
    loop {
        let line = read_line(&mut stream).await?;
        let command = String::from_utf8_lossy(&line).trim().to_ascii_uppercase();
        let reply = match command.split(' ').next().unwrap_or_default() {
            "" => return Ok(()),
            "EHLO" => "250-localhost\r\n250 8BITMIME\r\n",
            "HELO" | "MAIL" | "RCPT" | "RSET" | "NOOP" => "250 OK\r\n",
            "DATA" => {
                stream.write_all(b"354 Send the email\r\n").await?;
                let email = read_email(&mut stream).await?;
                if mailbox.store(&email) {
                    "250 Accepted\r\n"
                } else {
                    "554 The email can't be read\r\n"
                }
            }
            "QUIT" => return stream.write_all(b"221 Bye\r\n").await,
            _ => "502 Not implemented\r\n",
        };
        stream.write_all(reply.as_bytes()).await?;
    }
}

async fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    stream.take(LINE_MAX).read_until(b'\n', &mut line).await?;
    Ok(line)
}

/// Reads an email up to the line `.`, and removes the dots that the client added at the start of
/// lines.
async fn read_email(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut email = Vec::new();
    loop {
        let line = read_line(stream).await?;
        if line == b".\r\n" {
            return Ok(email);
        }
        if line.is_empty() || email.len() > EMAIL_MAX_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        email.extend(line.strip_prefix(b".").unwrap_or(&line));
    }
}

#[derive(Template)]
#[template(path = "demo/mailbox.html")]
struct MailboxPage {
    current: &'static str,
    /// The number of the newest email.
    newest: usize,
    emails: Vec<Arc<Email>>,
}

pub(super) async fn show_page(mailbox: web::Data<Mailbox>) -> HttpResponse {
    let emails = mailbox.newest_first();
    let page = MailboxPage {
        current: "inbox",
        newest: emails.first().map_or(0, |email| email.number),
        emails,
    };
    render_page(StatusCode::OK, &page)
}

/// Shows the HTML part of an email, for a frame on the page.
pub(super) async fn show_html(
    mailbox: web::Data<Mailbox>,
    number: web::Path<usize>,
) -> HttpResponse {
    let emails = mailbox.newest_first();
    match emails.iter().find(|email| email.number == *number) {
        Some(email) => HttpResponse::Ok()
            .insert_header(ContentType::html())
            .insert_header((CONTENT_SECURITY_POLICY, HTML_POLICY))
            .body(email.html.clone()),
        None => HttpResponse::NotFound().finish(),
    }
}
