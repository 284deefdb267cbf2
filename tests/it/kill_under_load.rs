//! Kills the program 50 times under load. No acknowledged event is lost, whether its endpoint is
//! up, slow, or down.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::retries::assert_delays;
use crate::support::api::{Api, attempts, millis, text};
use crate::support::app::{App, AppBuilder};
use crate::support::load_generator::{Acknowledged, LoadGenerator};
use crate::support::receiver::{ReceivedRequest, Receiver, Reply, closed_address};
use crate::support::wait::wait_until_within;

const KILLS: usize = 50;
const CLIENTS: usize = 6;
/// The largest number of attempts in flight to one endpoint.
const IN_FLIGHT_MAX: usize = 16;
/// The delays between attempts. Only the `patient` policy has the third one.
const DELAYS_MS: [f64; 3] = [200.0, 400.0, 60_000.0];

fn builder() -> AppBuilder {
    App::builder().option("--retry-delays", "200ms,400ms")
}

/// Returns the project that a request sends feedback to. Most feedback goes to "shop", which has
/// only one webhook, so that the slower endpoints of "desk" can keep up with thousands of events.
fn project(number: usize) -> &'static str {
    if number.is_multiple_of(12) {
        "desk"
    } else {
        "shop"
    }
}

/// An endpoint with its webhook.
struct Endpoint {
    /// `None` if nothing listens at the webhook's URL.
    receiver: Option<Receiver>,
    webhook: Value,
    /// The only project of the webhook; `None` if it subscribes to all projects.
    project: Option<&'static str>,
    /// The state that all its deliveries end in.
    state: &'static str,
}

fn create_endpoints(api: &Api) -> [Endpoint; 5] {
    api.create_project("Shop");
    let desk = text(&api.create_project("Desk"), "id").to_owned();
    let slow = Receiver::script(|_| Reply::status(200).delayed(Duration::from_millis(100)));
    let desk_endpoint = |receiver: Option<Receiver>, retries: &str, state| {
        let url = match &receiver {
            Some(receiver) => receiver.url("/"),
            None => format!("http://{}/", closed_address()),
        };
        let body = json!({"url": url, "projects": [desk], "retries": retries});
        Endpoint {
            webhook: api.create_webhook_with(body),
            receiver,
            project: Some("desk"),
            state,
        }
    };
    let up = Receiver::ok();
    [
        Endpoint {
            webhook: api.create_webhook(&up.url("/")),
            receiver: Some(up),
            project: None,
            state: "delivered",
        },
        desk_endpoint(Some(slow), "standard", "delivered"),
        desk_endpoint(Some(Receiver::status(500)), "standard", "failed"),
        desk_endpoint(None, "standard", "failed"),
        desk_endpoint(Some(Receiver::status(503)), "patient", "pending"),
    ]
}

#[test]
fn fifty_kills_under_load_lose_no_acknowledged_event() {
    let mut app = builder().start();
    let endpoints = create_endpoints(&app.api());
    let load = LoadGenerator::start(&app, CLIENTS, project);
    for kill in 0..KILLS {
        // Vary the time of the kill, so that few or many deliveries are pending.
        load.wait_for_more(1 + kill * 37 % 90);
        let data = app.kill9();
        app = builder().with_data(data).start();
        load.switch_to(&app);
    }
    let (acknowledged, rejected) = load.stop();
    assert!(rejected.is_empty(), "{rejected:?}");

    let api = app.api();
    let deliveries = all_deliveries(&api, &endpoints);
    let [_, slow, down, unreachable, patient] = &deliveries;
    for (endpoint, deliveries) in endpoints.iter().zip(&deliveries) {
        let unexpected = deliveries.iter().find(|d| d["state"] != endpoint.state);
        assert_eq!(unexpected, None, "a delivery isn't {}", endpoint.state);
    }
    // All webhooks of "desk" have the same events, even if their endpoint received none.
    for deliveries in [down, unreachable, patient] {
        assert_eq!(deliveries.len(), slow.len());
    }
    check_schedule(down.iter().chain(unreachable), patient);

    let (mut lost, mut duplicates) = (0, 0);
    for (endpoint, deliveries) in endpoints.iter().zip(&deliveries) {
        if let Some(receiver) = &endpoint.receiver {
            let received = receiver.received();
            lost += count_missing(&acknowledged, endpoint.project, &received);
            assert_same_body_per_delivery(&received);
            // Attempts that were in flight at a kill are repeated, but recorded only once.
            let recorded: usize = deliveries.iter().map(|d| attempts(d).len()).sum();
            duplicates += received.len() - recorded;
        }
    }
    println!(
        "{KILLS} kills, {} acknowledged events, {} deliveries, {lost} lost, {duplicates} repeated \
         attempts",
        acknowledged.len(),
        deliveries.iter().map(Vec::len).sum::<usize>(),
    );
    assert_eq!(lost, 0, "acknowledged events were lost");
    assert!(
        acknowledged.len() > 1_000,
        "too little load: {}",
        acknowledged.len()
    );
    assert!(
        duplicates <= KILLS * 4 * IN_FLIGHT_MAX,
        "more attempts were repeated than were in flight: {duplicates}"
    );
}

