//! Settings → Privacy: finding, exporting, and erasing all data for an email, including the
//! content in the delivery log.

use serde_json::{Value, json};

use crate::support::api::{Api, attempts, millis, text};
use crate::support::app::{ADMIN, App};
use crate::support::forms::FilledForm;
use crate::support::pages::{Page, Visitor};
use crate::support::receiver::{Receiver, Reply};

const PRIVACY: &str = "/settings/privacy";
const SAM: &str = "sam@example.com";

fn send(api: &Api, message: &str, email: &str) -> Value {
    let metadata = json!({"customer": format!("of {email}")});
    let body = json!({"project": "shop", "message": message, "email": email, "metadata": metadata});
    api.post("/api/v1/feedback", body).expect(201).json()
}

#[track_caller]
fn press(admin: &mut Visitor, email: &str, button: &str) -> Page {
    let form = admin.get(PRIVACY).form_in("Find personal data", button);
    admin.submit(&form.fill("Email", email).press(button))
}

/// Requests the erasure of all data for an email and returns the form that confirms it.
#[track_caller]
fn request_erasure(admin: &mut Visitor, email: &str) -> FilledForm {
    let page = press(admin, email, "Erase").expect(200);
    assert!(
        page.text()
            .contains(&format!("Erase all data for {email} ?")),
        "{}",
        page.text()
    );
    page.form_with("Erase").press("Erase")
}

#[test]
fn finds_feedback_by_email_ignoring_case() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    send(&api, "From Sam", "Sam@Example.com");
    send(&api, "From Sam again", SAM);
    send(&api, "From somebody else", "sam@example.org");
    send(&api, "From Ülf", "ÜLF@example.com");
    let mut ada = app.signed_in();
    let page = press(&mut ada, "SAM@example.COM", "Find").expect(200);
    assert!(
        page.text().contains("2 feedback items from"),
        "{}",
        page.text()
    );
    assert!(page.text().contains("From Sam again") && !page.text().contains("From somebody else"));
    assert!(!page.path.contains('@'), "the URL contains the email");
    let page = press(&mut ada, "ülf@example.com", "Find").expect(200);
    assert!(
        page.text().contains("1 feedback item from"),
        "{}",
        page.text()
    );
    for button in ["Find", "Erase"] {
        let page = press(&mut ada, "nobody@example.com", button).expect(200);
        assert!(page.text().contains("No feedback found"));
        let page = press(&mut ada, "not an email", button).expect(422);
        assert_eq!(page.form_with("Find").value("Email"), "not an email");
        assert!(page.response.text.contains("email-error"));
    }
}

#[test]
fn exports_all_data_for_an_email() {
    let app = App::without_retries();
    let receiver = Receiver::script(|_| Reply::body(500, "a response with personal data"));
    let api = app.api();
    api.create_project("Shop");
    // The page lists at most 50 items, and the export reads 50 items at a time.
    for number in 0..60 {
        send(&api, &format!("Message {number}"), SAM);
    }
    let webhook = api.create_webhook(&receiver.url("/"));
    let slack = json!({"url": receiver.url("/"), "format": "slack"});
    let slack = api.create_webhook_with(slack);
    let last = send(&api, "The last <one>", "SAM@example.com");
    for webhook in [&webhook, &slack] {
        api.wait_for_state(text(&api.only_delivery(webhook), "id"), "failed");
    }
    send(&api, "Feedback from somebody else", "other@example.com");

    let mut ada = app.signed_in();
    api.set_status(&last, "REVIEWED");
    let form = ada
        .get(&format!("/feedback/{}", text(&last, "id")))
        .form_with("Resolved");
    ada.submit(&form.press("Resolved")).expect(303);
    let page = press(&mut ada, SAM, "Find");
    assert!(
        page.text()
            .contains("11 more not listed. The export includes all items."),
        "{}",
        page.text()
    );
    let response = ada
        .submit(&page.form_with("Export").press("Export"))
        .expect(200)
        .response;
    let disposition = response.header("content-disposition").unwrap();
    assert!(disposition.starts_with("attachment;") && !disposition.contains('@'));
    assert_eq!(response.header("content-type"), Some("application/json"));
    let file = response.json();
    assert_eq!(file["email"], SAM);
    let feedback = file["feedback"].as_array().unwrap();
    assert_eq!(feedback.len(), 61);
    assert_eq!(
        (&feedback[0]["id"], &feedback[0]["message"]),
        (&last["id"], &last["message"])
    );
    assert_eq!(feedback[60]["message"], "Message 0");
    assert_eq!(
        feedback[60]["metadata"],
        json!({"customer": format!("of {SAM}")})
    );
    check_details(feedback);
    assert!(!response.text.contains("other@example.com"));
}

