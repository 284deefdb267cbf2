//! Reserves capacity for clients that were rejected because of a project's rate limit. A client
//! that returns after its `Retry-After` is accepted, even if other clients have used the quota.
//!
//! Feedback that is accepted because of a reservation counts toward the project's limits like all
//! feedback, so later clients wait longer.

use std::collections::HashMap;
use std::time::Duration;

use crate::domain::id::ProjectId;

/// The time between `valid_from` and the expiration of a reservation.
const RESERVATION_LIFETIME: Duration = Duration::from_secs(60);
/// Maximum number of open reservations of a project. Clients without a reservation compete for the
/// quota.
const RESERVATIONS_MAX: usize = 60;

pub(super) struct Reservations<K> {
    projects: HashMap<ProjectId, Vec<Reservation<K>>>,
}

struct Reservation<K> {
    client: K,
    valid_from: Duration,
}

impl<K: PartialEq> Reservations<K> {
    pub(super) fn new() -> Self {
        Self {
            projects: HashMap::new(),
        }
    }

    /// Removes the project's expired reservations. If the client has a reservation, returns the
    /// time from which the client is accepted.
    pub(super) fn valid_from(
        &mut self,
        project: &ProjectId,
        client: &K,
        now: Duration,
    ) -> Option<Duration> {
        let reservations = self.projects.get_mut(project)?;
        reservations.retain(|reservation| now <= reservation.valid_from + RESERVATION_LIFETIME);
        let reservation = reservations
            .iter()
            .find(|reservation| reservation.client == *client);
        let valid_from = reservation.map(|reservation| reservation.valid_from);
        if reservations.is_empty() {
            self.projects.remove(project);
        }
        valid_from
    }

    /// Returns the time that the client must wait: at least `wait`, and at least until `interval`
    /// after the project's latest reservation becomes valid. Adds a reservation that becomes valid
    /// after the wait, unless the project already has the maximum number of reservations.
    pub(super) fn add(
        &mut self,
        project: &ProjectId,
        client: K,
        now: Duration,
        wait: Duration,
        interval: Duration,
    ) -> Duration {
        let reservations = self.projects.entry(*project).or_default();
        let last = reservations
            .last()
            .map(|reservation| reservation.valid_from + interval);
        let valid_from = last.unwrap_or_default().max(now + wait);
        if reservations.len() < RESERVATIONS_MAX {
            reservations.push(Reservation { client, valid_from });
        }
        valid_from - now
    }

    /// Removes the reservation of a client that was accepted.
    pub(super) fn remove(&mut self, project: &ProjectId, client: &K) {
        if let Some(reservations) = self.projects.get_mut(project) {
            reservations.retain(|reservation| reservation.client != *client);
        }
    }
}
