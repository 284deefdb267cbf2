//! Promises to clients that a full project refused: a client that returns after its `Retry-After`
//! is accepted, even if others have used the quota in the meantime.
//!
//! Accepted promises count for the project like all feedback, so they delay later clients.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::id::ProjectId;

/// The time in which a client must return.
const LIFETIME: Duration = Duration::from_secs(60);
/// Maximum number of open promises of a project. Other clients compete for the quota.
const PROMISES_MAX: usize = 60;

pub(super) struct Promises<K> {
    projects: HashMap<ProjectId, Vec<Promise<K>>>,
}

struct Promise<K> {
    client: K,
    due: Duration,
}

impl<K: PartialEq> Promises<K> {
    pub(super) fn new() -> Self {
        Self {
            projects: HashMap::new(),
        }
    }

    /// Returns the time at which the client is accepted, if it has a promise.
    pub(super) fn due(
        &mut self,
        project: &ProjectId,
        client: &K,
        now: Duration,
    ) -> Option<Duration> {
        let promises = self.projects.get_mut(project)?;
        promises.retain(|promise| now <= promise.due + LIFETIME);
        let promise = promises.iter().find(|promise| promise.client == *client);
        let due = promise.map(|promise| promise.due);
        if promises.is_empty() {
            self.projects.remove(project);
        }
        due
    }

    /// Promises to accept a client that must wait for `wait`, and for the clients with earlier
    /// promises. Returns the time to wait.
    pub(super) fn add(
        &mut self,
        project: &ProjectId,
        client: K,
        now: Duration,
        wait: Duration,
        interval: Duration,
    ) -> Duration {
        let promises = self.projects.entry(project.clone()).or_default();
        let last = promises.last().map(|promise| promise.due + interval);
        let due = last.unwrap_or_default().max(now + wait);
        if promises.len() < PROMISES_MAX {
            promises.push(Promise { client, due });
        }
        due - now
    }

    /// Removes the promise to a client that was accepted.
    pub(super) fn remove(&mut self, project: &ProjectId, client: &K) {
        if let Some(promises) = self.projects.get_mut(project) {
            promises.retain(|promise| promise.client != *client);
        }
    }
}
