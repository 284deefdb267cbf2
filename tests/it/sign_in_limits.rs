//! Limits of password checks. An owner who waits for `Retry-After` can sign in, even if strangers
//! continue to try passwords.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::http::{self, Response};
use crate::support::in_process::InProcess;
use crate::support::pages::{Page, Visitor, same_origin_headers};

const STRANGER: &str = "198.51.100.7";
const OWNER: &str = "203.0.113.9";
const WRONG: &str = "not the password at all";

/// Posts the sign-in form from an IP address, as a client that stores no cookies.
fn sign_in(url: &str, address: &str, email: &str, password: &str) -> Response {
    let body = serde_urlencoded::to_string([("email", email), ("password", password)]).unwrap();
    let mut headers = same_origin_headers(url).to_vec();
    headers.push(("X-Forwarded-For", address));
    headers.push(("Content-Type", "application/x-www-form-urlencoded"));
    http::send(
        "POST",
        &format!("{url}/login"),
        &headers,
        Some(body.as_bytes()),
    )
}

/// Posts the sign-in form for the admin's account from an IP address, with the visitor's cookies.
fn sign_in_as(visitor: &mut Visitor, url: &str, address: &str, password: &str) -> Page {
    let fields = [("email", ADMIN), ("password", password)];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut headers = same_origin_headers(url).to_vec();
    headers.push(("X-Forwarded-For", address));
    visitor.post_from("/login", &fields, &headers)
}

fn retry_after(response: &Response) -> Duration {
    let seconds = response.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds} s");
    Duration::from_secs(seconds)
}

/// Sends `failures` wrong passwords for the owner's account as a stranger. After each 429, advances
/// the clock by the `Retry-After` of the response.
fn attack(app: &InProcess, failures: usize) {
    for _ in 0..failures {
        let response = sign_in(&app.url, STRANGER, ADMIN, WRONG);
        if response.status == 429 {
            app.clock.advance(retry_after(&response));
        }
    }
}

#[test]
fn the_owner_can_sign_in_after_one_wait_during_an_attack() {
    let app = InProcess::start(&[]);
    attack(&app, 9);
    let told = sign_in(&app.url, OWNER, ADMIN, PASSWORD).expect(429);
    let wait = retry_after(&told);
    for _ in 0..wait.as_secs() {
        sign_in(&app.url, STRANGER, ADMIN, WRONG).expect(429);
        app.clock.advance(Duration::from_secs(1));
    }
    sign_in(&app.url, OWNER, ADMIN, PASSWORD).expect(303);
}

#[test]
fn retry_after_is_valid_for_60_s() {
    let app = InProcess::start(&[]);
    attack(&app, 9);
    let told = sign_in(&app.url, OWNER, ADMIN, PASSWORD).expect(429);
    app.clock
        .advance(retry_after(&told) + Duration::from_secs(59));
    attack(&app, 1);
    sign_in(&app.url, OWNER, ADMIN, PASSWORD).expect(303);
}

#[test]
fn a_failure_after_the_wait_starts_the_clients_own_waits() {
    let app = InProcess::start(&[]);
    attack(&app, 12);
    let mut response = sign_in(&app.url, OWNER, ADMIN, WRONG).expect(429);
    for expected in [1, 2, 4, 8] {
        app.clock.advance(retry_after(&response));
        response = sign_in(&app.url, OWNER, ADMIN, WRONG).expect(429);
        assert_eq!(retry_after(&response), Duration::from_secs(expected));
    }
}

#[test]
fn a_browser_that_has_signed_in_before_does_not_wait_for_others() {
    let app = InProcess::start(&[]);
    let mut owner = app.visitor();
    owner.sign_in(ADMIN, PASSWORD);
    owner.cookies.remove("miniback_session");
    let mut forged = app.visitor();
    for (name, value) in &owner.cookies {
        forged.cookies.insert(name.clone(), format!("{value}x"));
    }
    attack(&app, 9);
    sign_in_as(&mut forged, &app.url, OWNER, PASSWORD).expect(429);
    // The owner's browser doesn't have to wait, even at the stranger's IP address.
    sign_in_as(&mut owner, &app.url, STRANGER, PASSWORD).expect(303);
}

#[test]
fn the_device_cookie_is_not_readable_by_scripts_and_belongs_to_one_user() {
    let app = App::start();
    app.add_user("bob@example.com", "member");
    let mut visitor = app.visitor();
    let cookies = |page: &Page| -> Vec<String> {
        let all = page.response.all_headers("set-cookie");
        let device = all.iter().filter(|c| c.starts_with("miniback_device"));
        device.map(|cookie| cookie.to_ascii_lowercase()).collect()
    };
    let mut sign_in = |email| {
        visitor
            .cookies
            .retain(|name, _| !name.starts_with("miniback_session"));
        cookies(&visitor.sign_in(email, PASSWORD))
    };
    let first = sign_in(ADMIN);
    assert_eq!(first.len(), 1);
    for attribute in ["; httponly", "; samesite=lax", "; path=/", "; max-age="] {
        assert!(first[0].contains(attribute), "{attribute}: {first:?}");
    }
    let second = sign_in("bob@example.com");
    let name = |cookies: &[String]| cookies[0].split('=').next().unwrap().to_owned();
    assert_ne!(name(&first), name(&second));
    // The first user's next sign-in renews that user's cookie without changing its value.
    assert_eq!(sign_in(ADMIN), first);
}

#[test]
fn strangers_cannot_make_a_session_wait_on_the_account_page() {
    let app = InProcess::start(&[]);
    let mut ada = app.visitor();
    ada.sign_in(ADMIN, PASSWORD);
    attack(&app, 9);
    let mut change = |current: &str| {
        let form = ada.get("/settings/account").form_with("Change password");
        let form = form.fill("Current password", current);
        ada.submit(
            &form
                .fill("New password", "another good password")
                .press("Change password"),
        )
    };
    // The account already has many failures, so the session has to wait after its own first
    // failure.
    let wait = retry_after(&change(WRONG).expect(429).response);
    change(PASSWORD).expect(429);
    app.clock.advance(wait);
    change(PASSWORD).expect(303);
}

#[test]
fn one_client_cannot_fill_the_queue_of_checks() {
    let app = App::start();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in 0..24 {
            let (app, stop) = (&app, &stop);
            scope.spawn(move || {
                for attempt in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let email = format!("user{number}-{attempt}@example.com");
                    sign_in(&app.url, STRANGER, &email, WRONG);
                }
            });
        }
        for number in 0..5 {
            let address = format!("203.0.113.{number}");
            let response = sign_in(&app.url, &address, ADMIN, PASSWORD);
            if response.status != 303 {
                stop.store(true, Ordering::Relaxed);
            }
            response.expect(303);
        }
        stop.store(true, Ordering::Relaxed);
    });
}
