//! The store: all SQL, all of it blocking, behind async methods of [`Store`].
//!
//! One thread writes (`writer`), a pool of read-only connections reads (`reader`), and each noun has a file with what
//! can be asked about it. A public method owns its transaction; private functions take the connection they run on. A
//! feedback or a change of status is stored together with its deliveries, in one transaction, before it is acknowledged.

mod alerts;
mod api_tokens;
mod attempts;
mod backup;
mod db;
mod deliveries;
mod delivery_totals;
mod erasure;
mod events;
mod feedback;
mod idempotency;
mod keys;
mod metrics;
mod one_time_links;
mod origins;
mod outbox;
mod privacy;
mod projects;
mod redelivery;
mod retention;
mod search;
mod secrets;
mod sessions;
mod status_history;
mod users;
mod vacuum;
mod webhooks;

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;

pub use alerts::{Alert, DueAlerts};
pub use attempts::{DeliveryUpdate, FinishedAttempt};
pub use backup::{BackupError, DatabaseSummary, backup, check_database};
pub use db::change_feed::{ChangeFeed, ChangeKind};
pub use db::error::{OpenError, StoreError};
pub use db::open::{DirectoryLock, create_directory, database_path, lock};
pub use db::page::{Page, PageRequest};
pub use deliveries::{
    AttemptRecord, DeliveryDetail, DeliveryFilter, DeliverySummary, FeedbackDelivery,
    LoggedAttempt, LoggedRequest,
};
pub use delivery_totals::DeliveryTotals;
pub use feedback::{CreateFeedbackError, CreatedFeedback, StatusCounts};
pub use idempotency::IdempotencyKey;
pub use metrics::{Metrics, WebhookMetrics};
pub use one_time_links::{LinkPurpose, OneTimeLink};
pub use origins::{AllowOrigin, OriginStats};
pub use outbox::{BatchRequest, DeliveryTarget, DueBatches, DueDelivery, WebhookBatch};
pub use privacy::{ErasureCounts, PersonalDelivery, PersonalFeedback};
pub use projects::{CreateProjectError, ProjectPatch};
pub use redelivery::RedeliverError;
pub use search::{FeedbackFilter, SEARCH_COUNT_MAX};
pub use secrets::RotateError;
pub use sessions::{NewSession, Session, SessionRecord};
pub use status_history::{AppliedStatusChange, StatusChange, StatusHistoryEntry};
pub use users::AccountStoreError;
pub use webhooks::SaveWebhookError;

use db::{open, reader, sql, wal, writer};

use crate::clock::Clock;
use crate::domain::id::IdSequence;

/// The open database. Clones share it.
#[derive(Clone)]
pub struct Store {
    writer: writer::Writer,
    reader: reader::Reader,
    wakes: writer::CommitNotifiers,
    feedback_created: Arc<Notify>,
}

impl Store {
    /// Opens the database in `dir`, which exists; makes or migrates it (see [`OpenError`]).
    pub fn open(dir: &Path, lock: Option<&DirectoryLock>, clock: Clock) -> Result<Self, OpenError> {
        let connection = open::open(dir, lock)?;
        let ids = IdSequence::after(sql::max_ulid(&connection)?);
        let wakes = writer::CommitNotifiers::new(clock.now());
        let reader = reader::Reader::open(&database_path(dir))
            .map_err(|e| OpenError::Connections(e.to_string()))?;
        let log = lock.map(|_| wal::Wal::of(&database_path(dir)));
        let writer = writer::Writer::start(connection, ids, clock, wakes.clone(), log)
            .map_err(|e| OpenError::Connections(e.to_string()))?;
        Ok(Self {
            writer,
            reader,
            wakes,
            feedback_created: Arc::default(),
        })
    }

    /// Notified after a commit that made deliveries due. It carries no data: who is woken looks.
    pub fn deliveries_due(&self) -> Arc<Notify> {
        self.wakes.deliveries.clone()
    }

    /// Notified after a commit by which a webhook began to fail, failed once too often, or is well again.
    pub fn health_changed(&self) -> Arc<Notify> {
        self.wakes.health.clone()
    }

    /// Notified after a commit of new feedback. It carries no data either.
    pub fn feedback_created(&self) -> Arc<Notify> {
        self.feedback_created.clone()
    }

    /// What changed, for pages that are kept up to date.
    pub fn change_feed(&self) -> &ChangeFeed {
        &self.wakes.changes
    }

    /// Whether the database answers, to a read and to a write.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.reader
            .read(|connection| {
                Ok::<_, StoreError>(connection.query_row("SELECT 1", [], |_| Ok(()))?)
            })
            .await?;
        self.writer.write(|_| Ok(())).await
    }

    /// Finishes what is queued and closes the database. Blocks; nothing can be read or written afterwards.
    pub fn close(&self) {
        self.writer.close();
    }

    /// The same from an async thread. A panic of the closing thread has been logged by then, and changes nothing.
    pub async fn close_async(&self) {
        let store = self.clone();
        let _ = tokio::task::spawn_blocking(move || store.close()).await;
    }
}
