//! The state of a connection: its phase, the start of the phase, and the resulting deadline.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::task::Waker;

use tokio::time::Instant;

use super::{IDLE_TIMEOUT, REQUEST_HEAD_TIMEOUT, WRITE_TIMEOUT};

#[derive(Clone, Copy, PartialEq, Eq)]
enum ConnectionPhase {
    /// Part of a request's head has arrived, or the connection is new.
    Head,
    /// The connection waits for the next request.
    Idle,
    /// A request is being handled, or its response is being sent. The handler limits the time for
    /// the request's body.
    Exchange,
    /// The response ended early.
    Aborted,
    /// The stream is closed. A request can still hold a reference to this connection state.
    Closed,
}

/// The action that ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndAction {
    /// The server closes the connection, because the client hasn't sent a whole request head.
    Close,
    /// The server resets the connection, because the client doesn't read the response or doesn't
    /// send the rest of the request's body.
    Reset,
}

/// The reason why a connection waits for its client. Connections that wait for a request are
/// evicted first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum WaitReason {
    /// The connection waits for the next request, or for the rest of its head.
    Request,
    /// The connection waits for more of a request's body, or for space to send more of a response.
    Progress,
}

impl WaitReason {
    /// Returns the action that ends an evicted connection that waits for this reason.
    fn end_action(self) -> EndAction {
        match self {
            Self::Request => EndAction::Close,
            Self::Progress => EndAction::Reset,
        }
    }
}