/// Checks that the retries continued as planned: no retry is early, no attempt number occurs twice,
/// and no attempt follows the last retry.
fn check_schedule<'a>(failed: impl Iterator<Item = &'a Value>, patient: &[Value]) {
    for delivery in failed {
        assert_delays(delivery, &DELAYS_MS[..2]);
    }
    for delivery in patient {
        let count = attempts(delivery).len();
        assert!(count >= 3, "{delivery:#}");
        assert_delays(delivery, &DELAYS_MS[..count - 1]);
        let last = &attempts(delivery)[count - 1];
        let wait = millis(&delivery["nextAttemptAt"]) - millis(&last["startedAt"]);
        assert!(wait >= 59_990, "{delivery:#}");
    }
}

/// Waits until no delivery is due, and returns the deliveries of each webhook with all attempts.
fn all_deliveries<const N: usize>(api: &Api, endpoints: &[Endpoint; N]) -> [Vec<Value>; N] {
    for Endpoint { webhook, .. } in endpoints {
        wait_until_within(Duration::from_secs(60), "no delivery is due", || {
            let path = format!(
                "/api/v1/webhooks/{}/deliveries?state=pending&limit=100",
                text(webhook, "id")
            );
            let page = api.get(&path).expect(200).json();
            let pending = page["data"].as_array().unwrap().clone();
            let is_patient = webhook["retries"] == "patient";
            let is_waiting = |d: &Value| is_patient && attempts(d).len() >= 3;
            pending.iter().all(is_waiting).then_some(())
        });
    }
    endpoints.each_ref().map(|Endpoint { webhook, .. }| {
        let mut all = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!(
                "/api/v1/webhooks/{}/deliveries?limit=100{cursor}",
                text(webhook, "id")
            );
            let page = api.get(&path).expect(200).json();
            all.extend(page["data"].as_array().unwrap().iter().cloned());
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return all,
            }
        }
    })
}

/// Counts the acknowledged events that never arrived at an endpoint.
pub fn count_missing(
    acknowledged: &[Acknowledged],
    project: Option<&str>,
    received: &[ReceivedRequest],
) -> usize {
    let arrived: BTreeSet<(String, String)> = received
        .iter()
        .map(|request| {
            let json = request.json();
            let feedback = text(&json["data"]["feedback"], "id").to_owned();
            (feedback, text(&json, "event").to_owned())
        })
        .collect();
    acknowledged
        .iter()
        .filter(|change| project.is_none_or(|project| change.project == project))
        .filter(|change| !arrived.contains(&(change.feedback.clone(), change.event.to_owned())))
        .count()
}

#[track_caller]
fn assert_same_body_per_delivery(received: &[ReceivedRequest]) {
    let mut first: BTreeMap<&str, &ReceivedRequest> = BTreeMap::new();
    for request in received {
        let first = first.entry(request.delivery()).or_insert(request);
        let id = request.delivery();
        assert_eq!(request.body, first.body, "the body of {id} changed");
        let timestamp = "X-Miniback-Timestamp";
        assert_eq!(request.header(timestamp), first.header(timestamp));
    }
}
