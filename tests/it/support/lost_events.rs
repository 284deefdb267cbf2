//! Compares acknowledged changes with the requests that an endpoint has received.

use std::collections::{BTreeMap, BTreeSet};

use super::api::text;
use super::load_generator::AcknowledgedChange;
use super::receiver::ReceivedRequest;

/// Returns the acknowledged changes whose events never arrived.
pub fn missing_changes<'a>(
    received: &[ReceivedRequest],
    acknowledged: impl IntoIterator<Item = &'a AcknowledgedChange>,
) -> Vec<&'a AcknowledgedChange> {
    let arrived: BTreeSet<(String, String)> = received
        .iter()
        .map(|request| {
            let json = request.json();
            let feedback = text(&json["data"]["feedback"], "id").to_owned();
            (feedback, text(&json, "event").to_owned())
        })
        .collect();
    let is_missing = |change: &&AcknowledgedChange| {
        !arrived.contains(&(change.feedback.clone(), change.event.to_owned()))
    };
    acknowledged.into_iter().filter(is_missing).collect()
}

/// Returns the id of a delivery whose requests had different bodies or timestamps; `None` if there
/// is no such delivery.
pub fn altered_delivery(received: &[ReceivedRequest]) -> Option<&str> {
    let mut first: BTreeMap<&str, &ReceivedRequest> = BTreeMap::new();
    let changed = received.iter().find(|request| {
        let first = first.entry(request.delivery()).or_insert(request);
        let timestamp = "X-Miniback-Timestamp";
        request.body != first.body || request.header(timestamp) != first.header(timestamp)
    });
    changed.map(ReceivedRequest::delivery)
}
