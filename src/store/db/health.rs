//! The known problems of a running server's database. Writes, `/healthz`, metrics, and pages check
//! them.
//!
//! A problem is logged once, and written to the lock file, where `miniback check` finds it.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::error::StoreError;
use super::file_checker::FileChecker;
use super::lock::LockFileWriter;

thread_local! {
    /// Whether SQLite has reported corruption on this thread since the last call of
    /// [`DatabaseHealth::report_corruption`].
    static CORRUPTION_SEEN: Cell<bool> = const { Cell::new(false) };
}

/// Records that SQLite reported corruption to a statement on this thread.
pub(super) fn on_corruption_error() {
    CORRUPTION_SEEN.set(true);
}

/// A problem with a database, found while the server was running.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseProblem {
    /// There is no file at the path of the database. If the file is moved back, the problem is
    /// solved.
    #[error(
        "{file} was moved or deleted while Miniback was running. Nothing is saved until it is \
         back. Put it back, or stop Miniback, restore a backup, and start Miniback again"
    )]
    Missing { file: String },
    /// The path of the database is now a symbolic link that points to the moved file, but the
    /// companion files (`-wal` and `-shm`) weren't moved. Moving the file back solves the problem.
    #[error(
        "{file} was moved while Miniback was running, and a symbolic link is in its place. Nothing \
         is saved until the file is back. Move the file back, or stop Miniback, move \
         miniback.db-wal (if there is one) next to the moved file, and start Miniback again"
    )]
    Linked { file: String },
    /// Another file is at the path of the database, or a companion file was replaced or deleted.
    #[error(
        "{file} was replaced or deleted while Miniback was running. Nothing is saved. Stop \
         Miniback, check that the right miniback.db is in place, and start Miniback again"
    )]
    Replaced { file: String },
    /// Other data, such as another database, was written into the file.
    #[error(
        "{file} was overwritten while Miniback was running. Nothing is saved. Stop Miniback, \
         remove miniback.db-wal and miniback.db-shm, restore the backup again, and start Miniback"
    )]
    Overwritten { file: String },
    /// The end of the database or of its WAL was removed.
    #[error(
        "{file} was truncated while Miniback was running. Nothing is saved. Stop Miniback, restore \
         a backup, and start Miniback again"
    )]
    Truncated { file: String },
    #[error("the database is corrupt. Stop Miniback and restore a backup")]
    Damaged,
}

impl DatabaseProblem {
    /// Returns whether writes would be lost and must therefore be rejected.
    pub fn prevents_writes(&self) -> bool {
        *self != Self::Damaged
    }

    /// Returns whether reads would return wrong data and must therefore be rejected.
    fn prevents_reads(&self) -> bool {
        matches!(self, Self::Overwritten { .. } | Self::Truncated { .. })
    }

    /// Returns whether the problem is solved if the file is moved back.
    fn is_reversible(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Linked { .. })
    }

    /// Returns whether the open files are intact, but aren't at their paths anymore.
    pub(super) fn is_file_moved(&self) -> bool {
        self.is_reversible() || matches!(self, Self::Replaced { .. })
    }
}

/// The known problems of a database; cheap to clone.
#[derive(Clone, Default)]
pub(in crate::store) struct DatabaseHealth(Arc<HealthState>);

#[derive(Default)]
struct HealthState {
    problem: Mutex<Option<DatabaseProblem>>,
    is_disk_full: AtomicBool,
    /// `None` if this process doesn't hold the lock on the data directory.
    lock_file: Option<LockFileWriter>,
    /// `None` if this process doesn't hold the lock on the data directory.
    file_checker: Option<FileChecker>,
}

impl DatabaseHealth {
    pub fn new(lock_file: Option<LockFileWriter>, file_checker: Option<FileChecker>) -> Self {
        Self(Arc::new(HealthState {
            lock_file,
            file_checker,
            ..HealthState::default()
        }))
    }

