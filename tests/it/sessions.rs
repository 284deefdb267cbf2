//! Sign-in, sessions, sign-out, throttling, and cross-origin checks of the pages.

use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::forms::FilledForm;
use crate::support::pages::{Page, Visitor};

/// Settings pages that only admins can open.
const ADMIN_PAGES: [&str; 4] = [
    "/settings/notifications",
    "/settings/tokens",
    "/settings/people",
    "/settings/privacy",
];
/// Pages that all users can open.
const PAGES: [&str; 3] = ["/feedback", "/settings/account", "/settings/projects"];

fn session_cookie(page: &Page) -> String {
    let all = page.response.all_headers("set-cookie");
    let cookie = all.iter().find(|c| c.starts_with("miniback_session="));
    cookie.expect("find the session cookie").to_string()
}

/// Fills in the sign-in form as the admin.
fn filled_sign_in(visitor: &mut Visitor, password: &str) -> FilledForm {
    let form = visitor.get("/login").form_with("Sign in");
    let form = form.fill("Email", ADMIN).fill("Password", password);
    form.press("Sign in")
}

fn is_signed_in(visitor: &mut Visitor) -> bool {
    visitor.get("/feedback").response.status == 200
}

#[test]
fn sign_in_sets_a_host_only_httponly_cookie() {
    let app = App::start();
    let response = app.visitor().sign_in(ADMIN, PASSWORD);
    let cookie = session_cookie(&response).to_ascii_lowercase();
    let attributes: Vec<&str> = cookie.split(';').map(str::trim).skip(1).collect();
    assert!(attributes.contains(&"httponly"), "{cookie}");
    assert!(attributes.contains(&"samesite=lax"), "{cookie}");
    assert!(attributes.contains(&"path=/"), "{cookie}");
    let has_attribute = |name: &str| attributes.iter().any(|a| a.starts_with(name));
    assert!(
        !has_attribute("domain"),
        "the cookie isn't host-only: {cookie}"
    );
    assert!(
        !has_attribute("secure"),
        "a Secure cookie doesn't work over plain HTTP: {cookie}"
    );
}

#[test]
fn an_https_base_url_makes_the_cookie_secure() {
    let app = App::builder()
        .option("--base-url", "https://feedback.example")
        .start();
    let mut visitor = app.visitor();
    let filled = filled_sign_in(&mut visitor, PASSWORD);
    let origin = [("Origin", "https://feedback.example")];
    let response = visitor.post_from(&filled.action, &filled.fields, &origin);
    let cookie = session_cookie(&response).to_ascii_lowercase();
    assert!(cookie.contains("; secure"), "{cookie}");
}

#[test]
fn every_sign_in_creates_a_new_session_token() {
    let app = App::start();
    let mut visitor = app.visitor();
    visitor.cookies.insert(
        "miniback_session".to_owned(),
        "chosen-by-an-attacker".to_owned(),
    );
    visitor.sign_in(ADMIN, PASSWORD);
    let first = visitor.session_cookie().unwrap();
    assert_ne!(first, "chosen-by-an-attacker");
    visitor.cookies.clear();
    visitor.sign_in(ADMIN, PASSWORD);
    assert_ne!(visitor.session_cookie().unwrap(), first);
}

#[test]
fn the_database_files_contain_no_session_token() {
    let app = App::start();
    let visitor = app.signed_in();
    let token = visitor.session_cookie().unwrap();
    for file in std::fs::read_dir(&app.dir).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap_or_default();
        let has_token = bytes.windows(token.len()).any(|w| w == token.as_bytes());
        assert!(!has_token, "a file contains the session token");
    }
}

#[test]
fn sign_in_leads_to_the_start_page() {
    let app = App::start();
    let mut ada = app.visitor();
    let start = ada.get("/");
    assert!(
        start.location().starts_with("/login"),
        "the start page opens without sign-in"
    );
    let response = ada.sign_in(ADMIN, PASSWORD);
    ada.follow(&response).expect(200);
    let start = ada.get("/");
    let mut page = ada.follow(&start);
    while page.response.status == 303 || page.response.status == 302 {
        page = ada.follow(&page);
    }
    page.expect(200);
}

