//! `miniback serve`: runs the server until it receives a signal.

use std::io::IsTerminal;
use std::pin::pin;

use futures_util::future::select_all;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::CommandError;
use super::service_manager::{self, StartExtension};
use crate::app::listeners::Listeners;
use crate::app::{self, OpenedStore, RunningServer, StartError};
use crate::clock::Clock;
use crate::config::{self, FirstUser, ListenAddress, LogFormat, ServeOptions};
use crate::logging;

pub(super) fn run(options: &ServeOptions) -> Result<(), CommandError> {
    let passed =
        Listeners::passed_by_systemd().map_err(|error| into_command_error(error.into()))?;
    let format = options.log.log_format_or_default();
    let level = options
        .log
        .read_log_level_or_default()
        .map_err(CommandError::usage_error)?;
    logging::start(format, level);
    if let Some(ignored) =
        config::describe_ignored_variables(true, config::nonempty_variable_names())
    {
        tracing::warn!("{}", super::escape_control_chars(&ignored));
    }
    let first_user = config::read_first_user(|name| std::env::var(name).ok())
        .map_err(CommandError::usage_error)?;
    let mut options = options.clone();
    if let Some(listeners) = &passed {
        options.listener.listen = listeners.addresses();
        tracing::info!("using the sockets passed by systemd instead of --listen");
    }
    let system = actix_web::rt::System::new();
    system.block_on(serve(&options, passed, first_user))?;
    logging::flush();
    // Exit without dropping the runtime: a hanging DNS lookup would block its shutdown, and so
    // would opening the database. The store is already closed, unless it is still being opened.
    std::process::exit(0)
}

/// Runs the server until it receives a signal.
async fn serve(
    options: &ServeOptions,
    passed: Option<Listeners>,
    first_user: Option<FirstUser>,
) -> Result<(), CommandError> {
    let mut stop_signals = vec![SignalKind::interrupt(), SignalKind::terminate()];
    if std::io::stderr().is_terminal() {
        // The terminal was closed.
        stop_signals.push(SignalKind::hangup());
    } else {
        ignore_hangup_signals()?;
    }
    let mut stop = pin!(shutdown_signal(&stop_signals)?);
    let extension =
        StartExtension::begin().map_err(CommandError::io_error("notifying systemd failed"))?;
    let opened = tokio::select! {
        opened = open_store(options) => opened?,
        // Nothing has been sent yet. The next start repeats a migration that didn't finish, like
        // after a crash.
        () = &mut stop => {
            tracing::info!("stopped");
            return Ok(());
        }
    };
    // The rest of the start is short. A signal during this time stops the server afterwards.
    let running = app::start(options, opened, passed, first_user, Clock::system())
        .await
        .map_err(into_command_error)?;
    drop(extension);
    log_settings_notices(options);
    log_ready(&running, options);
    service_manager::report_ready(&running.url);
    let watchdog = service_manager::run_watchdog(running.state.clone(), running.workers.clone());
    let watchdog = actix_web::rt::spawn(watchdog);
    actix_web::rt::spawn(logging::report_suppressed_lines());
    stop.await;
    watchdog.abort();
    let time_limit = running.stop_time_limit();
    tracing::info!(
        at_most_seconds = time_limit.as_secs(),
        "stopping, waiting for in-flight requests and deliveries; a second signal stops at once"
    );
    service_manager::report_stopping(time_limit);
    running.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// Opens the database on another thread, so that signals are handled while a large database is
/// migrated.
async fn open_store(options: &ServeOptions) -> Result<OpenedStore, CommandError> {
    let options = options.clone();
    let opened =
        tokio::task::spawn_blocking(move || app::open_store(&options, &Clock::system())).await;
    opened
        .map_err(|error| CommandError::new(format!("opening the database failed: {error}")))?
        .map_err(into_command_error)
}

pub(super) fn into_command_error(error: StartError) -> CommandError {
    CommandError {
        code: error.exit_code(),
        ..CommandError::new(error)
    }
}

/// Logs notices about valid settings. Call this function only after the start, so that the log
/// shows no notices if the start fails.
fn log_settings_notices(options: &ServeOptions) {
    for notice in options.notices() {
        let text = super::escape_control_chars(&notice.text);
        if notice.is_warning {
            tracing::warn!("{text}");
        } else {
            tracing::info!("{text}");
        }
    }
}

/// Logs the setup URL, if there is one, and the ready message that scripts wait for, once for each
/// socket.
fn log_ready(running: &RunningServer, options: &ServeOptions) {
    if let Some(setup) = &running.setup_url {
        let is_host_a_guess = setup.starts_with("http://localhost")
            && !options
                .listener
                .listen
                .iter()
                .all(ListenAddress::is_loopback_port);
        let hint = if is_host_a_guess {
            "; on another machine, replace localhost with the name of this machine"
        } else {
            ""
        };
        tracing::info!(
            target: logging::STARTUP_LOG_TARGET,
            url = setup.as_str(),
            "no users yet: open this link within 1 hour to create the first account{hint}"
        );
    }
    for url in std::iter::once(&running.url).chain(&running.further_urls) {
        let url = url.as_str();
        match options.log.log_format_or_default() {
            LogFormat::Text => {
                tracing::info!(target: logging::STARTUP_LOG_TARGET, "listening on {url}")
            }
            LogFormat::Json => {
                tracing::info!(target: logging::STARTUP_LOG_TARGET, url, "listening")
            }
        }
    }
}

/// Logs each SIGHUP, which would otherwise end the process.
fn ignore_hangup_signals() -> Result<(), CommandError> {
    let mut hangup =
        signal(SignalKind::hangup()).map_err(CommandError::io_error("handling signals failed"))?;
    actix_web::rt::spawn(async move {
        while hangup.recv().await.is_some() {
            tracing::warn!("SIGHUP ignored; to apply new settings, restart Miniback");
        }
    });
    Ok(())
}

/// Returns a future that resolves at the first of `signals`. A second signal then ends the process
/// at once. Signals are handled from this call on, so call this function before a slow start.
pub(super) fn shutdown_signal(
    signals: &[SignalKind],
) -> Result<impl Future<Output = ()> + use<>, CommandError> {
    let signals = signals.iter().map(|kind| signal(*kind));
    let mut signals = signals
        .collect::<Result<Vec<_>, _>>()
        .map_err(CommandError::io_error("handling signals failed"))?;
    Ok(async move {
        next_signal(&mut signals).await;
        actix_web::rt::spawn(async move {
            next_signal(&mut signals).await;
            std::process::exit(130);
        });
    })
}

async fn next_signal(signals: &mut [Signal]) {
    select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv()))).await;
}

/// The signals that stop a command that runs in a terminal.
pub(super) fn terminal_signals() -> [SignalKind; 3] {
    [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ]
}
