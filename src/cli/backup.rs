//! `miniback backup`.

use std::path::Path;

use super::{Failure, print};
use crate::config::DataDir;
use crate::store::{self, DatabaseSummary};

pub(super) fn run(file: &Path, data: &DataDir) -> Result<(), Failure> {
    let contents = store::backup(&data.data_dir, file).map_err(Failure::new)?;
    print(&format!(
        "{} is written and checked: {}.\n",
        file.display(),
        describe(&contents)
    ));
    Ok(())
}

/// `3 projects, 120 feedbacks, 2 webhooks, 240 deliveries, 1.2 MB`.
pub(super) fn describe(contents: &DatabaseSummary) -> String {
    let of = |count: u64, one: &str, many: &str| {
        format!("{count} {}", if count == 1 { one } else { many })
    };
    format!(
        "{}, {}, {}, {}, {:.1} MB",
        of(contents.projects, "project", "projects"),
        of(contents.feedback, "feedback", "feedbacks"),
        of(contents.webhooks, "webhook", "webhooks"),
        of(contents.deliveries, "delivery", "deliveries"),
        contents.bytes as f64 / 1e6
    )
}
