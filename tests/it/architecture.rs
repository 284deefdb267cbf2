//! Checks the dependencies, sizes, and names of source files, and which files contain SQL, HTML, or
//! outbound requests. Compares the map in `docs/architecture.md` with the source tree.

use std::collections::BTreeSet;
use std::fs;

use crate::support::source_files::{SourceFile, all_sources, files_in, program_sources, repo_root};

/// The top-level modules, each with the modules that it may use, separated by spaces. A module may
/// only use modules that are listed above it, so there are no cycles.
const DEPENDENCIES: &[(&str, &str)] = &[
    ("random", ""),
    ("version", ""),
    ("clock", ""),
    ("io_errors", ""),
    ("config_files", "io_errors"),
    ("domain", "clock random"),
    ("metrics", "domain"),
    ("formats", "clock domain"),
    ("store", "clock domain formats io_errors metrics"),
    (
        "delivery",
        "clock config_files domain formats io_errors metrics random store",
    ),
    ("server", "clock delivery domain metrics random store"),
    ("intake", "clock domain metrics random server store"),
    ("background", "clock metrics store"),
    (
        "api",
        "clock delivery domain formats intake metrics random server store version",
    ),
    (
        "pages",
        "clock delivery domain formats intake metrics random server store",
    ),
    ("config", "config_files domain io_errors version"),
    ("logging", "config server"),
    ("demo", "clock random"),
    (
        "app",
        "api background clock config delivery domain intake io_errors pages random server store",
    ),
    (
        "cli",
        "api app clock config config_files delivery demo domain io_errors logging random server store \
         version",
    ),
];

/// The crates that `src/domain` may use. `serde` and `utoipa` are only for derives.
const DOMAIN_CRATES: [&str; 19] = [
    "argon2",
    "base64",
    "deunicode",
    "email_address",
    "hex",
    "http",
    "httpdate",
    "humantime",
    "idna",
    "ipnet",
    "percent_encoding",
    "ring",
    "serde",
    "serde_json",
    "thiserror",
    "ulid",
    "unicode_normalization",
    "url",
    "utoipa",
];

const LINES_MAX: usize = 400;
const COMMENT_COLUMNS_MAX: usize = 100;
const TEST_NAME_MAX: usize = 70;

/// Returns the program's files whose code contains one of `texts`. Skips files under `paths`.
fn files_outside(paths: &[&str], texts: &[&str]) -> Vec<String> {
    program_sources()
        .iter()
        .filter(|source| !paths.iter().any(|path| source.path.starts_with(path)))
        .filter(|source| texts.iter().any(|text| source.code().contains(text)))
        .map(|source| source.path.clone())
        .collect()
}

/// Returns the names after `crate::` in `code`, including all names in a `crate::{…}` group.
fn modules_used(code: &str) -> Vec<String> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let mut used = Vec::new();
    for rest in code.split("crate::").skip(1) {
        if rest.starts_with('{') {
            let group = rest.split(';').next().unwrap_or_default();
            let names = group.split(|c: char| !is_name(c)).map(str::to_owned);
            used.extend(names);
        } else {
            used.push(rest.chars().take_while(|c| is_name(*c)).collect());
        }
    }
    used
}

#[test]
fn dependencies_between_modules_run_one_way() {
    let modules: BTreeSet<&str> = DEPENDENCIES.iter().map(|(module, _)| *module).collect();
    for (index, (module, uses)) in DEPENDENCIES.iter().enumerate() {
        let above: Vec<&str> = DEPENDENCIES[..index]
            .iter()
            .map(|(name, _)| *name)
            .collect();
        assert!(
            uses.split_whitespace().all(|used| above.contains(&used)),
            "{module} may use a module that isn't listed above it"
        );
    }
    for source in program_sources() {
        let module = source.module();
        if matches!(module, "main" | "lib") {
            continue;
        }
        let (_, allowed) = DEPENDENCIES
            .iter()
            .find(|(name, _)| *name == module)
            .expect(&source.path);
        let code = source.code();
        assert!(
            !code.contains("crate::{") || module == "app",
            "{}: write one `use` per module, so that dependencies are easy to see",
            source.path
        );
        for used in modules_used(&code) {
            let is_allowed = used == module
                || allowed.split_whitespace().any(|name| name == used)
                || !modules.contains(used.as_str());
            assert!(
                is_allowed,
                "{} uses crate::{used}, but {module} must not depend on it",
                source.path
            );
        }
    }
}

