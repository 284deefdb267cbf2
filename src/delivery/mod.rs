//! All outbound HTTP: the delivery loop, and tests that a person sends.
//!
//! A commit that makes deliveries due wakes the loop ([`dispatcher`]). It reads what is due, signs it ([`request`]), sends
//! it ([`client`], over connections by [`connector`]), and records the outcome with what follows from it in one
//! transaction. Wake-ups carry no data, so a restart finds what is left by the same query as ever.
//!
//! The loop has a thread of its own: awc's clients belong to one. Pages and API reach it through [`DeliveryHandle`] alone.

mod alerts;
mod attempt;
mod client;
pub mod connector;
mod dispatcher;
mod endpoint_queue;
mod http_stream;
mod request;
mod response_head;
mod test_events;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::sync::{mpsc, oneshot};

pub use alerts::{AlertTarget, run as send_alerts};
pub use test_events::TestReport;

use crate::clock::Clock;
use crate::domain::delivery::{AttemptResult, Outcome, SignedRequest};
use crate::domain::egress_policy::{EgressPolicy, Refusal};
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::retry::Schedule;
use crate::domain::webhook::Retries;
use crate::store::{Store, StoreError};

/// By what the loop goes.
#[derive(Clone)]
pub struct DeliverySettings {
    pub policy: Arc<EgressPolicy>,
    pub tls: Arc<ClientConfig>,
    /// From the start of an attempt to the end of the answer's head.
    pub timeout: Duration,
    pub schedule: Schedule,
}

/// What the loop is asked to do by others.
enum Command {
    Send {
        url: Box<EndpointUrl>,
        request: SignedRequest,
        reply: oneshot::Sender<AttemptResult>,
    },
    CheckHealth(oneshot::Sender<bool>),
    Stop,
}

/// The way to the delivery loop. Clones share it.
#[derive(Clone)]
pub struct DeliveryHandle {
    commands: mpsc::Sender<Command>,
    store: Store,
    policy: Arc<EgressPolicy>,
    schedule: Schedule,
    timeout: Duration,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// Starts the delivery loop on its own thread.
pub fn start(
    store: Store,
    clock: Clock,
    settings: DeliverySettings,
) -> std::io::Result<DeliveryHandle> {
    let (commands, receiver) = mpsc::channel(64);
    let (policy, schedule) = (settings.policy.clone(), settings.schedule.clone());
    let timeout = settings.timeout;
    let dispatcher_store = store.clone();
    let run = move || {
        // A runtime that cannot be made ends the thread, and `is_alive` tells.
        match actix_rt::Runtime::new() {
            Ok(runtime) => runtime.block_on(
                dispatcher::Dispatcher::new(dispatcher_store, clock, settings).run(receiver),
            ),
            Err(error) => tracing::error!(%error, "the delivery loop could not start"),
        }
    };
    let thread = std::thread::Builder::new()
        .name("delivery".into())
        .spawn(run)?;
    Ok(DeliveryHandle {
        commands,
        store,
        policy,
        schedule,
        timeout,
        thread: Arc::new(Mutex::new(Some(thread))),
    })
}

/// Connects to an endpoint, TLS included, and sends nothing. To be called within an actix runtime.
pub async fn probe(settings: &DeliverySettings, url: &EndpointUrl) -> Result<(), Outcome> {
    let sender = client::HttpSender::new(
        settings.tls.clone(),
        settings.policy.clone(),
        settings.timeout,
    );
    sender.probe(url).await
}

impl DeliveryHandle {
    /// Whether `url` may be saved: by the URL itself and, if its name can be looked up within 1 s, by its addresses.
    pub async fn check_target(&self, url: &EndpointUrl) -> Result<(), Refusal> {
        connector::check_before_save(&self.policy, url).await
    }

    /// How many attempts a delivery has at most before it is given up.
    pub fn max_attempts(&self, retries: Retries) -> usize {
        self.schedule.attempts(retries)
    }

    /// How long an attempt waits for the end of the answer's head.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long after each failure a delivery is tried again.
    pub fn retry_delays(&self, retries: Retries) -> Vec<Duration> {
        self.schedule.delays(retries)
    }

    /// Whether the loop answers, and is able to store what comes of its attempts.
    pub async fn is_alive(&self) -> bool {
        let (reply, response) = oneshot::channel();
        let ask = async {
            self.commands
                .send(Command::CheckHealth(reply))
                .await
                .is_ok()
                && response.await.unwrap_or(false)
        };
        tokio::time::timeout(Duration::from_secs(2), ask)
            .await
            .unwrap_or(false)
    }

    /// Sends a request that is no delivery of the outbox: one attempt, by the same sender.
    async fn send(
        &self,
        url: &EndpointUrl,
        request: SignedRequest,
    ) -> Result<AttemptResult, StoreError> {
        let (reply, response) = oneshot::channel();
        let command = Command::Send {
            url: Box::new(url.clone()),
            request,
            reply,
        };
        let sent = self.commands.send(command).await;
        sent.map_err(|_| StoreError::Closed)?;
        response.await.map_err(|_| StoreError::Closed)
    }

    /// Starts nothing new, lets what is in flight end and be recorded, and returns then.
    pub async fn stop(&self) {
        if self.commands.send(Command::Stop).await.is_ok() {
            self.commands.closed().await;
        }
        // The thread has left its loop; what remains of it takes no time.
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
