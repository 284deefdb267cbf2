//! Rate limits of the intake per IP address and per project, and the headers that report them. The
//! tests set the clock.

use std::time::Duration;

use serde_json::json;

use crate::support::api::Api;
use crate::support::http::Response;
use crate::support::in_process::InProcess;
use crate::widget_script::form_token_in;

fn app_with_projects(options: &[&str]) -> (InProcess, Api) {
    let app = InProcess::start(options);
    let api = app.api();
    api.create_project("Shop");
    api.create_project("Blog");
    (app, api)
}

/// Sends feedback to a project from an IP address, through a trusted proxy. Checks that pages of
/// all origins can read the response.
#[track_caller]
fn send_to(app: &InProcess, project: &str, ip_address: &str) -> Response {
    let body = json!({"projectSlug": project, "message": "Hello"});
    let headers = [("X-Forwarded-For", ip_address)];
    let response = Api::new(&app.url, None).send_json("POST", "/api/feedback", &headers, &body);
    assert_eq!(response.header("access-control-allow-origin"), Some("*"));
    response
}

#[track_caller]
fn send(app: &InProcess, ip_address: &str) -> Response {
    send_to(app, "shop", ip_address)
}

/// Checks that the response is a 429 and returns its `Retry-After` in seconds.
#[track_caller]
fn retry_after(response: &Response) -> u64 {
    response.problem(429);
    let seconds = response.header("retry-after").unwrap_or_default();
    seconds.parse().expect("parse Retry-After")
}

#[test]
fn an_ip_address_can_send_10_per_minute_and_100_per_hour() {
    let (app, _) = app_with_projects(&[]);
    for left in (0..10).rev() {
        let accepted = send(&app, "203.0.113.7").expect(201);
        assert_eq!(
            accepted.header("ratelimit-policy").unwrap_or_default(),
            "\"address 10/1m\";q=10;w=60, \"address 100/1h\";q=100;w=3600, \"project 60/1m\";q=60;w=60"
        );
        let expected = format!("\"address 10/1m\";r={left};t=6");
        assert_eq!(accepted.header("ratelimit"), Some(expected.as_str()));
        let remaining = accepted.header("ratelimit-remaining").unwrap_or_default();
        assert_eq!(remaining, left.to_string());
    }
    let limited = send(&app, "203.0.113.7");
    assert_eq!(retry_after(&limited), 6);
    assert_eq!(
        limited.header("ratelimit"),
        Some("\"address 10/1m\";r=0;t=6")
    );
    send(&app, "203.0.113.8").expect(201);
    app.advance(Duration::from_secs(6));
    send(&app, "203.0.113.7").expect(201);
    assert_eq!(retry_after(&send(&app, "203.0.113.7")), 6);

    // Sending 10 items per minute also exhausts the hourly limit, which is refilled more slowly.
    let mut accepted = 11;
    for _ in 0..12 {
        app.advance(Duration::from_secs(60));
        accepted += (0..10)
            .filter(|_| send(&app, "203.0.113.7").status == 201)
            .count();
    }
    assert!((100..=120).contains(&accepted), "{accepted}");
    app.advance(Duration::from_secs(60));
    let responses: Vec<Response> = (0..3).map(|_| send(&app, "203.0.113.7")).collect();
    retry_after(&responses[2]);
    let tightest = responses[2].header("ratelimit").unwrap_or_default();
    assert!(tightest.starts_with("\"address 100/1h\";r=0"), "{tightest}");
}

#[test]
fn requests_over_the_ip_address_limit_do_not_use_the_project_limit() {
    let (app, _) = app_with_projects(&["--limit-address", "2/1m", "--limit-project", "4/1m"]);
    for _ in 0..2 {
        send(&app, "203.0.113.1").expect(201);
    }
    for _ in 0..10 {
        retry_after(&send(&app, "203.0.113.1"));
    }
    for _ in 0..2 {
        send(&app, "203.0.113.2").expect(201);
    }
    let limited = send(&app, "203.0.113.3");
    assert_eq!(retry_after(&limited), 15);
    assert!(limited.text.contains("for this project"), "{limited:?}");
    // Each project has its own limit.
    send_to(&app, "blog", "203.0.113.4").expect(201);
    app.advance(Duration::from_secs(15));
    send(&app, "203.0.113.5").expect(201);
}

