//! A disk that fails while outcomes are to be stored, and words that must not stay.

use serde_json::json;

use crate::support::api::{attempts, text};
use crate::support::app::App;
use crate::support::receiver::{Gate, Receiver, Reply};

#[test]
fn an_outcome_that_cannot_be_stored_is_sent_once_and_recorded_when_the_disk_works_again() {
    let app = App::setup().writes_can_fail().start();
    let gate = Gate::new();
    let receiver = Receiver::script({
        let gate = gate.clone();
        move |_| Reply::status(204).when(&gate)
    });
    let api = app.api();
    api.project("Shop");
    let webhook = api.webhook(&receiver.url("/"));
    api.feedback("shop", "Hello");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    receiver.first();
    app.limit_files(Some(4_096));
    gate.open();
    app.log.wait_for_message("an attempt cannot be stored");
    // Refused in words, and nothing half-stored.
    let body = json!({"project": "shop", "message": "not now"});
    api.post("/api/v1/feedback", body).problem(507);
    assert_eq!(api.get("/healthz").status, 503);
    app.limit_files(None);
    let delivered = api.delivery_in_state(&id, "delivered");
    assert_eq!(attempts(&delivered).len(), 1);
    assert_eq!(receiver.received().len(), 1, "sent once");
    assert_eq!(api.get("/healthz").status, 200);
    api.feedback("shop", "now");
    receiver.wait_for(2);
}

#[test]
fn words_that_an_endpoint_repeats_are_taken_out_of_the_log_with_the_feedback() {
    let app = App::without_retries();
    let receiver = Receiver::script(|request| {
        Reply::status(302).header(
            "Location",
            &format!("https://a.example/?{}", request.message()),
        )
    });
    let api = app.api();
    api.project("Shop");
    let webhook = api.webhook(&receiver.url("/"));
    let feedback = api.feedback("shop", "TopSecretWords");
    let id = text(&api.only_delivery(&webhook), "id").to_owned();
    api.delivery_in_state(&id, "failed");
    assert!(api.delivery(&id).to_string().contains("TopSecretWords"));
    api.delete(&format!("/api/v1/feedback/{}", text(&feedback, "id")))
        .expect(204);
    let after = api.delivery(&id);
    assert!(!after.to_string().contains("TopSecretWords"), "{after:#}");
    assert_eq!(attempts(&after)[0]["errorCode"], "redirect");
}