#[test]
fn pages_redirect_to_the_sign_in_page() {
    let app = App::start();
    for path in PAGES.iter().chain(&ADMIN_PAGES) {
        let page = app.visitor().get(path);
        assert!(
            matches!(page.response.status, 302 | 303),
            "{:?}",
            page.response
        );
        assert!(page.location().starts_with("/login"), "{:?}", page.response);
    }
}

#[test]
fn a_wrong_password_and_an_unknown_email_look_the_same() {
    let app = App::start();
    let wrong = app.visitor().try_sign_in(ADMIN, "not the password at all");
    let unknown = app
        .visitor()
        .try_sign_in("nobody@example.com", "not the password at all");
    assert_eq!(wrong.response.status, unknown.response.status);
    assert!(wrong.response.status < 500);
    assert!(wrong.response.header("set-cookie").is_none());
    let text = |page: &Page, email: &str| page.text().replace(email, "EMAIL");
    assert_eq!(text(&wrong, ADMIN), text(&unknown, "nobody@example.com"));
}

#[test]
fn sign_in_ignores_the_case_of_the_email() {
    let app = App::start();
    app.visitor().sign_in("ADA@Example.com", PASSWORD);
}

#[test]
fn sign_out_ends_the_session_on_the_server() {
    let app = App::start();
    let mut ada = app.signed_in();
    let token = ada.session_cookie().unwrap();
    let mut other_device = app.signed_in();
    let form = ada.get("/feedback").form_with("Sign out");
    ada.submit_and_follow(&form.press("Sign out"));
    assert_eq!(ada.session_cookie(), None);
    ada.cookies.insert("miniback_session".to_owned(), token);
    assert!(!is_signed_in(&mut ada));
    assert!(is_signed_in(&mut other_device));
}

#[test]
fn every_page_has_a_sign_out_button() {
    let app = App::start();
    let mut ada = app.signed_in();
    for path in PAGES.iter().chain(&ADMIN_PAGES) {
        ada.get(path).expect(200).form_with("Sign out");
    }
}

#[test]
fn sign_out_everywhere_ends_all_sessions_of_this_user() {
    let app = App::start();
    app.add_user("grace@example.com", "admin");
    let mut grace = app.visitor();
    grace.sign_in("grace@example.com", PASSWORD);
    let (mut here, mut there) = (app.signed_in(), app.signed_in());
    let page = here.get("/settings/account").expect(200);
    let form = page.form_with("Sign out everywhere");
    here.submit(&form.press("Sign out everywhere"));
    assert!(!is_signed_in(&mut there));
    assert!(is_signed_in(&mut grace));
}

#[test]
fn rejects_forged_session_cookies() {
    let app = App::start();
    for forged in ["", "x", "' OR 1=1 --", &"a".repeat(4_000)] {
        let mut visitor = app.visitor();
        visitor
            .cookies
            .insert("miniback_session".to_owned(), forged.to_owned());
        let page = visitor.get("/feedback");
        assert!(
            matches!(page.response.status, 302 | 303),
            "{:?}",
            page.response
        );
    }
}

#[test]
fn the_fifth_failed_sign_in_to_an_account_is_429() {
    let app = App::start();
    for _ in 0..4 {
        let page = app.visitor().try_sign_in(ADMIN, "not the password at all");
        assert_ne!(page.response.status, 429);
    }
    let page = app.visitor().try_sign_in(ADMIN, "not the password at all");
    assert_eq!(page.response.status, 429, "{:?}", page.response);
    let seconds: u64 = page
        .response
        .header("retry-after")
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&seconds), "{seconds} s");
}

#[test]
fn the_fifth_failed_sign_in_from_an_ip_address_is_429() {
    let app = App::start();
    let mut statuses = Vec::new();
    for number in 0..5 {
        let email = format!("user{number}@example.com");
        let page = app.visitor().try_sign_in(&email, "not the password at all");
        statuses.push(page.response.status);
    }
    assert!(!statuses[..4].contains(&429), "{statuses:?}");
    assert_eq!(statuses[4], 429);
}

