//! The store: all SQL, behind async methods of [`Store`].
//!
//! `db` is the engine: one thread writes, and pools of read-only connections read. Most other
//! modules contain the statements for one kind of data. Public methods start their own
//! transactions; private functions run in the caller's transaction. Feedback and status changes are
//! stored together with their deliveries in one transaction before they are acknowledged.

mod alerts;
mod api_tokens;
mod attempt_statistics;
mod attempts;
mod backpressure;
mod backup;
mod db;
mod deliveries;
mod delivery_detail;
mod delivery_search;
mod delivery_totals;
mod erasure;
mod events;
mod feedback;
mod feedback_at_offset;
mod feedback_counts;
mod feedback_filter;
mod getting_started;
mod idempotency;
mod metrics;
mod old_copies;
mod one_time_links;
mod origins;
mod outbox;
mod precondition;
mod privacy;
mod projects;
mod redelivery;
mod restore;
mod retention;
mod search;
mod secrets;
mod sessions;
mod setup_links;
mod signing_keys;
mod status_history;
mod users;
mod vacuum;
mod webhooks;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;

pub use alerts::{Alert, NextAlert};
pub use attempts::{DeliveryUpdate, FinishedAttempt, HealthUpdate, TestEvent};
pub use backpressure::Backpressure;
pub use backup::{
    BackupError, DatabaseSummary, TargetError, back_up_database, check_database, last_backup_at,
    record_backup,
};
pub use db::change_feed::{ChangeFeed, ChangeKind};
pub use db::error::{OpenError, StoreError};
pub use db::file_permissions::{FileExposure, find_file_exposures};
pub use db::files::{free_space, is_replicated};
pub use db::health::DatabaseProblem;
pub use db::lock::{DirectoryLock, LockHolder, lock_data_directory, lock_holder};
pub use db::open::{create_data_directory, database_path, require_database};
pub use db::pagination::{Page, PageRequest};
pub use db::wal::WalCheckpoints;
pub use deliveries::{
    AttemptRecord, DeliveryFilter, DeliverySummary, FeedbackDelivery, LoggedAttempt,
};
pub use delivery_detail::{DeliveryDetail, LoggedRequest};
pub use delivery_search::{
    DELIVERY_COUNT_MAX, DeliverySearch, DeliverySearchPage, EventSubject, FoundDelivery,
    StateCounts,
};
pub use delivery_totals::DeliveryTotals;
pub use erasure::ErasureCounts;
pub use feedback::{CreateFeedbackError, CreatedFeedback};
pub use feedback_at_offset::FeedbackAtOffset;
pub use feedback_counts::StatusCounts;
pub use feedback_filter::{FILTERED_COUNT_MAX, FeedbackFilter, FeedbackOrder};
pub use getting_started::SetupProgress;
pub use idempotency::IdempotencyKey;
pub use metrics::{Metrics, StorageMetrics, WebhookMetrics};
pub use one_time_links::{LinkError, LinkPurpose, LinkState, OneTimeLink};
pub use origins::{AllowOriginResult, OriginStats};
pub use outbox::{
    DeliveryBatch, DeliveryBatchRequest, DueDelivery, DueDeliveryBatches, EndpointConfig,
};
pub use precondition::{ChangeError, Precondition};
pub use privacy::{DeliveryExport, FeedbackExport};
pub use projects::{CreateProjectError, ProjectPatch};
pub use redelivery::{PendingDeliveryError, RedeliverError, UnsuccessfulDeliveries};
pub use restore::{BackupSource, RestoreError, RestoredDatabase, restore_database};
pub use search::SEARCH_COUNT_MAX;
pub use secrets::RotateSecretError;
pub use sessions::{NewSession, Session, SessionRecord};
pub use status_history::{AppliedStatusChange, StatusChange, StatusHistoryEntry};
pub use users::UserError;
pub use webhooks::SaveWebhookError;

use db::clock_jumps::ClockJumpHandler;
use db::file_checker::FileChecker;
use db::health::DatabaseHealth;
use db::lock::prevent_restore;
use db::{integrity_check, open, reader, sql, wal, writer};

use crate::clock::Clock;
use crate::domain::id::IdSequence;

/// The open database; cheap to clone.
#[derive(Clone)]
pub struct Store {
    dir: Arc<Path>,
    writer: writer::Writer,
    reader: reader::Reader,
    health: DatabaseHealth,
    notifiers: writer::CommitNotifiers,
    feedback_created: Arc<Notify>,
    feedback_links: events::FeedbackLinks,
    wal_checkpoints: WalCheckpoints,
    _restore_lock: Option<Arc<File>>,
}

impl Store {
    /// Opens the database in the directory `dir`. Creates or migrates it if necessary. `lock` is
    /// the caller's lock on `dir`; `None` if another process may be serving the database.
    pub fn open(dir: &Path, lock: Option<&DirectoryLock>, clock: Clock) -> Result<Self, OpenError> {
        Self::open_with_checkpoints(dir, lock, clock, WalCheckpoints::Miniback)
    }

