//! The one thread that writes: group commit.
//!
//! Work comes as jobs through a bounded queue. The thread takes all that is queued, runs each job in a savepoint of one
//! `BEGIN IMMEDIATE` transaction, commits, and only then answers: what is acknowledged is on the disk
//! (`synchronous=FULL`), yet many jobs share one commit. A job that fails or panics is rolled back alone; some faults
//! of SQLite (a full disk) end the whole transaction, and then every job of the batch is answered with that fault.
//!
//! The two jobs that come by the thousand do without a savepoint, which copies each page that a job touches: they look
//! before they change anything ([`Writer::write_without_savepoint`]).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::error::StoreError;
use super::sql;
use super::wal::{Wal, checkpoint};
use crate::clock::Clock;
use crate::domain::id::IdSequence;

mod write_tx;

use write_tx::CommitEffects;
pub(in crate::store) use write_tx::{CommitNotifiers, WriteTx};

/// How many jobs may wait; beyond that, load is refused instead of kept in memory.
const QUEUE_CAPACITY: usize = 1024;
/// How many jobs share one commit at most, so that the first of them does not wait long for the last.
const BATCH_MAX: usize = 256;

/// A job with its types erased: run once, then answered once.
trait Job: Send {
    /// Runs the work and keeps its result; `true` if it is to be committed.
    fn run(&mut self, write: &mut WriteTx<'_>) -> bool;
    /// Whether it has a savepoint of its own.
    fn has_savepoint(&self) -> bool;
    /// Answers with the kept result, or with the fault that took the transaction away.
    fn answer(self: Box<Self>, fault: Option<StoreError>);
}

struct Work<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
    savepoint: bool,
}

impl<F, T, E> Job for Work<F, T, E>
where
    F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, write: &mut WriteTx<'_>) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let result = catch_unwind(AssertUnwindSafe(|| work(write))).unwrap_or_else(|panic| {
            tracing::error!(panic = panic_text(panic.as_ref()), "a write job panicked");
            Err(StoreError::Panicked.into())
        });
        self.result.insert(result).is_ok()
    }

    fn has_savepoint(&self) -> bool {
        self.savepoint
    }

    fn answer(self: Box<Self>, fault: Option<StoreError>) {
        let result = match (fault, self.result) {
            (None, Some(result)) | (Some(_), Some(result @ Err(_))) => result,
            (Some(fault), _) => Err(fault.into()),
            (None, None) => Err(StoreError::Closed.into()),
        };
        // Who asked may have gone away; the work is done all the same.
        let _ = self.answer.send(result);
    }
}

enum WriterCommand {
    Job(Box<dyn Job>),
    /// See [`Writer::truncate_wal`].
    TruncateWal(oneshot::Sender<bool>),
    Close,
}

fn job<T, E, F>(work: F, savepoint: bool) -> (WriterCommand, oneshot::Receiver<Result<T, E>>)
where
    F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let work = Work {
        work: Some(work),
        result: None,
        answer,
        savepoint,
    };
    (WriterCommand::Job(Box::new(work)), answered)
}

/// The way to the writing thread.
#[derive(Clone)]
pub(in crate::store) struct Writer {
    queue: mpsc::Sender<WriterCommand>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Writer {
    pub(in crate::store) fn start(
        connection: Connection,
        ids: IdSequence,
        clock: Clock,
        wakes: CommitNotifiers,
        log: Option<Wal>,
    ) -> std::io::Result<Self> {
        let (queue, jobs) = mpsc::channel(QUEUE_CAPACITY);
        let state = Thread {
            connection,
            ids,
            clock,
            wakes,
            log,
        };
        let thread = std::thread::Builder::new()
            .name("writer".into())
            .spawn(move || state.run(jobs))?;
        Ok(Self {
            queue,
            thread: Arc::new(Mutex::new(Some(thread))),
        })
    }

    /// Runs `work` in the next commit and returns when that is on the disk; refused when too much is queued already.
    pub(in crate::store) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.queue_job(job(work, true)).await
    }

