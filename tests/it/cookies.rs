//! Session cookies, and sign-ins and forms that fail because of missing cookies or a wrong public
//! URL.

use crate::support::app::{ADMIN, App, PASSWORD};
use crate::support::pages::{Page, Visitor, same_origin_headers};

const BASE_URL: &str = "https://feedback.example";

/// Removes the `Secure` cookies that a page has set, as a browser does over plain HTTP.
fn drop_secure_cookies(visitor: &mut Visitor, page: &Page) {
    for cookie in page.response.all_headers("set-cookie") {
        if cookie.to_ascii_lowercase().contains("; secure") {
            let name = cookie.split('=').next().unwrap();
            visitor.cookies.remove(name);
        }
    }
}

fn sign_in_at(visitor: &mut Visitor, origin: &str) -> Page {
    let fields = [("email", ADMIN), ("password", PASSWORD)];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    visitor
        .post_from("/login", &fields, &same_origin_headers(origin))
        .expect(303)
}

#[test]
fn explains_why_a_sign_in_over_http_failed() {
    let app = App::builder().option("--base-url", BASE_URL).start();
    for _ in 0..2 {
        let mut visitor = app.visitor();
        let page = sign_in_at(&mut visitor, &app.url);
        drop_secure_cookies(&mut visitor, &page);
        let page = visitor.follow(&page).expect(303);
        let page = visitor.follow(&page).expect(200);
        let login = format!("{BASE_URL}/login");
        assert!(page.text().contains(&login), "{}", page.text());
        assert!(page.text().contains("--base-url"), "{}", page.text());
        // The explanation isn't repeated on the next visit.
        assert!(!visitor.get("/login").text().contains(&login));
    }
    let message = "a browser dropped the sign-in cookie";
    app.log.wait_for_message(message);
    let lines = app.log.lines();
    assert_eq!(
        lines.iter().filter(|line| line.contains(message)).count(),
        1
    );
}

#[test]
fn explains_why_a_sign_in_without_cookies_failed() {
    let app = App::start();
    let mut visitor = app.visitor();
    let page = sign_in_at(&mut visitor, &app.url);
    visitor.cookies.clear();
    let next = visitor.follow(&page).expect(303).location();
    let referer = format!("{}/login", app.url);
    let page = visitor.fetch("GET", &next, &[("Referer", &referer)], None);
    assert!(page.expect(200).text().contains("Allow cookies"));
    let page = visitor.fetch("GET", &next, &[], None);
    assert!(!page.expect(200).text().contains("Allow cookies"));
}

#[test]
fn a_successful_sign_in_shows_no_explanation() {
    let app = App::start();
    let mut ada = app.signed_in();
    ada.get("/feedback").expect(200);
    let form = ada.get("/feedback").form_with("Sign out");
    let page = ada.submit_and_follow(&form.press("Sign out")).expect(200);
    assert!(!page.text().contains("cookie"), "{}", page.text());
}

#[test]
fn cookies_of_other_programs_do_not_affect_a_session() {
    let app = App::start();
    let ada = app.signed_in();
    let token = ada.session_cookie().unwrap();
    let foreign = "x".repeat(43);
    for line in [
        format!("miniback_session=other; miniback_session={token}"),
        format!("miniback_session={token}; miniback_session=other"),
        format!("garbage; =; a=%00; miniback_session={foreign}; miniback_session={token};"),
        format!("miniback_session=\"{token}\""),
    ] {
        let mut visitor = app.visitor();
        let page = visitor.fetch("GET", "/feedback", &[("Cookie", &line)], None);
        page.expect(200);
    }
    // Another program on this host has replaced the cookie `miniback_session`. The session's second
    // cookie still identifies the session.
    let mut ada = ada;
    ada.cookies.insert("miniback_session".to_owned(), foreign);
    ada.get("/feedback").expect(200);
    let form = ada.get("/feedback").form_with("Sign out");
    ada.submit(&form.press("Sign out")).expect(303);
    ada.cookies.insert("miniback_session".to_owned(), token);
    ada.get("/feedback").expect(303);
}

