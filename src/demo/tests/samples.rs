//! What the samples ask of the API, in which order.

use serde_json::json;

use super::{SECRET, run_blocking, start_api};
use crate::demo::seed;

#[actix_web::test]
async fn samples_come_before_the_webhook_and_one_feedback_after_it() {
    let (api, calls) = start_api(201);
    let seeded =
        run_blocking(move || seed(&api, "http://127.0.0.1:3000/webhooks/miniback", SECRET))
            .await
            .unwrap();
    let calls = calls.lock().unwrap();
    let whats: Vec<_> = calls.iter().map(|call| call.what.as_str()).collect();
    let made = |what: &str| whats.iter().filter(|each| **each == what).count();
    assert_eq!(made("POST /api/v1/projects"), seeded.projects);
    assert_eq!(made("POST /api/v1/feedback"), seeded.feedback);
    assert_eq!(
        whats[whats.len() - 2..],
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
async fn a_refused_sample_is_explained() {
    let (api, _) = start_api(409);
    let error = run_blocking(move || seed(&api, "http://127.0.0.1:3000/", SECRET))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "The demo's sample projects could not be made. Miniback refused POST /api/v1/projects with 409: Look at the fields."
    );
}
