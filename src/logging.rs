//! The program's log on standard error, as text or JSON.
//!
//! A line identifies a webhook by id and host, never by path. The log contains no secret, token,
//! password, email, or feedback message. The one-time setup URL is the only exception.
//!
//! Security events, the setup URL, and the ready message are logged regardless of the log level.
//! The demo doesn't log them by default.
//!
//! If standard error is systemd's journal, each line begins with its priority.

mod journal;
mod line_limits;
mod line_writer;

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

pub use self::journal::PriorityPrefix;
use self::line_limits::LineLimits;
pub use self::line_limits::report_suppressed_lines;
pub use self::line_writer::flush;
use crate::config::LogFormat;
use crate::server::security_events;

/// The log target of the setup URL and the ready message.
pub const STARTUP_LOG_TARGET: &str = "miniback::startup";

/// Starts logging for the whole process.
pub fn start(format: LogFormat, level: LevelFilter) {
    let filter = Targets::new()
        .with_target("miniback", level)
        .with_target(security_events::LOG_TARGET, level.max(LevelFilter::INFO))
        .with_target(STARTUP_LOG_TARGET, level.max(LevelFilter::INFO))
        .with_default(level.min(LevelFilter::WARN));
    start_with_filter(format, level, filter);
}

/// Starts logging for the whole process, but only warnings and errors, and no lines with the target
/// `omitted`.
pub fn start_warnings_only(format: LogFormat, omitted: &str) {
    let filter = Targets::new()
        .with_target(omitted, LevelFilter::OFF)
        .with_default(LevelFilter::WARN);
    start_with_filter(format, LevelFilter::WARN, filter);
}

fn start_with_filter(format: LogFormat, level: LevelFilter, filter: Targets) {
    let layer = match format {
        LogFormat::Text => fmt::layer()
            .with_target(false)
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(line_writer::StderrWriter)
            .boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_target(false)
            .with_writer(line_writer::StderrWriter)
            .boxed(),
    };
    let subscriber = registry()
        .with(filter)
        .with(LineLimits::new(level))
        .with(layer);
    // `try_init` fails if logging has already started in this process, for example in another test.
    if subscriber.try_init().is_ok() {
        std::panic::set_hook(Box::new(log_panic));
    }
}

/// Logs a panic. The standard hook would write to standard error directly, which can block.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let location = panic.location().map(ToString::to_string);
    let message = panic.payload_as_str().unwrap_or("no message");
    tracing::error!(location, "panicked: {message}");
    // The process may exit because of the panic, so write the line now.
    flush();
}
