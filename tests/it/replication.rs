//! A database that Litestream replicates: `--wal-checkpoint external`, and the files and tables
//! that Litestream creates. `tests/packaging/litestream` runs Litestream itself.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::support::app::{App, database};
use crate::support::command::run_on_data_dir;

const PRIVACY: &str = "/settings/privacy";
const EXTERNAL: (&str, &str) = ("--wal-checkpoint", "external");

fn wal_bytes(data: &Path) -> u64 {
    let wal = database(data).with_extension("db-wal");
    fs::metadata(wal).map_or(0, |file| file.len())
}

#[test]
fn only_an_external_program_empties_the_wal_of_a_stopped_server() {
    for (option, empties) in [("auto", true), ("external", false)] {
        let app = App::builder().option("--wal-checkpoint", option).start();
        let api = app.api();
        api.create_project("Shop");
        api.create_feedback("shop", "Before the stop");
        let (status, data) = app.sigterm_and_wait();
        assert!(status.success());
        assert_eq!(wal_bytes(&data.path().join("data")) == 0, empties);
        let app = App::builder().with_data_dir(data).start();
        let feedback = app.api().get("/api/v1/feedback").json();
        assert_eq!(feedback["data"][0]["message"], "Before the stop");
    }
}

#[test]
fn starts_with_the_tables_that_litestream_creates() {
    let (_, data) = App::start().sigterm_and_wait();
    let connection = rusqlite::Connection::open(database(&data.path().join("data"))).unwrap();
    connection
        .execute_batch(
            "CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER);
             CREATE TABLE _litestream_lock (id INTEGER)",
        )
        .unwrap();
    drop(connection);
    let app = App::builder().with_data_dir(data).start();
    app.run(&["check"], "").success();
}

#[test]
fn reports_files_of_litestream_without_the_option() {
    let app = App::start();
    let dir = app.database().parent().unwrap().to_owned();
    let check = |arguments: &[&str]| run_on_data_dir(&dir, arguments, "").success().stdout;
    let notice = "set --wal-checkpoint external";
    assert!(!check(&["check"]).contains(notice));
    fs::create_dir(dir.join(".miniback.db-litestream")).unwrap();
    assert!(check(&["check"]).contains(notice));
    assert!(!check(&["check", EXTERNAL.0, EXTERNAL.1]).contains(notice));
    let data = app.sigkill();
    let app = App::builder().with_data_dir(data).start();
    let has_notice =
        |line: &serde_json::Value| line["message"].as_str().is_some_and(|m| m.contains(notice));
    assert!(app.log.find(has_notice).is_some(), "{:?}", app.log.lines());
}

#[test]
fn the_privacy_page_says_that_replicas_contain_erased_data() {
    for (option, is_mentioned) in [("auto", false), ("external", true)] {
        let app = App::builder().option("--wal-checkpoint", option).start();
        let api = app.api();
        api.create_project("Shop");
        let body = json!({"project": "shop", "message": "Hello", "email": "sam@example.com"});
        api.post("/api/v1/feedback", body).expect(201);
        let mut ada = app.signed_in();
        let form = ada.get(PRIVACY).form_in("Find personal data", "Erase");
        let filled = form.fill("Email", "sam@example.com").press("Erase");
        let page = ada.submit(&filled).expect(200);
        let says_so = |text: String| text.contains("replica contains the data until");
        assert_eq!(says_so(page.text()), is_mentioned, "{option}");
        let confirm = page.form_with("Erase").press("Erase");
        let page = ada.submit_and_follow(&confirm).expect(200);
        assert!(page.text().contains("Erased data for sam@example.com"));
        assert_eq!(says_so(page.text()), is_mentioned, "{option}");
    }
}
