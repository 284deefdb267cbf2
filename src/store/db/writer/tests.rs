//! What becomes of jobs that fail, and of their neighbours in the same commit.

use super::*;
use crate::store::db::sql;

fn writer(prepare: &str) -> Writer {
    let connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)")
        .unwrap();
    connection.execute_batch(prepare).unwrap();
    let clock = Clock::System;
    let (ids, wakes) = (IdSequence::after(None), CommitNotifiers::new(clock.now()));
    Writer::start(connection, ids, clock, wakes, None).unwrap()
}

async fn insert(writer: &Writer, a: i64, bytes: usize) -> Result<(), StoreError> {
    let work = move |write: &mut WriteTx<'_>| {
        sql::execute(write, "INSERT INTO t VALUES (?1, zeroblob(?2))", (a, bytes)).map(|_| ())
    };
    writer.write(work).await
}

async fn stored(writer: &Writer) -> Vec<i64> {
    let work = |write: &mut WriteTx<'_>| {
        sql::query_all(write, "SELECT a FROM t ORDER BY a", [], |row| row.get(0))
    };
    writer.write::<_, StoreError, _>(work).await.unwrap()
}

#[tokio::test]
async fn a_job_that_fails_or_panics_is_rolled_back_alone() {
    let writer = writer("INSERT INTO t VALUES (1, NULL)");
    let half = |write: &mut WriteTx<'_>| {
        sql::execute(write, "INSERT INTO t VALUES (10, NULL)", [])?;
        sql::execute(write, "INSERT INTO t VALUES (1, NULL)", []).map(|_| ())
    };
    let panics = |write: &mut WriteTx<'_>| -> Result<(), StoreError> {
        sql::execute(write, "INSERT INTO t VALUES (11, NULL)", [])?;
        panic!("on purpose")
    };
    // Polled together, so that they share a batch.
    let (before, failed, panicked, after) = tokio::join!(
        insert(&writer, 2, 0),
        writer.write(half),
        writer.write(panics),
        insert(&writer, 3, 0)
    );
    assert!(before.is_ok() && after.is_ok());
    assert!(matches!(failed, Err(StoreError::Sqlite(_))), "{failed:?}");
    assert!(
        matches!(panicked, Err(StoreError::Panicked)),
        "{panicked:?}"
    );
    assert_eq!(stored(&writer).await, [1, 2, 3]);
}

#[tokio::test]
async fn a_checked_job_that_fails_before_its_first_change_fails_alone_and_after_it_takes_the_commit()
 {
    let writer = writer("INSERT INTO t VALUES (1, NULL)");
    let refuses = |write: &mut WriteTx<'_>| -> Result<(), StoreError> {
        sql::query_all(write, "SELECT a FROM t", [], |row| row.get::<_, i64>(0))?;
        Err(StoreError::InvalidValue("on purpose".into()))
    };
    let (before, refused, after) = tokio::join!(
        insert(&writer, 2, 0),
        writer.write_without_savepoint(refuses),
        insert(&writer, 3, 0)
    );
    assert!(before.is_ok() && after.is_ok());
    assert!(
        matches!(refused, Err(StoreError::InvalidValue(_))),
        "{refused:?}"
    );
    assert_eq!(stored(&writer).await, [1, 2, 3]);

    let half = |write: &mut WriteTx<'_>| {
        sql::execute(write, "INSERT INTO t VALUES (10, NULL)", [])?;
        sql::execute(write, "INSERT INTO t VALUES (1, NULL)", []).map(|_| ())
    };
    let (before, failed, after) = tokio::join!(
        insert(&writer, 4, 0),
        writer.write_without_savepoint(half),
        insert(&writer, 5, 0)
    );
    assert!(matches!(failed, Err(StoreError::Sqlite(_))), "{failed:?}");
    // However the batches fell: who got no error is stored, who got one is not.
    let mut wanted = vec![1, 2, 3];
    for (a, answer) in [(4, before), (5, after)] {
        match answer {
            Ok(()) => wanted.push(a),
            Err(error) => assert!(matches!(error, StoreError::BatchRolledBack), "{error:?}"),
        }
    }
    assert_eq!(stored(&writer).await, wanted);
    insert(&writer, 6, 10).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_stores_nothing_of_the_batch_and_says_so_to_each() {
    let writer = writer("PRAGMA max_page_count = 20");
    let (one, two, three) = tokio::join!(
        insert(&writer, 1, 10),
        insert(&writer, 2, 500_000),
        insert(&writer, 3, 10)
    );
    // However the batches fell: who got no error is stored, who got one is not.
    let acknowledged: Vec<i64> = [(1, &one), (2, &two), (3, &three)]
        .iter()
        .filter(|(_, r)| r.is_ok())
        .map(|(a, _)| *a)
        .collect();
    assert!(matches!(two, Err(StoreError::DiskFull)), "{two:?}");
    for failed in [one, two, three].iter().filter_map(|r| r.as_ref().err()) {
        assert!(matches!(failed, StoreError::DiskFull), "{failed:?}");
    }
    assert_eq!(stored(&writer).await, acknowledged);
    insert(&writer, 4, 10).await.unwrap();
}

#[tokio::test]
async fn a_database_that_may_not_be_written_is_told_apart_from_a_full_disk() {
    let writer = writer("PRAGMA query_only = ON");
    let refused = insert(&writer, 1, 10).await;
    assert!(matches!(refused, Err(StoreError::ReadOnly)), "{refused:?}");
}

#[tokio::test]
async fn what_was_queued_before_the_close_is_done_and_nothing_after_it() {
    let writer = writer("");
    let queued = tokio::spawn({
        let writer = writer.clone();
        async move { insert(&writer, 1, 0).await }
    });
    queued.await.unwrap().unwrap();
    let closing = writer.clone();
    tokio::task::spawn_blocking(move || closing.close())
        .await
        .unwrap();
    assert!(matches!(
        insert(&writer, 2, 0).await,
        Err(StoreError::Closed)
    ));
}
