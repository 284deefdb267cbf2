//! Releases the pages of deleted rows to the file system, in small steps.

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;

/// Maximum number of pages released in one step.
const STEP_PAGES_MAX: u32 = 64;
/// The number of free pages that stay in the file, because new rows will need them.
const FREE_PAGES_RESERVED: u32 = 64;

impl Store {
    /// Releases a batch of free pages to the file system. Returns the number of released pages, or
    /// 0 if no pages were left to release.
    pub async fn incremental_vacuum(&self) -> Result<u32, StoreError> {
        self.writer
            .write(|tx| release_free_pages(tx, FREE_PAGES_RESERVED))
            .await
    }

    /// Like [`incremental_vacuum`](Self::incremental_vacuum), but keeps no free pages, because they
    /// can contain erased data.
    pub(super) async fn incremental_vacuum_without_reserve(&self) -> Result<u32, StoreError> {
        self.writer.write(|tx| release_free_pages(tx, 0)).await
    }
}

fn release_free_pages(tx: &mut WriteTx<'_>, keep: u32) -> Result<u32, StoreError> {
    let free: u32 = sql::query_value(tx, "PRAGMA freelist_count", [])?;
    let surplus = free.saturating_sub(keep).min(STEP_PAGES_MAX);
    if surplus > 0 {
        // SQLite releases one page for each step of the statement, so read all its rows.
        let statement = format!("PRAGMA incremental_vacuum({surplus})");
        sql::query_all(tx, &statement, [], |_| Ok(()))?;
        if free - surplus <= keep {
            // The file shrinks only at a checkpoint.
            tx.truncate_wal();
        }
    }
    Ok(surplus)
}