#[test]
fn only_the_store_contains_sql() {
    let texts = [
        "rusqlite",
        "r2d2",
        "SELECT ",
        "INSERT INTO",
        "DELETE FROM",
        "PRAGMA ",
    ];
    assert_eq!(files_outside(&["src/store/"], &texts), Vec::<String>::new());
}

#[test]
fn only_the_delivery_client_the_demo_and_health_connect_to_servers() {
    let paths = [
        "src/cli/health.rs",
        "src/delivery/client.rs",
        "src/delivery/connector.rs",
        "src/delivery/http_stream.rs",
        "src/delivery/mail/connection.rs",
        "src/delivery/outcomes.rs",
        "src/delivery/tcp.rs",
        "src/delivery/tls.rs",
        "src/demo/",
    ];
    let texts = ["awc::", "TcpStream::connect", "TcpSocket", "lookup_host"];
    assert_eq!(files_outside(&paths, &texts), Vec::<String>::new());
}

#[test]
fn routes_are_registered_only_through_the_route_tables() {
    // `every_route.rs` tests the routes in the tables. The health check, the redirect to the base
    // path, and the demo's routes need no permission and aren't in a table.
    let paths = [
        "src/server/routing.rs",
        "src/server/health.rs",
        "src/app/routes.rs",
        "src/demo/",
    ];
    let texts = ["web::resource(", "web::scope(", ".route(\""];
    assert_eq!(files_outside(&paths, &texts), Vec::<String>::new());
}

#[test]
fn only_templates_contain_html_and_none_has_inline_code() {
    let tags = [
        "<div", "<p>", "<span", "<form", "<html", "<button", "<style", "<script",
    ];
    assert_eq!(files_outside(&[], &tags), Vec::<String>::new());
    for template in files_in("templates") {
        // Email programs ignore style sheets, and the pages' Content-Security-Policy doesn't apply.
        if template.ends_with("email/email.html") {
            continue;
        }
        let text = fs::read_to_string(&template).unwrap();
        for inline in [
            "style=\"",
            "onclick=",
            "onchange=",
            "onsubmit=",
            "javascript:",
        ] {
            assert!(
                !text.contains(inline),
                "{} contains {inline}",
                template.display()
            );
        }
    }
}

#[test]
fn the_domain_uses_no_web_framework_http_client_or_database() {
    for source in domain_sources() {
        let code = source.code();
        for word in ["actix", "awc", "rusqlite", "tokio", "askama"] {
            assert!(!code.contains(word), "{} contains {word}", source.path);
        }
    }
}

fn domain_sources() -> impl Iterator<Item = SourceFile> {
    let sources = program_sources().into_iter();
    sources.filter(|source| source.path.starts_with("src/domain/"))
}

/// Returns the names of the program's direct dependencies, with underscores instead of hyphens.
fn dependencies() -> Vec<String> {
    let manifest = fs::read_to_string(repo_root().join("Cargo.toml")).unwrap();
    let section = manifest.split("\n[dependencies]\n").nth(1);
    let section = section.expect("find the dependencies in Cargo.toml");
    section
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name.replace('-', "_"))
        .collect()
}

