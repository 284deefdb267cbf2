//! Tests of the API calls that create the history, and of their order.

use serde_json::json;

use super::{SECRET, start_fake_api};
use crate::clock::Timestamp;
use crate::demo::history::{SampleWebhooks, create_history, history_clock};

const HISTORY_END: Timestamp = Timestamp::from_millis(1_767_225_600_000);

fn sample_webhooks() -> SampleWebhooks {
    SampleWebhooks {
        receiver_url: "http://127.0.0.1:3000".into(),
        secret: SECRET.into(),
        tickets_secret: format!("{SECRET}2"),
        customers_secret: format!("{SECRET}3"),
    }
}

#[actix_web::test]
async fn creates_projects_and_webhooks_before_four_days_of_feedback() {
    let (api, calls) = start_fake_api(201);
    let clock = history_clock(HISTORY_END);
    let start = clock.wall_clock();
    create_history(&api, &clock, HISTORY_END, &sample_webhooks())
        .await
        .unwrap();
    assert_eq!(HISTORY_END.since(start).as_secs(), 4 * 24 * 3600);
    assert_eq!(clock.wall_clock(), HISTORY_END);
    let calls = calls.lock().unwrap();
    let names: Vec<_> = calls.iter().map(|call| call.name.as_str()).collect();
    let (project, webhook) = ("POST /api/v1/projects", "POST /api/v1/webhooks");
    assert_eq!(names[..2], [project; 2]);
    assert_eq!(names[2..7], [webhook; 5]);
    let count = |name: &str| names.iter().filter(|each| **each == name).count();
    assert_eq!(count("POST /api/v1/feedback"), 13);
    assert!(
        calls
            .iter()
            .all(|call| call.authorization == "Bearer mb_token")
    );
    let webhook = &calls[2].body;
    assert_eq!(
        (&webhook["url"], &webhook["secret"]),
        (
            &json!("http://127.0.0.1:3000/webhooks/miniback"),
            &json!(SECRET)
        )
    );
    let longest = calls
        .iter()
        .filter_map(|call| call.body["message"].as_str())
        .map(|m| m.chars().count())
        .max();
    assert!(longest.is_some_and(|chars| (600..10_000).contains(&chars)));
}

#[actix_web::test]
async fn explains_why_a_sample_was_rejected() {
    let (api, _) = start_fake_api(409);
    let error = create_history(
        &api,
        &history_clock(HISTORY_END),
        HISTORY_END,
        &sample_webhooks(),
    )
    .await
    .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Creating the demo’s sample projects failed. \
         Miniback rejected POST /api/v1/projects with 409: Check the fields."
    );
}