#[test]
fn failed_sign_ins_count_per_account_across_ip_addresses() {
    let app = App::start();
    let mut last = 0;
    for number in 0..5 {
        let mut visitor = app.visitor();
        let filled = filled_sign_in(&mut visitor, "not the password at all");
        let address = format!("203.0.113.{number}");
        let origin = app.url.clone();
        let headers = [("Origin", origin.as_str()), ("X-Forwarded-For", &address)];
        last = visitor
            .post_from(&filled.action, &filled.fields, &headers)
            .response
            .status;
    }
    assert_eq!(last, 429);
}

#[test]
fn rejects_a_post_from_another_origin() {
    let app = App::start();
    let own = app.url.clone();
    let foreign: [&[(&str, &str)]; 6] = [
        &[("Sec-Fetch-Site", "cross-site")],
        &[("Sec-Fetch-Site", "same-site")],
        &[("Sec-Fetch-Site", "cross-site"), ("Origin", &own)],
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
        &[("Origin", "http://127.0.0.1:1")],
    ];
    let mut ada = app.signed_in();
    let page = ada.get("/feedback").expect(200);
    let sign_out = page.form_with("Sign out").press("Sign out");
    let login = filled_sign_in(&mut app.visitor(), PASSWORD);
    for headers in foreign {
        ada.post_from(&sign_out.action, &sign_out.fields, headers)
            .expect(403);
        assert!(is_signed_in(&mut ada), "{headers:?} ended the session");
        let mut visitor = app.visitor();
        visitor
            .post_from(&login.action, &login.fields, headers)
            .expect(403);
        assert_eq!(visitor.session_cookie(), None, "{headers:?} signed in");
    }
}

#[test]
fn accepts_a_post_from_its_own_origin() {
    let app = App::start();
    let own = app.url.clone();
    let own_headers: [&[(&str, &str)]; 3] = [
        &[("Sec-Fetch-Site", "same-origin")],
        &[("Sec-Fetch-Site", "none")],
        &[("Origin", &own)],
    ];
    for headers in own_headers {
        let mut visitor = app.visitor();
        let filled = filled_sign_in(&mut visitor, PASSWORD);
        visitor.post_from(&filled.action, &filled.fields, headers);
        assert!(is_signed_in(&mut visitor), "{headers:?}");
    }
}

#[test]
fn members_cannot_use_admin_pages_and_forms() {
    let app = App::start();
    app.add_user("bob@example.com", "member");
    let mut ada = app.signed_in();
    let pages: Vec<Page> = (ADMIN_PAGES.iter().chain(&["/settings/projects?add"]))
        .map(|path| ada.get(path).expect(200))
        .collect();
    let mut bob = app.visitor();
    bob.sign_in("bob@example.com", PASSWORD);
    for path in ADMIN_PAGES {
        bob.get(path).expect(403);
    }
    for form in pages.iter().flat_map(Page::forms) {
        // Members can use these two forms. All other forms on these pages are for admins only.
        if form.has_button("Sign out") || form.has_button("Search") {
            continue;
        }
        let Some(filled) = form.press_first() else {
            continue;
        };
        if filled.method == "post" {
            bob.submit(&filled).expect(403);
        }
    }
    for path in PAGES {
        bob.get(path).expect(200);
    }
}

#[test]
fn members_can_read_feedback_and_set_its_status() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let feedback = api.create_feedback("shop", "Hello from a visitor");
    app.add_user("bob@example.com", "member");
    let mut bob = app.visitor();
    bob.sign_in("bob@example.com", PASSWORD);
    let page = bob.get("/feedback").expect(200);
    assert!(page.text().contains("Hello from a visitor"));
    let form = page.form_with("Resolved");
    bob.submit_and_follow(&form.press("Resolved")).expect(200);
    let path = format!("/api/v1/feedback/{}", feedback["id"].as_str().unwrap());
    assert_eq!(api.get(&path).json()["status"], "RESOLVED");
}

#[test]
fn a_password_change_ends_all_sessions() {
    let app = App::start();
    let mut ada = app.signed_in();
    let new = "another good password\n";
    app.run(&["user", "passwd", ADMIN], new).success();
    crate::support::wait::wait_until("the session ends", || {
        (!is_signed_in(&mut ada)).then_some(())
    });
    app.visitor().sign_in(ADMIN, "another good password");
}
