//! Kills the program 50 times under load. No acknowledged event is lost, whether its endpoint is
//! up, slow, or down.

use std::time::Duration;

use serde_json::{Value, json};

use crate::retries::assert_delays;
use crate::support::api::{Api, attempts, millis, text};
use crate::support::app::{App, AppBuilder};
use crate::support::load_generator::{AcknowledgedChange, LoadGenerator};
use crate::support::lost_events::{altered_delivery, missing_changes};
use crate::support::receiver::{Receiver, Reply, closed_socket_address};
use crate::support::wait::wait_until_within;

const KILLS: usize = 50;
const CLIENTS: usize = 6;
/// The largest number of attempts in flight to one endpoint.
const IN_FLIGHT_MAX: usize = 16;
/// The delays between attempts, in milliseconds. Only the `patient` policy has the third delay.
const DELAYS_MS: [f64; 3] = [200.0, 400.0, 60_000.0];

fn builder() -> AppBuilder {
    App::builder().option("--retry-delays", "200ms,400ms")
}

/// Returns the project that a request sends feedback to. Most feedback goes to "shop", which has
/// only one webhook, so the slower endpoints of "desk" can keep up.
fn project(number: usize) -> &'static str {
    if number.is_multiple_of(12) {
        "desk"
    } else {
        "shop"
    }
}

/// An endpoint, its webhook, and the expected state of the webhook's deliveries.
struct Endpoint {
    /// The receiver at the webhook's URL; `None` if nothing listens at this URL.
    receiver: Option<Receiver>,
    webhook: Value,
    /// The only project of the webhook; `None` if it subscribes to all projects.
    project: Option<&'static str>,
    /// The expected state of all deliveries at the end of the test.
    state: &'static str,
}

fn create_endpoints(api: &Api) -> [Endpoint; 5] {
    api.create_project("Shop");
    let desk = text(&api.create_project("Desk"), "id").to_owned();
    let slow = Receiver::script(|_| Reply::status(200).delayed(Duration::from_millis(100)));
    let desk_endpoint = |receiver: Option<Receiver>, retries: &str, state| {
        let url = match &receiver {
            Some(receiver) => receiver.url("/"),
            None => format!("http://{}/", closed_socket_address()),
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
        load.wait_for_more_changes(1 + kill * 37 % 90);
        let data = app.sigkill();
        app = builder().with_data_dir(data).start();
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
    // All webhooks of "desk" have the same number of deliveries, even if their endpoint received
    // none.
    for deliveries in [down, unreachable, patient] {
        assert_eq!(deliveries.len(), slow.len());
    }
    check_schedule(down.iter().chain(unreachable), patient);

    let (mut lost, mut duplicates) = (0, 0);
    for (endpoint, deliveries) in endpoints.iter().zip(&deliveries) {
        if let Some(receiver) = &endpoint.receiver {
            let received = receiver.received();
            let subscribed = |change: &&AcknowledgedChange| {
                endpoint
                    .project
                    .is_none_or(|project| change.project == project)
            };
            lost += missing_changes(&received, acknowledged.iter().filter(subscribed)).len();
            assert_eq!(
                altered_delivery(&received),
                None,
                "requests of a delivery differ"
            );
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

/// Waits until no delivery is due soon, and returns the deliveries of each webhook with all
/// attempts. Ignores the third retry of the `patient` policy, which starts only after 60 s.
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
        let path = format!("/api/v1/webhooks/{}/deliveries?", text(webhook, "id"));
        api.try_read_all_pages(&path).expect("list the deliveries")
    })
}
