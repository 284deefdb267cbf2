//! Options for the write-ahead log (WAL) of the database.

use std::path::Path;

use clap::{Args, ValueEnum};

/// The directory that Litestream creates next to `miniback.db` when it replicates the database.
const LITESTREAM_DIRECTORY: &str = ".miniback.db-litestream";

#[derive(Clone, Copy, Debug, Args)]
pub struct WalOptions {
    /// Who checkpoints the write-ahead log of the database: “external” leaves it to a program that
    /// replicates the database, such as Litestream
    #[arg(
        long,
        env = "MINIBACK_WAL_CHECKPOINT",
        value_enum,
        default_value = "auto",
        value_name = "WHO"
    )]
    pub wal_checkpoint: WalCheckpoint,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WalCheckpoint {
    Auto,
    External,
}

impl WalOptions {
    /// Returns a warning if Litestream's files are in the data directory, but Miniback checkpoints
    /// the WAL itself.
    pub(super) fn litestream_warning(self, data_dir: &Path) -> Option<String> {
        let directory = data_dir.join(LITESTREAM_DIRECTORY);
        (self.wal_checkpoint == WalCheckpoint::Auto && directory.is_dir()).then(|| {
            format!(
                "Litestream replicates this database ({} exists); set --wal-checkpoint external, \
                 or delete this directory if Litestream is no longer used",
                directory.display()
            )
        })
    }
}
