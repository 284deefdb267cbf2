//! The architecture, held by tests: which module may know which, where the dangerous things stand,
//! and that the map in `docs/architecture.md` is the tree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules each may use. Not one arrow leads back.
const ARROWS: &[(&str, &[&str])] = &[
    ("random", &[]),
    ("clock", &[]),
    ("domain", &["clock", "random"]),
    ("store", &["clock", "domain"]),
    ("delivery", &["clock", "domain", "random", "store"]),
    (
        "server",
        &["clock", "delivery", "domain", "random", "store"],
    ),
    ("intake", &["clock", "domain", "random", "server", "store"]),
    ("background", &["clock", "store"]),
    (
        "api",
        &[
            "clock", "delivery", "domain", "intake", "random", "server", "store",
        ],
    ),
    (
        "pages",
        &[
            "clock", "delivery", "domain", "intake", "random", "server", "store",
        ],
    ),
    ("config", &["domain"]),
    ("logging", &["config"]),
    ("demo", &["clock", "random"]),
    (
        "app",
        &[
            "api",
            "background",
            "clock",
            "config",
            "delivery",
            "domain",
            "intake",
            "pages",
            "random",
            "server",
            "store",
        ],
    ),
    (
        "cli",
        &[
            "api", "app", "clock", "config", "delivery", "demo", "domain", "logging", "random",
            "server", "store",
        ],
    ),
];

struct Source {
    /// From the repository's root, with forward slashes.
    path: String,
    text: String,
}

impl Source {
    /// `store` for `src/store/feedback.rs` and for `src/store.rs`.
    fn module(&self) -> &str {
        let inner = self.path.trim_start_matches("src/");
        inner
            .split('/')
            .next()
            .unwrap_or_default()
            .trim_end_matches(".rs")
    }

    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// The code that ships, without comments and the tests at the file's end.
    fn code(&self) -> String {
        let shipped = self
            .text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        let without_comments = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
        shipped
            .lines()
            .map(without_comments)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_under(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_under(&path, found);
        } else {
            found.push(path);
        }
    }
}

fn sources(directory: &str) -> Vec<Source> {
    let mut files = Vec::new();
    files_under(&root().join(directory), &mut files);
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.sort();
    let source = |path: &PathBuf| Source {
        path: path
            .strip_prefix(root())
            .unwrap()
            .to_string_lossy()
            .into_owned(),
        text: fs::read_to_string(path).unwrap(),
    };
    files.iter().map(source).collect()
}

fn shipped() -> Vec<Source> {
    sources("src")
        .into_iter()
        .filter(|source| !source.is_test())
        .collect()
}

/// The files outside of `places` in whose code one of `words` stands.
fn strays(places: &[&str], words: &[&str]) -> Vec<String> {
    shipped()
        .iter()
        .filter(|source| !places.iter().any(|place| source.path.starts_with(place)))
        .filter(|source| words.iter().any(|word| source.code().contains(word)))
        .map(|source| source.path.clone())
        .collect()
}

#[test]
fn dependencies_between_modules_run_one_way() {
    let modules: BTreeSet<&str> = ARROWS.iter().map(|(module, _)| *module).collect();
    for (index, (module, uses)) in ARROWS.iter().enumerate() {
        let earlier: Vec<&str> = ARROWS[..index].iter().map(|(module, _)| *module).collect();
        // In the order of the list each may use only what stands before it: so there is no circle.
        assert!(
            uses.iter().all(|used| earlier.contains(used)),
            "{module} uses what comes after it"
        );
    }
    for source in shipped() {
        let module = source.module();
        if matches!(module, "main" | "lib") {
            continue;
        }
        let (_, allowed) = ARROWS
            .iter()
            .find(|(name, _)| *name == module)
            .expect(&source.path);
        for rest in source.code().split("crate::").skip(1) {
            let used: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            let fine = used == module
                || allowed.contains(&used.as_str())
                || !modules.contains(used.as_str());
            assert!(
                fine,
                "{} uses crate::{used}, which {module} may not know",
                source.path
            );
            // `use crate::{a, b}` would hide its arrows from this test.
            assert!(
                !used.is_empty() || module == "app",
                "{}: name one module a `use`",
                source.path
            );
            let braces: String = rest.chars().take_while(|c| *c != ';').collect();
            for used in modules.iter().filter(|_| rest.starts_with('{')) {
                let named = braces
                    .split(|c: char| !c.is_alphanumeric() && c != '_')
                    .any(|word| word == *used);
                assert!(
                    !named || allowed.contains(used),
                    "{} uses crate::{used}",
                    source.path
                );
            }
        }
    }
}

