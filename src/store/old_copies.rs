//! Deletes the copies of earlier databases in the data directory.

use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use super::Store;
use super::db::files::{COMPANION_SUFFIXES, append_suffix, resolve_link};
use super::db::old_copies::{CopyReason, find_old_copies};
use super::db::open::database_path;
use crate::clock::Timestamp;

/// How long a copy from before a migration is kept.
const MIGRATION_COPY_RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

impl Store {
    /// Deletes the copies from before migrations that are older than 7 days.
    pub async fn delete_expired_copies(&self, now: Timestamp) {
        let expired = now.minus(MIGRATION_COPY_RETENTION);
        self.delete_copies(move |path, reason| {
            reason == CopyReason::Migration && modified_at(path).is_some_and(|at| at < expired)
        })
        .await;
    }

    /// Deletes all copies of earlier databases, because they contain erased content.
    pub(super) async fn delete_all_copies(&self) {
        self.delete_copies(|_, _| true).await;
    }

    async fn delete_copies(&self, is_deleted: impl Fn(&Path, CopyReason) -> bool + Send + 'static) {
        let dir = self.dir.clone();
        let delete = move || {
            for (path, reason) in find_copies_in(&dir) {
                if is_deleted(&path, reason) {
                    delete_copy(&path);
                }
            }
        };
        // If deleting panics, the panic has been logged and there is nothing left to do.
        let _ = tokio::task::spawn_blocking(delete).await;
    }
}

/// Returns the copies in the data directory. If the database is a symbolic link, also returns the
/// copies next to the target of the link.
fn find_copies_in(dir: &Path) -> Vec<(PathBuf, CopyReason)> {
    let database = database_path(dir);
    let mut copies = find_old_copies(&database);
    if let Ok(target) = resolve_link(&database)
        && target != database
    {
        copies.extend(find_old_copies(&target));
    }
    copies
}

fn modified_at(path: &Path) -> Option<Timestamp> {
    let modified = path.symlink_metadata().ok()?.modified().ok()?;
    let since_epoch = modified.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(0).plus(since_epoch))
}

fn delete_copy(path: &Path) {
    match std::fs::remove_file(path) {
        Ok(()) => tracing::info!(file = %path.display(), "deleted a copy of an earlier database"),
        Err(error) => tracing::warn!(
            file = %path.display(),
            %error,
            "can't delete a copy of an earlier database"
        ),
    }
    for suffix in COMPANION_SUFFIXES {
        let _ = std::fs::remove_file(append_suffix(path, suffix));
    }
}
