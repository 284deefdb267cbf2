//! Upgrades: released migrations never change, and every version opens the databases of all earlier
//! versions. Also tests how long copies of earlier databases are kept.

mod sample_database;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use flate2::read::GzDecoder;
use rusqlite::Connection;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::api::Api;
use crate::support::app::{ADMIN, App, PASSWORD, database};
use crate::support::command::{miniback, run_on_data_dir, wrapped_by};
use crate::support::in_process::{InProcess, START};
use crate::support::receiver::{ReceivedRequest, Receiver};
use crate::support::signature::{hex_signature, verify_standard_webhook};
use crate::support::source_files::repo_root;
use crate::support::wait::wait_until;

/// The SHA-256 of each released migration.
const MIGRATIONS: [(&str, &str); 1] = [(
    "001_first.sql",
    "5d16470a6546b768c17bfccaa8249d57be6aa45cbcaebcb420734eba9912f00d",
)];

/// The migrations that aren't released yet. They can still change. When a version is released, they
/// move to `MIGRATIONS`.
const UNRELEASED_MIGRATIONS: [&str; 1] = ["002_formats.sql"];

/// The tables that the server changes while it delivers the pending deliveries.
const CHANGING_TABLES: [&str; 8] = [
    "alerts",
    "api_tokens",
    "attempt_statistics",
    "attempts",
    "clock_readings",
    "feedback_search",
    "sessions",
    "signing_keys",
];

#[test]
fn released_migrations_are_unchanged() {
    let directory = repo_root().join("src/store/schema");
    let mut names: Vec<_> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let released = MIGRATIONS.map(|(name, _)| name);
    assert_eq!(
        names,
        [&released[..], &UNRELEASED_MIGRATIONS].concat(),
        "add the new migration to UNRELEASED_MIGRATIONS"
    );
    for (name, hash) in MIGRATIONS {
        let text = fs::read(directory.join(name)).unwrap();
        let found = hex::encode(Sha256::digest(text));
        assert_eq!(
            found, hash,
            "{name} was released; undo the change, and write a new migration instead"
        );
    }
}

/// Returns the tables, without SQLite's own tables and the internal tables of the search index.
fn tables(connection: &Connection) -> Vec<String> {
    let statement = "SELECT name FROM pragma_table_list
        WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite_%'
        ORDER BY name";
    let mut statement = connection.prepare(statement).unwrap();
    let names = statement.query_map([], |row| row.get(0)).unwrap();
    names.collect::<Result<_, _>>().unwrap()
}

fn count(connection: &Connection, from: &str) -> u64 {
    let statement = format!("SELECT count(*) FROM {from}");
    connection
        .query_row(&statement, [], |row| row.get(0))
        .unwrap()
}

/// Returns the numbers of rows of those `tables` that the server doesn't change.
fn row_counts(connection: &Connection, tables: &[String]) -> Vec<(String, u64)> {
    tables
        .iter()
        .filter(|table| !CHANGING_TABLES.contains(&table.as_str()))
        .map(|table| {
            let rows = count(connection, table);
            (table.clone(), rows)
        })
        .collect()
}

/// Checks that a sample contains every kind of row.
#[track_caller]
fn check_sample(connection: &Connection) {
    for table in tables(connection) {
        if table != "feedback_search" {
            assert!(count(connection, &table) > 0, "{table} is empty");
        }
    }
    for (table, column, values) in [
        ("users", "role", &["admin", "member"][..]),
        ("projects", "status", &["ACTIVE", "PAUSED"]),
        ("feedback", "status", &["NEW", "REVIEWED", "RESOLVED"]),
        (
            "deliveries",
            "state",
            &["pending", "delivered", "failed", "canceled"],
        ),
        ("one_time_links", "purpose", &["invitation", "reset"]),
        (
            "events",
            "type",
            &["feedback.created", "feedback.updated", "test"],
        ),
        ("webhooks", "retry_policy", &["standard", "patient"]),
    ] {
        for value in values {
            let found = count(connection, &format!("{table} WHERE {column} = '{value}'"));
            assert!(found > 0, "no row of {table} has {column} = {value}");
        }
    }
    for column in ["next_secret", "failing_since", "held_until", "deleted_at"] {
        let found = count(connection, &format!("webhooks WHERE {column} IS NOT NULL"));
        assert!(found > 0, "no webhook has {column}");
    }
}

