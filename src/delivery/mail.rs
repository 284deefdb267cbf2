//! Sends emails over SMTP. Returns replies and failures as data, like [`client`](super::client).
//!
//! All emails go to one mail server. A [`MailClient`] keeps a few connections open between emails.
//! If the mail server has closed such a connection, the email is sent over a new connection, within
//! the same attempt.

mod connection;
mod header;
mod progress;
mod reply;
mod stream;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use lettre::Address;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{Extension, MailParameter};
use lettre::transport::smtp::response::Severity;
use rustls::ClientConfig;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use self::progress::MailProgress;
use self::reply::{MailError, MailReply, expect, expect_success};
use super::exchange_progress::PROGRESS;
use crate::clock::Timestamp;
use crate::domain::delivery::{AttemptResult, EndpointResponse, Outcome, RESPONSE_BODY_MAX_BYTES};
use crate::domain::mail_failure::{MailFailure, MailStep};
use crate::domain::mail_server::MailSettings;
use crate::domain::webhook_url::MailtoUrl;

/// The maximum number of connections to the mail server. Many servers limit the connections of a
/// client.
const CONNECTIONS_MAX: usize = 4;
/// The time after which an idle connection is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The maximum number of emails sent over one connection, which many servers limit too.
const EMAILS_PER_CONNECTION_MAX: u32 = 50;
/// The time limit for ending a connection with `QUIT`.
const QUIT_TIMEOUT: Duration = Duration::from_secs(1);

/// An email that is ready to be sent.
#[derive(Clone, Debug)]
pub struct OutgoingMail {
    to: String,
    /// `From`, `To`, `Date`, and `Message-ID`; empty without a mail server.
    headers: Vec<(String, String)>,
    /// The whole email.
    email: Vec<u8>,
}

impl OutgoingMail {
    /// Adds the first headers to an email. `id` is the part of `Message-ID` before the `@`, `date`
    /// is the time of the event, and `content` is the email from `Subject` on.
    pub fn new(
        settings: Option<&MailSettings>,
        id: &str,
        to: &str,
        date: Timestamp,
        content: &[u8],
    ) -> Self {
        let head = settings
            .map(|settings| header::render_leading_headers(&settings.sender, id, to, date))
            .unwrap_or_default();
        Self {
            to: to.to_owned(),
            headers: header::unfold(&head),
            email: [head.as_bytes(), content].concat(),
        }
    }

    /// Returns the first headers, encoded and without line breaks, for the delivery log.
    pub fn headers(&self) -> &[(String, String)] {
        &self.headers
    }
}

/// Sends emails. Use it only within one actix runtime.
#[derive(Clone)]
pub struct MailClient(Rc<ClientState>);

struct ClientState {
    tls: Arc<ClientConfig>,
    settings: Option<MailSettings>,
    timeout: Duration,
    idle: RefCell<Vec<OpenConnection>>,
    slots: Semaphore,
}

/// A connection on which the sign-in has succeeded.
struct OpenConnection {
    smtp: AsyncSmtpConnection,
    emails: u32,
    last_used: Instant,
}

impl MailClient {
    /// Creates a client. `timeout` is the time limit of an attempt, from the connection to the
    /// reply to the whole email.
    pub fn new(tls: Arc<ClientConfig>, settings: Option<MailSettings>, timeout: Duration) -> Self {
        Self(Rc::new(ClientState {
            tls,
            settings,
            timeout,
            idle: RefCell::default(),
            slots: Semaphore::new(CONNECTIONS_MAX),
        }))
    }

    /// Adds the first headers to an email (see [`OutgoingMail::new`]).
    pub fn prepare(
        &self,
        id: &str,
        to: &MailtoUrl,
        date: Timestamp,
        content: &[u8],
    ) -> OutgoingMail {
        OutgoingMail::new(self.0.settings.as_ref(), id, to.email(), date, content)
    }

    /// Sends an email in one attempt. The time limit starts when one of the connections is
    /// free.
    pub async fn send(&self, mail: &OutgoingMail) -> AttemptResult {
        // The semaphore is never closed.
        let _slot = self.0.slots.acquire().await;
        let started = Instant::now();
        let progress = Rc::new(MailProgress::new(started + self.0.timeout));
        let sent = PROGRESS.scope(
            Rc::clone(progress.exchange()),
            timeout_at(
                progress.deadline(),
                self.send_with_settings(mail, &progress),
            ),
        );
        let result = match sent.await {
            Ok(result) => result,
            Err(_) => Err(progress.timeout_failure(self.0.timeout).into()),
        };
        progress.end_phase();
        let (outcome, reply) = match result {
            Ok(reply) => (Outcome::Delivered, Some(reply)),
            Err(error) => (Outcome::Mail(error.failure), error.reply),
        };
        AttemptResult {
            outcome,
            duration: started.elapsed(),
            timings: progress.timings(),
            response: reply.map(|reply| self.to_response(reply)),
        }
    }

    /// Converts a reply for the delivery log. Masks the password, which some mail servers repeat.
    fn to_response(&self, reply: MailReply) -> EndpointResponse {
        let settings = self.0.settings.as_ref();
        let credentials = settings.and_then(|settings| settings.server.credentials.as_ref());
        let mut body = match credentials {
            Some(credentials) => credentials.mask_password(&reply.text).into_bytes(),
            None => reply.text.into_bytes(),
        };
        let truncated = body.len() > RESPONSE_BODY_MAX_BYTES;
        body.truncate(RESPONSE_BODY_MAX_BYTES);
        EndpointResponse {
            status: reply.code,
            body,
            truncated,
            ..EndpointResponse::default()
        }
    }

