//! Deliveries are canceled when their webhook is disabled, or when their webhook, feedback, or
//! project is deleted.

use serde_json::{Value, json};

use crate::support::api::{Api, attempts, text};
use crate::support::app::App;
use crate::support::receiver::{Gate, Receiver, Reply};

/// Starts Miniback with a single retry, after an hour, so that failed deliveries stay pending
/// during the test.
fn app_with_one_hour_retries() -> App {
    App::builder().option("--retry-delays", "1h").start()
}

/// Creates feedback and waits until its delivery has failed once and is pending. Returns the
/// feedback and the delivery's id.
fn create_pending(api: &Api, webhook: &Value, message: &str) -> (Value, String) {
    let feedback = api.create_feedback("shop", message);
    let id = text(&api.deliveries(webhook)[0], "id").to_owned();
    let delivery = api.wait_for_attempts(&id, 1);
    assert_eq!(delivery["state"], "pending");
    (feedback, id)
}

fn disable(api: &Api, webhook: &Value) {
    api.patch_webhook(webhook, json!({"enabled": false}));
}

#[test]
fn disabling_a_webhook_cancels_only_its_pending_deliveries() {
    let (app, receiver) = (app_with_one_hour_retries(), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/off"));
    let (_, id) = create_pending(&api, &webhook, "Hello");
    let other = api.create_webhook(&receiver.url("/on"));
    let (_, other_id) = create_pending(&api, &other, "Hello again");

    disable(&api, &webhook);

    let canceled = api.delivery(&id);
    assert_eq!(canceled["state"], "canceled");
    assert_eq!(canceled["nextAttemptAt"], Value::Null);
    assert_eq!(attempts(&canceled).len(), 1, "the attempt isn't in the log");
    assert_eq!(api.delivery(&other_id)["state"], "pending");
}

#[test]
fn enabling_a_webhook_does_not_restore_canceled_deliveries() {
    let (app, receiver) = (app_with_one_hour_retries(), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let (_, id) = create_pending(&api, &webhook, "Hello");
    disable(&api, &webhook);
    api.patch_webhook(&webhook, json!({"enabled": true}));
    assert_eq!(api.delivery(&id)["state"], "canceled");
}

#[test]
fn deleting_a_webhook_cancels_deliveries_and_keeps_its_log() {
    let (app, receiver) = (app_with_one_hour_retries(), Receiver::status(500));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let (_, id) = create_pending(&api, &webhook, "Hello");

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
fn a_canceled_delivery_shows_why_it_was_canceled() {
    let (app, receiver) = (app_with_one_hour_retries(), Receiver::status(500));
    let (api, mut admin) = (app.api(), app.signed_in());
    api.create_project("Shop");
    let mut assert_shows = |cancel: &dyn Fn(&Value, &str, &str), reason: &str| {
        let webhook = api.create_webhook(&receiver.url("/"));
        let (feedback, id) = create_pending(&api, &webhook, "Hello");
        cancel(&webhook, text(&feedback, "id"), &id);
        assert_eq!(api.delivery(&id)["state"], "canceled");
        let path = format!("/settings/notifications/{}", text(&webhook, "id"));
        let page = admin.get(&format!("{path}/deliveries/{id}")).expect(200);
        assert!(page.text().contains(reason), "{reason}: {}", page.text());
        api.patch_webhook(&webhook, json!({"enabled": false}));
    };
    let cancel = |_: &Value, _: &str, id: &str| {
        let path = format!("/api/v1/deliveries/{id}/cancel");
        api.post_empty(&path).expect(202);
    };
    assert_shows(&cancel, " by a user");
    let disable = |webhook: &Value, _: &str, _: &str| {
        api.patch_webhook(webhook, json!({"enabled": false}));
        // Enabling the webhook again doesn't change the reason.
        api.patch_webhook(webhook, json!({"enabled": true}));
    };
    assert_shows(&disable, "because the webhook was disabled");
    let delete_feedback = |_: &Value, feedback: &str, _: &str| {
        api.delete(&format!("/api/v1/feedback/{feedback}"))
            .expect(204);
    };
    assert_shows(&delete_feedback, "because the feedback was deleted");
}

#[test]
fn a_deleted_webhook_receives_no_new_deliveries() {
    let (app, receiver) = (App::start(), Receiver::ok());
    let api = app.api();
    api.create_project("Shop");
    let deleted = api.create_webhook(&receiver.url("/deleted"));
    api.delete_webhook(&deleted);
    api.create_webhook(&receiver.url("/remaining"));
    api.create_feedback("shop", "Hello");
    assert_eq!(receiver.first().path(), "/remaining");
}

/// A delivery in flight, whose endpoint doesn't respond until the gate is open.
struct InFlight {
    app: App,
    receiver: Receiver,
    gate: Gate,
    webhook: Value,
    id: String,
}

/// Starts a delivery to an endpoint that responds with this status when the gate opens.
fn start_delivery(status: u16) -> InFlight {
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
    /// Opens the gate, so that the endpoint responds. Checks that the delivery ends in `state`
    /// after one attempt, and that the attempt has this response status.
    fn finish_as(self, state: &str, status: u16) {
        self.gate.open();
        let api = self.app.api();
        let ended = api.wait_for_attempts(&self.id, 1);
        let ended = api.wait_for_state(text(&ended, "id"), state);
        assert_eq!(attempts(&ended).len(), 1);
        assert_eq!(attempts(&ended)[0]["status"], status);
        assert_eq!(ended["nextAttemptAt"], Value::Null);
        assert_eq!(
            self.receiver.received().len(),
            1,
            "the delivery was retried"
        );
    }
}

#[test]
fn a_success_in_flight_counts_after_disabling_the_webhook() {
    let delivery = start_delivery(200);
    disable(&delivery.app.api(), &delivery.webhook);
    delivery.finish_as("delivered", 200);
}

#[test]
fn a_failure_in_flight_is_not_retried_after_disabling_the_webhook() {
    let delivery = start_delivery(500);
    disable(&delivery.app.api(), &delivery.webhook);
    delivery.finish_as("canceled", 500);
}

#[test]
fn a_success_in_flight_counts_after_deleting_the_webhook() {
    let delivery = start_delivery(200);
    delivery.app.api().delete_webhook(&delivery.webhook);
    delivery.finish_as("delivered", 200);
}

#[test]
fn a_failure_in_flight_is_not_retried_after_deleting_the_webhook() {
    let delivery = start_delivery(500);
    delivery.app.api().delete_webhook(&delivery.webhook);
    delivery.finish_as("canceled", 500);
}

const SECRET_MESSAGE: &str = "xylophone-4711";

/// Returns an endpoint that responds with an error. The response contains the request and
/// [`SECRET_MESSAGE`].
fn echoing_receiver() -> Receiver {
    Receiver::script(|request| Reply::body(500, &request.text()).header("X-Echo", SECRET_MESSAGE))
}

fn assert_message_erased(delivery: &Value) {
    let log = delivery.to_string();
    assert!(
        !log.contains(SECRET_MESSAGE),
        "the log still contains the message: {log}"
    );
}

#[test]
fn deleting_feedback_cancels_deliveries_and_erases_its_content() {
    let (app, receiver) = (app_with_one_hour_retries(), echoing_receiver());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let (other, other_id) = create_pending(&api, &webhook, "Another message");
    let (feedback, id) = create_pending(&api, &webhook, SECRET_MESSAGE);
    assert!(api.delivery(&id).to_string().contains(SECRET_MESSAGE));

    let path = format!("/api/v1/feedback/{}", text(&feedback, "id"));
    api.delete(&path).expect(204);

    let canceled = api.delivery(&id);
    assert_eq!(canceled["state"], "canceled");
    assert_message_erased(&canceled);
    api.get(&path).problem(404);
    assert_eq!(api.delivery(&other_id)["state"], "pending");
    assert!(
        api.delivery(&other_id)
            .to_string()
            .contains(text(&other, "message"))
    );
}

#[test]
fn deleting_feedback_erases_content_of_finished_deliveries() {
    let app = App::start();
    let receiver = Receiver::script(|request| Reply::body(200, &request.text()));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let feedback = api.create_feedback("shop", SECRET_MESSAGE);
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_state(&id, "delivered");
    api.delete(&format!("/api/v1/feedback/{}", text(&feedback, "id")))
        .expect(204);
    let delivery = api.delivery(&id);
    assert_eq!(delivery["state"], "delivered");
    assert_message_erased(&delivery);
}

#[test]
fn a_response_after_deleting_feedback_stores_no_content() {
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
    let feedback = api.create_feedback("shop", SECRET_MESSAGE);
    let id = receiver.first().delivery().to_owned();
    api.delete(&format!("/api/v1/feedback/{}", text(&feedback, "id")))
        .expect(204);
    gate.open();
    let ended = api.wait_for_attempts(&id, 1);
    assert_eq!(ended["state"], "canceled");
    assert_message_erased(&ended);
}

#[test]
fn deleting_a_project_cancels_deliveries_and_erases_content() {
    let (app, receiver) = (app_with_one_hour_retries(), echoing_receiver());
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let (feedback, id) = create_pending(&api, &webhook, SECRET_MESSAGE);

    api.delete("/api/v1/projects/shop").expect(204);

    let canceled = api.delivery(&id);
    assert_eq!(canceled["state"], "canceled");
    assert_message_erased(&canceled);
    api.get("/api/v1/projects/shop").problem(404);
    api.get(&format!("/api/v1/feedback/{}", text(&feedback, "id")))
        .problem(404);
}
