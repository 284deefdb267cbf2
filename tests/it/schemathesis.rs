//! Tests the API against its OpenAPI document. Schemathesis generates hundreds of valid and invalid
//! requests and checks every response: no 5xx, no undocumented response, no invalid request
//! accepted, and no valid request rejected.

use std::path::Path;
use std::process::Command;

use crate::support::api::text;
use crate::support::app::{ADMIN, App};
use crate::support::receiver::Receiver;

/// The number of random requests per operation, in addition to the requests at the limits of the
/// schemas. It isn't a time limit, so slow machines run the same tests.
const EXAMPLES_PER_OPERATION: &str = "8";

#[test]
fn every_response_conforms_to_the_openapi_document() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.join("target/schemathesis/bin/schemathesis");
    assert!(
        program.exists(),
        "schemathesis isn't installed: run `tests/run` once, which installs it"
    );
    let app = App::builder()
        .option("--retry-delays", "none")
        .option("--timeout", "2s")
        .start();
    let (api, receiver) = (app.api(), Receiver::ok());
    // The slug must differ from the slug in the document's examples, because schemathesis deletes
    // the example project.
    let project = api.create_project("Kept");
    let webhook = api.create_webhook(&receiver.url("/"));
    api.create_feedback("kept", "Hello");
    let delivery = api.only_delivery(&webhook);

    let bearer = format!("Authorization: Bearer {}", app.token(ADMIN, "full"));
    // Use a file, because schemathesis doesn't test the path that it loads the document from.
    let document_text = api.get("/api/v1/openapi.json").expect(200);
    let directory = tempfile::TempDir::new().unwrap();
    let document = directory.path().join("openapi.json");
    std::fs::write(&document, &document_text.text).unwrap();
    let output = Command::new(program)
        // Schemathesis stores failures in the working directory and replays them later. An empty
        // directory contains no failures of an earlier run.
        .current_dir(directory.path())
        .arg("--config-file")
        .arg(root.join("tests/schemathesis/schemathesis.toml"))
        .arg("run")
        .arg(&document)
        .args(["--url", &app.url])
        .args(["--header", &bearer, "--checks", "all", "--no-color"])
        .args(["--max-examples", EXAMPLES_PER_OPERATION, "--seed", "1"])
        // Use one worker, because Python 3.11 can't parse code in two threads at once
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
        .expect("run schemathesis");
    let report = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{report}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let openapi = document_text.json();
    let methods = openapi["paths"].as_object().unwrap().values();
    let operations: usize = methods.map(|item| item.as_object().unwrap().len()).sum();
    assert!(
        report.contains(&format!("Tested: {operations}")),
        "{report}"
    );
    assert!(!app.log.to_string().contains("panicked"), "{}", app.log);
    println!("{report}");
}
