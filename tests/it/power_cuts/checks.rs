//! The checks after a power cut. Each check returns an error that describes the loss.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use miniback::domain::id::{DeliveryId, FeedbackId, Id, WebhookId};
use rusqlite::Connection;
use serde_json::Value;
use tempfile::TempDir;

use super::Endpoint;
use crate::support::api::{Api, text};
use crate::support::app::database;
use crate::support::load_generator::AcknowledgedChange;
use crate::support::lost_events::{altered_delivery, missing_changes};
use crate::support::power_cut_fs::disk::Disk;
use crate::support::wait::poll;

/// Checks that the database on the disk is intact. For each endpoint, checks that every
/// acknowledged change has a delivery, and that each delivery is pending or has arrived.
pub fn check_database(
    disk: &Disk,
    acknowledged: &[AcknowledgedChange],
    endpoints: &[Endpoint],
) -> Result<(), String> {
    let copy = TempDir::new().expect("create a temporary directory");
    disk.copy_to(copy.path());
    let database = database(&copy.path().join("data"));
    let result = read_database(&database, acknowledged, endpoints);
    result.unwrap_or_else(|error| Err(format!("can't read the database: {error}")))
}

fn read_database(
    database: &Path,
    acknowledged: &[AcknowledgedChange],
    endpoints: &[Endpoint],
) -> rusqlite::Result<Result<(), String>> {
    let connection = Connection::open(database)?;
    let check = "PRAGMA integrity_check";
    let result: String = connection.query_row(check, [], |row| row.get(0))?;
    if result != "ok" {
        return Ok(Err(format!("the database is corrupt: {result}")));
    }
    let mut statement = connection.prepare(
        "SELECT deliveries.id, feedback_id, type, state FROM deliveries
         JOIN events ON event_number = events.number
         WHERE webhook_number = (SELECT number FROM webhooks WHERE id = ?1)",
    )?;
    for Endpoint { receiver, webhook } in endpoints {
        let webhook = WebhookId::parse_or_nil(text(webhook, "id"));
        let rows = statement.query_map([webhook.as_bytes()], |row| {
            let id = DeliveryId::from_bytes(row.get(0)?).to_string();
            let feedback = FeedbackId::from_bytes(row.get(1)?).to_string();
            Ok((id, (feedback, row.get(2)?), row.get(3)?))
        })?;
        let rows: Vec<(String, (String, String), String)> = rows.collect::<Result<_, _>>()?;
        let received = receiver.received();
        let ids: BTreeSet<&str> = received.iter().map(|request| request.delivery()).collect();
        let is_wrong = |(id, _, state): &&(String, _, String)| {
            state != "pending" && (state != "delivered" || !ids.contains(id.as_str()))
        };
        if let Some((id, _, state)) = rows.iter().find(is_wrong) {
            return Ok(Err(format!("delivery {id} is {state}, but didn't arrive")));
        }
        let stored: BTreeSet<&(String, String)> = rows.iter().map(|(_, event, _)| event).collect();
        let has_delivery = |change: &&AcknowledgedChange| {
            stored.contains(&(change.feedback.clone(), change.event.to_owned()))
        };
        if let Some(lost) = acknowledged.iter().find(|change| !has_delivery(change)) {
            return Ok(Err(format!(
                "an acknowledged event has no delivery: {lost:?}"
            )));
        }
    }
    Ok(Ok(()))
}

/// Checks that all acknowledged feedback and status changes are stored.
pub fn check_feedback(api: &Api, acknowledged: &[AcknowledgedChange]) -> Result<(), String> {
    let all = api.try_read_all_pages("/api/v1/feedback?project=shop")?;
    let ids: BTreeSet<&str> = all.iter().map(|feedback| text(feedback, "id")).collect();
    let is_reviewed = |feedback: &&Value| feedback["status"] == "REVIEWED";
    let reviewed = all.iter().filter(is_reviewed).map(|f| text(f, "id"));
    let reviewed: BTreeSet<&str> = reviewed.collect();
    let is_stored = |change: &&AcknowledgedChange| match change.event {
        "feedback.updated" => reviewed.contains(change.feedback.as_str()),
        _ => ids.contains(change.feedback.as_str()),
    };
    match acknowledged.iter().find(|change| !is_stored(change)) {
        Some(lost) => Err(format!("an acknowledged change was lost: {lost:?}")),
        None => Ok(()),
    }
}

/// Checks that all acknowledged events arrive at the endpoint within 60 s. Checks that all requests
/// of a delivery have the same body and timestamp.
pub fn check_arrival(
    api: &Api,
    endpoint: &Endpoint,
    acknowledged: &[AcknowledgedChange],
) -> Result<(), String> {
    let id = text(&endpoint.webhook, "id");
    let path = format!("/api/v1/webhooks/{id}/deliveries?state=pending");
    let drained = poll(Duration::from_secs(60), || {
        match api.try_read_all_pages(&path) {
            Ok(pending) => pending.is_empty().then_some(Ok(())),
            Err(error) => Some(Err(error)),
        }
    });
    drained.ok_or("deliveries are still pending")??;
    let received = endpoint.receiver.received();
    if let Some(changed) = altered_delivery(&received) {
        return Err(format!("the requests of delivery {changed} differ"));
    }
    match missing_changes(&received, acknowledged).as_slice() {
        [] => Ok(()),
        missing => Err(format!("acknowledged events didn't arrive: {missing:?}")),
    }
}
