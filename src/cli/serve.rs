//! `miniback serve`: runs the server until it receives a signal.

use tokio::signal::unix::{SignalKind, signal};

use super::CommandError;
use crate::app::{self, RunningServer, StartError};
use crate::clock::Clock;
use crate::config::{self, LogFormat, ServeOptions};
use crate::logging;

pub(super) fn run(options: &ServeOptions) -> Result<(), CommandError> {
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
    actix_web::rt::System::new().block_on(async {
        let running = app::start(options, None, first_user, Clock::system())
            .await
            .map_err(into_command_error)?;
        let shutdown_signal = shutdown_signal()?;
        log_settings_notices(options);
        log_ready(&running, format);
        actix_web::rt::spawn(logging::report_suppressed_lines());
        shutdown_signal.await;
        tracing::info!("stopping, waiting for in-flight requests and deliveries");
        running.stop().await;
        tracing::info!("stopped");
        Ok(())
    })?;
    logging::flush();
    // Exit here: a hanging DNS lookup would block the runtime's shutdown. The store is already
    // closed.
    std::process::exit(0)
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

/// Logs the setup URL, if there is one, and the ready message that scripts wait for.
fn log_ready(running: &RunningServer, format: LogFormat) {
    let url = running.url.as_str();
    if let Some(setup) = &running.setup_url {
        tracing::info!(
            target: logging::STARTUP_LOG_TARGET,
            url = setup.as_str(),
            "no users yet: open this link within 1 hour to create the first account"
        );
    }
    match format {
        LogFormat::Text => {
            tracing::info!(target: logging::STARTUP_LOG_TARGET, "listening on {url}")
        }
        LogFormat::Json => tracing::info!(target: logging::STARTUP_LOG_TARGET, url, "listening"),
    }
}

/// Returns a future that resolves at the first SIGINT or SIGTERM. A second signal then ends the
/// process at once. Signals are handled from this call on, so call this function before logging the
/// ready message.
pub(super) fn shutdown_signal() -> Result<impl Future<Output = ()>, CommandError> {
    let mut interrupt = signal(SignalKind::interrupt())
        .map_err(CommandError::io_error("handling signals failed"))?;
    let mut terminate = signal(SignalKind::terminate())
        .map_err(CommandError::io_error("handling signals failed"))?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        actix_web::rt::spawn(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            std::process::exit(130);
        });
    })
}
