//! Limits the number of log lines that clients and endpoints can cause. Once a minute, reports how
//! many lines were suppressed.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::Context;

use crate::server::security_events;

/// The length of a window. Lines are counted and limited separately in each window.
const LIMIT_WINDOW: Duration = Duration::from_secs(60);
/// Maximum number of warnings and errors per window from one log statement.
const WARNINGS_AND_ERRORS_MAX: u64 = 10;
/// Maximum number of logged failed sign-ins per window, for all clients together. A single client
/// causes about 10, because its waits double from the fifth failure.
const FAILED_SIGN_INS_MAX: u64 = 100;
/// The crate of the HTTP parser, which logs an error for each request that isn't valid HTTP.
const HTTP_PARSER_CRATE: &str = "actix_http";

/// The numbers of logged and suppressed lines of each log statement in the current window.
static COUNTS: LineCounts = LineCounts::new();

/// The location of a log statement in the code: its target and line number.
type Callsite = (&'static str, Option<u32>);

#[derive(Default)]
struct CallsiteCount {
    logged: u64,
    suppressed: u64,
}

struct LineCounts(Mutex<BTreeMap<Callsite, CallsiteCount>>);

/// Drops the lines that exceed a limit.
pub(super) struct LineLimits {
    counts: &'static LineCounts,
    shows_http_parser: bool,
}

impl LineLimits {
    pub(super) fn new(level: LevelFilter) -> Self {
        Self {
            counts: &COUNTS,
            shows_http_parser: level >= LevelFilter::DEBUG,
        }
    }

    /// Returns the maximum number of lines per window from one log statement; `None` means no
    /// limit.
    fn max_lines(&self, target: &str, level: Level) -> Option<u64> {
        if is_http_parser(target) && !self.shows_http_parser {
            Some(0)
        } else if target == security_events::UNAUTHENTICATED_LOG_TARGET {
            Some(FAILED_SIGN_INS_MAX)
        } else {
            (level <= Level::WARN).then_some(WARNINGS_AND_ERRORS_MAX)
        }
    }
}

fn is_http_parser(target: &str) -> bool {
    target.split("::").next() == Some(HTTP_PARSER_CRATE)
}

impl<S: Subscriber> Layer<S> for LineLimits {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        self.max_lines(metadata.target(), *metadata.level())
            .is_none_or(|limit| {
                self.counts
                    .count_line(metadata.target(), metadata.line(), limit)
            })
    }
}

impl LineCounts {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// Counts a line, and returns whether it is within the limit.
    fn count_line(&self, target: &'static str, line: Option<u32>, limit: u64) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry((target, line)).or_default();
        let is_within_limit = count.logged < limit;
        if is_within_limit {
            count.logged += 1;
        } else {
            count.suppressed += 1;
        }
        is_within_limit
    }

    /// Starts a new window, and returns how many lines of each target were suppressed in the
    /// previous window.
    fn start_window(&self) -> BTreeMap<&'static str, u64> {
        let counts = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut suppressed = BTreeMap::new();
        for ((target, _), count) in counts {
            *suppressed.entry(target).or_default() += count.suppressed;
        }
        suppressed.retain(|_, lines| *lines > 0);
        suppressed
    }

    fn log_suppressed_lines(&self) {
        let mut bad_requests = 0;
        for (target, lines) in self.start_window() {
            if is_http_parser(target) {
                bad_requests += lines;
            } else {
                tracing::warn!(source = target, lines, "similar log lines suppressed");
            }
        }
        if bad_requests > 0 {
            tracing::info!(count = bad_requests, "malformed or interrupted requests");
        }
    }
}

/// Logs once a minute how many lines were suppressed. Runs until aborted.
pub async fn report_suppressed_lines() {
    loop {
        tokio::time::sleep(LIMIT_WINDOW).await;
        COUNTS.log_suppressed_lines();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tempfile::NamedTempFile;
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{fmt, registry};

    use super::*;

    /// The file with the logged lines.
    struct Lines(NamedTempFile);

    impl Lines {
        /// Returns the number of lines that contain `text`.
        fn count(&self, text: &str) -> usize {
            let text_of = std::fs::read_to_string(self.0.path()).unwrap();
            text_of.lines().filter(|line| line.contains(text)).count()
        }
    }

    /// Runs `log` with line counts that no other test uses, and returns the logged lines.
    fn capture_log_lines(level: LevelFilter, log: impl FnOnce(&'static LineCounts)) -> Lines {
        let counts: &'static LineCounts = Box::leak(Box::new(LineCounts::new()));
        let lines = Lines(NamedTempFile::new().unwrap());
        let limits = LineLimits {
            counts,
            ..LineLimits::new(level)
        };
        let layer = fmt::layer()
            .with_ansi(false)
            .with_writer(Arc::new(lines.0.reopen().unwrap()));
        tracing::subscriber::with_default(registry().with(limits).with(layer), || log(counts));
        lines
    }

    #[test]
    fn limits_each_place_and_reports_the_rest() {
        let lines = capture_log_lines(LevelFilter::INFO, |counts| {
            for _ in 0..300 {
                tracing::error!(target: "actix_http::h1::dispatcher", "stream error");
                tracing::warn!("first place");
                tracing::info!("not a problem");
                tracing::info!(target: security_events::UNAUTHENTICATED_LOG_TARGET, "sign-in");
                tracing::info!(target: security_events::LOG_TARGET, "export");
            }
            tracing::error!("second place");
            counts.log_suppressed_lines();
            tracing::warn!("first place again");
        });
        let expected = [
            ("stream error", 0),
            ("first place", 11),
            ("not a problem", 300),
            ("sign-in", 100),
            ("export", 300),
            ("second place", 1),
            ("lines=290", 1),
            ("lines=200", 1),
            ("malformed or interrupted requests count=300", 1),
        ];
        for (text, count) in expected {
            assert_eq!(lines.count(text), count, "{text}");
        }
    }

    #[test]
    fn logs_nothing_if_no_line_was_suppressed() {
        let lines = capture_log_lines(LevelFilter::INFO, |counts| {
            tracing::warn!("a problem");
            counts.log_suppressed_lines();
            counts.log_suppressed_lines();
        });
        assert_eq!(lines.count(""), 1);
    }

    #[test]
    fn shows_some_errors_of_the_http_parser_at_debug() {
        let lines = capture_log_lines(LevelFilter::DEBUG, |_| {
            for _ in 0..300 {
                tracing::error!(target: "actix_http::h1::dispatcher", "stream error");
            }
        });
        assert_eq!(lines.count("stream error"), 10);
    }
}
