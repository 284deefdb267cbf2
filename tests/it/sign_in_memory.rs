//! Sign-in attempts don't permanently increase memory use.

use std::thread;

use crate::support::app::{ADMIN, App};
use crate::support::http;
use crate::support::pages::same_origin_headers;

/// Sends invalid sign-ins as four clients at the same time. Each client makes `attempts` attempts
/// from different IP addresses and for different accounts.
fn fail_to_sign_in(app: &App, round: u8, attempts: usize) {
    thread::scope(|scope| {
        for client in 0..4 {
            scope.spawn(move || {
                for attempt in 0..attempts {
                    let body = format!("email=u{round}-{client}-{attempt}@example.com&password=x");
                    let address = format!("2001:db8:{round}{client}{attempt:02}::1");
                    let mut headers = same_origin_headers(&app.url).to_vec();
                    headers.push(("X-Forwarded-For", &address));
                    headers.push(("Content-Type", "application/x-www-form-urlencoded"));
                    let url = format!("{}/login", app.url);
                    http::send("POST", &url, &headers, Some(body.as_bytes())).expect(401);
                }
            });
        }
    });
}

fn resident_mib(app: &App) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", app.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kib: u64 = line
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    kib / 1024
}

#[test]
fn password_checks_do_not_permanently_increase_memory_use() {
    let app = App::start();
    fail_to_sign_in(&app, 1, 4);
    let before = resident_mib(&app);
    fail_to_sign_in(&app, 2, 15);
    app.visitor().try_sign_in(ADMIN, "not the password at all");
    let after = resident_mib(&app);
    // If each check kept the memory that it uses, the memory use would grow by several hundred MiB.
    assert!(after < before + 25, "from {before} MiB to {after} MiB");
}