/// Returns the stored bodies of all pending deliveries, sorted.
fn pending_bodies(connection: &Connection) -> Vec<Vec<u8>> {
    let columns = "SELECT count(*) FROM pragma_table_info('deliveries') WHERE name = 'body_number'";
    let has_formats: bool = connection.query_row(columns, [], |row| row.get(0)).unwrap();
    let body = match has_formats {
        true => "iif(body_number IS NULL, events.body, event_bodies.body)",
        false => "events.body",
    };
    let other_bodies = match has_formats {
        true => "LEFT JOIN event_bodies ON event_bodies.number = body_number",
        false => "",
    };
    let statement = format!(
        "SELECT {body} FROM deliveries JOIN events ON events.number = deliveries.event_number
         {other_bodies} WHERE state = 'pending'"
    );
    let mut statement = connection.prepare(&statement).unwrap();
    let bodies = statement.query_map([], |row| row.get(0)).unwrap();
    let mut bodies: Vec<Vec<u8>> = bodies.collect::<Result<_, _>>().unwrap();
    bodies.sort();
    bodies
}

/// Checks the values that the migrations gave to the rows of 0.1.0.
fn check_new_columns(api: &Api, dir: &Path) {
    let webhooks = api.get("/api/v1/webhooks").json();
    let webhooks = webhooks["data"].as_array().unwrap();
    assert!(!webhooks.is_empty());
    for webhook in webhooks {
        assert_eq!(webhook["format"], "standard");
        assert_eq!(webhook["details"], false);
    }
    let connection = Connection::open(database(dir)).unwrap();
    let changed = count(&connection, "projects WHERE updated_at <> created_at");
    assert_eq!(changed, 0);
}

/// Checks the signatures of a request with the webhook's secret in the database.
fn check_signatures(connection: &Connection, request: &ReceivedRequest) {
    let statement = "SELECT secret FROM webhooks WHERE deleted_at IS NULL";
    let mut statement = connection.prepare(statement).unwrap();
    let secrets = statement.query_map([], |row| row.get(0)).unwrap();
    let secrets: Vec<String> = secrets.collect::<Result<_, _>>().unwrap();
    let signature = request.header("X-Miniback-Signature");
    let secret = secrets
        .iter()
        .find(|secret| hex_signature(secret, &request.body) == signature)
        .expect("find the secret that signed the request");
    verify_standard_webhook(secret, request).unwrap();
}

/// Decompresses a sample database into a new data directory.
fn data_directory_with(sample: &Path) -> Arc<TempDir> {
    let data = Arc::new(TempDir::new().unwrap());
    let dir = data.path().join("data");
    fs::create_dir(&dir).unwrap();
    let mut bytes = Vec::new();
    GzDecoder::new(File::open(sample).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    let file = dir.with_file_name("sample.db");
    fs::write(&file, bytes).unwrap();
    run_on_data_dir(&dir, &["restore", file.to_str().unwrap()], "").success();
    data
}

#[test]
fn opens_the_databases_of_all_released_versions() {
    let mut samples = 0;
    for entry in fs::read_dir(repo_root().join("tests/fixtures")).unwrap() {
        let sample = entry.unwrap().path();
        if sample.to_string_lossy().ends_with(".db.gz") {
            open_sample(&sample);
            samples += 1;
        }
    }
    assert!(samples > 0);
}

#[track_caller]
fn open_sample(sample: &Path) {
    let data = data_directory_with(sample);
    let dir = data.path().join("data");
    let receiver = Receiver::ok();
    let connection = Connection::open(database(&dir)).unwrap();
    check_sample(&connection);
    let old_tables = tables(&connection);
    let before = row_counts(&connection, &old_tables);
    let states = "deliveries WHERE state = ";
    let pending = count(&connection, &format!("{states} 'pending'"));
    let delivered = count(&connection, &format!("{states} 'delivered'"));
    let pending_bodies = pending_bodies(&connection);
    // The endpoints of the sample don't exist anymore. A hold can last until an hour after the
    // sample was created.
    let change = "UPDATE webhooks SET url = ?1 WHERE deleted_at IS NULL";
    connection.execute(change, [receiver.url("/")]).unwrap();
    connection
        .execute_batch(
            "UPDATE webhooks SET held_until = created_at WHERE held_until IS NOT NULL;
             UPDATE deliveries SET due_at = created_at WHERE state = 'pending'",
        )
        .unwrap();
    drop(connection);

    let app = App::builder().without_admin().with_data_dir(data).start();
    let api = app.api();
    wait_until("the pending deliveries arrive", || {
        let pending = api.get("/metrics").text;
        let pending = pending
            .lines()
            .filter(|line| line.contains("state=\"pending\""));
        pending
            .clone()
            .all(|line| line.ends_with(" 0"))
            .then_some(())
    });
    app.signed_in();
    let found = api
        .get("/api/v1/feedback?q=cr%C3%A8me+br%C3%BBl%C3%A9e")
        .json();
    assert_eq!(found["data"].as_array().map(Vec::len), Some(1), "{found}");
    // The search also finds metadata, which the index of version 0.1.0 doesn't contain.
    let with_metadata = api.get("/api/v1/feedback?q=br%C3%BBl%C3%A9e+7").json();
    assert_eq!(with_metadata, found);
    let check = app.run(&["check"], "").success().stdout;
    assert!(check.contains("ok     delivery totals"), "{check}");

    check_new_columns(&api, &dir);
    let connection = Connection::open(database(&dir)).unwrap();
    assert_eq!(row_counts(&connection, &old_tables), before);
    assert_eq!(count(&connection, &format!("{states} 'pending'")), 0);
    let now_delivered = count(&connection, &format!("{states} 'delivered'"));
    assert_eq!(now_delivered, delivered + pending);
    let received = receiver.received();
    assert_eq!(received.len() as u64, pending);
    received
        .iter()
        .for_each(|request| check_signatures(&connection, request));
    let mut bodies: Vec<_> = received.into_iter().map(|request| request.body).collect();
    bodies.sort();
    assert_eq!(bodies, pending_bodies);
    app.api().create_project("New project");
    let mut visitor = app.visitor();
    visitor.sign_in(ADMIN, PASSWORD);
}

/// Starts the server with `prlimit` and this file size limit. Kills it when a log line contains
/// `message`, and returns when it has ended.
fn interrupt_start(dir: &Path, file_size_max: &str, message: &str) {
    let dir = dir.to_str().unwrap();
    let server = miniback(["serve", "--listen", "127.0.0.1:0", "--data-dir", dir]);
    let limit = format!("--fsize={file_size_max}");
    let mut server = wrapped_by(&server, "prlimit", &[&limit])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stderr.take().unwrap()).lines();
    let found = lines
        .map_while(Result::ok)
        .find(|line| line.contains(message));
    if found.is_some() {
        server.kill().unwrap();
    }
    server.wait().unwrap();
}

