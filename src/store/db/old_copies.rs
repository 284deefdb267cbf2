//! The copies of earlier databases in the data directory: saved before a migration, or kept by a
//! restore.

use std::path::{Path, PathBuf};

use super::files::{append_suffix, parent_directory};

/// Why a copy was kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum CopyReason {
    Migration,
    Restore,
}

/// Returns the path of the copy before a migration, such as `miniback.db.v1-before-v2`.
pub(super) fn name_before_migration(database: &Path, from: u32, to: u32) -> PathBuf {
    append_suffix(database, &format!(".v{from}-before-v{to}"))
}

/// Returns the path of an old database that a restore keeps, such as
/// `miniback.db.before-restore-1`.
pub(in crate::store) fn name_before_restore(database: &Path, number: u32) -> PathBuf {
    append_suffix(database, &format!(".before-restore-{number}"))
}

/// Returns the copies next to `database`.
pub(in crate::store) fn find_old_copies(database: &Path) -> Vec<(PathBuf, CopyReason)> {
    let entries = parent_directory(database).read_dir();
    let entries = entries.into_iter().flatten().flatten();
    let copies = entries.filter_map(|entry| {
        let path = entry.path();
        let reason = parse_copy_name(&path, database)?;
        Some((path, reason))
    });
    copies.collect()
}

fn parse_copy_name(path: &Path, database: &Path) -> Option<CopyReason> {
    let bytes = |path: &'_ Path| {
        path.file_name()
            .map(|name| name.as_encoded_bytes().to_owned())
    };
    let (name, database) = (bytes(path)?, bytes(database)?);
    let suffix = std::str::from_utf8(name.strip_prefix(database.as_slice())?).ok()?;
    let is_number = |text: &str| text.parse::<u32>().is_ok();
    if let Some(number) = suffix.strip_prefix(".before-restore-") {
        return is_number(number).then_some(CopyReason::Restore);
    }
    let versions = suffix.strip_prefix(".v")?;
    // An interrupted copy has a second suffix.
    let versions = versions.strip_suffix(".partial").unwrap_or(versions);
    let (from, to) = versions.split_once("-before-v")?;
    (is_number(from) && is_number(to)).then_some(CopyReason::Migration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_only_copies_of_the_database() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "miniback.db",
            "miniback.db-wal",
            "miniback.db.v1-before-v2",
            "miniback.db.v12-before-v13.partial",
            "miniback.db.v1-before-vx",
            "miniback.db.before-restore-10",
            "miniback.db.before-restore-10-wal",
            "miniback.db.before-restore-",
            "other.db.before-restore-1",
        ] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let mut found = find_old_copies(&dir.path().join("miniback.db"));
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let names: Vec<_> = found
            .iter()
            .map(|(path, reason)| (path.file_name().unwrap().to_str().unwrap(), *reason))
            .collect();
        assert_eq!(
            names,
            [
                ("miniback.db.before-restore-10", CopyReason::Restore),
                ("miniback.db.v1-before-v2", CopyReason::Migration),
                ("miniback.db.v12-before-v13.partial", CopyReason::Migration),
            ]
        );
    }
}