#[test]
fn ipv6_addresses_are_limited_by_their_first_64_bits() {
    let (app, _) = app_with_projects(&["--limit-address", "1/1m"]);
    send(&app, "2001:db8:1:2::1").expect(201);
    retry_after(&send(&app, "2001:db8:1:2:ffff::9"));
    send(&app, "2001:db8:1:3::1").expect(201);
}

#[test]
fn invalid_requests_and_requests_with_a_token_do_not_count() {
    let (app, api) = app_with_projects(&["--limit-address", "1/1h", "--limit-project", "1/1h"]);
    for _ in 0..5 {
        send_to(&app, "unknown", "203.0.113.1").problem(422);
    }
    send(&app, "203.0.113.1").expect(201);
    retry_after(&send(&app, "203.0.113.1"));
    for _ in 0..5 {
        api.create_feedback("shop", "Sent with a token");
    }
}

#[test]
fn a_form_token_is_valid_from_2_seconds_to_30_days() {
    let (app, _) = app_with_projects(&[]);
    let public = Api::new(&app.url, None);
    let script = public.get("/widget.js").expect(200).text;
    let token = form_token_in(&script);
    let body = json!({"projectSlug": "shop", "message": "Hello", "stamp": token});
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

#[test]
fn requests_over_the_project_limit_do_not_use_the_ip_address_limit() {
    let (app, _) = app_with_projects(&["--limit-address", "3/1m", "--limit-project", "4/1m"]);
    for stranger in 1..=6 {
        send(&app, &format!("198.51.100.{stranger}"));
    }
    let limited = send(&app, "203.0.113.7");
    let wait = retry_after(&limited);
    assert!(limited.text.contains("for this project"), "{limited:?}");
    for _ in 0..10 {
        assert_eq!(retry_after(&send(&app, "203.0.113.7")), wait);
    }
    for _ in 0..wait {
        app.advance(Duration::from_secs(1));
        // Strangers use up the project's limit again as soon as it is partly refilled.
        for stranger in 1..=6 {
            send(&app, &format!("198.51.100.{stranger}"));
        }
    }
    send(&app, "203.0.113.7").expect(201);
    for _ in 0..2 {
        send_to(&app, "blog", "203.0.113.7").expect(201);
    }
    let limited = send_to(&app, "blog", "203.0.113.7");
    retry_after(&limited);
    assert!(limited.text.contains("your IP address"), "{limited:?}");
}

#[test]
fn repetitions_of_a_request_do_not_count() {
    let (app, api) = app_with_projects(&["--limit-address", "2/1h", "--limit-project", "3/1h"]);
    let public = Api::new(&app.url, None);
    let send = |key: &str, message: &str| {
        let body = json!({"projectSlug": "shop", "message": message});
        public.send_json("POST", "/api/feedback", &[("Idempotency-Key", key)], &body)
    };
    let first = send("a", "Hello").expect(201).text;
    send("b", "Hello").expect(201);
    for _ in 0..5 {
        assert_eq!(send("a", "Hello").expect(201).text, first);
        send("a", "Other").problem(422);
    }
    retry_after(&send("c", "Hello"));
    assert_eq!(send("a", "Hello").expect(201).text, first);
    let list = api.get("/api/v1/feedback").json();
    assert_eq!(list["data"].as_array().unwrap().len(), 2);
}

#[test]
fn feedback_for_a_paused_project_does_not_count() {
    let (app, api) = app_with_projects(&["--limit-address", "1/1h", "--limit-project", "1/1h"]);
    let pause = |status| {
        let change = json!({"status": status});
        api.patch("/api/v1/projects/shop", change).expect(200);
    };
    pause("PAUSED");
    for _ in 0..3 {
        send(&app, "203.0.113.1").problem(403);
    }
    pause("ACTIVE");
    send(&app, "203.0.113.1").expect(201);
}
