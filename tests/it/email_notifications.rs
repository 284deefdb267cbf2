//! The card "Email Notifications" on Settings → Notifications.

use serde_json::json;

use crate::support::api::text;
use crate::support::app::App;
use crate::support::forms::Form;
use crate::support::mail_receiver::MailReceiver;
use crate::support::pages::{Page, Visitor};

const LIST: &str = "/settings/notifications";
const EMAIL: &str = "team@example.com";
const URL: &str = "mailto:team@example.com";

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
    assert_eq!(webhooks["data"], json!([]));
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
        ("a@example.com/x", "Invalid email address."),
        ("a@xn--a.com", "Invalid email address."),
        (&format!("{}@example.com", "a".repeat(250)), "too long"),
    ] {
        let page = admin
            .submit(&form.clone().fill("Email", email).press("Add"))
            .expect(422);
        let error = page.text_of(".field-error");
        assert!(error.contains(reason), "{email}: {error}");
    }
}

fn app_with(mail: &MailReceiver) -> App {
    App::builder()
        .option("--smtp-url", &mail.url())
        .option("--mail-from", "feedback@example.com")
        .option("--retry-delays", "10ms")
        .start()
}

fn email_row_form(page: &Page, button: &str) -> Form {
    page.form_in(URL, button)
}

#[test]
fn an_email_is_added_tested_and_edited() {
    let mail = MailReceiver::start();
    let app = app_with(&mail);
    let (api, mut admin) = (app.api(), app.signed_in());
    let path = add_email_path(&mut admin);
    let page = admin.get(&path).expect(200);
    assert!(
        page.text().contains("Preview of an email"),
        "{}",
        page.text()
    );
    let form = page.form_with("Add").fill("Email", EMAIL);
    let page = admin.submit_and_follow(&form.press("Test")).expect(200);
    assert!(
        page.text().contains("The mail server accepted the email"),
        "{}",
        page.text()
    );
    assert!(mail.wait_for_email().contains(&format!("To: {EMAIL}")));
    let form = page.form_with("Add");
    assert_eq!(form.value("Email"), EMAIL, "the form lost the email");
    let page = admin.submit_and_follow(&form.press("Add")).expect(200);

    let webhooks = api.get("/api/v1/webhooks").json();
    let webhook = &webhooks["data"][0];
    assert_eq!(
        (&webhook["url"], &webhook["format"]),
        (&json!(URL), &json!("email"))
    );
    assert_eq!(webhook["retries"], "patient");
    let form = email_row_form(&page, "Save changes");
    for field in ["Headers", "Format", "Endpoint URL"] {
        assert!(!form.has_field(field), "{field}");
    }
    assert!(page.forms_with("Reveal").is_empty());
    let card = page.text_of("#emails-card");
    assert!(card.contains(EMAIL) && card.contains("1 email"), "{card}");
    assert!(page.text().contains("No webhooks yet"));

    let form = form
        .fill("Email", "ops+feedback@example.com")
        .fill("Description", "Ops");
    let form = form.set_checked("Include details", true);
    admin.submit(&form.press("Save changes")).expect(303);
    let saved = api
        .get(&format!("/api/v1/webhooks/{}", text(webhook, "id")))
        .json();
    assert_eq!(saved["url"], "mailto:ops+feedback@example.com");
    assert_eq!(
        (&saved["format"], &saved["details"]),
        (&json!("email"), &json!(true))
    );
    let form = admin
        .get(LIST)
        .form_in("mailto:ops+feedback@example.com", "Save changes");
    let page = admin
        .submit(&form.fill("Email", "ops").press("Save changes"))
        .expect(422);
    assert!(
        page.text_of(".field-error")
            .contains("Invalid email address.")
    );
}

