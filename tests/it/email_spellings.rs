//! One email has many spellings. Wherever emails are compared, all spellings identify the same
//! person.

use serde_json::json;

use crate::support::app::{App, PASSWORD};

/// Spellings of one email. Browsers convert the first spelling to the second spelling.
const ADA: [&str; 7] = [
    "ada@müller.de",
    "ada@xn--mller-kva.de",
    "ADA@MÜLLER.de",
    " ada@mu\u{308}ller.de\u{200b}",
    "ａｄａ＠müller．de",
    "ada@mül\u{ad}ler.de",
    "ada@müller.de.",
];

#[test]
fn signs_in_with_every_spelling() {
    let app = App::start();
    app.add_user(ADA[1], "member");
    for email in ADA {
        app.visitor().sign_in(email, PASSWORD);
        let input = format!("{PASSWORD}\n");
        let error = app.run(&["user", "add", email], &input).error_line(1);
        assert!(error.contains("already"), "{error}");
        app.run(&["user", "passwd", email], &input).success();
        app.token(email, "submit");
    }
    let list = app.run(&["user", "list"], "").success().stdout;
    assert!(list.contains("ada@müller.de\tmember"), "{list}");
    app.run(&["user", "remove", ADA[4]], "").success();
}

#[test]
fn the_first_user_signs_in_with_every_spelling() {
    let app = App::builder()
        .without_admin()
        .env("MINIBACK_ADMIN_EMAIL", "\u{feff}Ada@XN--MLLER-KVA.de ")
        .env("MINIBACK_ADMIN_PASSWORD", PASSWORD)
        .start();
    for email in [ADA[0], ADA[1]] {
        app.visitor().sign_in(email, PASSWORD);
    }
}

#[test]
fn an_invitation_replaces_the_invitation_of_another_spelling() {
    let app = App::start();
    let mut admin = app.signed_in();
    for email in ADA {
        let form = admin.get("/settings/people?add").form_with("Invite");
        admin.submit(&form.fill("Email", email).press("Invite"));
    }
    let page = admin.get("/settings/people").expect(200);
    assert_eq!(
        page.text().matches("Invited by").count(),
        1,
        "{}",
        page.text()
    );
}

#[test]
fn finds_exports_and_erases_the_feedback_of_all_spellings() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    for email in ADA {
        let body = json!({"project": "shop", "message": "From Ada", "email": email});
        api.post("/api/v1/feedback", body).expect(201);
        let body = json!({"projectSlug": "shop", "message": "From Ada", "email": email});
        api.post("/api/feedback", body).expect(201);
    }
    let other = json!({"project": "shop", "message": "Other", "email": "ada@mueller.de"});
    api.post("/api/v1/feedback", other).expect(201);
    let stored = api
        .get("/api/v1/feedback?q=ada@xn--mller-kva.de&limit=100")
        .json();
    let stored = stored["data"].as_array().unwrap();
    assert_eq!(stored.len(), 2 * ADA.len());
    for email in stored
        .iter()
        .map(|feedback| feedback["email"].as_str().unwrap())
    {
        assert!(
            ["ada@müller.de", "ADA@MÜLLER.de"].contains(&email),
            "{email}"
        );
    }
    let mut admin = app.signed_in();
    for email in ADA {
        let form = admin
            .get("/settings/privacy")
            .form_in("Find personal data", "Find");
        let page = admin
            .submit(&form.fill("Email", email).press("Find"))
            .expect(200);
        assert!(
            page.text().contains("14 feedback items from"),
            "{}",
            page.text()
        );
        let file = admin
            .submit(&page.form_with("Export").press("Export"))
            .expect(200);
        let export = file.response.json();
        assert_eq!(export["feedback"].as_array().unwrap().len(), 14);
    }
    let form = admin
        .get("/settings/privacy")
        .form_in("Find personal data", "Erase");
    let page = admin.submit(&form.fill("Email", ADA[4]).press("Erase"));
    let page = admin.submit_and_follow(&page.form_with("Erase").press("Erase"));
    assert!(page.text().contains("14 feedback items"), "{}", page.text());
    let rest = api.get("/api/v1/feedback").json();
    assert_eq!(rest["data"].as_array().unwrap().len(), 1);
}
