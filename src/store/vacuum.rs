//! Returns the pages of deleted rows to the file system, in small steps.

use super::Store;
use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;

/// Pages returned in one step.
const STEP: u32 = 64;
/// Free pages that stay in the file, because new rows will need them.
const FREE_PAGES_KEPT: u32 = 64;

impl Store {
    /// Gives some of the pages that removed rows have left back to the file system. Returns how many: 0 = enough.
    pub async fn vacuum_step(&self) -> Result<u32, StoreError> {
        self.writer
            .write(|write| vacuum_pages(write, FREE_PAGES_KEPT))
            .await
    }

    /// The same without keeping any: what stood in these pages is gone with them.
    pub(in crate::store) async fn vacuum_all_step(&self) -> Result<u32, StoreError> {
        self.writer.write(|write| vacuum_pages(write, 0)).await
    }
}

/// `spare`: so many are kept.
fn vacuum_pages(write: &mut WriteTx<'_>, spare: u32) -> Result<u32, StoreError> {
    let free: u32 =
        sql::query_optional(write, "PRAGMA freelist_count", [], |row| row.get(0))?.unwrap_or(0);
    let surplus = free.saturating_sub(spare).min(STEP);
    if surplus > 0 {
        // It gives back one page for each row that it is asked for.
        let statement = format!("PRAGMA incremental_vacuum({surplus})");
        sql::query_all(write, &statement, [], |_| Ok(()))?;
        if free - surplus <= spare {
            // The file itself becomes shorter when the log is folded back.
            write.truncate_wal();
        }
    }
    Ok(surplus)
}
