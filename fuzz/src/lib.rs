//! The fuzz targets. Each target passes arbitrary bytes to a parser, and panics if an invariant
//! doesn't hold.
//!
//! `fuzz_targets/` contains a fuzzer for each target. `tests/it/fuzz_corpus.rs` compiles this file
//! into the tests, and replays the corpus.

mod diagnosis;
mod egress_policy;
mod feedback_texts;
mod forms;
mod headers;
mod json_bodies;
mod pasted_requests;
mod responses;
mod search;
mod support;
mod urls;

/// A fuzz target.
pub struct Target {
    /// The name of the target's fuzzer and of its directory in `corpus/`.
    pub name: &'static str,
    /// Runs the target. Returns whether the parser accepted the input. For a parser that accepts
    /// almost every input, returns whether the input covers an important case.
    pub run: fn(&[u8]) -> bool,
}

/// All fuzz targets.
pub const TARGETS: [Target; 16] = [
    target("chunked_body", responses::chunked_body),
    target("csv_cells", feedback_texts::csv_cells),
    target("diagnosis", diagnosis::diagnosis),
    target("egress_policy", egress_policy::egress_policy),
    target("email", feedback_texts::email),
    target("endpoint_url", urls::endpoint_url),
    target("form_data", forms::form_data),
    target("form_restore", forms::form_restore),
    target("json_body", json_bodies::json_body),
    target("origins", urls::origins),
    target("pasted_request", pasted_requests::pasted_request),
    target("request_headers", headers::request_headers),
    target("response_head", responses::response_head),
    target("retry_after", headers::retry_after),
    target("search", search::search),
    target("slug", feedback_texts::slug),
];

const fn target(name: &'static str, run: fn(&[u8]) -> bool) -> Target {
    Target { name, run }
}

/// Runs the target `name` and returns its result.
pub fn run(name: &str, data: &[u8]) -> bool {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("TARGETS contains every fuzzer").run)(data)
}
