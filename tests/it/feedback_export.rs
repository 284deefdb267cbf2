//! The CSV and JSON exports of the feedback list.

use std::io::Write;
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::support::api::{millis, text};
use crate::support::app::App;
use crate::support::pages::Visitor;
use crate::support::wait::{DEADLINE, poll};

const COLUMNS: [&str; 12] = [
    "id",
    "createdAt",
    "status",
    "project",
    "message",
    "email",
    "url",
    "metadata",
    "browser",
    "system",
    "window",
    "language",
];

fn parse_rows(text: &str) -> Vec<csv::StringRecord> {
    let text = text
        .strip_prefix('\u{feff}')
        .expect("find a byte order mark");
    let lines = text.lines().filter(|line| line.starts_with("\"fb_"));
    assert!(
        lines.clone().all(|line| line.contains("\",\"")),
        "a field isn't quoted"
    );
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(reader.headers().unwrap(), COLUMNS.as_slice());
    reader.records().collect::<Result<_, _>>().unwrap()
}

#[test]
fn exports_the_complete_list_as_csv_and_json() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    api.create_project("Docs");
    for number in 0..1_003 {
        api.create_feedback("shop", &format!("message {number}, with a comma"));
    }
    let body = json!({
        "project": "docs", "message": "line\nand \"line\" ü", "email": "sam@example.com",
        "url": "https://docs.example/", "metadata": {"a": [1, 2]},
    });
    let last = api.post("/api/v1/feedback", body).expect(201).json();
    let mut ada = app.signed_in();
    let page = ada.get("/feedback").expect(200);
    let (csv_link, json_link) = (page.link("CSV").unwrap(), page.link("JSON").unwrap());
    let file = ada.fetch("GET", &csv_link, &[], None).expect(200);
    assert_eq!(
        file.response.header("content-type"),
        Some("text/csv; charset=utf-8")
    );
    let day = &text(&last, "createdAt")[..10];
    assert_eq!(
        file.response.header("content-disposition"),
        Some(format!("attachment; filename=\"feedback-{day}.csv\"").as_str())
    );
    let rows = parse_rows(&file.response.text);
    assert_eq!(rows.len(), 1_004);
    let first: Vec<&str> = rows[0].iter().collect();
    let expected = [
        text(&last, "id"),
        text(&last, "createdAt"),
        "NEW",
        "docs",
        "line\nand \"line\" ü",
        "sam@example.com",
        "https://docs.example/",
        "{\"a\":[1,2]}",
        "",
        "",
        "",
        "",
    ];
    assert_eq!(first, expected);
    assert_eq!(&rows[1_003][4], "message 0, with a comma");
    assert!(
        rows.windows(2).all(|pair| pair[0][0] > pair[1][0]),
        "the rows aren't unique and newest first"
    );

    let file = ada.fetch("GET", &json_link, &[], None).expect(200);
    let list: Vec<Value> = serde_json::from_str(&file.response.text).unwrap();
    assert_eq!(list.len(), 1_004);
    assert_eq!(list[0], last, "the export differs from the API");
    assert!(millis(&list[0]["createdAt"]) > 0);
}

#[test]
fn exports_the_filtered_list() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    api.create_project("Docs");
    for number in [1, 1_002] {
        api.create_feedback("shop", &format!("message {number}, with a comma"));
    }
    let last = api.create_feedback("docs", "message 1002");
    let day = &text(&last, "createdAt")[..10];
    let mut ada = app.signed_in();
    let page = ada
        .get("/feedback?project=shop&q=message+1002&status=NEW")
        .expect(200);
    let file = ada
        .fetch("GET", &page.link("CSV").unwrap(), &[], None)
        .expect(200);
    assert_eq!(parse_rows(&file.response.text).len(), 1);
    let name = format!("feedback-shop-new-{day}.csv");
    assert!(
        file.response
            .header("content-disposition")
            .unwrap()
            .contains(&name)
    );
    let empty = ada.get("/feedback/export.json?q=absent").expect(200);
    assert_eq!(empty.response.text.trim(), "[]");
    let empty = ada.get("/feedback/export.csv?q=absent").expect(200);
    assert!(parse_rows(&empty.response.text).is_empty());
    let signed_out = app.visitor().get("/feedback/export.csv");
    assert!(
        matches!(signed_out.response.status, 302 | 303),
        "a visitor can export feedback without signing in: {:?}",
        signed_out.response
    );
}

#[test]
fn csv_cells_are_never_formulas() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    let cells = [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t'=1"),
        ("\r=1", "'\r'=1"),
        ("\n=1", "'\n'=1"),
        ("x;=cmd|' /C calc'!A0", "x;'=cmd|' /C calc'!A0"),
        ("x\t=1", "x\t'=1"),
        ("x;\"=1", "x;'\"=1"),
        ("＝1+1", "'＝1+1"),
        ("－1", "'－1"),
        (" =1", "' =1"),
        ("\u{200b}=1", "'\u{200b}=1"),
        ("\u{a0}+1", "'\u{a0}+1"),
        ("\u{3000}@a", "'\u{3000}@a"),
        ("a = b; c", "a = b; c"),
    ];
    for (message, _) in cells {
        api.create_feedback("shop", message);
    }
    let body = json!({"project": "shop", "message": "plain", "email": "=cmd@example.com"});
    api.post("/api/v1/feedback", body).expect(201);
    let mut ada = app.signed_in();
    let file = ada.get("/feedback/export.csv").expect(200);
    let rows = parse_rows(&file.response.text);
    assert_eq!(&rows[0][5], "'=cmd@example.com");
    for (row, (_, cell)) in rows[1..].iter().rev().zip(cells) {
        assert_eq!(&row[4], cell);
    }
    let file = ada.get("/feedback/export.json").expect(200);
    let list: Vec<Value> = serde_json::from_str(&file.response.text).unwrap();
    for (feedback, (message, _)) in list[1..].iter().rev().zip(cells) {
        assert_eq!(
            feedback["message"], message,
            "the JSON export changes formulas"
        );
    }
}

/// Requests an export and waits until the response starts, without reading the response.
fn unread_export(app: &App, visitor: &Visitor) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", app.port())).unwrap();
    let session = visitor.session_cookie().unwrap();
    let request = format!(
        "GET /feedback/export.csv HTTP/1.1\r\nHost: x\r\nCookie: miniback_session={session}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream.peek(&mut [0]).expect("wait until the export starts");
    stream
}

#[test]
fn a_session_can_run_two_exports_at_a_time() {
    let app = App::start();
    let api = app.api();
    api.create_project("Shop");
    // An export of this feedback is larger than the buffers of a connection.
    let long = "\u{4e00}".repeat(9_900);
    for _ in 0..300 {
        api.create_feedback("shop", &long);
    }
    let (mut ada, mut other) = (app.signed_in(), app.signed_in());
    let unread = [unread_export(&app, &ada), unread_export(&app, &ada)];
    let rejected = poll(DEADLINE, || {
        let page = ada.get("/feedback/export.json");
        (page.response.status != 200).then_some(page)
    })
    .expect("wait until the third export is rejected");
    assert_eq!(rejected.response.status, 503);
    assert!(rejected.response.header("retry-after").is_some());
    assert!(rejected.text().contains("Other exports are still running"));
    other.get("/feedback/export.json").expect(200);
    ada.get("/feedback").expect(200);
    drop(unread);
    poll(DEADLINE, || {
        let page = ada.get("/feedback/export.csv");
        (page.response.status == 200)
            .then(|| assert_eq!(parse_rows(&page.response.text).len(), 300))
    })
    .expect("start another export");
}
