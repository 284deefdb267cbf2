//! The writer: the one thread that changes the database, with group commit.
//!
//! Jobs wait in a bounded queue. The thread runs up to `JOBS_PER_BATCH_MAX` queued jobs in one
//! transaction (`BEGIN IMMEDIATE`), and replies to the jobs only after the commit. Therefore, a
//! reply means that the data is durable (`synchronous=FULL`), although many jobs share one commit.
//!
//! If a job with a savepoint fails or panics, only this job is rolled back. Some errors of SQLite,
//! such as a full disk, roll back the whole transaction; then every job of the batch fails.
//!
//! A savepoint copies each page that a job changes. The most frequent jobs run all checks before
//! their first change, so they don't need a savepoint ([`Writer::write_without_savepoint`]).

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::clock_jumps::ClockJumpHandler;
use super::error::StoreError;
use super::health::DatabaseHealth;
use super::sql;
use super::wal::{Wal, checkpoint};
use crate::clock::Clock;
use crate::domain::id::IdSequence;
use crate::metrics::METRICS;

mod job;
mod write_tx;

use job::Job;
use write_tx::CommitEffects;
pub(in crate::store) use write_tx::{CommitNotifiers, WriteTx};

/// Maximum number of queued jobs. If the queue is full, jobs fail with [`StoreError::Overloaded`].
const QUEUE_CAPACITY: usize = 1024;
/// Maximum number of jobs in one commit. The limit keeps the first job from waiting long for the
/// last job.
const JOBS_PER_BATCH_MAX: usize = 256;

enum WriterCommand {
    Job(Box<dyn Job>),
    /// See [`Writer::truncate_wal`].
    TruncateWal(oneshot::Sender<bool>),
    /// See [`Writer::check_files_and_clock`].
    CheckFilesAndClock,
    Close,
}

fn create_job<T, E, F>(
    work: F,
    has_savepoint: bool,
) -> (WriterCommand, oneshot::Receiver<Result<T, E>>)
where
    F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let (job, response) = job::new_job(work, has_savepoint);
    (WriterCommand::Job(job), response)
}

/// The state that only a server's writer has.
pub(in crate::store) struct ServerWriterState {
    pub wal: Wal,
    pub clock: ClockJumpHandler,
}

