//! Error pages: each page shows the status code, a title, and a message.

use crate::support::app::App;
use crate::support::pages::same_origin_headers;

#[test]
fn all_error_pages_have_a_status_a_title_and_a_message() {
    let app = App::start();
    app.add_user("bob@example.com", "member");
    let (mut visitor, mut ada, mut bob) = (app.visitor(), app.signed_in(), app.visitor());
    bob.sign_in("bob@example.com", crate::support::app::PASSWORD);
    let own = same_origin_headers(&app.url);
    let foreign = same_origin_headers("https://other.example");
    let foreign = &foreign[..1];
    for (page, status, title, message) in [
        (
            ada.get("/nothing"),
            404,
            "Page not found",
            "There’s no page at this URL.",
        ),
        (
            ada.get("/feedback/fb_0"),
            404,
            "Not found",
            "This item doesn’t exist, or it was deleted.",
        ),
        (
            visitor.get("/f/nothing"),
            404,
            "Page not found",
            "This feedback form doesn’t exist.",
        ),
        (
            bob.get("/settings/people"),
            403,
            "Admins only",
            "Sign in with an admin account, or ask an admin.",
        ),
        (
            ada.post_from("/docs/api", &[], &own),
            405,
            "Method not allowed",
            "This page accepts only these methods: GET, HEAD.",
        ),
        (
            visitor.fetch("PUT", "/f/nothing", &own, None),
            405,
            "Method not allowed",
            "This page accepts only these methods: GET, POST, HEAD.",
        ),
        (
            visitor.post_from("/f/nothing", &[], foreign),
            403,
            "Request blocked",
            "",
        ),
    ] {
        let page = page.expect(status);
        assert_eq!(page.text_of(".status-code"), status.to_string());
        assert_eq!(page.text_of("h1"), title);
        assert!(page.text_of("main").contains(message), "{}", page.text());
    }
}
