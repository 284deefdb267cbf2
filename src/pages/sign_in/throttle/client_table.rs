//! The clients with failed attempts or a wait, and the `Retry-After` times that they received.

use std::collections::HashMap;
use std::time::Duration;

use super::{FAILURES_EXPIRE_AFTER, THROTTLED_FROM, WAIT_MAX, client::Client};

/// Maximum number of clients. A full table uses about 4 MB of memory.
pub const CLIENTS_MAX: usize = 20_000;
/// The time that a `Retry-After` stays valid after its due time. Clients can rely on 60 s; the
/// other 5 s allow for slow connections.
const RETRY_WINDOW_LENGTH: Duration = Duration::from_secs(65);

#[derive(Clone, Debug, Default)]
pub struct ClientState {
    pub failures: u32,
    /// The wait after the last failure; zero if there was no wait. The next wait is twice as long,
    /// up to the maximum.
    pub wait: Duration,
    /// Whether the client has already had to wait. If so, it has no first wait anymore.
    pub has_waited: bool,
    pub retry_window: Option<RetryWindow>,
    pub last: Duration,
}

/// The period for a new attempt of a client that received `Retry-After`. From `due` to `until`, a
/// check of its password is guaranteed. Both are monotonic times.
#[derive(Clone, Copy, Debug)]
pub struct RetryWindow {
    pub due: Duration,
    pub until: Duration,
    /// Whether the client has to wait until `due`. If not, it can try earlier without a guaranteed
    /// check.
    pub must_wait: bool,
}

impl RetryWindow {
    pub fn new(due: Duration, must_wait: bool) -> Self {
        Self {
            due,
            until: due + RETRY_WINDOW_LENGTH,
            must_wait,
        }
    }
}

impl ClientState {
    fn is_expired(&self, now: Duration) -> bool {
        now.saturating_sub(self.last) >= FAILURES_EXPIRE_AFTER
    }

    fn has_valid_retry_window(&self, now: Duration) -> bool {
        self.retry_window.is_some_and(|window| now <= window.until)
    }

    /// Returns the wait after another failure, or zero if the client doesn't have to wait.
    /// `is_throttled` says whether a limit other than the client's own has been reached.
    pub fn next_wait(&self, is_throttled: bool) -> Duration {
        if !is_throttled && self.failures + 1 < THROTTLED_FROM {
            return Duration::ZERO;
        }
        (self.wait * 2).clamp(Duration::from_secs(1), WAIT_MAX)
    }
}

/// The states of at most [`CLIENTS_MAX`] clients. If all clients have a valid `Retry-After`, only
/// clients of the largest network are evicted.
#[derive(Default)]
pub struct ClientTable(HashMap<Client, ClientState>);

impl ClientTable {
    pub fn get(&self, client: Client, now: Duration) -> Option<&ClientState> {
        self.0.get(&client).filter(|state| !state.is_expired(now))
    }

    /// Returns the state of a client, which is created if necessary. Returns `None` if the table is
    /// full and no client can be evicted.
    pub fn get_or_insert(&mut self, client: Client, now: Duration) -> Option<&mut ClientState> {
        if self.0.len() >= CLIENTS_MAX && !self.0.contains_key(&client) && !self.evict_clients(now)
        {
            return None;
        }
        let state = self.0.entry(client).or_default();
        if state.is_expired(now) {
            *state = ClientState::default();
        }
        state.last = now;
        Some(state)
    }

    /// Removes expired clients to make room for another client. If the table is still full, removes
    /// the oldest quarter of the clients without a valid `Retry-After`. If every client has a valid
    /// `Retry-After`, removes the oldest quarter of the largest network. Returns whether the table
    /// has room.
    fn evict_clients(&mut self, now: Duration) -> bool {
        self.0.retain(|_, state| !state.is_expired(now));
        if self.0.len() < CLIENTS_MAX {
            return true;
        }
        let mut candidates = self.matching_clients(|_, state| !state.has_valid_retry_window(now));
        if candidates.is_empty() {
            candidates = self.clients_of_largest_network();
        }
        candidates.sort_unstable_by_key(|(_, last)| *last);
        for (client, _) in &candidates[..candidates.len().div_ceil(4)] {
            self.0.remove(client);
        }
        !candidates.is_empty()
    }

    /// Finds the IPv4 /16 or IPv6 /32 with the most clients, and within it the /24 or /48 with the
    /// most clients. Returns the clients of this smaller network. Ignores known clients. Returns an
    /// empty list if each of the larger networks has only one client.
    fn clients_of_largest_network(&self) -> Vec<(Client, Duration)> {
        let mut candidates = self.matching_clients(|client, _| !client.is_known());
        for level in 0..Client::NETWORK_LEVELS {
            let mut sizes: HashMap<Client, usize> = HashMap::new();
            for (client, _) in &candidates {
                *sizes.entry(client.network(level)).or_default() += 1;
            }
            match sizes.into_iter().max_by_key(|(_, size)| *size) {
                Some((_, 1)) if level == 0 => return Vec::new(),
                Some((largest, _)) => {
                    candidates.retain(|(client, _)| client.network(level) == largest);
                }
                None => {}
            }
        }
        candidates
    }

    fn matching_clients(
        &self,
        filter: impl Fn(&Client, &ClientState) -> bool,
    ) -> Vec<(Client, Duration)> {
        let matching = self
            .0
            .iter()
            .filter(|(client, state)| filter(client, state));
        matching
            .map(|(client, state)| (*client, state.last))
            .collect()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
