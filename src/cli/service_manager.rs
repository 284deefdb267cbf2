//! Reports the state of the server to systemd (`Type=notify`). Does nothing if another program has
//! started Miniback.

use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use actix_web::web;
use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;

use crate::server::inbound::WorkerThreads;
use crate::server::{AppState, health};

/// The interval at which the time limit of the start is extended.
const EXTENSION_INTERVAL: Duration = Duration::from_secs(10);
/// Each extension gives the start this much time from now.
const EXTENSION: Duration = Duration::from_secs(60);
/// The additional time for closing the database.
const STOP_MARGIN: Duration = Duration::from_secs(10);

/// Extends the time limit of the start until it is dropped, because copying and migrating a large
/// database takes longer than the default limit of 90 s.
pub(super) struct StartExtension {
    /// The thread ends when the sender is dropped.
    _end: Sender<()>,
}

impl StartExtension {
    pub(super) fn begin() -> io::Result<Option<Self>> {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Ok(None);
        }
        let (end, ended) = channel();
        // A separate thread, because parts of the start block the thread of the runtime.
        thread::Builder::new()
            .name("start".to_owned())
            .spawn(move || {
                loop {
                    notify(&[NotifyState::Status("Starting"), extension(EXTENSION)]);
                    if ended.recv_timeout(EXTENSION_INTERVAL) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            })?;
        Ok(Some(Self { _end: end }))
    }
}

/// Reports that the server accepts requests.
pub(super) fn report_ready(url: &str) {
    notify(&[
        NotifyState::Ready,
        NotifyState::Status(&format!("Listening on {url}")),
    ]);
}

/// Reports that the server is stopping, which takes at most `time_limit`.
pub(super) fn report_stopping(time_limit: Duration) {
    notify(&[
        NotifyState::Stopping,
        NotifyState::Status("Finishing requests and deliveries in flight"),
        extension(time_limit + STOP_MARGIN),
    ]);
}

/// Notifies the watchdog at half its interval, unless a part of the server hangs. If the watchdog
/// isn't notified, systemd restarts Miniback.
pub(super) async fn run_watchdog(state: web::Data<AppState>, workers: WorkerThreads) {
    let Some(interval) = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero())
    else {
        return;
    };
    let mut ticks = tokio::time::interval(interval / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match health::find_hanging_part(&state, &workers, interval / 4).await {
            None => notify(&[NotifyState::Watchdog]),
            Some(part) => tracing::error!(
                part,
                "a part of the server doesn't respond; systemd restarts Miniback if this continues"
            ),
        }
    }
}

fn extension(time: Duration) -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(time.as_micros().try_into().unwrap_or(u32::MAX))
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "notifying systemd failed");
    }
}
