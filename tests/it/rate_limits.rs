//! How often the public door takes feedback: by address, by project, and what those are told who
//! must wait. The clock is moved by the test.

use std::time::Duration;

use serde_json::json;

use crate::support::api::Api;
use crate::support::http::Response;
use crate::support::in_process::InProcess;

fn shop(options: &[&str]) -> (InProcess, Api) {
    let app = InProcess::start(options);
    let api = app.api();
    api.create_project("Shop");
    api.create_project("Blog");
    (app, api)
}

/// Sends a feedback from an address, through a proxy that is trusted.
#[track_caller]
fn send_to(app: &InProcess, project: &str, address: &str) -> Response {
    let body = json!({"projectSlug": project, "message": "Hello"});
    let headers = [("X-Forwarded-For", address)];
    let response = Api::new(&app.url, None).send_json("POST", "/api/feedback", &headers, &body);
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    response
}

#[track_caller]
fn send(app: &InProcess, address: &str) -> Response {
    send_to(app, "shop", address)
}

#[track_caller]
fn waits(response: &Response) -> u64 {
    response.problem(429);
    let seconds = response.header("retry-after").unwrap_or_default();
    seconds.parse().expect("Retry-After in seconds")
}

#[test]
fn an_address_may_send_ten_a_minute_and_a_hundred_an_hour() {
    let (app, _) = shop(&[]);
    for left in (0..10).rev() {
        let taken = send(&app, "203.0.113.7").expect(201);
        assert_eq!(
            taken.header("ratelimit-policy").unwrap_or_default(),
            "\"address 10/1m\";q=10;w=60, \"address 100/1h\";q=100;w=3600, \"project 60/1m\";q=60;w=60"
        );
        let expected = format!("\"address 10/1m\";r={left};t=6");
        assert_eq!(taken.header("ratelimit"), Some(expected.as_str()));
        let remaining = taken.header("ratelimit-remaining").unwrap_or_default();
        assert_eq!(remaining, left.to_string());
    }
    let limited = send(&app, "203.0.113.7");
    assert_eq!(waits(&limited), 6);
    assert_eq!(
        limited.header("ratelimit"),
        Some("\"address 10/1m\";r=0;t=6")
    );
    send(&app, "203.0.113.8").expect(201);
    app.advance(Duration::from_secs(6));
    send(&app, "203.0.113.7").expect(201);
    assert_eq!(waits(&send(&app, "203.0.113.7")), 6);

    // Ten each minute use the hour's hundred up, and what of them has come back meanwhile.
    let mut taken = 11;
    for _ in 0..12 {
        app.advance(Duration::from_secs(60));
        taken += (0..10)
            .filter(|_| send(&app, "203.0.113.7").status == 201)
            .count();
    }
    assert!((100..=120).contains(&taken), "{taken}");
    app.advance(Duration::from_secs(60));
    let responses: Vec<Response> = (0..3).map(|_| send(&app, "203.0.113.7")).collect();
    waits(&responses[2]);
    let tightest = responses[2].header("ratelimit").unwrap_or_default();
    assert!(tightest.starts_with("\"address 100/1h\";r=0"), "{tightest}");
}

#[test]
fn what_an_address_may_not_send_does_not_count_for_the_project() {
    let (app, _) = shop(&["--limit-address", "2/1m", "--limit-project", "4/1m"]);
    for _ in 0..2 {
        send(&app, "203.0.113.1").expect(201);
    }
    for _ in 0..10 {
        waits(&send(&app, "203.0.113.1"));
    }
    for _ in 0..2 {
        send(&app, "203.0.113.2").expect(201);
    }
    let limited = send(&app, "203.0.113.3");
    assert_eq!(waits(&limited), 15);
    assert!(limited.text.contains("This project"), "{limited:?}");
    // Another project is not touched by it.
    send_to(&app, "blog", "203.0.113.4").expect(201);
    app.advance(Duration::from_secs(15));
    send(&app, "203.0.113.5").expect(201);
}

#[test]
fn an_ipv6_address_counts_by_its_first_64_bits() {
    let (app, _) = shop(&["--limit-address", "1/1m"]);
    send(&app, "2001:db8:1:2::1").expect(201);
    waits(&send(&app, "2001:db8:1:2:ffff::9"));
    send(&app, "2001:db8:1:3::1").expect(201);
}

#[test]
fn what_is_refused_for_what_it_is_counts_for_nobody_and_calls_with_a_token_are_not_limited() {
    let (app, api) = shop(&["--limit-address", "1/1h", "--limit-project", "1/1h"]);
    for _ in 0..5 {
        send_to(&app, "nowhere", "203.0.113.1").problem(422);
    }
    send(&app, "203.0.113.1").expect(201);
    waits(&send(&app, "203.0.113.1"));
    for _ in 0..5 {
        api.create_feedback("shop", "By a token");
    }
}

#[test]
fn a_stamp_is_taken_from_two_seconds_to_thirty_days_after_it_came_with_the_script() {
    let (app, _) = shop(&[]);
    let public = Api::new(&app.url, None);
    let script = public.get("/widget.js").expect(200).text;
    let body = json!({"projectSlug": "shop", "message": "Hello", "stamp": crate::widget_script::form_token_in(&script)});
    let send = || public.post("/api/feedback", body.clone());
    send().problem_at("stamp");
    app.advance(Duration::from_millis(1_999));
    send().problem_at("stamp");
    app.advance(Duration::from_millis(1));
    send().expect(201);
    app.advance(Duration::from_secs(29 * 24 * 3600));
    send().expect(201);
    app.advance(Duration::from_secs(24 * 3600));
    send().problem_at("stamp");
}
