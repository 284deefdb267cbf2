//! `miniback backup`: copies the database of a running server.

use std::path::Path;

use super::{CommandError, escape_control_chars, print};
use crate::config::DataDirOptions;
use crate::store::{self, DatabaseSummary};

pub(super) fn run(file: &Path, data: &DataDirOptions) -> Result<(), CommandError> {
    let contents = store::backup(&data.data_dir, file).map_err(CommandError::new)?;
    print(&format!(
        "Wrote and checked {}: {}.\n",
        escape_control_chars(&file.display().to_string()),
        summarize(&contents)
    ));
    Ok(())
}

/// Formats a summary: `3 projects, 120 feedback items, 2 webhooks, 240 deliveries, 1.2 MB`.
pub(super) fn summarize(contents: &DatabaseSummary) -> String {
    format!(
        "{}, {}, {}, {}, {:.1} MB",
        format_quantity(contents.projects, "project", "projects"),
        format_quantity(contents.feedback, "feedback item", "feedback items"),
        format_quantity(contents.webhooks, "webhook", "webhooks"),
        format_quantity(contents.deliveries, "delivery", "deliveries"),
        contents.bytes as f64 / 1e6
    )
}

/// Formats a count with its noun: `1 project`, `2 projects`.
pub(super) fn format_quantity(count: u64, singular: &str, plural: &str) -> String {
    format!("{count} {}", if count == 1 { singular } else { plural })
}
