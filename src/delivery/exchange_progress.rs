//! The state of the current exchange, which the connection reports through [`PROGRESS`]. awc
//! reports neither whether a connection was reused nor whether any byte of a response arrived.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use tokio::time::Instant;

use crate::domain::delivery::{AttemptPhase, AttemptTimings};

tokio::task_local! {
    /// The progress of this task's current exchange.
    pub static PROGRESS: Rc<ExchangeProgress>;
}

/// The state of one exchange (a request and its response), as reported by the connection.
#[derive(Debug)]
pub struct ExchangeProgress {
    deadline: Instant,
    is_new: Cell<bool>,
    has_response_started: Cell<bool>,
    is_client_certificate_requested: Cell<bool>,
    /// The current phase and its start.
    phase: Cell<Option<(AttemptPhase, Instant)>>,
    timings: Cell<AttemptTimings>,
    headers: RefCell<Vec<(String, String)>>,
}

impl ExchangeProgress {
    pub fn new(deadline: Instant) -> Self {
        Self {
            deadline,
            is_new: Cell::default(),
            has_response_started: Cell::default(),
            is_client_certificate_requested: Cell::default(),
            phase: Cell::default(),
            timings: Cell::default(),
            headers: RefCell::default(),
        }
    }

    /// Returns whether the exchange uses a connection that was already open.
    pub fn is_reused(&self) -> bool {
        !self.is_new.get()
    }

    /// Returns whether any byte of a response has arrived, including an interim response.
    pub fn has_response_started(&self) -> bool {
        self.has_response_started.get()
    }

    /// Returns whether the endpoint requested a client certificate.
    pub fn is_client_certificate_requested(&self) -> bool {
        self.is_client_certificate_requested.get()
    }

    pub fn record_client_certificate_request(&self) {
        self.is_client_certificate_requested.set(true);
    }

    pub fn timings(&self) -> AttemptTimings {
        self.timings.get()
    }

    /// Records that a byte of a response arrived.
    pub fn record_response_start(&self) {
        self.has_response_started.set(true);
    }

    pub fn set_response_headers(&self, headers: Vec<(String, String)>) {
        self.headers.replace(headers);
    }

    /// Removes and returns the headers of the final response, in their original order and case.
    pub fn take_response_headers(&self) -> Vec<(String, String)> {
        self.headers.take()
    }

    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Records that this exchange opens a new connection.
    pub fn record_new_connection(&self) {
        self.is_new.set(true);
    }

    /// Ends the current phase and begins the next one.
    pub fn begin_phase(&self, phase: AttemptPhase) {
        self.end_phase();
        self.phase.set(Some((phase, Instant::now())));
    }

    /// Ends the current phase, records its duration, and returns the phase. Returns `None` if there
    /// is no current phase.
    pub fn end_phase(&self) -> Option<AttemptPhase> {
        let (phase, started) = self.phase.take()?;
        let mut timings = self.timings.get();
        let duration = match phase {
            AttemptPhase::Lookup => &mut timings.dns,
            AttemptPhase::Connect => &mut timings.connect,
            AttemptPhase::Tls => &mut timings.tls,
            AttemptPhase::Send | AttemptPhase::Wait => &mut timings.waiting,
        };
        *duration = Some(duration.unwrap_or_default() + started.elapsed());
        self.timings.set(timings);
        Some(phase)
    }

    pub fn is_in_phase(&self, phase: AttemptPhase) -> bool {
        self.phase
            .get()
            .is_some_and(|(current, _)| current == phase)
    }
}