/// Checks the history and the deliveries in an export. The first item has a history and deliveries.
/// The last item has no history.
#[track_caller]
fn check_details(feedback: &[Value]) {
    let history = feedback[0]["history"].as_array().unwrap();
    let summary = |entry: &Value| ["from", "to", "by", "token"].map(|name| entry[name].clone());
    assert_eq!(
        history.iter().map(summary).collect::<Vec<_>>(),
        [
            ["NEW", "REVIEWED", ADMIN, "tests"].map(|value| json!(value)),
            [
                json!("REVIEWED"),
                json!("RESOLVED"),
                json!(ADMIN),
                json!(null)
            ],
        ]
    );
    assert!(millis(&history[0]["at"]) <= millis(&history[1]["at"]));
    assert_eq!(feedback[60]["history"], json!([]));
    let delivery = &feedback[0]["deliveries"][0];
    assert_eq!(
        delivery["body"]["data"]["feedback"]["message"],
        "The last <one>"
    );
    assert_eq!(delivery["format"], "standard");
    assert_eq!(
        delivery["attempts"][0]["responseBody"],
        "a response with personal data"
    );
    let chat = &feedback[0]["deliveries"][1];
    assert_eq!(chat["format"], "slack");
    assert!(chat["body"].to_string().contains("The last "), "{chat}");
}

#[test]
fn erasing_deletes_feedback_log_content_and_pending_deliveries() {
    let app = App::start();
    let receiver = Receiver::script(|request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        Reply::body(500, &body)
    });
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    let body = json!({"project": "shop", "message": "Sam’s secretword", "email": SAM});
    let key = [("Idempotency-Key", "once")];
    let sent = api
        .send_json("POST", "/api/v1/feedback", &key, &body)
        .expect(201)
        .json();
    let pending = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_attempts(&pending, 1);
    for number in 0..60 {
        send(
            &api,
            &format!("A secretword, number {number}"),
            "SAM@example.com",
        );
    }
    let other = send(&api, "Feedback from somebody else", "other@example.com");

    let mut ada = app.signed_in();
    let confirm = request_erasure(&mut ada, SAM);
    let path = format!("/api/v1/feedback/{}", text(&sent, "id"));
    api.get(&path).expect(200);
    let page = ada.submit_and_follow(&confirm).expect(200);
    assert!(
        page.text()
            .contains("Erased data for sam@example.com: 61 feedback items"),
        "{}",
        page.text()
    );
    assert!(
        !ada.get(PRIVACY).text().contains("Erased data for"),
        "the success message is shown again"
    );

    api.get(&path).expect(404);
    let remaining = api.get("/api/v1/feedback?limit=100").json();
    assert_eq!(remaining["data"].as_array().map(Vec::len), Some(1));
    assert_eq!(remaining["data"][0]["id"], other["id"]);
    let found = api.get("/api/v1/feedback?q=%22of+sam%22").json();
    assert_eq!(found["data"], json!([]), "the search finds erased metadata");
    let logged = api.delivery(&pending);
    assert_eq!(
        (&logged["state"], &logged["request"]),
        (&json!("canceled"), &json!(null))
    );
    assert_eq!(attempts(&logged)[0]["responseBody"], json!(null));
    // Repeating the request with its idempotency key doesn't return the erased feedback.
    let again = api.send_json("POST", "/api/v1/feedback", &key, &body);
    again.problem(409);
}

#[test]
fn erasing_twice_is_harmless_and_logs_no_email() {
    let app = App::start();
    app.api().create_project("Shop");
    send(&app.api(), "From Sam", SAM);
    let mut ada = app.signed_in();
    let confirm = request_erasure(&mut ada, SAM);
    ada.submit_and_follow(&confirm).expect(200);
    ada.submit_and_follow(&confirm).expect(200);
    let page = press(&mut ada, SAM, "Find").expect(200);
    assert!(page.text().contains("No feedback found"));
    let log = app.log.to_string();
    assert!(log.contains("personal data erased"), "{log}");
    assert!(!log.to_lowercase().contains(SAM), "{log}");
}

#[test]
fn no_database_file_contains_erased_content() {
    let app = App::start();
    let receiver = Receiver::script(|_| Reply::body(500, "a response with a secretword"));
    let api = app.api();
    api.create_project("Shop");
    let webhook = api.create_webhook(&receiver.url("/"));
    send(&api, &"A secretword. ".repeat(700), SAM);
    let pending = text(&api.only_delivery(&webhook), "id").to_owned();
    api.wait_for_attempts(&pending, 1);
    let mut ada = app.signed_in();
    let confirm = request_erasure(&mut ada, SAM);
    ada.submit(&confirm).expect(303);
    let (_, data) = app.sigterm_and_wait();
    for file in std::fs::read_dir(data.path().join("data")).unwrap() {
        let file = file.unwrap().path();
        let bytes = std::fs::read(&file).unwrap_or_default();
        let found = bytes.windows(10).any(|window| window == b"secretword");
        assert!(!found, "{} contains erased content", file.display());
    }
}

#[test]
fn erasing_deletes_all_copies_of_earlier_databases() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    send(&api, "Hello", SAM);
    let copies = [
        "miniback.db.v1-before-v2",
        "miniback.db.before-restore-1",
        "miniback.db.before-restore-1-wal",
        "miniback.db.before-restore-2",
    ];
    let backup = app.dir.join("backup.db");
    for path in copies
        .map(|name| app.dir.join(name))
        .iter()
        .chain([&backup])
    {
        std::fs::write(path, SAM).unwrap();
    }
    let mut ada = app.signed_in();
    let confirm = request_erasure(&mut ada, SAM);
    ada.submit_and_follow(&confirm).expect(200);
    for name in copies {
        assert!(!app.dir.join(name).exists(), "{name}");
    }
    assert!(backup.exists(), "a backup was deleted");
}