#[test]
fn the_domain_uses_only_listed_crates() {
    let dependencies = dependencies();
    for name in DOMAIN_CRATES {
        assert!(
            dependencies.iter().any(|dependency| dependency == name),
            "{name} in DOMAIN_CRATES isn't a dependency"
        );
    }
    for source in domain_sources() {
        let code = source.code();
        let is_boundary = |c: char| !c.is_alphanumeric() && !matches!(c, '_' | ':');
        for word in code.split(is_boundary) {
            let name = word.split("::").next().unwrap_or_default();
            let is_crate = word.contains("::") && dependencies.iter().any(|d| d == name);
            assert!(
                !is_crate || DOMAIN_CRATES.contains(&name),
                "{} uses {name}, which isn't in DOMAIN_CRATES",
                source.path
            );
        }
    }
}

#[test]
fn every_file_starts_with_a_description() {
    for source in all_sources() {
        assert!(
            source.text.starts_with("//!"),
            "{} doesn't start with //!",
            source.path
        );
    }
}

#[test]
fn files_have_at_most_400_lines() {
    for source in all_sources() {
        let lines = source.text.lines().count();
        assert!(
            lines <= LINES_MAX,
            "{} has {lines} lines; split it along a concept that has a name",
            source.path
        );
    }
}

#[test]
fn comments_are_at_most_100_columns_wide() {
    for source in all_sources() {
        for (index, line) in source.text.lines().enumerate() {
            assert!(
                !line.trim_start().starts_with("//") || line.chars().count() <= COMMENT_COLUMNS_MAX,
                "{}:{} is wider than {COMMENT_COLUMNS_MAX} columns",
                source.path,
                index + 1
            );
        }
    }
}

#[test]
fn test_names_have_at_most_70_characters() {
    for source in all_sources() {
        let mut is_test = false;
        for line in source.text.lines().map(str::trim_start) {
            if line.starts_with("#[") {
                is_test |= line.ends_with("test]") || line.contains("test(");
            } else if let Some((_, rest)) = line.split_once("fn ").filter(|_| is_test) {
                let name = rest.split('(').next().unwrap_or_default();
                assert!(
                    name.len() <= TEST_NAME_MAX,
                    "{}: {name} has {} characters",
                    source.path,
                    name.len()
                );
                is_test = false;
            }
        }
    }
}

#[test]
fn every_integration_test_file_is_a_module_of_main() {
    let directory = repo_root().join("tests/it");
    let main = fs::read_to_string(directory.join("main.rs")).unwrap();
    let modules: BTreeSet<&str> = main
        .lines()
        .filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'))
        .filter(|module| *module != "support")
        .collect();
    let files: BTreeSet<String> = fs::read_dir(directory)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".rs").map(str::to_owned))
        .filter(|name| name != "main")
        .collect();
    let files: BTreeSet<&str> = files.iter().map(String::as_str).collect();
    assert_eq!(modules, files, "main.rs must list exactly these files");
}

#[test]
fn the_map_in_the_documentation_matches_the_source_tree() {
    let text = fs::read_to_string(repo_root().join("docs/architecture.md")).unwrap();
    let map = text
        .split("```text\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("find the map in a ```text block");
    let mut directory = String::new();
    let mut mapped = BTreeSet::new();
    for line in map.lines().filter(|line| !line.trim().is_empty()) {
        let entry = line.split_whitespace().next().unwrap();
        if entry.ends_with('/') {
            directory = entry.to_owned();
        } else {
            let names = line
                .split("  ")
                .map(str::trim)
                .find(|part| !part.is_empty())
                .unwrap();
            let paths = names.split_whitespace();
            mapped.extend(paths.map(|name| format!("{directory}{name}")));
        }
    }
    let tree: BTreeSet<String> = program_sources()
        .iter()
        .map(|source| source.path.clone())
        .collect();
    let missing: Vec<_> = tree.difference(&mapped).collect();
    let removed: Vec<_> = mapped.difference(&tree).collect();
    assert!(
        mapped == tree,
        "not in the map: {missing:?}; in the map, but not in `src`: {removed:?}"
    );
}
