//! Migrates the database to the schema of this version.
//!
//! Before a migration, checks the free space and copies the database. A migration runs in one
//! transaction, so an interrupted migration leaves the old schema, and the next start repeats it.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::error::OpenError;
use super::files::{self, FileId, append_suffix};
use super::lock::{DirectoryLock, lock_data_directory};
use super::old_copies::name_before_migration;
use super::open::{copy_database, database_path, io_error, sync_parent_directory};

#[cfg(test)]
mod tests;

/// Applies the missing `migrations`, after copying an existing database. Locks the directory during
/// the migration, unless the caller already holds the lock.
pub(super) fn migrate(
    connection: &mut Connection,
    dir: &Path,
    migrations: &[M<'_>],
    callers_lock: Option<&DirectoryLock>,
) -> Result<(), OpenError> {
    let path = database_path(dir);
    let wanted = migrations.len() as u32;
    let found: u32 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if found > wanted {
        return Err(OpenError::NewerSchema { path, found });
    }
    if found == wanted {
        return Ok(());
    }
    let _lock = match callers_lock {
        Some(_) => None,
        None => Some(
            lock_data_directory(dir).map_err(|_| OpenError::MigrationBlocked {
                path: path.clone(),
                found,
            })?,
        ),
    };
    let migrations = Migrations::from_slice(migrations);
    if found == 0 {
        return Ok(migrations.to_latest(connection)?);
    }
    copy_before_migration(connection, &path, found, wanted)?;
    tracing::info!(from = found, to = wanted, "migrating the database");
    let started = Instant::now();
    migrations.to_latest(connection)?;
    let seconds = seconds_since(started);
    tracing::info!(seconds, version = wanted, "migrated the database");
    Ok(())
}

/// Copies the database to a file such as `miniback.db.v1-before-v2`. Replaces a copy from an
/// earlier attempt. The file has this name only when it is complete.
fn copy_before_migration(
    connection: &Connection,
    path: &Path,
    found: u32,
    wanted: u32,
) -> Result<(), OpenError> {
    let copy = name_before_migration(path, found, wanted);
    let partial = append_suffix(&copy, ".partial");
    // Free the space of an earlier attempt before the free space is checked.
    for earlier in [&copy, &partial] {
        files::remove_if_exists(earlier).map_err(io_error(earlier))?;
    }
    check_free_space(connection, path)?;
    tracing::info!(copy = %copy.display(), "copying the database before its migration");
    let started = Instant::now();
    let written = write_copy(connection, &partial, &copy);
    if written.is_err() {
        // The disk may be full. If this fails, the next attempt removes the file.
        let _ = std::fs::remove_file(&partial);
    }
    written?;
    let seconds = seconds_since(started);
    tracing::info!(seconds, copy = %copy.display(), "copied the database before its migration");
    Ok(())
}

fn write_copy(connection: &Connection, partial: &Path, copy: &Path) -> Result<(), OpenError> {
    let fail = io_error(partial);
    let file = files::create_private_file(partial).map_err(fail)?;
    copy_database(connection, partial).map_err(|source| OpenError::Copy {
        path: copy.to_owned(),
        source,
    })?;
    if let Some(file) = file {
        file.sync_all().map_err(fail)?;
    }
    std::fs::rename(partial, copy).map_err(fail)?;
    sync_parent_directory(copy);
    Ok(())
}

/// Checks that there is enough free space for the copy and for the migration. A migration can write
/// as much as the whole database to the WAL.
fn check_free_space(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    let pragma = |name| -> rusqlite::Result<u64> {
        connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get(0))
    };
    let page_size = pragma("page_size")?;
    let pages = pragma("page_count")?;
    let copy_bytes = (pages - pragma("freelist_count")?.min(pages)) * page_size;
    let wal_bytes = pages * page_size;
    let fail = io_error(path);
    let copy_dir = files::parent_directory(path);
    let wal_dir = files::parent_directory(&files::resolve_link(path).map_err(fail)?);
    let device = |dir: &PathBuf| FileId::from_path(dir).map(|id| id.device);
    if device(&copy_dir).map_err(fail)? == device(&wal_dir).map_err(fail)? {
        return require_free_space(&copy_dir, copy_bytes + wal_bytes);
    }
    require_free_space(&copy_dir, copy_bytes)?;
    require_free_space(&wal_dir, wal_bytes)
}

fn require_free_space(dir: &Path, needed: u64) -> Result<(), OpenError> {
    match files::free_space(dir) {
        Some(available) if available < needed => Err(OpenError::MigrationSpace {
            dir: dir.to_owned(),
            needed,
            available,
        }),
        _ => Ok(()),
    }
}

/// Returns the seconds since `started`, rounded to milliseconds.
fn seconds_since(started: Instant) -> f64 {
    (started.elapsed().as_secs_f64() * 1_000.0).round() / 1_000.0
}
