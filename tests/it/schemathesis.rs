//! The API against its own document: schemathesis makes up hundreds of calls, good and bad ones,
//! and looks at every answer: no 5xx, nothing that the document does not have, no bad call taken
//! and no good one refused.

use std::path::Path;
use std::process::Command;

use crate::support::api::text;
use crate::support::app::{ADMIN, App};
use crate::support::receiver::Receiver;

/// How many calls are made up at random for each one of the document, beside those at the edges of
/// its schemas. It is their number that ends this, not the time, so that a slow machine looks at no
/// less.
const EXAMPLES: &str = "8";

#[test]
fn no_answer_breaks_the_document() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.join("target/schemathesis/bin/schemathesis");
    assert!(
        program.exists(),
        "schemathesis is not installed; tests/run installs it"
    );
    let app = App::builder()
        .option("--retry-delays", "none")
        .option("--timeout", "2s")
        .start();
    let (api, receiver) = (app.api(), Receiver::ok());
    // Not the name of the document's examples, by which a project is deleted too.
    let project = api.create_project("Kept");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_feedback("kept", "Hello");
    let delivery = api.only_delivery(&webhook);

    let bearer = format!("Authorization: Bearer {}", app.token(ADMIN, "full"));
    // From a file: read from its own address, schemathesis leaves the call to that address out.
    let served = api.get("/api/v1/openapi.json").expect(200);
    let directory = tempfile::TempDir::new().unwrap();
    let document = directory.path().join("openapi.json");
    std::fs::write(&document, &served.text).unwrap();
    let ran = Command::new(program)
        // It keeps what it found beside it, and would begin with that the next time: each run is
        // the first one.
        .current_dir(directory.path())
        .arg("--config-file")
        .arg(root.join("tests/schemathesis/schemathesis.toml"))
        .arg("run")
        .arg(&document)
        .args(["--url", &app.url])
        .args(["--header", &bearer, "--checks", "all", "--no-color"])
        .args(["--max-examples", EXAMPLES, "--seed", "1"])
        // One at a time: Python 3.11 cannot parse code in two threads at once
        // (python/cpython#106905).
        .args(["--workers", "1", "--request-timeout", "30"])
        .env("MINIBACK_TEST_PROJECT", text(&project, "slug"))
        .env("MINIBACK_TEST_DELIVERY", text(&delivery, "id"))
        .env(
            "SCHEMATHESIS_HOOKS",
            root.join("tests/schemathesis/hooks.py"),
        )
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("schemathesis starts");
    let report = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success(),
        "{report}\n{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    // None is left out, and none fails before it is tried.
    let described = served.json();
    let methods = described["paths"].as_object().unwrap().values();
    let calls: usize = methods.map(|item| item.as_object().unwrap().len()).sum();
    assert!(report.contains(&format!("Tested: {calls}")), "{report}");
    assert!(!app.log.to_string().contains("panicked"), "{}", app.log);
    println!("{report}");
}
