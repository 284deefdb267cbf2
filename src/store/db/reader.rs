//! Pools of read-only connections. Reads run on blocking threads, except reads of one or two rows.
//!
//! In WAL mode, a reader never blocks the writer. A read runs in one snapshot and must be short,
//! because an open snapshot keeps the WAL from being reset.

use std::path::Path;
use std::time::Duration;

use r2d2::Pool;
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::error::StoreError;
use super::health::DatabaseHealth;
use super::{BUSY_TIMEOUT, sql};

/// Maximum number of concurrent fast reads.
const FAST_POOL_SIZE: u32 = 4;
/// Maximum number of concurrent slow reads, such as searches and long lists. They have their own
/// pool so that they can't delay a sign-in or the dispatcher.
const SLOW_POOL_SIZE: u32 = 2;
/// The maximum time that a read waits for a free connection.
const POOL_TIMEOUT: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(in crate::store) struct Reader {
    fast: Pool<SqliteConnectionManager>,
    slow: Pool<SqliteConnectionManager>,
    health: DatabaseHealth,
}

impl Reader {
    pub(in crate::store) fn open(path: &Path, health: DatabaseHealth) -> Result<Self, StoreError> {
        Ok(Self {
            health,
            fast: open_pool(path, FAST_POOL_SIZE)?,
            slow: open_pool(path, SLOW_POOL_SIZE)?,
        })
    }

    /// Runs `work` in a read transaction on a blocking thread.
    pub(in crate::store) async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.read_from_pool(&self.fast, work).await
    }

    /// Runs `work` on the current thread, without a transaction. If no connection is free, runs it
    /// like [`read`](Self::read).
    ///
    /// Use this function only to read one or two rows by key, because such a read takes less time
    /// than switching threads.
    pub(in crate::store) async fn read_inline<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match self.fast.try_get() {
            Some(connection) => {
                self.health.check_readable()?;
                let result = work(&connection);
                self.health.report_corruption();
                result
            }
            None => self.read(work).await,
        }
    }

    /// Like [`read`](Self::read), for slow reads, such as searches and long lists.
    pub(in crate::store) async fn read_slow<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.read_from_pool(&self.slow, work).await
    }

    async fn read_from_pool<T, E, F>(
        &self,
        pool: &Pool<SqliteConnectionManager>,
        work: F,
    ) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (pool, health) = (pool.clone(), self.health.clone());
        let task = tokio::task::spawn_blocking(move || {
            health.check_readable()?;
            let connection = pool.get().map_err(StoreError::from)?;
            let result = run_in_transaction(&connection, work);
            health.report_corruption();
            result
        });
        task.await
            .unwrap_or_else(|_| Err(StoreError::Panicked.into()))
    }
}

fn run_in_transaction<T, E: From<StoreError>>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, E> {
    /// Ends the transaction even if `work` panics, because the connection returns to the pool.
    struct RollbackOnDrop<'a>(&'a Connection);
    impl Drop for RollbackOnDrop<'_> {
        fn drop(&mut self) {
            // A read has nothing to commit. If the rollback fails, the next `BEGIN` reports it.
            let _ = sql::execute(self.0, "ROLLBACK", []);
        }
    }
    sql::execute(connection, "BEGIN", [])?;
    let _rollback = RollbackOnDrop(connection);
    work(connection)
}

fn open_pool(path: &Path, connections: u32) -> Result<Pool<SqliteConnectionManager>, StoreError> {
    let manager = SqliteConnectionManager::file(path)
        .with_flags(OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .with_init(|connection| {
            connection.busy_timeout(BUSY_TIMEOUT)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
            connection.set_prepared_statement_cache_capacity(64);
            // This query also opens the WAL.
            connection.query_row("PRAGMA schema_version", [], |_| Ok(()))?;
            Ok(())
        });
    let pool = Pool::builder()
        // Open all connections now, because another file may be at the path later.
        .max_size(connections)
        .test_on_check_out(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connection_timeout(POOL_TIMEOUT)
        .build(manager)?;
    Ok(pool)
}
