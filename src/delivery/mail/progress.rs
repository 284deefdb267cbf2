//! The state of the current conversation with the mail server: its phase and its step.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::super::exchange_progress::ExchangeProgress;
use super::super::outcomes;
use crate::domain::delivery::{AttemptPhase, AttemptTimings, Outcome};
use crate::domain::mail_failure::{MailFailure, MailStep};

pub(super) struct MailProgress {
    exchange: Rc<ExchangeProgress>,
    step: Cell<MailStep>,
    /// Whether the client has sent anything after the greeting. lettre waits for the greeting and
    /// sends `EHLO` in one call.
    is_greeted: Arc<AtomicBool>,
}

impl MailProgress {
    pub(super) fn new(deadline: Instant) -> Self {
        Self {
            exchange: Rc::new(ExchangeProgress::new(deadline)),
            step: Cell::new(MailStep::Greeting),
            is_greeted: Arc::default(),
        }
    }

    pub(super) fn exchange(&self) -> &Rc<ExchangeProgress> {
        &self.exchange
    }

    pub(super) fn deadline(&self) -> Instant {
        self.exchange.deadline()
    }

    pub(super) fn timings(&self) -> AttemptTimings {
        self.exchange.timings()
    }

    pub(super) fn is_greeted(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_greeted)
    }

    pub(super) fn step(&self) -> MailStep {
        match self.step.get() {
            MailStep::Greeting if self.is_greeted.load(Ordering::Relaxed) => MailStep::Hello,
            step => step,
        }
    }

    pub(super) fn begin_step(&self, step: MailStep) {
        self.step.set(step);
    }

    /// Begins to wait for replies of the mail server.
    pub(super) fn begin_wait(&self) {
        self.exchange.begin_phase(AttemptPhase::Wait);
    }

    pub(super) fn end_phase(&self) {
        self.exchange.end_phase();
    }

    /// Returns the failure of an attempt that reached its time limit.
    pub(super) fn timeout_failure(&self, after: Duration) -> MailFailure {
        if self.exchange.is_in_phase(AttemptPhase::Wait) {
            let step = self.step();
            return MailFailure::Timeout { after, step };
        }
        let outcome: Outcome = outcomes::from_timeout(after, &self.exchange);
        MailFailure::Connection(Box::new(outcome))
    }
}
