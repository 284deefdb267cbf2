//! Tests of the API calls that create the samples, and of their order.

use serde_json::json;

use super::{SECRET, start_fake_api};
use crate::demo::create_samples;

#[actix_web::test]
async fn creates_the_samples_then_the_webhook_then_one_more_item() {
    let (api, calls) = start_fake_api(201);
    let counts = create_samples(&api, "http://127.0.0.1:3000/webhooks/miniback", SECRET)
        .await
        .unwrap();
    let calls = calls.lock().unwrap();
    let names: Vec<_> = calls.iter().map(|call| call.name.as_str()).collect();
    let count = |name: &str| names.iter().filter(|each| **each == name).count();
    assert_eq!(count("POST /api/v1/projects"), counts.projects);
    assert_eq!(count("POST /api/v1/feedback"), counts.feedback);
    assert_eq!(
        names[names.len() - 2..],
        ["POST /api/v1/webhooks", "POST /api/v1/feedback"]
    );
    assert!(
        calls
            .iter()
            .all(|call| call.authorization == "Bearer mb_token")
    );
    let webhook = &calls[calls.len() - 2].body;
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
    let error = create_samples(&api, "http://127.0.0.1:3000/", SECRET)
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "Creating the demo’s sample projects failed. \
         Miniback rejected POST /api/v1/projects with 409: Check the fields."
    );
}