    /// Connects to the mail server and signs in. Sends no email.
    pub async fn probe(&self) -> Result<(), MailFailure> {
        let settings = self.0.settings.as_ref().ok_or(MailFailure::NotConfigured)?;
        let progress = Rc::new(MailProgress::new(Instant::now() + self.0.timeout));
        let connecting = PROGRESS.scope(
            Rc::clone(progress.exchange()),
            timeout_at(progress.deadline(), self.connect(settings, &progress)),
        );
        match connecting.await {
            Ok(Ok(connection)) => {
                quit(connection.smtp).await;
                Ok(())
            }
            Ok(Err(error)) => Err(error.failure),
            Err(_) => Err(progress.timeout_failure(self.0.timeout)),
        }
    }

    async fn send_with_settings(
        &self,
        mail: &OutgoingMail,
        progress: &MailProgress,
    ) -> Result<MailReply, MailError> {
        let settings = self.0.settings.as_ref().ok_or(MailFailure::NotConfigured)?;
        let emails = [&settings.sender.email, &mail.to].map(|email| header::smtp_address(email));
        let [Some(from), Some(to)] = emails else {
            tracing::error!("the sender or the recipient isn't valid in SMTP");
            return Err(MailFailure::Connection(Box::new(Outcome::Internal)).into());
        };
        if let Some(mut connection) = self.take_idle() {
            progress.begin_wait();
            let result = connection.send(&from, &to, &mail.email, progress).await;
            if !is_stale(&result) {
                self.release(connection, result.is_ok());
                return result;
            }
        }
        let mut connection = self.connect(settings, progress).await?;
        let result = connection.send(&from, &to, &mail.email, progress).await;
        self.release(connection, result.is_ok());
        result
    }

    async fn connect(
        &self,
        settings: &MailSettings,
        progress: &MailProgress,
    ) -> Result<OpenConnection, MailError> {
        let smtp =
            connection::open(&settings.server, &self.0.tls, progress, self.0.timeout).await?;
        Ok(OpenConnection {
            smtp,
            emails: 0,
            last_used: Instant::now(),
        })
    }

    fn take_idle(&self) -> Option<OpenConnection> {
        // The newest connection is the least likely to be closed.
        let connection = self.0.idle.borrow_mut().pop()?;
        if connection.last_used.elapsed() < KEEP_ALIVE {
            return Some(connection);
        }
        end_in_background(connection);
        None
    }

    /// Stores a connection for the next email, or ends it after a failure.
    fn release(&self, mut connection: OpenConnection, has_succeeded: bool) {
        connection.last_used = Instant::now();
        if !has_succeeded || connection.emails >= EMAILS_PER_CONNECTION_MAX {
            return end_in_background(connection);
        }
        self.0.idle.borrow_mut().push(connection);
        let state = Rc::downgrade(&self.0);
        actix_rt::spawn(async move {
            tokio::time::sleep(KEEP_ALIVE).await;
            if let Some(state) = state.upgrade() {
                state.end_expired_connections();
            }
        });
    }
}

impl ClientState {
    fn end_expired_connections(&self) {
        let mut idle = self.idle.borrow_mut();
        let (expired, rest) = std::mem::take(&mut *idle)
            .into_iter()
            .partition(|connection| connection.last_used.elapsed() >= KEEP_ALIVE);
        *idle = rest;
        let expired: Vec<OpenConnection> = expired;
        expired.into_iter().for_each(end_in_background);
    }
}

impl OpenConnection {
    async fn send(
        &mut self,
        from: &Address,
        to: &Address,
        email: &[u8],
        progress: &MailProgress,
    ) -> Result<MailReply, MailError> {
        progress.begin_step(MailStep::Sender);
        let mut parameters = Vec::new();
        if !from.user().is_ascii() || !to.user().is_ascii() {
            let server = self.smtp.server_info();
            if !server.supports_feature(Extension::SmtpUtfEight) {
                return Err(MailFailure::NoInternationalEmail.into());
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        self.emails += 1;
        let sender = Mail::new(Some(from.clone()), parameters);
        expect_success(self.smtp.command(sender).await, progress)?;
        progress.begin_step(MailStep::Recipient);
        let recipient = Rcpt::new(to.clone(), vec![]);
        expect_success(self.smtp.command(recipient).await, progress)?;
        progress.begin_step(MailStep::Data);
        let reply = self.smtp.command(Data).await;
        expect(reply, Severity::PositiveIntermediate, progress)?;
        progress.begin_step(MailStep::Content);
        // lettre adds a line break before the final dot.
        let email = email.strip_suffix(b"\r\n").unwrap_or(email);
        expect_success(self.smtp.message(email).await, progress)
    }
}

/// Returns whether the mail server had closed an idle connection. In this case, it has received
/// nothing of the email.
fn is_stale(result: &Result<MailReply, MailError>) -> bool {
    let Err(error) = result else {
        return false;
    };
    matches!(
        error.failure,
        MailFailure::Closed(MailStep::Sender)
            | MailFailure::Reply {
                step: MailStep::Sender,
                code: 421
            }
    )
}

fn end_in_background(connection: OpenConnection) {
    actix_rt::spawn(quit(connection.smtp));
}

async fn quit(mut smtp: AsyncSmtpConnection) {
    // The result makes no difference, because the connection is dropped.
    let _ = timeout(QUIT_TIMEOUT, smtp.quit()).await;
}
