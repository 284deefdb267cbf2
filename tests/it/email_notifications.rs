//! The card "Email Notifications" on Settings → Notifications.

use crate::support::app::App;
use crate::support::pages::Visitor;

const LIST: &str = "/settings/notifications";

fn add_email_path(admin: &mut Visitor) -> String {
    let page = admin.get(LIST).expect(200);
    page.link("Add Email").expect("find the link")
}

#[test]
fn the_card_says_what_to_set_up_without_a_mail_server() {
    let app = App::start();
    let mut admin = app.signed_in();
    let page = admin.get(LIST).expect(200);
    let card = page.text_of("#emails-card");
    assert!(
        card.contains("--smtp-url") && card.contains("--mail-from"),
        "{card}"
    );

    let path = add_email_path(&mut admin);
    let form = admin.get(&path).expect(200).form_with("Add");
    for button in ["Add", "Test"] {
        let filled = form.clone().fill("Email", "team@example.com");
        let page = admin.submit(&filled.press(button)).expect(422);
        assert!(
            page.text_of(".field-error").contains("--smtp-url"),
            "{button}"
        );
        let form = page.form_with("Add");
        assert_eq!(form.value("Email"), "team@example.com");
    }
    let webhooks = app.api().get("/api/v1/webhooks").json();
    assert_eq!(webhooks["data"], serde_json::json!([]));
}

#[test]
fn an_invalid_email_is_rejected_with_the_reason() {
    let app = App::start();
    let mut admin = app.signed_in();
    let path = add_email_path(&mut admin);
    let form = admin.get(&path).expect(200).form_with("Add");
    for (email, reason) in [
        ("team", "Invalid email address."),
        ("", "Invalid email address."),
        ("a@example.com, b@example.com", "Invalid email address."),
        (&format!("{}@example.com", "a".repeat(250)), "too long"),
    ] {
        let page = admin
            .submit(&form.clone().fill("Email", email).press("Add"))
            .expect(422);
        let error = page.text_of(".field-error");
        assert!(error.contains(reason), "{email}: {error}");
    }
}
