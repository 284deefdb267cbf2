//! The log: to standard error, as text for people or as JSON for machines.
//!
//! A line names a webhook by id and host, never by path; no secret, token, password, e-mail address or message.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

use crate::config::LogFormat;

/// Starts logging for the whole process. `MINIBACK_LOG=debug` (or `trace`) tells more, for those who look for a fault.
pub fn start(format: LogFormat) {
    let level = match std::env::var("MINIBACK_LOG").as_deref() {
        Ok("debug") => LevelFilter::DEBUG,
        Ok("trace") => LevelFilter::TRACE,
        _ => LevelFilter::INFO,
    };
    let ours = Targets::new()
        .with_target("miniback", level)
        .with_default(LevelFilter::WARN);
    let layer = match format {
        LogFormat::Text => fmt::layer()
            .with_target(false)
            .with_ansi(std::io::stderr().is_terminal())
            .with_writer(std::io::stderr)
            .boxed(),
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_target(false)
            .with_writer(std::io::stderr)
            .boxed(),
    };
    // A second start in one process (a test) keeps the first one.
    let _ = registry().with(layer.with_filter(ours)).try_init();
}
