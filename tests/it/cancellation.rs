//! What becomes of deliveries when their webhook, feedback or project goes away, or is switched off.

use serde_json::{Value, json};

use crate::support::api::{Api, attempts, text};
use crate::support::app::App;
use crate::support::receiver::{Gate, Receiver, Reply};

/// A program whose second attempt is an hour away: what failed once is pending for the whole test.
fn patient_app() -> App {
    App::builder().option("--retry-delays", "1h").start()
}

/// One delivery that has failed once, and is pending.
fn pending(api: &Api, webhook: &Value, message: &str) -> (Value, String) {
    let feedback = api.create_feedback("shop", message);
    let id = text(&api.deliveries(webhook)[0], "id").to_owned();
    let delivery = api.wait_for_attempts(&id, 1);
    assert_eq!(delivery["state"], "pending");
    (feedback, id)
}

fn switch_off(api: &Api, webhook: &Value) {
    api.patch_webhook(webhook, json!({"enabled": false}));
}

#[test]
fn switching_a_webhook_off_cancels_what_is_pending_for_it_alone() {
    let (app, receiver) = (patient_app(), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/off"));
    let (_, id) = pending(&api, &webhook, "Hello");
    let other = api.create_webhook(&receiver.url("/on"));
    let (_, of_other) = pending(&api, &other, "Hello again");

    switch_off(&api, &webhook);

    let canceled = api.delivery(&id);
    assert_eq!(canceled["state"], "canceled");
    assert_eq!(canceled["nextAttemptAt"], Value::Null);
    assert_eq!(attempts(&canceled).len(), 1, "its attempt stays in the log");
    assert_eq!(api.delivery(&of_other)["state"], "pending");
}

#[test]
fn what_was_canceled_stays_so_when_the_webhook_is_switched_on_again() {
    let (app, receiver) = (patient_app(), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let (_, id) = pending(&api, &webhook, "Hello");
    switch_off(&api, &webhook);
    api.patch_webhook(&webhook, json!({"enabled": true}));
    assert_eq!(api.delivery(&id)["state"], "canceled");
}

#[test]
fn deleting_a_webhook_cancels_what_is_pending_and_its_log_stays_readable() {
    let (app, receiver) = (patient_app(), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let (_, id) = pending(&api, &webhook, "Hello");

    api.delete_webhook(&webhook);

    let canceled = api.delivery(&id);
    assert_eq!(canceled["state"], "canceled");
    assert_eq!(canceled["webhookId"], webhook["id"]);
    let path = format!("/api/v1/webhooks/{}", text(&webhook, "id"));
    api.get(&path).problem(404);
    api.get(&format!("{path}/secret")).problem(404);
    api.delete(&path).problem(404);
}

#[test]
fn an_event_after_a_webhook_was_deleted_makes_no_delivery_for_it() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let deleted = api.create_webhook(&receiver.url("/deleted"));
    api.delete_webhook(&deleted);
    api.create_webhook(&receiver.url("/kept"));
    api.create_feedback("shop", "Hello");
    assert_eq!(receiver.first().path(), "/kept");
}

/// A delivery that is in flight, held at its endpoint until the gate opens.
struct InFlight {
    app: App,
    receiver: Receiver,
    gate: Gate,
    webhook: Value,
    id: String,
}

fn in_flight(status: u16) -> InFlight {
    let app = App::builder()
        .option("--timeout", "60s")
        .option("--retry-delays", "10ms,10ms")
        .start();
    let gate = Gate::new();
    let receiver = Receiver::script({
        let gate = gate.clone();
        move |_| Reply::status(status).when(&gate)
    });
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_feedback("shop", "Hello");
    let id = receiver.first().delivery().to_owned();
    InFlight {
        app,
        receiver,
        gate,
        webhook,
        id,
    }
}

impl InFlight {
    /// Lets the endpoint answer, and checks how it ended: with this state, after one attempt.
    fn ends(self, state: &str, status: u16) {
        self.gate.open();
        let api = self.app.api();
        let ended = api.wait_for_attempts(&self.id, 1);
        let ended = api.wait_for_state(text(&ended, "id"), state);
        assert_eq!(attempts(&ended).len(), 1);
        assert_eq!(attempts(&ended)[0]["status"], status);
        assert_eq!(ended["nextAttemptAt"], Value::Null);
        assert_eq!(self.receiver.received().len(), 1, "it is not retried");
    }
}

#[test]
fn what_is_in_flight_when_its_webhook_is_switched_off_ends_as_delivered() {
    let flight = in_flight(200);
    switch_off(&flight.app.api(), &flight.webhook);
    flight.ends("delivered", 200);
}

#[test]
fn what_is_in_flight_when_its_webhook_is_switched_off_and_fails_is_canceled() {
    let flight = in_flight(500);
    switch_off(&flight.app.api(), &flight.webhook);
    flight.ends("canceled", 500);
}

#[test]
fn what_is_in_flight_when_its_webhook_is_deleted_ends_as_delivered() {
    let flight = in_flight(200);
    flight.app.api().delete_webhook(&flight.webhook);
    flight.ends("delivered", 200);
}

#[test]
fn what_is_in_flight_when_its_webhook_is_deleted_and_fails_is_canceled() {
    let flight = in_flight(500);
    flight.app.api().delete_webhook(&flight.webhook);
    flight.ends("canceled", 500);
}

const SECRET_WORD: &str = "xylophone-4711";

/// An endpoint that fails, and repeats in its answer what it was told.
fn echoing() -> Receiver {
    Receiver::script(|request| Reply::body(500, &request.text()).header("X-Echo", SECRET_WORD))
}

fn holds_no_word(delivery: &Value) {
    let log = delivery.to_string();
    assert!(
        !log.contains(SECRET_WORD),
        "words are left in the log: {log}"
    );
}

#[test]
fn deleting_a_feedback_cancels_what_is_pending_of_it_and_takes_its_words_out_of_the_log() {
    let (app, receiver) = (patient_app(), echoing());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let (kept, of_kept) = pending(&api, &webhook, "another message");
    let (feedback, id) = pending(&api, &webhook, SECRET_WORD);
    assert!(api.delivery(&id).to_string().contains(SECRET_WORD));

    let path = format!("/api/v1/feedback/{}", text(&feedback, "id"));
    api.delete(&path).expect(204);

    let canceled = api.delivery(&id);
    assert_eq!(canceled["state"], "canceled");
    holds_no_word(&canceled);
    api.get(&path).problem(404);
    assert_eq!(api.delivery(&of_kept)["state"], "pending");
    assert!(
        api.delivery(&of_kept)
            .to_string()
            .contains(text(&kept, "message"))
    );
}

#[test]
fn deleting_a_feedback_takes_its_words_out_of_deliveries_that_are_done_too() {
    let app = App::start();
    let receiver = Receiver::script(|request| Reply::body(200, &request.text()));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let feedback = api.create_feedback("shop", SECRET_WORD);
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_state(&id, "delivered");
    api.delete(&format!("/api/v1/feedback/{}", text(&feedback, "id")))
        .expect(204);
    let delivery = api.delivery(&id);
    assert_eq!(delivery["state"], "delivered");
    holds_no_word(&delivery);
}

#[test]
fn an_answer_that_comes_after_the_feedback_was_deleted_leaves_no_words_either() {
    let app = App::builder()
        .option("--timeout", "60s")
        .option("--retry-delays", "1h")
        .start();
    let gate = Gate::new();
    let receiver = Receiver::script({
        let gate = gate.clone();
        move |request| Reply::body(500, &request.text()).when(&gate)
    });
    let api = app.api();
    api.create_project("Shop");
    api.create_webhook(&receiver.url("/"));
    let feedback = api.create_feedback("shop", SECRET_WORD);
    let id = receiver.first().delivery().to_owned();
    api.delete(&format!("/api/v1/feedback/{}", text(&feedback, "id")))
        .expect(204);
    gate.open();
    let ended = api.wait_for_attempts(&id, 1);
    assert_eq!(ended["state"], "canceled");
    holds_no_word(&ended);
}

#[test]
fn deleting_a_project_cancels_what_is_pending_of_it_and_takes_its_words_out_of_the_log() {
    let (app, receiver) = (patient_app(), echoing());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let (feedback, id) = pending(&api, &webhook, SECRET_WORD);

    api.delete("/api/v1/projects/shop").expect(204);

    let canceled = api.delivery(&id);
    assert_eq!(canceled["state"], "canceled");
    holds_no_word(&canceled);
    api.get("/api/v1/projects/shop").problem(404);
    api.get(&format!("/api/v1/feedback/{}", text(&feedback, "id")))
        .problem(404);
}
