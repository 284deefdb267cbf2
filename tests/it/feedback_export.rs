//! The CSV and JSON exports of the feedback list.

use serde_json::{Value, json};

use crate::support::api::{millis, text};
use crate::support::app::App;

const COLUMNS: [&str; 8] = [
    "id",
    "createdAt",
    "status",
    "project",
    "message",
    "email",
    "url",
    "metadata",
];

fn parse_rows(text: &str) -> Vec<csv::StringRecord> {
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
    let formulas = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"];
    for formula in formulas {
        api.create_feedback("shop", formula);
    }
    let body = json!({"project": "shop", "message": "plain", "email": "=cmd@example.com"});
    api.post("/api/v1/feedback", body).expect(201);
    let mut ada = app.signed_in();
    let file = ada.get("/feedback/export.csv").expect(200);
    let rows = parse_rows(&file.response.text);
    assert_eq!(&rows[0][5], "'=cmd@example.com");
    for (row, formula) in rows[1..].iter().rev().zip(formulas) {
        assert_eq!(row[4], format!("'{formula}"));
    }
    let file = ada.get("/feedback/export.json").expect(200);
    assert!(
        file.response.text.contains("\"=1+1\""),
        "the JSON export changes formulas"
    );
}