/// Handle to the writer thread; cheap to clone.
#[derive(Clone)]
pub(in crate::store) struct Writer {
    queue: mpsc::Sender<WriterCommand>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Writer {
    /// Starts the thread. `server_state` is `None` if another process may be serving the database.
    pub(in crate::store) fn start(
        connection: Connection,
        ids: IdSequence,
        clock: Clock,
        notifiers: CommitNotifiers,
        health: DatabaseHealth,
        server_state: Option<ServerWriterState>,
    ) -> std::io::Result<Self> {
        let (queue, commands) = mpsc::channel(QUEUE_CAPACITY);
        let state = WriterThread {
            connection,
            ids,
            clock,
            notifiers,
            health,
            server_state,
            has_saved_wal: false,
        };
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || state.run(commands))?;
        Ok(Self {
            queue,
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// Runs `work` in the next transaction and returns its result after the commit is durable.
    /// Fails with [`StoreError::Overloaded`] if the queue is full.
    pub(in crate::store) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.queue_job(create_job(work, true)).await
    }

    /// Like [`write`](Self::write), but cheaper, because it creates no savepoint.
    ///
    /// `work` must not fail after its first change. Otherwise, the whole batch is rolled back and
    /// the other jobs fail with [`StoreError::BatchRolledBack`].
    pub(in crate::store) async fn write_without_savepoint<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.queue_job(create_job(work, false)).await
    }

    async fn queue_job<T, E: From<StoreError>>(
        &self,
        (job, response): (WriterCommand, oneshot::Receiver<Result<T, E>>),
    ) -> Result<T, E> {
        self.queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        response
            .await
            .unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// Like [`write_without_savepoint`](Self::write_without_savepoint), but waits if the queue is
    /// full. Use it for data that can't be discarded, such as the outcome of an attempt.
    pub(in crate::store) async fn write_with_backpressure<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (job, response) = create_job(work, false);
        self.queue.send(job).await.map_err(|_| StoreError::Closed)?;
        response
            .await
            .unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// Checkpoints and truncates the WAL, so that it no longer contains overwritten data. Returns
    /// `false` if this isn't possible, for example because a reader still needs the WAL.
    pub(in crate::store) async fn truncate_wal(&self) -> Result<bool, StoreError> {
        let (reply, response) = oneshot::channel();
        self.queue
            .send(WriterCommand::TruncateWal(reply))
            .await
            .map_err(|_| StoreError::Closed)?;
        response.await.map_err(|_| StoreError::Closed)
    }

    /// Requests a check of the database files and of the system clock. Doesn't wait for the result.
    pub(in crate::store) fn check_files_and_clock(&self) {
        // If the queue is full, the next commit performs the same checks.
        let _ = self.queue.try_send(WriterCommand::CheckFilesAndClock);
    }

    /// Returns the number of jobs in the queue.
    pub(in crate::store) fn queued_jobs(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Finishes the queued jobs, then closes the connection and returns.
    pub(in crate::store) fn close(&self) {
        // If the queue is full, the call waits until the writer thread has removed a job from the
        // queue.
        let _ = self.queue.blocking_send(WriterCommand::Close);
        let thread = self
            .thread
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

struct WriterThread {
    connection: Connection,
    ids: IdSequence,
    clock: Clock,
    notifiers: CommitNotifiers,
    health: DatabaseHealth,
    /// `None` if another process may be serving the database.
    server_state: Option<ServerWriterState>,
    /// Whether the WAL has been checkpointed since a database file was moved or replaced.
    has_saved_wal: bool,
}

impl WriterThread {
    fn run(mut self, mut commands: mpsc::Receiver<WriterCommand>) {
        let mut open = true;
        while open {
            let Some(first) = commands.blocking_recv() else {
                break;
            };
            // In a burst, other threads are about to queue more jobs, which then share this commit.
            std::thread::yield_now();
            let mut batch = Vec::new();
            let mut truncate_wal = None;
            let mut next = Some(first);
            while let Some(command) = next {
                match command {
                    WriterCommand::Job(job) => batch.push(job),
                    WriterCommand::TruncateWal(reply) => {
                        truncate_wal = Some(reply);
                        break;
                    }
                    WriterCommand::CheckFilesAndClock => {
                        self.handle_clock_jump(ClockJumpHandler::handle_jump_if_confirmed);
                    }
                    WriterCommand::Close => {
                        open = false;
                        break;
                    }
                }
                next = if batch.len() < JOBS_PER_BATCH_MAX {
                    commands.try_recv().ok()
                } else {
                    None
                };
            }
            if !batch.is_empty() {
                self.handle_clock_jump(ClockJumpHandler::handle_jump);
                self.commit_batch(batch);
            }
            if let Some(reply) = truncate_wal {
                let truncated =
                    self.check_files().is_ok() && checkpoint(&self.connection).unwrap_or(false);
                let _ = reply.send(truncated);
            }
        }
        // Jobs queued after `Close` receive `StoreError::Closed`.
        if self.check_files().is_ok()
            && let Some(server_state) = &mut self.server_state
        {
            // If storing the reading fails, the next start uses the last stored reading.
            let _ = server_state.clock.store_reading(&self.connection);
            // Empty the WAL, so that a copy of the database file contains all data.
            server_state.wal.truncate_if_large(&self.connection, true);
        }
    }

    fn commit_batch(&mut self, mut batch: Vec<Box<dyn Job>>) {
        let mut effects = CommitEffects::default();
        let changes_before = self.connection.total_changes();
        let error = self
            .check_files()
            .and_then(|()| self.run_transaction(&mut batch, &mut effects))
            // The files may have been replaced during the transaction.
            .and_then(|()| self.check_files())
            .err();
        self.health.report_corruption();
        match error {
            Some(StoreError::DiskFull) => self.health.set_disk_full(true),
            None if self.connection.total_changes() > changes_before => {
                self.health.set_disk_full(false);
            }
            _ => {}
        }
        let truncate_wal = effects.truncate_wal;
        if error.is_none() {
            self.notifiers.notify(effects);
        }
        let is_file_valid = !matches!(error, Some(StoreError::DatabaseReplaced));
        for job in batch {
            job.reply(error.clone());
        }
        if is_file_valid && let Some(server_state) = &mut self.server_state {
            server_state
                .wal
                .truncate_if_large(&self.connection, truncate_wal);
        }
    }

    /// Checks the database files. Clears a problem that is solved, and restores the lock file. If
    /// the files aren't at their paths, checkpoints the WAL once. Fails if a write would be lost.
    fn check_files(&mut self) -> Result<(), StoreError> {
        match self.health.check_files() {
            Ok(()) => {
                self.has_saved_wal = false;
                if self.health.clear_reversible_problem() {
                    self.notifiers.deliveries.notify_one();
                }
                self.health.restore_lock_file();
            }
            Err(problem) if problem.is_file_moved() && !self.has_saved_wal => {
                // Another database may be at this path now, and SQLite could apply this WAL to it.
                // Write the WAL's content into the open database, and empty the WAL.
                let _ = checkpoint(&self.connection);
                self.has_saved_wal = true;
            }
            Err(_) => {}
        }
        self.health.check_writable()
    }

    /// Handles a jump of the system clock, if the database files are at their paths.
    fn handle_clock_jump(&mut self, handle: fn(&mut ClockJumpHandler, &Connection) -> bool) {
        // `check_files` reports a problem to `health`.
        let is_in_place = self.check_files().is_ok();
        if let Some(server_state) = self.server_state.as_mut().filter(|_| is_in_place)
            && handle(&mut server_state.clock, &self.connection)
        {
            self.notifiers.notify_clock_jumped();
        }
    }

    /// Runs the batch in one transaction. Unlike rusqlite's transactions, this function caches the
    /// prepared `BEGIN` and `COMMIT`.
    fn run_transaction(
        &mut self,
        batch: &mut [Box<dyn Job>],
        effects: &mut CommitEffects,
    ) -> Result<(), StoreError> {
        sql::execute(&self.connection, "BEGIN IMMEDIATE", [])?;
        let result = self.run_jobs(batch, effects).and_then(|()| {
            let started = Instant::now();
            sql::execute(&self.connection, "COMMIT", [])?;
            METRICS.count_commit(batch.len(), started.elapsed());
            Ok(())
        });
        if result.is_err() && !self.connection.is_autocommit() {
            sql::execute(&self.connection, "ROLLBACK", [])?;
        }
        result
    }

    fn run_jobs(
        &mut self,
        batch: &mut [Box<dyn Job>],
        effects: &mut CommitEffects,
    ) -> Result<(), StoreError> {
        let connection = &self.connection;
        let changes_before = connection.total_changes();
        for job in batch {
            let mut job_effects = CommitEffects::default();
            // Read before `now`, so that a time computed from both is never too early.
            let monotonic = self.clock.monotonic_time();
            let mut tx = WriteTx {
                connection,
                ids: &mut self.ids,
                now: self.clock.now(),
                monotonic,
                is_clock_trusted: self.clock.is_trusted(),
                effects: &mut job_effects,
            };
            let changes_before = connection.total_changes();
            let has_savepoint = job.has_savepoint();
            if has_savepoint {
                sql::execute(connection, "SAVEPOINT job", [])?;
            }
            let succeeded = job.run(&mut tx);
            if connection.is_autocommit() {
                // SQLite has rolled back the whole transaction, including savepoints.
                return Err(StoreError::DiskFull);
            }
            if succeeded {
                effects.merge(job_effects);
            } else if has_savepoint {
                sql::execute(connection, "ROLLBACK TO job", [])?;
            } else if connection.total_changes() != changes_before {
                return Err(StoreError::BatchRolledBack);
            }
            if has_savepoint {
                sql::execute(connection, "RELEASE job", [])?;
            }
        }
        if let Some(server_state) = &mut self.server_state {
            let has_changes = connection.total_changes() > changes_before;
            server_state
                .clock
                .store_reading_if_outdated(connection, has_changes)?;
        }
        effects.counters.update_counters(connection)
    }
}

#[cfg(test)]
mod tests;
