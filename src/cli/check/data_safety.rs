//! Checks the age of the last backup and the free disk space.

use std::path::Path;
use std::time::Duration;

use super::CheckReport;
use crate::clock::Clock;
use crate::store;

/// The age of the last backup from which on `check` warns. It leaves some time for a daily backup.
const BACKUP_AGE_MAX: Duration = Duration::from_secs(36 * 3600);
/// The free space, in bytes, in addition to the size of the database, below which `check` warns.
const FREE_SPACE_MARGIN: u64 = 64 * 1024 * 1024;

pub(super) fn check_last_backup(dir: &Path, report: &mut CheckReport) {
    let advice = "run miniback backup every day";
    let now = Clock::system().now();
    match store::last_backup_at(dir) {
        _ if store::is_replicated(dir) => {
            report.report_ok("backup: Litestream replicates the database")
        }
        None => report.report_warning(&format!("backup: there is no backup yet; {advice}")),
        Some(at) if now.since(at) > BACKUP_AGE_MAX => {
            report.report_warning(&format!("backup: the last backup is from {at}; {advice}"));
        }
        Some(at) => report.report_ok(&format!("backup: the last backup is from {at}")),
    }
}

/// Warns if the free space isn't enough for a copy of the database, for example before a migration.
/// `database_bytes` is the size of the database.
pub(super) fn check_free_space(dir: &Path, database_bytes: u64, report: &mut CheckReport) {
    // If the free space is unknown, there is nothing to report.
    let Some(free) = store::free_space(dir) else {
        return;
    };
    let megabytes = |bytes: u64| format!("{:.1} MB", bytes as f64 / 1e6);
    let wanted = database_bytes.saturating_add(FREE_SPACE_MARGIN);
    let text = format!("disk: {} free", megabytes(free));
    if free < wanted {
        report.report_warning(&format!(
            "{text}; free some space, because a copy of the database needs up to {}",
            megabytes(wanted)
        ));
    } else {
        report.report_ok(&text);
    }
}
