//! The program's log on standard error, as text or JSON.
//!
//! A line identifies a webhook by id and host, never by path. The log contains no secret, token,
//! password, email, or message. The one-time setup URL is the only exception.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

use crate::config::LogFormat;

/// Starts logging for the whole process.
pub fn start(format: LogFormat, level: LevelFilter) {
    let filter = Targets::new()
        .with_target("miniback", level)
        .with_default(level.min(LevelFilter::WARN));
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
    // Fails if logging has already started in this process, as in tests. The first call wins.
    let _ = registry().with(layer.with_filter(filter)).try_init();
}
