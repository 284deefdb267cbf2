//! Compares files in `packaging/` with the code blocks that show them in the documentation.

use std::collections::BTreeSet;
use std::fs;

use crate::support::source_files::{files_in, repo_root};

/// A code block that follows a line that ends with a link to a file.
struct DocumentedFile {
    /// The path of the file, relative to the repository.
    path: String,
    block: String,
}

/// Returns the code blocks in `text` that show a file, for example a block after the line
/// ``[`packaging/a.conf`](../packaging/a.conf):``.
fn documented_files(text: &str) -> Vec<DocumentedFile> {
    let parts: Vec<&str> = text.split("```").collect();
    // The parts at odd positions are blocks, each beginning with the name of its language.
    let blocks = parts.chunks_exact(2).filter_map(|pair| {
        let before = pair[0].trim_end().strip_suffix("):")?;
        let (_, path) = before.rsplit_once("](../")?;
        let (_language, block) = pair[1].split_once('\n')?;
        (!path.contains('\n')).then(|| DocumentedFile {
            path: path.to_owned(),
            block: block.to_owned(),
        })
    });
    blocks.collect()
}

#[test]
fn code_blocks_that_show_a_file_are_the_same_as_the_file() {
    let mut shown = BTreeSet::new();
    for document in files_in("docs") {
        let Ok(text) = fs::read_to_string(&document) else {
            continue;
        };
        for DocumentedFile { path, block } in documented_files(&text) {
            let file = fs::read_to_string(repo_root().join(&path)).unwrap();
            assert_eq!(block, file, "{path} in {}", document.display());
            shown.insert(path);
        }
    }
    let root = repo_root();
    for directory in [
        "packaging/proxies/root",
        "packaging/proxies/path",
        "packaging/litestream",
    ] {
        for file in files_in(directory) {
            let path = file.strip_prefix(root).unwrap().display().to_string();
            assert!(shown.contains(&path), "no document shows {path}");
        }
    }
}
