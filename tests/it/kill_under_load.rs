//! `kill -9`, fifty times in a storm: nothing that was acknowledged is lost, to endpoints that are
//! up, slow and down.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};

use crate::retries::starts_after;
use crate::support::api::{Api, attempts, millis, text};
use crate::support::app::{App, AppBuilder};
use crate::support::load_generator::{Acknowledged, LoadGenerator};
use crate::support::receiver::{ReceivedRequest, Receiver, Reply, closed_address};
use crate::support::wait::wait_until_within;

const KILLS: usize = 50;
const CLIENTS: usize = 6;
/// The third retry is that of `patient` alone.
const DELAYS_MS: [f64; 3] = [200.0, 400.0, 60_000.0];

fn setup() -> AppBuilder {
    App::builder().option("--retry-delays", "200ms,400ms")
}

/// Most feedback goes to one endpoint only, so that thousands are acknowledged in the time that the
/// others take.
fn project(number: usize) -> &'static str {
    if number.is_multiple_of(12) {
        "desk"
    } else {
        "shop"
    }
}

#[test]
fn fifty_kills_in_a_storm_lose_nothing_that_was_acknowledged() {
    let mut app = setup().start();
    let api = app.api();
    api.create_project("Shop");
    let desk = text(&api.create_project("Desk"), "id").to_owned();
    let (up, down, patient) = (Receiver::ok(), Receiver::status(500), Receiver::status(503));
    let slow = Receiver::script(|_| Reply::status(200).delayed(Duration::from_millis(100)));
    let to_up = api.create_webhook(&up.url("/"));
    let of_desk = |url: String, retries: &str| {
        api.create_webhook_with(json!({"url": url, "projects": [desk], "retries": retries}))
    };
    let to_slow = of_desk(slow.url("/"), "standard");
    let to_down = of_desk(down.url("/"), "standard");
    let to_gone = of_desk(format!("http://{}/", closed_address()), "standard");
    let to_patient = of_desk(patient.url("/"), "patient");

    let load = LoadGenerator::start(&app, CLIENTS, project);
    for kill in 0..KILLS {
        // Sometimes at once, sometimes when there is much in flight and much to come.
        load.wait_for_more(1 + kill * 37 % 90);
        let data = app.kill9();
        app = setup().with_data(data).start();
        load.switch_to(&app);
    }
    let (acknowledged, refused) = load.stop();
    assert!(refused.is_empty(), "{refused:?}");

    let api = app.api();
    let all = all_deliveries(&api, [&to_up, &to_slow, &to_down, &to_gone, &to_patient]);
    let [by_up, by_slow, by_down, by_gone, by_patient] = all;

    // Up and slow got all of it; what has failed is in the log as failed, and what waits is said to
    // wait.
    for (state, deliveries) in [
        ("delivered", &by_up),
        ("delivered", &by_slow),
        ("failed", &by_down),
        ("failed", &by_gone),
        ("pending", &by_patient),
    ] {
        let other = deliveries.iter().find(|one| one["state"] != state);
        assert_eq!(other, None, "all are {state}");
    }
    let mut lost = 0;
    for (receiver, only) in [
        (&up, None),
        (&slow, Some("desk")),
        (&down, Some("desk")),
        (&patient, Some("desk")),
    ] {
        lost += missing(&acknowledged, only, &receiver.received());
    }
    // What could not even be sent is counted by the log: one for each event that the other
    // endpoints know of.
    for deliveries in [&by_down, &by_gone, &by_patient] {
        assert_eq!(deliveries.len(), by_slow.len());
    }

    // The schedule went on where it stood: no retry before its time, no number twice, none beyond
    // the last.
    for delivery in by_down.iter().chain(&by_gone) {
        starts_after(delivery, &DELAYS_MS[..2]);
    }
    for delivery in &by_patient {
        let made = attempts(delivery).len();
        assert!(made >= 3, "{delivery:#}");
        starts_after(delivery, &DELAYS_MS[..made - 1]);
        let last = &attempts(delivery)[made - 1];
        let wait = millis(&delivery["nextAttemptAt"]) - millis(&last["startedAt"]);
        assert!(wait >= 59_990, "{delivery:#}");
    }

    let mut duplicates = 0;
    for (receiver, deliveries) in [
        (&up, &by_up),
        (&slow, &by_slow),
        (&down, &by_down),
        (&patient, &by_patient),
    ] {
        let received = receiver.received();
        same_under_one_id(&received);
        let recorded: usize = deliveries.iter().map(|one| attempts(one).len()).sum();
        // Only what was in flight at a kill comes again without being in the log.
        duplicates += received.len() - recorded;
    }
    let sent: usize = [&by_up, &by_slow, &by_down, &by_gone, &by_patient]
        .iter()
        .map(|all| all.len())
        .sum();
    println!(
        "{KILLS} kills, {} events acknowledged, {sent} deliveries, {} delivered, {} failed, {} pending, {lost} lost, \
         {duplicates} sent again because a kill came before their outcome was stored",
        acknowledged.len(),
        by_up.len() + by_slow.len(),
        by_down.len() + by_gone.len(),
        by_patient.len(),
    );
    assert_eq!(lost, 0);
    assert!(
        acknowledged.len() > 1_000,
        "a storm: {}",
        acknowledged.len()
    );
    assert!(
        duplicates <= KILLS * 4 * 16,
        "no more than was in flight: {duplicates}"
    );
}

/// Waits until nothing is due any more, and returns the deliveries of each webhook, with all their
/// attempts.
fn all_deliveries<const N: usize>(api: &Api, webhooks: [&Value; N]) -> [Vec<Value>; N] {
    for webhook in webhooks {
        wait_until_within(Duration::from_secs(60), "nothing is due", || {
            let path = format!(
                "/api/v1/webhooks/{}/deliveries?state=pending&limit=100",
                text(webhook, "id")
            );
            let page = api.get(&path).expect(200).json();
            let waiting = page["data"].as_array().unwrap().clone();
            let patient = |one: &Value| webhook["retries"] == "patient" && attempts(one).len() >= 3;
            (waiting.iter().all(patient)).then_some(())
        });
    }
    webhooks.map(|webhook| {
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

/// How many acknowledged events an endpoint never heard of.
fn missing(
    acknowledged: &[Acknowledged],
    project: Option<&str>,
    received: &[ReceivedRequest],
) -> usize {
    let heard: BTreeSet<(String, String)> = received
        .iter()
        .map(|request| {
            let json = request.json();
            let feedback = text(&json["data"]["feedback"], "id").to_owned();
            (feedback, text(&json, "event").to_owned())
        })
        .collect();
    let of_project = |one: &&Acknowledged| project.is_none_or(|project| one.project == project);
    acknowledged
        .iter()
        .filter(of_project)
        .filter(|one| !heard.contains(&(one.feedback.clone(), one.event.to_owned())))
        .count()
}

#[track_caller]
fn same_under_one_id(received: &[ReceivedRequest]) {
    let mut first: BTreeMap<&str, &ReceivedRequest> = BTreeMap::new();
    for request in received {
        let first = first.entry(request.delivery()).or_insert(request);
        assert_eq!(request.body, first.body, "under {}", request.delivery());
        let timestamp = "X-Miniback-Timestamp";
        assert_eq!(request.header(timestamp), first.header(timestamp));
    }
}
