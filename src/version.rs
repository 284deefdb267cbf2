//! The version of the program and the commit that it was built from.

use std::sync::LazyLock;

/// The version, such as `0.1.0`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Returns the commit and its date, such as `1a2b3c4d 2026-11-28`. Returns `None` if the build
/// didn't set `MINIBACK_COMMIT`. Only release builds set it, because a changed value rebuilds the
/// whole crate.
pub fn commit() -> Option<&'static str> {
    option_env!("MINIBACK_COMMIT").filter(|commit| !commit.is_empty())
}

/// Returns the version and the commit, such as `0.1.0 (1a2b3c4d 2026-11-28)`.
pub fn version_with_commit() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| match commit() {
        Some(commit) => format!("{VERSION} ({commit})"),
        None => VERSION.to_owned(),
    });
    &TEXT
}
