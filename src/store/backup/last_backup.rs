//! The time of the last successful backup. It is stored in a file in the data directory, not in the
//! database, so that a restored database doesn't contain the time of an older backup.

use std::io;
use std::path::Path;

use crate::clock::Timestamp;
use crate::store::db::files::{LAST_BACKUP_NAME, open_or_create_private_file, replace_content};

/// Returns the time of the last successful backup of the database in `dir`. Returns `None` if there
/// is no backup yet, or if the file can't be read.
pub fn last_backup_at(dir: &Path) -> Option<Timestamp> {
    let text = std::fs::read_to_string(dir.join(LAST_BACKUP_NAME)).ok()?;
    Timestamp::parse(text.trim_end())
}

/// Stores the time of a successful backup of the database in `dir`.
pub fn record_backup(dir: &Path, at: Timestamp) -> io::Result<()> {
    let file = open_or_create_private_file(&dir.join(LAST_BACKUP_NAME))?;
    replace_content(&file, &format!("{at}\n"))
}
