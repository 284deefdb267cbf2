//! `miniback serve`.

use tokio::signal::unix::{SignalKind, signal};

use super::Failure;
use crate::app::{self, Running, StartError};
use crate::clock::Clock;
use crate::config::{self, LogFormat, ServeOptions};
use crate::logging;

pub(super) fn run(options: &ServeOptions) -> Result<(), Failure> {
    let format = options.log.format();
    logging::start(format);
    let first_user = config::first_user(|name| std::env::var(name).ok()).map_err(Failure::wrong)?;
    actix_web::rt::System::new().block_on(async {
        let running = app::start(options, None, first_user, Clock::System)
            .await
            .map_err(start_failure)?;
        let told_to_stop = told_to_stop()?;
        announce(&running, format);
        told_to_stop.await;
        tracing::info!("stopping: what is in flight ends first");
        running.stop().await;
        tracing::info!("stopped");
        Ok(())
    })?;
    // A look-up that hangs would hold the runtime's end up; everything is stored and closed.
    std::process::exit(0)
}

pub(super) fn start_failure(error: StartError) -> Failure {
    Failure {
        code: error.exit_code(),
        ..Failure::new(error)
    }
}

/// Says that it is ready, in the words that scripts wait for.
fn announce(running: &Running, format: LogFormat) {
    let url = running.url.as_str();
    if let Some(setup) = &running.setup_url {
        tracing::info!(
            url = setup.as_str(),
            "there is no user yet: open this address within an hour to make the first one"
        );
    }
    match format {
        LogFormat::Text => tracing::info!("listening on {url}"),
        LogFormat::Json => tracing::info!(url, "listening"),
    }
}

/// Ready at the first SIGINT or SIGTERM; a second one ends the process at once. Signals are heard from the call on, so it
/// is made before the program says that it is there.
pub(super) fn told_to_stop() -> Result<impl Future<Output = ()>, Failure> {
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::new)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::new)?;
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
