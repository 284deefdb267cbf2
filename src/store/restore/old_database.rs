//! Keeps the old database when a backup is restored.

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use super::RestoreError;
use crate::store::db::error::{describe_sqlite_error, is_corruption_error};
use crate::store::db::file_header::has_foreign_wal;
use crate::store::db::files::{self, COMPANION_SUFFIXES, FileId, append_suffix};
use crate::store::db::old_copies::{CopyReason, find_old_copies, name_before_restore};
use crate::store::db::open::sync_parent_directory;
use crate::store::db::wal;

/// Gives the old database a second name, and makes sure that it has no WAL under its first name.
/// Returns the second name, or `None` if there is no database.
///
/// Until the new database replaces it, the old database keeps its first name.
pub(super) fn keep(database: &Path) -> Result<Option<PathBuf>, RestoreError> {
    let has_content = database.metadata().is_ok_and(|file| file.len() > 0);
    if has_content {
        remove_second_names(database);
        if !has_foreign_wal(database) {
            write_wal_to_database(database)?;
        }
    }
    let kept = unused_name(database);
    let fail = |source| RestoreError::KeepOld {
        path: kept.clone(),
        source,
    };
    // Companion files are left only if SQLite can't read the old database, if they belong to
    // another database, or if there is no database. They then stay next to the old database.
    for suffix in COMPANION_SUFFIXES {
        let companion = append_suffix(database, suffix);
        if suffix == "-shm" {
            // SQLite creates this index of the WAL again.
            files::remove_if_exists(&companion).map_err(fail)?;
            continue;
        }
        match std::fs::rename(&companion, append_suffix(&kept, suffix)) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(fail(error)),
            _ => {}
        }
    }
    if has_content {
        restrict_to_owner(database).map_err(fail)?;
        std::fs::hard_link(database, &kept).map_err(fail)?;
    }
    // The new database must not become durable earlier than the removal of the WAL.
    sync_parent_directory(database);
    Ok(has_content.then_some(kept))
}

/// Writes the content of the WAL to the database and removes the WAL, unless the database is
/// corrupt. Fails if another program is using the database.
fn write_wal_to_database(database: &Path) -> Result<(), RestoreError> {
    match wal::check_and_merge_wal(database) {
        Ok(true) => Ok(()),
        Ok(false) => Err(RestoreError::InUse(database.to_owned())),
        Err(error) if is_corruption_error(&error) => Ok(()),
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
            Err(RestoreError::Write {
                path: database.to_owned(),
                reason: describe_sqlite_error(&error),
            })
        }
        Err(source) => Err(RestoreError::ReadOld {
            path: database.to_owned(),
            source,
        }),
    }
}

/// Removes the permissions of other users, as for every file in the data directory.
fn restrict_to_owner(path: &Path) -> std::io::Result<()> {
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600))
}

/// Returns the first name for an old database that no file and no companion file has.
fn unused_name(database: &Path) -> PathBuf {
    let is_used = |name: &PathBuf| {
        let mut suffixes = COMPANION_SUFFIXES.into_iter().chain([""]);
        suffixes.any(|suffix| append_suffix(name, suffix).symlink_metadata().is_ok())
    };
    let names = (1..u32::MAX).map(|number| name_before_restore(database, number));
    let mut unused = names.skip_while(is_used);
    unused
        .next()
        .unwrap_or_else(|| name_before_restore(database, u32::MAX))
}

/// Removes the second names of the database that interrupted restores left.
fn remove_second_names(database: &Path) {
    let Ok(id) = FileId::from_path(database) else {
        return;
    };
    for (name, reason) in find_old_copies(database) {
        let is_second_name = FileId::from_path(&name).is_ok_and(|other| other == id);
        if reason == CopyReason::Restore && is_second_name {
            // If this fails, the name remains. It does no harm.
            let _ = std::fs::remove_file(name);
        }
    }
}