#[test]
fn an_interrupted_upgrade_is_repeated_and_loses_nothing() {
    let sample = repo_root().join("tests/fixtures/0.1.0.db.gz");
    for (file_size_max, message) in [
        ("unlimited", "copying the database before its migration"),
        ("unlimited", "copied the database before its migration"),
        ("unlimited", "migrating the database"),
        ("unlimited", "migrated the database"),
        // The copy doesn't fit.
        ("100000", "listening"),
    ] {
        let data = data_directory_with(&sample);
        let dir = data.path().join("data");
        let connection = Connection::open(database(&dir)).unwrap();
        let old_tables = tables(&connection);
        let before = row_counts(&connection, &old_tables);
        // No delivery may change the rows that are compared.
        let disable = "UPDATE webhooks SET enabled = 0";
        connection.execute(disable, []).unwrap();
        drop(connection);
        interrupt_start(&dir, file_size_max, message);
        let connection = Connection::open(database(&dir)).unwrap();
        let check: String = connection
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok", "{message}");
        drop(connection);
        let app = App::builder().without_admin().with_data_dir(data).start();
        let connection = Connection::open(app.database()).unwrap();
        let version: u32 = connection
            .query_row("PRAGMA user_version", [], |row| row.get(0))
            .unwrap();
        assert_eq!(version, 2, "{message}");
        assert_eq!(row_counts(&connection, &old_tables), before, "{message}");
    }
}

#[test]
fn deletes_copies_from_before_a_migration_after_7_days() {
    let app = InProcess::start(&[]);
    let dir = app.database().parent().unwrap().to_owned();
    let migrated_at = SystemTime::UNIX_EPOCH + Duration::from_millis(START as u64);
    let create = |name: &str| {
        let path = dir.join(name);
        File::create(&path)
            .unwrap()
            .set_modified(migrated_at)
            .unwrap();
        path
    };
    let copy = create("miniback.db.v1-before-v2");
    let kept = [
        create("miniback.db.before-restore-1"),
        create("copy.db"),
        create("miniback.db.v1"),
    ];
    app.advance(Duration::from_secs(7 * 24 * 3600 - 120));
    app.wait_for_commit();
    assert!(copy.exists());
    app.advance(Duration::from_secs(240));
    wait_until("the copy is deleted", || {
        // If retention was running when the clock moved, its next run is up to 50 s later.
        app.advance(Duration::from_secs(60));
        (!copy.exists()).then_some(())
    });
    for path in kept {
        assert!(path.exists(), "{}", path.display());
    }
}