/// The state of a connection, shared by its stream and the middleware.
pub struct ConnectionState {
    phase: Cell<ConnectionPhase>,
    since: Cell<Instant>,
    has_partial_head: Cell<bool>,
    /// Whether a handler or the middleware waits for more of the request's body.
    waits_for_body: Cell<bool>,
    /// The time at which a write began to wait for the client; `None` if no write waits.
    blocked_since: Cell<Option<Instant>>,
    /// Whether the client may still be sending a body that the server doesn't read. If so, closing
    /// the connection immediately could prevent the response from arriving.
    may_have_unread_body: Cell<bool>,
    is_evicted: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl ConnectionState {
    fn new() -> Self {
        Self {
            phase: Cell::new(ConnectionPhase::Head),
            since: Cell::new(Instant::now()),
            has_partial_head: Cell::new(false),
            waits_for_body: Cell::new(false),
            blocked_since: Cell::new(None),
            may_have_unread_body: Cell::new(false),
            is_evicted: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    fn enter_phase(&self, phase: ConnectionPhase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }

    /// Records that a request's head has arrived.
    pub fn begin_exchange(&self) {
        self.enter_phase(ConnectionPhase::Exchange);
        self.has_partial_head.set(false);
        self.may_have_unread_body.set(false);
    }

    /// Records that the whole response has been passed to actix. `is_body_finished` is true if the
    /// request's whole body has been read.
    pub fn end_exchange(&self, is_body_finished: bool) {
        self.enter_phase(ConnectionPhase::Idle);
        self.may_have_unread_body.set(!is_body_finished);
    }

    /// Records that the response ended early, for example because a database query failed.
    pub fn abort_exchange(&self) {
        self.enter_phase(ConnectionPhase::Aborted);
    }

    /// Returns whether the response is incomplete. If the response has neither a length nor chunked
    /// encoding, the client can detect this only if the server resets the connection.
    pub fn is_response_incomplete(&self) -> bool {
        matches!(
            self.phase.get(),
            ConnectionPhase::Exchange | ConnectionPhase::Aborted
        )
    }

    pub fn close(&self) {
        self.enter_phase(ConnectionPhase::Closed);
    }

    pub fn set_waits_for_body(&self, waits: bool) {
        self.waits_for_body.set(waits);
    }

    pub fn record_read(&self) {
        match self.phase.get() {
            ConnectionPhase::Idle => {
                self.enter_phase(ConnectionPhase::Head);
                self.has_partial_head.set(true);
            }
            ConnectionPhase::Head => self.has_partial_head.set(true),
            _ => {}
        }
    }

    pub fn record_write(&self) {
        self.blocked_since.set(None);
        // Actix responds to a malformed head without calling the middleware. The client may still
        // be sending the request.
        if self.phase.get() == ConnectionPhase::Head {
            self.may_have_unread_body.set(true);
        }
    }

    pub fn record_blocked_write(&self) {
        if self.blocked_since.get().is_none() {
            self.blocked_since.set(Some(Instant::now()));
        }
    }

    /// Returns whether the server must wait for the client before it closes the connection, so that
    /// the response arrives.
    pub fn should_linger(&self) -> bool {
        self.may_have_unread_body.get() && !self.is_evicted.get()
    }

    /// Returns whether the client has sent only part of a head, and no response to it has started.
    pub fn has_only_partial_head(&self) -> bool {
        self.phase.get() == ConnectionPhase::Head
            && self.has_partial_head.get()
            && !self.may_have_unread_body.get()
            && self.blocked_since.get().is_none()
    }

    /// Sets the task to wake when the connection is evicted.
    pub fn set_waker(&self, waker: &Waker) {
        let mut stored = self.waker.borrow_mut();
        if !stored.as_ref().is_some_and(|old| old.will_wake(waker)) {
            *stored = Some(waker.clone());
        }
    }

    fn is_open(&self) -> bool {
        self.phase.get() != ConnectionPhase::Closed
    }

    /// Returns the reason why the connection waits for its client, and the start of the wait. A
    /// body that arrives slowly doesn't restart the wait.
    fn current_wait(&self) -> Option<(WaitReason, Instant)> {
        if let Some(since) = self.blocked_since.get() {
            return Some((WaitReason::Progress, since));
        }
        let wait_reason = match self.phase.get() {
            ConnectionPhase::Head | ConnectionPhase::Idle => WaitReason::Request,
            ConnectionPhase::Exchange if self.waits_for_body.get() => WaitReason::Progress,
            _ => return None,
        };
        Some((wait_reason, self.since.get()))
    }

    fn evict(&self) {
        self.is_evicted.set(true);
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Returns the time at which the connection must end, and the action that ends it. Returns
    /// `None` if there is no deadline, for example while a handler runs.
    pub fn deadline(&self) -> Option<(Instant, EndAction)> {
        if self.is_evicted.get()
            && let Some((wait_reason, since)) = self.current_wait()
        {
            return Some((since, wait_reason.end_action()));
        }
        let since = self.since.get();
        let phase = match self.phase.get() {
            ConnectionPhase::Head => Some(REQUEST_HEAD_TIMEOUT),
            ConnectionPhase::Idle => Some(IDLE_TIMEOUT),
            _ => None,
        };
        let phase = phase.map(|limit| (since + limit, EndAction::Close));
        let blocked = self.blocked_since.get();
        let blocked = blocked.map(|since| (since + WRITE_TIMEOUT, EndAction::Reset));
        phase.into_iter().chain(blocked).min_by_key(|(at, _)| *at)
    }
}

thread_local! {
    /// The connections of this thread. A worker thread belongs to one server.
    static CONNECTIONS: RefCell<Weak<Connections>> = const { RefCell::new(Weak::new()) };
}

/// The connections of one worker thread, from all listeners.
pub struct Connections {
    open: RefCell<Vec<Weak<ConnectionState>>>,
    /// The number of open connections at which each new connection evicts a connection that waits
    /// for its client.
    eviction_threshold: usize,
}

impl Connections {
    /// Returns the connections of the current thread, which the services of all listeners share.
    pub fn of_this_thread(eviction_threshold: usize) -> Rc<Self> {
        CONNECTIONS.with_borrow_mut(|shared| {
            shared.upgrade().unwrap_or_else(|| {
                let connections = Rc::new(Self {
                    open: RefCell::default(),
                    eviction_threshold,
                });
                *shared = Rc::downgrade(&connections);
                connections
            })
        })
    }

    /// Adds a connection. At the eviction threshold, ends the connection that has waited longest
    /// for a request. If no connection waits for a request, ends the connection that has waited
    /// longest for its client to send a body or read a response.
    pub fn add(&self) -> Rc<ConnectionState> {
        let mut open = self.open.borrow_mut();
        if open.len() == open.capacity() || open.len() >= self.eviction_threshold {
            open.retain(|connection| connection.upgrade().is_some_and(|state| state.is_open()));
        }
        if open.len() >= self.eviction_threshold {
            let states = open.iter().filter_map(Weak::upgrade);
            let states = states.filter(|state| !state.is_evicted.get());
            let waiting = states.filter_map(|state| Some((state.current_wait()?, state)));
            if let Some((_, oldest)) = waiting.min_by_key(|(wait, _)| *wait) {
                oldest.evict();
            }
        }
        let state = Rc::new(ConnectionState::new());
        open.push(Rc::downgrade(&state));
        state
    }
}
