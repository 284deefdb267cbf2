//! The API against its own document: schemathesis makes up hundreds of calls, good and bad ones, and looks at every
//! answer: no 5xx, nothing that the document does not have, no bad call taken and no good one refused.

use std::path::Path;
use std::process::Command;

use crate::support::api::text;
use crate::support::app::{ADMIN, App};
use crate::support::receiver::Receiver;

/// How many calls are made up for each one of the document, and how long all of it may take.
const EXAMPLES: &str = "8";
const SECONDS: &str = "75";

#[test]
fn no_answer_breaks_the_document() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let program = root.join("target/schemathesis/bin/schemathesis");
    assert!(
        program.exists(),
        "schemathesis is not installed; tests/run installs it"
    );
    let app = App::setup()
        .option("--retry-delays", "none")
        .option("--timeout", "2s")
        .start();
    let (api, receiver) = (app.api(), Receiver::ok());
    let project = api.project("My Website");
    let webhook = api.webhook(&receiver.url("/"));
    api.feedback("my-website", "Hello");
    let delivery = api.only_delivery(&webhook);

    let bearer = format!("Authorization: Bearer {}", app.token(ADMIN, "full"));
    let document = format!("{}/api/v1/openapi.json", app.url);
    let ran = Command::new(program)
        .current_dir(root.join("tests/schemathesis"))
        .args(["--config-file", "schemathesis.toml", "run", &document])
        .args(["--header", &bearer, "--checks", "all", "--no-color"])
        .args(["--max-examples", EXAMPLES, "--max-time", SECONDS])
        .args(["--seed", "1", "--workers", "2", "--request-timeout", "20"])
        .env("MINIBACK_TEST_PROJECT", text(&project, "slug"))
        .env("MINIBACK_TEST_DELIVERY", text(&delivery, "id"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("schemathesis starts");
    let report = String::from_utf8_lossy(&ran.stdout);
    assert!(
        ran.status.success(),
        "{report}\n{}",
        String::from_utf8_lossy(&ran.stderr)
    );
    assert!(!app.log.to_string().contains("panicked"), "{}", app.log);
    println!("{report}");
}
