//! Replays the corpus of the fuzz targets. Checks that every target has a fuzzer and a corpus, and
//! limits the size of the corpus.

#[path = "../../fuzz/src/lib.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::panic;
use std::path::PathBuf;

use crate::support::source_files::{files_in, repo_root};
use targets::{TARGETS, Target};

/// The maximum size of the whole corpus, in bytes.
const CORPUS_MAX_BYTES: u64 = 1024 * 1024;

/// Returns the names of the files and directories in a directory, without `suffix`.
fn names_in(directory: &str, suffix: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(repo_root().join(directory)).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .map(|name| name.trim_end_matches(suffix).to_owned())
        .collect()
}

fn corpus_of(target: &Target) -> Vec<PathBuf> {
    files_in(&format!("fuzz/corpus/{}", target.name))
}

#[test]
fn every_target_has_a_fuzzer_and_a_corpus() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| target.name.into()).collect();
    assert_eq!(targets.len(), TARGETS.len(), "a target is listed twice");
    assert_eq!(names_in("fuzz/corpus", ""), targets);
    assert_eq!(names_in("fuzz/fuzz_targets", ".rs"), targets);
    assert_eq!(names_in("fuzz/dictionaries", ".dict"), targets);
    let manifest = fs::read_to_string(repo_root().join("fuzz/Cargo.toml")).unwrap();
    for name in targets {
        let path = format!("fuzz_targets/{name}.rs");
        assert!(manifest.contains(&format!("path = \"{path}\"")), "{path}");
        let fuzzer = fs::read_to_string(repo_root().join("fuzz").join(path)).unwrap();
        let call = format!("miniback_fuzz::run(\"{name}\", data)");
        assert!(fuzzer.contains(&call), "{call}");
    }
}

#[test]
fn the_corpus_is_small() {
    let files = files_in("fuzz/corpus");
    let bytes: u64 = files
        .iter()
        .map(|file| file.metadata().unwrap().len())
        .sum();
    assert!(bytes <= CORPUS_MAX_BYTES, "{bytes} bytes");
}

#[test]
fn the_whole_corpus_passes_and_every_parser_accepts_some_of_it() {
    let mut failed = Vec::new();
    for target in &TARGETS {
        let mut accepted = 0;
        for file in corpus_of(target) {
            let data = fs::read(&file).unwrap();
            match panic::catch_unwind(|| targets::run(target.name, &data)) {
                Ok(is_accepted) => accepted += usize::from(is_accepted),
                Err(_) => failed.push(file),
            }
        }
        assert!(accepted > 0, "{} accepts none of its corpus", target.name);
    }
    assert_eq!(failed, Vec::<PathBuf>::new());
}
