//! Reads the repository's source files, for the tests in `architecture.rs`.

use std::fs;
use std::path::{Path, PathBuf};

/// A Rust file of the repository.
pub struct SourceFile {
    /// The path relative to the repository, with forward slashes.
    pub path: String,
    pub text: String,
}

impl SourceFile {
    /// Returns the top-level module: `store` for `src/store/feedback.rs` and `src/store.rs`.
    pub fn module(&self) -> &str {
        let inner = self.path.trim_start_matches("src/");
        inner
            .split('/')
            .next()
            .unwrap_or_default()
            .trim_end_matches(".rs")
    }

    pub fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.ends_with("/tests.rs")
    }

    /// Returns the code without comments and without the test module at the end. A `//` in a string
    /// also removes the rest of its line.
    pub fn code(&self) -> String {
        let program = self
            .text
            .split("#[cfg(test)]\nmod tests {")
            .next()
            .unwrap_or_default();
        let without_comments = |line: &str| line.split("//").next().unwrap_or_default().to_owned();
        program
            .lines()
            .map(without_comments)
            .collect::<Vec<_>>()
            .join("\n")
    }
}

pub fn repo_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect_files(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect_files(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// Returns all files in a directory of the repository, sorted.
pub fn files_in(directory: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    collect_files(&repo_root().join(directory), &mut files);
    files.sort();
    files
}

/// Reads all Rust files in a directory of the repository.
fn sources(directory: &str) -> Vec<SourceFile> {
    let mut files = files_in(directory);
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let source = |path: &PathBuf| SourceFile {
        path: path
            .strip_prefix(repo_root())
            .unwrap()
            .to_string_lossy()
            .into_owned(),
        text: fs::read_to_string(path).unwrap(),
    };
    files.iter().map(source).collect()
}

/// Reads all Rust files of the program, the tests, the benchmarks, and the fuzz targets.
pub fn all_sources() -> impl Iterator<Item = SourceFile> {
    ["src", "tests", "benches", "fuzz/src", "fuzz/fuzz_targets"]
        .into_iter()
        .flat_map(sources)
}

/// Returns the files of the program itself, without tests.
pub fn program_sources() -> Vec<SourceFile> {
    sources("src")
        .into_iter()
        .filter(|source| !source.is_test())
        .collect()
}
