//! Settings that all workloads share, and functions for directories and counts.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::Error;
use crate::program::{BUILT_EXECUTABLE, Program};

/// The first part of a temporary directory's name. The process id of the benchmark follows.
const RUN_PREFIX: &str = "run-";

/// The settings of a benchmark.
#[derive(Clone)]
pub struct Bench {
    /// The `miniback` executable to measure.
    pub executable: PathBuf,
    /// The parent of all data directories.
    pub dir: PathBuf,
    /// Whether to use small counts, so that each workload takes only seconds. Such a run only
    /// checks that everything works.
    pub quick: bool,
    /// The factor for the number of stored rows in W5 and W6.
    pub scale: f64,
}

impl Bench {
    /// Creates a directory that is deleted when the returned value is dropped.
    pub fn new_dir(&self) -> Result<TempDir, Error> {
        let prefix = format!("{RUN_PREFIX}{}-", std::process::id());
        Ok(TempDir::with_prefix_in(prefix, &self.dir)?)
    }

    /// Deletes the directories of interrupted benchmarks.
    pub fn remove_leftovers(&self) -> Result<(), Error> {
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let owner = name
                .to_str()
                .and_then(|name| name.strip_prefix(RUN_PREFIX)?.split('-').next());
            if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// Returns `quick` in a quick run, otherwise `full`.
    pub fn count(&self, full: usize, quick: usize) -> usize {
        if self.quick { quick } else { full }
    }

    /// Returns `quick` in a quick run, otherwise `full`. Both are durations in the same unit:
    /// seconds or milliseconds.
    pub fn time(&self, full: u64, quick: u64) -> u64 {
        if self.quick { quick } else { full }
    }

    /// Returns `quick` in a quick run. In a full run, returns `full` multiplied by `scale`, but at
    /// least `quick`.
    pub fn scaled(&self, full: usize, quick: usize) -> usize {
        let scaled = (full as f64 * self.scale) as usize;
        self.count(scaled.max(quick), quick)
    }

    /// Returns how long to measure each baseline.
    pub fn baseline_time(&self) -> Duration {
        Duration::from_millis(self.time(3000, 200))
    }

    /// Starts the measured executable with additional options.
    pub fn start_program(&self, dir: &Path, options: &[&str]) -> Result<Program, Error> {
        Program::start(&self.executable, dir, options)
    }
}

/// Creates an empty database with the schema that the module `database` writes. Returns its path.
pub fn empty_database(dir: &Path) -> Result<PathBuf, Error> {
    create_database(BUILT_EXECUTABLE.as_ref(), dir)
}

/// Starts an executable once to create an empty database. Returns the database's path.
pub fn create_database(executable: &Path, dir: &Path) -> Result<PathBuf, Error> {
    let program = Program::start(executable, dir, &[])?;
    let path = program.database();
    program.stop()?;
    Ok(path)
}