    /// Like [`open`](Self::open). `checkpoints` says who checkpoints the WAL; it has no effect
    /// without `lock`.
    pub fn open_with_checkpoints(
        dir: &Path,
        lock: Option<&DirectoryLock>,
        clock: Clock,
        checkpoints: WalCheckpoints,
    ) -> Result<Self, OpenError> {
        let restore_lock = prevent_restore(dir)?;
        let path = database_path(dir);
        let found_wal = wal::has_content(&path);
        let connection = open::open_or_create_database(dir, lock)?;
        let file_checker = lock.map(|_| FileChecker::new(&path)).transpose()?;
        let lock_file = lock
            .zip(file_checker.as_ref())
            .map(|(lock, file_checker)| lock.lock_file_writer(file_checker.database));
        let health = DatabaseHealth::new(lock_file, file_checker);
        if lock.is_some() {
            integrity_check::check_integrity(&connection, &path, &health)?;
        }
        let wal = match lock {
            Some(_) => Some(wal::Wal::for_database(&path, &connection, checkpoints)?),
            // A command doesn't check the whole database, so it leaves a WAL that it has found to
            // the next start of the server.
            None if found_wal => None,
            None => {
                wal::allow_checkpoints(&connection)?;
                None
            }
        };
        let ids = IdSequence::starting_after(sql::max_ulid(&connection)?);
        let notifiers = writer::CommitNotifiers::new(clock.now());
        let failed = |error: &dyn std::fmt::Display| {
            tracing::debug!(%error, "opening the database connections failed");
            OpenError::Connections
        };
        let reader = reader::Reader::open(&path, health.clone()).map_err(|error| failed(&error))?;
        let server_state = wal
            .map(|wal| {
                ClockJumpHandler::start(&connection, clock.clone())
                    .map(|clock| writer::ServerWriterState { wal, clock })
            })
            .transpose()
            .map_err(|error| failed(&error))?;
        let writer = writer::Writer::start(
            connection,
            ids,
            clock,
            notifiers.clone(),
            health.clone(),
            server_state,
        )
        .map_err(|error| failed(&error))?;
        Ok(Self {
            dir: dir.into(),
            writer,
            reader,
            health,
            notifiers,
            feedback_created: Arc::default(),
            feedback_links: events::FeedbackLinks::default(),
            wal_checkpoints: checkpoints,
            _restore_lock: restore_lock.map(Arc::new),
        })
    }

    /// Returns whether another program replicates the database.
    pub fn is_replicated(&self) -> bool {
        self.wal_checkpoints == WalCheckpoints::External
    }

    /// Returns the notifier that signals that deliveries may be due, for example after a commit or
    /// a clock jump. A notification carries no data; its receiver queries the database.
    pub fn deliveries_notifier(&self) -> Arc<Notify> {
        self.notifiers.deliveries.clone()
    }

    /// Returns the permits for new deliveries, which the dispatcher gives back.
    pub fn backpressure(&self) -> &Backpressure {
        &self.notifiers.backpressure
    }

    /// Returns the notifier for changes of a webhook's health: the webhook starts failing, reaches
    /// the number of failures for an alert, or recovers. Also notifies after a clock jump.
    pub fn health_notifier(&self) -> Arc<Notify> {
        self.notifiers.health.clone()
    }

    /// Returns the notifier for new feedback.
    pub fn feedback_notifier(&self) -> Arc<Notify> {
        self.feedback_created.clone()
    }

    /// Returns the feed of changes, for live updates.
    pub fn change_feed(&self) -> &ChangeFeed {
        &self.notifiers.change_feed
    }

    /// Returns the known problem of the database, or `None` if no problem is known.
    pub fn database_problem(&self) -> Option<DatabaseProblem> {
        self.health.problem()
    }

    /// Returns `false` if writes are rejected, because the database files were moved or changed.
    pub fn is_writable(&self) -> bool {
        self.health.check_writable().is_ok()
    }

    /// Returns whether a write has failed because the disk is full or failing, and no change has
    /// been stored since.
    pub fn is_disk_full(&self) -> bool {
        self.health.is_disk_full()
    }

    /// Requests a check of the database files and of the system clock. Doesn't wait for the result.
    pub fn check_files_and_clock(&self) {
        self.writer.check_files_and_clock();
    }

    /// Checks that a read and an empty write transaction succeed.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.reader
            .read(|c| sql::query_value::<i64>(c, "SELECT 1", []))
            .await?;
        self.writer.write(|_| Ok(())).await
    }

    /// Finishes the queued jobs, then closes the writer's connection and returns. Later writes
    /// fail.
    pub fn close(&self) {
        self.writer.close();
    }

    /// Like [`close`](Self::close), but can be called from an async task.
    pub async fn close_async(&self) {
        let store = self.clone();
        // If closing panics, the panic has been logged and there is nothing left to do.
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
}