#[test]
fn sql_stands_in_the_store_alone() {
    let words = [
        "rusqlite",
        "r2d2",
        "SELECT ",
        "INSERT INTO",
        "DELETE FROM",
        "PRAGMA ",
    ];
    assert_eq!(strays(&["src/store/"], &words), Vec::<String>::new());
}

#[test]
fn calls_to_endpoints_are_made_in_one_place() {
    let sender = [
        "src/delivery/client.rs",
        "src/delivery/connector.rs",
        "src/delivery/http_stream.rs",
        "src/delivery/outcomes.rs",
        "src/demo/",
    ];
    assert_eq!(
        strays(&sender, &["awc::", "TcpStream", "TcpSocket", "lookup_host"]),
        Vec::<String>::new()
    );
}

#[test]
fn addresses_are_served_from_the_tables_of_routes() {
    // Else `every_route.rs` would not know of them. Health and the base path have nothing to keep
    // from anybody.
    let places = [
        "src/server/routing.rs",
        "src/server/health.rs",
        "src/app.rs",
        "src/demo/",
    ];
    let words = ["web::resource(", "web::scope(", ".route(\""];
    assert_eq!(strays(&places, &words), Vec::<String>::new());
}

#[test]
fn html_stands_in_templates_alone() {
    let tags = [
        "<div", "<p>", "<span", "<form", "<html", "<button", "<style", "<script",
    ];
    assert_eq!(strays(&[], &tags), Vec::<String>::new());
    let mut templates = Vec::new();
    files_under(&root().join("templates"), &mut templates);
    for template in templates {
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
                "{} holds {inline}",
                template.display()
            );
        }
    }
}

#[test]
fn the_domain_knows_no_framework_no_client_and_no_database() {
    let elsewhere: Vec<String> = shipped()
        .iter()
        .map(|s| s.path.clone())
        .filter(|p| !p.starts_with("src/domain/"))
        .collect();
    let elsewhere: Vec<&str> = elsewhere.iter().map(String::as_str).collect();
    assert_eq!(
        strays(&elsewhere, &["actix", "awc", "rusqlite", "tokio", "askama"]),
        Vec::<String>::new()
    );
}

#[test]
fn every_file_says_what_it_is_for() {
    for source in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        assert!(
            source.text.starts_with("//!"),
            "{} has no //! at its beginning",
            source.path
        );
    }
}

#[test]
fn no_file_has_grown_out_of_one_mind() {
    for source in ["src", "tests", "benches"].into_iter().flat_map(sources) {
        let lines = source.text.lines().count();
        assert!(
            lines <= 450,
            "{} has {lines} lines: it is asking to be two",
            source.path
        );
    }
}

#[test]
fn the_map_in_the_architecture_is_the_tree() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let map = text
        .split("```text\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .expect("a map in ```text");
    let mut directory = String::new();
    let mut named = BTreeSet::new();
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
            named.extend(
                names
                    .split_whitespace()
                    .map(|name| format!("{directory}{name}")),
            );
        }
    }
    let tree: BTreeSet<String> = shipped().iter().map(|source| source.path.clone()).collect();
    assert_eq!(named, tree, "left: the map, right: the tree");
}