    /// The same for work that changes nothing once it has found a reason to fail: it costs less. Where it fails all the
    /// same after a change, the whole commit is given up, and everybody in it is told so ([`StoreError::BatchRolledBack`]).
    pub(in crate::store) async fn write_without_savepoint<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.queue_job(job(work, false)).await
    }

    async fn queue_job<T, E: From<StoreError>>(
        &self,
        (job, answered): (WriterCommand, oneshot::Receiver<Result<T, E>>),
    ) -> Result<T, E> {
        self.queue.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => StoreError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => StoreError::Closed,
        })?;
        answered
            .await
            .unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// As [`Writer::write_without_savepoint`], for what has happened already and must be stored: waits for its place in the
    /// queue.
    pub(in crate::store) async fn write_when_free<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&mut WriteTx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (job, answered) = job(work, false);
        self.queue.send(job).await.map_err(|_| StoreError::Closed)?;
        answered
            .await
            .unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// Folds the write-ahead log back into the file and empties it: what was overwritten is in neither from then on.
    /// `false`: somebody is reading what stands in it.
    pub(in crate::store) async fn truncate_wal(&self) -> Result<bool, StoreError> {
        let (answer, answered) = oneshot::channel();
        let message = WriterCommand::TruncateWal(answer);
        self.queue
            .send(message)
            .await
            .map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)
    }

    /// Finishes what is queued and closes the connection. Blocks until that is done.
    pub(in crate::store) fn close(&self) {
        // A full queue empties by itself: the thread is at work on it.
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

struct Thread {
    connection: Connection,
    ids: IdSequence,
    clock: Clock,
    wakes: CommitNotifiers,
    /// The write-ahead log, where this process is the one that serves the database.
    log: Option<Wal>,
}

impl Thread {
    fn run(mut self, mut jobs: mpsc::Receiver<WriterCommand>) {
        let mut open = true;
        while open {
            let Some(first) = jobs.blocking_recv() else {
                break;
            };
            let mut batch = Vec::new();
            let mut emptied = None;
            let mut next = Some(first);
            while let Some(message) = next {
                match message {
                    WriterCommand::Job(job) => batch.push(job),
                    WriterCommand::TruncateWal(answer) => {
                        emptied = Some(answer);
                        break;
                    }
                    WriterCommand::Close => {
                        open = false;
                        break;
                    }
                }
                next = if batch.len() < BATCH_MAX {
                    jobs.try_recv().ok()
                } else {
                    None
                };
            }
            self.commit(batch);
            if let Some(answer) = emptied {
                let folded = checkpoint(&self.connection).unwrap_or(false);
                let _ = answer.send(folded);
            }
        }
        // What came after the close is answered by the queue's end: `StoreError::Closed`.
        if let Some(mut log) = self.log {
            // Then the database is one file, and a copy of it is whole.
            log.truncate_if_large(&self.connection, true);
        }
    }

    fn commit(&mut self, mut batch: Vec<Box<dyn Job>>) {
        if batch.is_empty() {
            return;
        }
        let mut said = CommitEffects::default();
        let fault = self.transaction(&mut batch, &mut said).err();
        let truncate_wal = said.truncate_wal;
        if fault.is_none() {
            self.wakes.wake(said);
        }
        for job in batch {
            job.answer(fault.clone());
        }
        if let Some(log) = &mut self.log {
            log.truncate_if_large(&self.connection, truncate_wal);
        }
    }

    /// Runs the batch in one transaction. The statements are prepared once, as rusqlite's own transactions are not.
    fn transaction(
        &mut self,
        batch: &mut [Box<dyn Job>],
        said: &mut CommitEffects,
    ) -> Result<(), StoreError> {
        sql::execute(&self.connection, "BEGIN IMMEDIATE", [])?;
        let done = self
            .run_all(batch, said)
            .and_then(|()| sql::execute(&self.connection, "COMMIT", []).map(|_| ()));
        if done.is_err() && !self.connection.is_autocommit() {
            sql::execute(&self.connection, "ROLLBACK", [])?;
        }
        done
    }

    fn run_all(
        &mut self,
        batch: &mut [Box<dyn Job>],
        said: &mut CommitEffects,
    ) -> Result<(), StoreError> {
        let connection = &self.connection;
        for job in batch {
            let mut job_said = CommitEffects::default();
            let mut write = WriteTx {
                connection,
                ids: &mut self.ids,
                now: self.clock.now(),
                said: &mut job_said,
            };
            let before = connection.total_changes();
            let savepoint = job.has_savepoint();
            if savepoint {
                sql::execute(connection, "SAVEPOINT job", [])?;
            }
            let done = job.run(&mut write);
            if connection.is_autocommit() {
                // SQLite has rolled back everything, savepoints or not: nothing of this batch is stored.
                return Err(StoreError::DiskFull);
            }
            if done {
                said.add(job_said);
            } else if savepoint {
                sql::execute(connection, "ROLLBACK TO job", [])?;
            } else if connection.total_changes() != before {
                return Err(StoreError::BatchRolledBack);
            }
            if savepoint {
                sql::execute(connection, "RELEASE job", [])?;
            }
        }
        said.counts.store(connection)
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests;
