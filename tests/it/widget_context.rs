//! The context of feedback from the widget and the public form: what is stored, shown, found, and
//! exported.

use serde_json::{Map, Value, json};

use crate::support::api::{Api, text};
use crate::support::app::App;
use crate::support::wait::wait_until;

const FIREFOX: &str = "Mozilla/5.0 (Android 14; Mobile; rv:131.0) Gecko/131.0 Firefox/131.0";

fn app_with_shop() -> (App, Api, Api) {
    let app = App::builder()
        .option("--limit-address", "none")
        .option("--limit-project", "none")
        .start();
    let (api, public) = (app.api(), app.api_without_token());
    api.create_project("Shop");
    (app, api, public)
}

/// Sends feedback as the widget does, and returns the stored feedback.
#[track_caller]
fn send(api: &Api, public: &Api, agent: &str, message: &str, context: &Value) -> Value {
    let headers = [("X-Feedback-Source", "widget"), ("User-Agent", agent)];
    let body = json!({"projectSlug": "shop", "message": message, "context": context});
    let accepted = public.send_json("POST", "/api/feedback", &headers, &body);
    let id = text(&accepted.expect(201).json(), "id").to_owned();
    api.get(&format!("/api/v1/feedback/{id}"))
        .expect(200)
        .json()
}

fn messages_of(api: &Api, query: &str) -> Vec<String> {
    let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let found = api
        .get(&format!("/api/v1/feedback?q={query}"))
        .expect(200)
        .json();
    let found = found["data"].as_array().unwrap().clone();
    found
        .iter()
        .map(|feedback| text(feedback, "message").to_owned())
        .collect()
}

#[test]
fn stores_the_browser_but_not_the_user_agent_header() {
    let (app, api, public) = app_with_shop();
    let context = json!({
        "browser": "Mine", "window": "1280 × 720", "language": "de-DE", "plan": "<b>pro</b>",
    });
    let stored = send(&api, &public, FIREFOX, "Broken", &context);
    let expected = r#"{"browser":"Firefox 131","system":"Android","window":"1280 × 720","language":"de-DE","plan":"<b>pro</b>"}"#;
    assert_eq!(stored["metadata"].to_string(), expected);
    let mut ada = app.signed_in();
    for path in ["/feedback/", "/feedback?open="] {
        let path = format!("{path}{}", text(&stored, "id"));
        let shown = ada.get(&path).expect(200).text();
        for fact in [
            "Browser Firefox 131 on Android",
            "Window 1280 × 720",
            "Language German (de-DE)",
            "plan <b>pro</b>",
        ] {
            assert!(shown.contains(fact), "{fact}: {shown}");
        }
    }
    for file in ["miniback.db", "miniback.db-wal"] {
        let bytes = std::fs::read(app.database().with_file_name(file)).unwrap();
        let is_stored = bytes.windows(8).any(|window| window == b"rv:131.0");
        assert!(!is_stored, "{file} contains the header");
    }
}

#[test]
fn feedback_is_stored_with_any_context_and_any_header() {
    let (_app, api, public) = app_with_shop();
    let stored = send(&api, &public, "curl/8.5.0", "Plain", &Value::Null);
    assert_eq!(stored["metadata"], Value::Null);
    let valid = json!({"plan": "pro", "count": 3, "cart": {"items": [1, null]}});
    let stored = send(&api, &public, "", "Other values", &valid);
    assert_eq!(stored["metadata"], valid);
    let invalid = json!({
        "a b": "x", "": "x", "ü": "x", "x".repeat(41): "x", "long": "x".repeat(201), "ok": "1",
    });
    let stored = send(&api, &public, "curl/8.5.0", "Invalid", &invalid);
    assert_eq!(stored["metadata"], json!({"ok": "1"}));

    let large: Map<String, Value> = (0..200)
        .map(|number| (format!("field-{number}"), json!("ü".repeat(100))))
        .collect();
    let stored = send(&api, &public, FIREFOX, "Too much", &large.into());
    let metadata = stored["metadata"].as_object().unwrap();
    assert_eq!(metadata["system"], "Android");
    assert!((15..25).contains(&metadata.len()), "{}", metadata.len());
    assert!(stored["metadata"].to_string().len() <= 4096);

    let long = format!("Mozilla/5.0 {}", "Firefox/".repeat(700));
    for agent in [
        "Mozilla/5.0 (\u{fc}\u{1f98a}) Firefox/131",
        &long,
        "Mozilla/5.0 Firefox/1e9",
    ] {
        let metadata = &send(&api, &public, agent, "Odd", &json!({}))["metadata"];
        let browser = text(metadata, "browser");
        assert!(browser.starts_with("Firefox"), "{browser}");
        assert!(browser.len() < 20, "{browser}");
    }
}