#[test]
fn a_reply_that_is_only_a_code_is_a_success() {
    let mail = MailReceiver::with_recipient_reply("250");
    let app = app_with(&mail);
    let body = json!({"url": URL});
    let result = app.api().post("/api/v1/webhooks/test", body).json();
    assert_eq!(
        (&result["success"], &result["status"]),
        (&json!(true), &json!(250))
    );
}

#[test]
fn a_mailto_url_with_an_impossible_domain_is_rejected() {
    let mail = MailReceiver::start();
    let app = app_with(&mail);
    for url in ["mailto:a@example.com%3Fsubject%3Dx", "mailto:a@xn--a.com"] {
        let response = app.api().post("/api/v1/webhooks", json!({"url": url}));
        assert_eq!(response.status, 422, "{url}");
        assert!(response.text.contains("isn’t a valid email"), "{url}");
    }
}

#[test]
fn a_delivery_shows_the_email_as_readable_text() {
    let mail = MailReceiver::start();
    let app = app_with(&mail);
    let (api, mut admin) = (app.api(), app.signed_in());
    let webhook = api.create_webhook(URL);
    api.create_project("Shop");
    let message = "Bröken <b>button</b>\nsecond line";
    let body = json!({"project": "shop", "message": message, "email": "sam@example.com"});
    api.post("/api/v1/feedback", body).expect(201);
    api.wait_until_none_pending(&webhook);
    let delivery = api.only_delivery(&webhook);
    assert_eq!(delivery["state"], "delivered");
    let id = text(&webhook, "id");
    let path = format!("{LIST}/{id}/deliveries/{}", text(&delivery, "id"));
    let page = admin.get(&path).expect(200);
    let shown = page.text();
    for part in [
        "Format Email",
        "SMTP reply 250",
        "[Shop] Bröken <b>button</b>",
        "Raw email",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    for (name, value) in [("To", EMAIL), ("Reply-To", "sam@example.com")] {
        assert!(
            shown.contains(&format!("{name} {value}")),
            "{name}: {shown}"
        );
    }
    let email = page.text_of("[aria-label='Text of the email']");
    assert!(
        email.contains("Bröken <b>button</b>") && email.contains("second line"),
        "{email}"
    );
    assert!(!page.response.text.contains("<b>button"));
    assert!(!shown.to_lowercase().contains("signature"), "{shown}");
    assert!(!shown.contains("Copy as curl"));
    admin.get(&format!("{LIST}/{id}")).expect(200);
    let guide = admin
        .get(&format!("/docs/webhooks?webhook={id}"))
        .expect(200)
        .text();
    assert!(
        guide.contains("the mail server replied with 250"),
        "{guide}"
    );
}

#[test]
fn a_rejected_email_is_explained_with_the_smtp_reply() {
    let mail = MailReceiver::with_recipient_reply("550 5.1.1 No such user");
    let app = app_with(&mail);
    let (api, mut admin) = (app.api(), app.signed_in());
    let webhook = api.create_webhook(URL);
    api.create_project("Shop");
    api.create_feedback("shop", "Hello");
    api.wait_until_none_pending(&webhook);
    let delivery = api.only_delivery(&webhook);
    assert_eq!(delivery["state"], "failed");
    let path = format!("{LIST}/{}/deliveries", text(&webhook, "id"));
    let list = admin.get(&path).expect(200).text();
    assert!(list.contains("recipient rejected (550) after"), "{list}");
    let page = admin
        .get(&format!("{path}/{}", text(&delivery, "id")))
        .expect(200);
    let shown = page.text();
    assert!(shown.contains("Attempt 1: SMTP reply 550"), "{shown}");
    assert!(
        shown.contains("The mail server rejected the recipient (550)."),
        "{shown}"
    );
    assert!(
        !shown.contains("HTTP") && !shown.contains("Check the signature"),
        "{shown}"
    );
    let row = admin.get(LIST).expect(200).text_of("#emails-card");
    assert!(
        row.contains("1 failing") && row.contains("recipient rejected"),
        "{row}"
    );
}
