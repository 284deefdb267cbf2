//! Sends all requests to endpoints: deliveries, test events, and alerts.
//!
//! A commit that creates due deliveries wakes the [`dispatcher`]. The dispatcher reads and signs
//! ([`request`]) the due deliveries, and sends them ([`client`]) over connections from
//! [`connector`]. It records each outcome and the delivery's next state in one transaction.
//! Wake-ups carry no data: the dispatcher always queries the database, so it also finds the
//! deliveries that a restart interrupted.
//!
//! The dispatcher runs on its own thread because awc clients can't be shared between threads. Other
//! modules use it only through [`DispatcherHandle`].

mod alerts;
mod attempt;
pub mod chunked_body;
mod client;
mod connector;
mod dispatcher;
mod endpoint_queue;
mod exchange_progress;
mod http_stream;
mod mail;
mod outcomes;
mod request;
pub mod response_head;
mod target_client;
mod tcp;
mod test_events;
pub mod tls;
mod tls_errors;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use actix_web::http::Method;
use rustls::ClientConfig;
use tokio::sync::{mpsc, oneshot};

pub use alerts::{AlertEndpoint, run as send_alerts};
pub use dispatcher::HEALTH_LOG_TARGET;
use request::RequestParts;
pub use test_events::{TestReport, UnsavedWebhook};

use self::mail::OutgoingMail;
use crate::clock::{Clock, Timestamp};
use crate::domain::delivery::{AttemptResult, EndpointRequest, Outcome};
use crate::domain::egress_policy::{EgressDenied, EgressPolicy};
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::format::Format;
use crate::domain::id::DeliveryId;
use crate::domain::mail_failure::MailFailure;
use crate::domain::mail_server::MailSettings;
use crate::domain::request_headers::LoggedHeaders;
use crate::domain::retry::RetrySchedule;
use crate::domain::webhook::{CustomHeaders, RetryPolicy, Secrets};
use crate::domain::webhook_url::WebhookUrl;
use crate::store::{PendingDeliveryError, Store, StoreError};

/// Settings of the dispatcher.
#[derive(Clone)]
pub struct DeliverySettings {
    pub policy: Arc<EgressPolicy>,
    pub tls: Arc<ClientConfig>,
    /// The time limit of an attempt. If the limit expires before the response head is complete, the
    /// attempt fails. If the limit expires later, only the stored body is incomplete.
    pub timeout: Duration,
    pub schedule: RetrySchedule,
    /// The mail server; `None` without `--smtp-url`.
    pub mail: Option<MailSettings>,
}

/// A command to the dispatcher.
enum DispatcherCommand {
    /// Sends a message that isn't in the outbox, and replies with the result and the headers.
    Send {
        url: Box<WebhookUrl>,
        message: Box<OutgoingMessage>,
        reply: oneshot::Sender<(AttemptResult, Option<LoggedHeaders>)>,
    },
    /// Sends an email that isn't in the outbox, and replies with the result.
    SendMail(Box<OutgoingMail>, oneshot::Sender<AttemptResult>),
    /// Reports whether attempts can be recorded. Also reports true if only a full disk prevents
    /// recording.
    CheckHealth(oneshot::Sender<bool>),
    /// Reports whether an attempt of the delivery is in flight.
    CheckInFlight(DeliveryId, oneshot::Sender<bool>),
    Stop,
}

/// A message that isn't in the outbox: a test or an alert.
struct OutgoingMessage {
    /// The delivery's id, or the alert's id.
    id: String,
    event: String,
    at: Timestamp,
    format: Format,
    body: Vec<u8>,
    secrets: Secrets,
    headers: CustomHeaders,
}

impl OutgoingMessage {
    fn to_parts(&self) -> RequestParts<'_> {
        RequestParts {
            delivery_id: &self.id,
            event: &self.event,
            event_at: self.at,
            format: self.format,
            body: self.body.clone(),
            secrets: &self.secrets,
            headers: &self.headers,
        }
    }
}

