//! All outbound HTTP: the delivery loop, and tests that a person sends.
//!
//! A commit that makes deliveries due wakes the loop ([`worker`]). It reads what is due, signs it ([`request`]), sends
//! it ([`client`], over connections by [`connector`]), and records the outcome with what follows from it in one
//! transaction. Wake-ups carry no data, so a restart finds what is left by the same query as ever.
//!
//! The loop has a thread of its own: awc's clients belong to one. Pages and API reach it through [`Handle`] alone.

mod alerts;
mod answer_head;
mod attempt;
mod client;
pub mod connector;
mod lane;
mod request;
mod stream;
mod test;
mod worker;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::sync::{mpsc, oneshot};

pub use alerts::{AlertTarget, run as send_alerts};
pub use test::TestReport;

use crate::clock::Clock;
use crate::domain::delivery::{AttemptResult, Outcome, SignedRequest};
use crate::domain::egress_policy::{EgressDenied, EgressPolicy};
use crate::domain::endpoint_url::EndpointUrl;
use crate::domain::retry::RetrySchedule;
use crate::domain::webhook::RetryPolicy;
use crate::store::{Store, StoreError};

/// By what the loop goes.
#[derive(Clone)]
pub struct Settings {
    pub policy: Arc<EgressPolicy>,
    pub tls: Arc<ClientConfig>,
    /// From the start of an attempt to the end of the answer's head.
    pub timeout: Duration,
    pub schedule: RetrySchedule,
}

/// What the loop is asked to do by others.
enum Command {
    Send {
        url: Box<EndpointUrl>,
        request: SignedRequest,
        answer: oneshot::Sender<AttemptResult>,
    },
    Ping(oneshot::Sender<bool>),
    Stop,
}

/// The way to the delivery loop. Clones share it.
#[derive(Clone)]
pub struct Handle {
    commands: mpsc::Sender<Command>,
    store: Store,
    policy: Arc<EgressPolicy>,
    schedule: RetrySchedule,
    timeout: Duration,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// Starts the delivery loop on its own thread.
pub fn start(store: Store, clock: Clock, settings: Settings) -> std::io::Result<Handle> {
    let (commands, received) = mpsc::channel(64);
    let (policy, schedule) = (settings.policy.clone(), settings.schedule.clone());
    let timeout = settings.timeout;
    let worker_store = store.clone();
    let run = move || {
        // A runtime that cannot be made ends the thread, and `is_alive` tells.
        match actix_rt::Runtime::new() {
            Ok(runtime) => {
                runtime.block_on(worker::Worker::new(worker_store, clock, settings).run(received))
            }
            Err(error) => tracing::error!(%error, "the delivery loop could not start"),
        }
    };
    let thread = std::thread::Builder::new()
        .name("delivery".into())
        .spawn(run)?;
    Ok(Handle {
        commands,
        store,
        policy,
        schedule,
        timeout,
        thread: Arc::new(Mutex::new(Some(thread))),
    })
}

/// Connects to an endpoint, TLS included, and sends nothing. To be called within an actix runtime.
pub async fn probe(settings: &Settings, url: &EndpointUrl) -> Result<(), Outcome> {
    let sender = client::Sender::new(
        settings.tls.clone(),
        settings.policy.clone(),
        settings.timeout,
    );
    sender.probe(url).await
}

impl Handle {
    /// Whether `url` may be saved: by the URL itself and, if its name can be looked up within 1 s, by its addresses.
    pub async fn check_target(&self, url: &EndpointUrl) -> Result<(), EgressDenied> {
        connector::check_before_save(&self.policy, url).await
    }

    /// How many attempts a delivery has at most before it is given up.
    pub fn attempts_at_most(&self, retries: RetryPolicy) -> usize {
        self.schedule.max_attempts(retries)
    }

    /// How long an attempt waits for the end of the answer's head.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How long after each failure a delivery is tried again.
    pub fn retry_delays(&self, retries: RetryPolicy) -> Vec<Duration> {
        self.schedule.delays(retries)
    }

    /// Whether the loop answers, and is able to store what comes of its attempts.
    pub async fn is_alive(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        let ask = async {
            self.commands.send(Command::Ping(answer)).await.is_ok()
                && answered.await.unwrap_or(false)
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
        let (answer, answered) = oneshot::channel();
        let command = Command::Send {
            url: Box::new(url.clone()),
            request,
            answer,
        };
        let sent = self.commands.send(command).await;
        sent.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)
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