#[test]
fn a_repeated_request_can_come_from_an_updated_browser() {
    let (_app, api, public) = app_with_shop();
    let body = json!({"projectSlug": "shop", "message": "Once", "context": {"plan": "pro"}});
    let send = |agent: &str| {
        let headers = [("Idempotency-Key", "1-2-3-4"), ("User-Agent", agent)];
        let accepted = public.send_json("POST", "/api/feedback", &headers, &body);
        accepted.expect(201).json()
    };
    assert_eq!(send(FIREFOX), send(&FIREFOX.replace("131", "132")));
    assert_eq!(messages_of(&api, "Firefox"), ["Once"]);
}

#[test]
fn search_finds_the_context_until_the_feedback_is_deleted() {
    let (app, api, public) = app_with_shop();
    let context = json!({"plan": "Überflieger", "build": "4711"});
    let first = send(&api, &public, FIREFOX, "First", &context);
    send(
        &api,
        &public,
        "curl/8.5.0",
        "Second",
        &json!({"plan": "basic"}),
    );
    let nested = json!({
        "project": "shop", "message": "Third", "metadata": {"cart": {"items": ["lamp", 12345]}},
    });
    api.post("/api/v1/feedback", nested).expect(201);
    for is_indexed in [false, true] {
        if is_indexed {
            // The newest feedback is indexed last.
            let connection = rusqlite::Connection::open(app.database()).unwrap();
            let statement = "SELECT indexed_until FROM feedback_index_state";
            wait_until("the feedback is indexed", || {
                let until: i64 = connection
                    .query_row(statement, [], |row| row.get(0))
                    .unwrap();
                (until == 3).then_some(())
            });
        }
        for (query, expected) in [
            ("Firefox", &["First"][..]),
            ("android", &["First"]),
            ("first uberflieger", &["First"]),
            ("4711", &["First"]),
            ("basic", &["Second"]),
            ("lamp", &["Third"]),
            ("12345", &["Third"]),
            ("plan", &[]),
        ] {
            assert_eq!(
                messages_of(&api, query),
                expected,
                "{query}, indexed: {is_indexed}"
            );
        }
    }
    let mut ada = app.signed_in();
    let page = ada.get("/feedback?q=firefox").expect(200);
    assert_eq!(page.text_of(".item .hint"), "Firefox 131 on Android");
    assert_eq!(page.text_of(".item .hint mark"), "Firefox");

    let path = format!("/api/v1/feedback/{}", text(&first, "id"));
    api.set_status(&first, "RESOLVED");
    assert_eq!(messages_of(&api, "Firefox"), ["First"]);
    api.delete(&path).expect(204);
    assert!(messages_of(&api, "Firefox").is_empty());
    let connection = rusqlite::Connection::open(app.database()).unwrap();
    let integrity: String = connection
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(integrity, "ok");
}

#[test]
fn exports_the_context_in_columns_and_as_json() {
    let (app, api, public) = app_with_shop();
    let context = json!({"window": "=1+1", "language": "de-DE", "plan": "@pro"});
    let stored = send(&api, &public, FIREFOX, "Exported", &context);
    let other = json!({"project": "shop", "message": "Other", "metadata": {"browser": 7}});
    api.post("/api/v1/feedback", other).expect(201);
    let mut ada = app.signed_in();
    let page = ada.get("/feedback").expect(200);
    let file = ada
        .fetch("GET", &page.link("CSV").unwrap(), &[], None)
        .expect(200);
    let mut reader = csv::Reader::from_reader(file.response.text.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    let cells = |row: usize| {
        rows[row]
            .iter()
            .skip(8)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(cells(0), ["", "", "", ""]);
    assert_eq!(cells(1), ["Firefox 131", "Android", "'=1+1", "de-DE"]);
    assert_eq!(rows[1][7], stored["metadata"].to_string());
    let file = ada
        .fetch("GET", &page.link("JSON").unwrap(), &[], None)
        .expect(200);
    let list: Vec<Value> = serde_json::from_str(&file.response.text).unwrap();
    assert_eq!(list[1], stored);
}

#[test]
fn the_public_form_shows_and_stores_the_browser() {
    let (_app, api, public) = app_with_shop();
    let headers = [("User-Agent", FIREFOX), ("Accept-Language", "de")];
    let page = public.send("GET", "/f/shop", &headers, None).expect(200);
    assert!(
        page.text
            .contains("Wird mitgesendet: Firefox 131 · Android"),
        "{}",
        page.text
    );
    let body = "message=By+form&email=";
    let form = [
        ("User-Agent", FIREFOX),
        ("Content-Type", "application/x-www-form-urlencoded"),
    ];
    public
        .send("POST", "/f/shop", &form, Some(body.as_bytes()))
        .expect(303);
    let stored = api.get("/api/v1/feedback").expect(200).json();
    let expected = json!({"browser": "Firefox 131", "system": "Android"});
    assert_eq!(stored["data"][0]["metadata"], expected);
    // For other programs, nothing is sent, and the form doesn't mention it.
    let page = public.send("GET", "/f/shop", &[("User-Agent", "curl/8.5.0")], None);
    assert!(!page.expect(200).text.contains("Sent with your message"));
}
