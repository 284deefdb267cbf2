//! Reserves capacity for clients that were rejected because of a project's rate limit. A client
//! that returns after its `Retry-After` is accepted, even if other clients have used the quota.
//!
//! Feedback that is accepted because of a promise counts for the project like all feedback, so
//! later clients wait longer.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::id::ProjectId;

/// The time after `due` in which a client must return.
const LIFETIME: Duration = Duration::from_secs(60);
/// Maximum number of open promises of a project. Clients without a promise compete for the quota.
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

    /// Returns the time from which the client is accepted, if it has a promise.
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

    /// Returns the time that the client must wait: at least `wait`, and at least until `interval`
    /// after the last promise. Adds a promise for this time, unless the project already has the
    /// maximum number.
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

    /// Removes the promise of a client that was accepted.
    pub(super) fn remove(&mut self, project: &ProjectId, client: &K) {
        if let Some(promises) = self.projects.get_mut(project) {
            promises.retain(|promise| promise.client != *client);
        }
    }
}