/// A handle to the dispatcher; cheap to clone.
#[derive(Clone)]
pub struct DispatcherHandle {
    commands: mpsc::Sender<DispatcherCommand>,
    store: Store,
    policy: Arc<EgressPolicy>,
    schedule: RetrySchedule,
    timeout: Duration,
    mail: Option<Arc<MailSettings>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// Starts the dispatcher on its own thread.
pub fn start(
    store: Store,
    clock: Clock,
    settings: DeliverySettings,
) -> std::io::Result<DispatcherHandle> {
    let (commands, receiver) = mpsc::channel(64);
    let (policy, schedule) = (settings.policy.clone(), settings.schedule.clone());
    let timeout = settings.timeout;
    let mail = settings.mail.clone().map(Arc::new);
    let dispatcher_store = store.clone();
    let run = move || {
        // If the runtime can't start, the thread ends and `is_alive` returns false.
        match actix_rt::Runtime::new() {
            Ok(runtime) => runtime.block_on(
                dispatcher::Dispatcher::new(dispatcher_store, clock, settings).run(receiver),
            ),
            Err(error) => {
                tracing::error!(%error, "starting the dispatcher failed; webhooks aren't sent")
            }
        }
    };
    let thread = std::thread::Builder::new()
        .name("delivery".into())
        .spawn(run)?;
    Ok(DispatcherHandle {
        commands,
        store,
        policy,
        schedule,
        timeout,
        mail,
        thread: Arc::new(Mutex::new(Some(thread))),
    })
}

/// Connects to an endpoint, with a TLS handshake for `https`. Sends no request. Must be called
/// within an actix runtime.
pub async fn probe(settings: &DeliverySettings, url: &EndpointUrl) -> Result<(), Outcome> {
    let sender = client::HttpSender::new(
        settings.tls.clone(),
        settings.policy.clone(),
        settings.timeout,
    );
    sender.probe(url).await
}

/// Connects to the mail server and signs in. Sends no email. Must be called within an actix
/// runtime.
pub async fn probe_mail_server(settings: &DeliverySettings) -> Result<(), MailFailure> {
    let (tls, mail) = (settings.tls.clone(), settings.mail.clone());
    mail::MailClient::new(tls, mail, settings.timeout)
        .probe()
        .await
}

/// Sends a GET request in one attempt. Must be called within an actix runtime.
pub async fn get(
    settings: &DeliverySettings,
    url: &EndpointUrl,
    headers: Vec<(String, String)>,
) -> AttemptResult {
    let sender = client::HttpSender::new(
        settings.tls.clone(),
        settings.policy.clone(),
        settings.timeout,
    );
    let request = EndpointRequest {
        headers,
        path_and_query: None,
        body: Vec::new(),
    };
    sender
        .client_for(url)
        .with_method(Method::GET)
        .attempt(&request)
        .await
}

impl DispatcherHandle {
    /// Checks whether `url` can be saved. If the host resolves within 1 s, also checks the IP
    /// addresses of the host.
    pub async fn check_target(&self, url: &EndpointUrl) -> Result<(), EgressDenied> {
        connector::check_url_before_save(&self.policy, url).await
    }

    /// Returns the maximum number of attempts before a delivery fails.
    pub fn max_attempts(&self, retries: RetryPolicy) -> usize {
        self.schedule.max_attempts(retries)
    }

    /// Returns the time limit of an attempt (see [`DeliverySettings::timeout`]).
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns the delay before each retry, without jitter, measured from the previous failure.
    pub fn retry_delays(&self, retries: RetryPolicy) -> Vec<Duration> {
        self.schedule.delays(retries)
    }

    /// Returns whether the dispatcher responds within 2 s and can record attempts. Also returns
    /// true if only a full disk prevents recording.
    pub async fn is_alive(&self) -> bool {
        let health = tokio::time::timeout(Duration::from_secs(2), self.check_health()).await;
        health.ok().flatten() == Some(true)
    }

    /// Waits until the dispatcher responds, and returns whether it is running. Never returns while
    /// its thread is blocked.
    pub async fn is_running(&self) -> bool {
        self.check_health().await.is_some()
    }

    /// Returns whether the dispatcher can record attempts, or `None` if it isn't running.
    async fn check_health(&self) -> Option<bool> {
        let (reply, response) = oneshot::channel();
        let command = DispatcherCommand::CheckHealth(reply);
        self.commands.send(command).await.ok()?;
        response.await.ok()
    }

    /// Requests an immediate attempt of a pending delivery, even during a hold. Fails if an attempt
    /// is in flight.
    pub async fn retry_delivery(&self, id: DeliveryId) -> Result<(), PendingDeliveryError> {
        let (reply, response) = oneshot::channel();
        let command = DispatcherCommand::CheckInFlight(id, reply);
        let sent = self.commands.send(command).await;
        sent.map_err(|_| StoreError::Closed)?;
        if response.await.map_err(|_| StoreError::Closed)? {
            return Err(PendingDeliveryError::InFlight);
        }
        self.store.request_retry(id).await
    }

    /// Sends a message that isn't in the outbox, in one attempt. Returns the result, and the
    /// headers for the delivery log.
    async fn send_message(
        &self,
        url: &WebhookUrl,
        message: OutgoingMessage,
    ) -> Result<(AttemptResult, Option<LoggedHeaders>), StoreError> {
        let (reply, response) = oneshot::channel();
        let command = DispatcherCommand::Send {
            url: Box::new(url.clone()),
            message: Box::new(message),
            reply,
        };
        let sent = self.commands.send(command).await;
        sent.map_err(|_| StoreError::Closed)?;
        response.await.map_err(|_| StoreError::Closed)
    }

    /// Returns whether emails can be sent: `--smtp-url` is set.
    pub fn sends_mail(&self) -> bool {
        self.mail.is_some()
    }

    /// Sends an email that isn't in the outbox, in one attempt. `id` is the part of `Message-ID`
    /// before the `@`, and `content` is the email from `Subject` on.
    pub async fn send_mail(
        &self,
        id: &str,
        to: &str,
        date: Timestamp,
        content: &[u8],
    ) -> Result<AttemptResult, StoreError> {
        let mail = OutgoingMail::new(self.mail.as_deref(), id, to, date, content);
        let (reply, response) = oneshot::channel();
        let command = DispatcherCommand::SendMail(Box::new(mail), reply);
        let sent = self.commands.send(command).await;
        sent.map_err(|_| StoreError::Closed)?;
        response.await.map_err(|_| StoreError::Closed)
    }

    /// Stops new attempts and returns when the attempts in flight are recorded.
    pub async fn stop(&self) {
        if self.commands.send(DispatcherCommand::Stop).await.is_ok() {
            self.commands.closed().await;
        }
        // The dispatcher has ended, so joining its thread returns almost immediately.
        if let Some(thread) = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
        {
            let _ = thread.join();
        }
    }
}