#[test]
fn each_of_the_two_session_cookies_is_enough() {
    for (options, origin) in [
        (vec![], None),
        (vec!["--base-url", BASE_URL], Some(BASE_URL)),
    ] {
        let mut app = App::builder();
        for option in options {
            app = app.arg(option);
        }
        let app = app.start();
        let mut visitor = app.visitor();
        sign_in_at(&mut visitor, origin.unwrap_or(&app.url));
        let names: Vec<String> = visitor.cookies.keys().cloned().collect();
        let names = names
            .iter()
            .filter(|name| name.contains("miniback_session"));
        let names: Vec<&String> = names.collect();
        assert_eq!(names.len(), 2, "{names:?}");
        for name in names {
            for foreign in ["", "junk", &"x".repeat(43)] {
                let mut other = app.visitor();
                other.cookies = visitor.cookies.clone();
                other.cookies.insert(name.clone(), foreign.to_owned());
                other.get("/feedback").expect(200);
            }
            let mut other = app.visitor();
            other.cookies = visitor.cookies.clone();
            other.cookies.remove(name);
            other.get("/feedback").expect(200);
        }
    }
}

#[test]
fn over_https_a_second_cookie_has_the_secure_prefix() {
    let app = App::builder().option("--base-url", BASE_URL).start();
    let mut visitor = app.visitor();
    let page = sign_in_at(&mut visitor, BASE_URL);
    let cookies = page.response.all_headers("set-cookie");
    let second: Vec<_> = cookies
        .iter()
        .filter(|cookie| cookie.starts_with("__Secure-miniback_session_"))
        .collect();
    assert_eq!(second.len(), 1, "{cookies:?}");
    assert!(second[0].contains("; Secure") && second[0].contains("; HttpOnly"));
    visitor.cookies.remove("miniback_session");
    visitor.get("/feedback").expect(200);
}

#[test]
fn the_page_of_a_rejected_form_contains_both_origins() {
    let app = App::builder().option("--base-url", BASE_URL).start();
    let fields = [("email".to_owned(), ADMIN.to_owned())];
    let headers = [("Origin", "http://miniback.lan:8080")];
    let page = app
        .visitor()
        .post_from("/login", &fields, &headers)
        .expect(403);
    for part in [BASE_URL, "http://miniback.lan:8080", "--base-url"] {
        assert!(page.text().contains(part), "{part}: {}", page.text());
    }
    app.log
        .wait_for_message("rejected a form from another origin");
    let headers = [
        ("Sec-Fetch-Site", "cross-site"),
        ("Origin", "https://evil.example"),
    ];
    let page = app
        .visitor()
        .post_from("/login", &fields, &headers)
        .expect(403);
    assert!(!page.text().contains("--base-url"), "{}", page.text());
}

#[test]
fn responses_to_a_sign_in_are_not_stored() {
    let app = App::start();
    let failed = app.visitor().try_sign_in(ADMIN, "not the password at all");
    let succeeded = app.visitor().sign_in(ADMIN, PASSWORD);
    for page in [failed, succeeded] {
        assert_eq!(page.response.header("cache-control"), Some("no-store"));
    }
}

#[test]
fn pages_with_a_token_in_the_url_send_no_referrer_to_their_files() {
    let app = App::builder().without_admin().start();
    let page = app.visitor().get(&app.log.setup_path()).expect(200);
    let text = &page.response.text;
    let head = &text[..text.find("</head>").unwrap()];
    let files = head.matches("/static/").count();
    assert!(files >= 3);
    assert_eq!(
        head.matches("referrerpolicy=\"no-referrer\"").count(),
        files
    );
    assert_eq!(page.response.header("referrer-policy"), Some("same-origin"));
}