    /// Checks the files of the database. If there is a problem, reports and returns it.
    pub fn check_files(&self) -> Result<(), DatabaseProblem> {
        let Some(file_checker) = &self.0.file_checker else {
            return Ok(());
        };
        file_checker.check_files().map_err(|(problem, details)| {
            self.report_problem(problem.clone(), &details);
            problem
        })
    }

    pub fn problem(&self) -> Option<DatabaseProblem> {
        self.locked_problem().clone()
    }

    /// Reports a problem, unless a problem that is at least as severe is already known. Returns
    /// whether the problem was recorded.
    pub fn report_problem(&self, problem: DatabaseProblem, details: &str) -> bool {
        let mut current = self.locked_problem();
        let is_new = match &*current {
            None => true,
            // A reversible problem, such as a missing file, can become irreversible: another file
            // may be created at its path.
            Some(known) if known.is_reversible() => {
                !problem.is_reversible() && problem.prevents_writes()
            }
            Some(DatabaseProblem::Damaged) => problem.prevents_writes(),
            Some(_) => false,
        };
        if is_new {
            tracing::error!(details, "{problem}");
            self.write_lock_file(Some(&problem));
            *current = Some(problem);
        }
        is_new
    }

    /// Clears a reversible problem, because the file is at its path again. Returns `false` if there
    /// was no such problem.
    pub fn clear_reversible_problem(&self) -> bool {
        let mut current = self.locked_problem();
        if !current.as_ref().is_some_and(DatabaseProblem::is_reversible) {
            return false;
        }
        tracing::warn!("the database file is back; writes are saved again");
        *current = None;
        self.write_lock_file(None);
        true
    }

    /// Reports damage if SQLite reported corruption to a statement on this thread.
    pub fn report_corruption(&self) {
        // If the files were changed, `check_files` reports the cause instead.
        if CORRUPTION_SEEN.take() && self.check_files().is_ok() {
            self.report_problem(DatabaseProblem::Damaged, "SQLite reported corruption");
        }
    }

    /// Fails if the known problem prevents writes.
    pub fn check_writable(&self) -> Result<(), StoreError> {
        match &*self.locked_problem() {
            Some(problem) if problem.prevents_writes() => Err(StoreError::DatabaseReplaced),
            _ => Ok(()),
        }
    }

    /// Fails if the known problem prevents reads.
    pub fn check_readable(&self) -> Result<(), StoreError> {
        match &*self.locked_problem() {
            Some(problem) if problem.prevents_reads() => Err(StoreError::DatabaseReplaced),
            _ => Ok(()),
        }
    }

    /// Returns `row`, the result of a lookup of credentials. If `row` is `None`, checks the files
    /// first, and fails if their content was changed. Without this check, valid credentials would
    /// be rejected.
    pub fn verify_missing_row<T>(&self, row: Option<T>) -> Result<Option<T>, StoreError> {
        if row.is_none() {
            // `check_files` stores the problem that it finds, and `check_readable` checks the
            // stored problem.
            let _ = self.check_files();
            self.check_readable()?;
        }
        Ok(row)
    }

    /// Creates the lock file again if it was deleted or replaced.
    pub fn restore_lock_file(&self) {
        if let Some(lock_file) = &self.0.lock_file
            && lock_file.reopen_if_replaced()
        {
            let problem = self.problem();
            lock_file.write(problem.as_ref());
            tracing::error!(
                "miniback.lock was deleted or replaced while Miniback was running, and was created \
                 again. Don't change the files of a running server"
            );
        }
    }

    pub fn is_disk_full(&self) -> bool {
        self.0.is_disk_full.load(Ordering::Relaxed)
    }

    pub fn set_disk_full(&self, is_full: bool) {
        self.0.is_disk_full.store(is_full, Ordering::Relaxed);
    }

    fn write_lock_file(&self, problem: Option<&DatabaseProblem>) {
        if let Some(lock_file) = &self.0.lock_file {
            lock_file.write(problem);
        }
    }

    fn locked_problem(&self) -> std::sync::MutexGuard<'_, Option<DatabaseProblem>> {
        self.0
            .problem
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
