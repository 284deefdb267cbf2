//! Records the origins whose feedback a project has accepted or rejected. Also adds an origin to a
//! project's allowed origins.

use rusqlite::{Row, params};

use super::db::error::StoreError;
use super::db::sql::{self, Json};
use super::db::writer::WriteTx;
use super::{Store, projects};
use crate::clock::Timestamp;
use crate::domain::id::ProjectId;
use crate::domain::project::{self, ORIGINS_MAX};

/// Maximum number of accepted origins that are stored for a project. Rejected origins have a
/// separate limit of the same size.
const STORED_ORIGINS_MAX: i64 = 10;
/// The value that a browser sends for a page without an origin, such as a local file.
const OPAQUE_ORIGIN: &str = "null";

/// Statistics of the requests from an origin to a project.
#[derive(Clone, Debug)]
pub struct OriginStats {
    pub project: ProjectId,
    pub origin: String,
    pub accepted_at: Option<Timestamp>,
    /// The number of requests rejected since the last accepted request, or since the origin was
    /// allowed.
    pub rejected_count: u64,
    pub rejected_at: Option<Timestamp>,
}

/// The result of allowing an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowOriginResult {
    Added,
    /// The origin is already in the list, or the list is empty and all origins are allowed.
    AlreadyAllowed,
    /// The project already lists the maximum number of origins.
    ListFull,
}

impl Store {
    /// Records that feedback from this origin was accepted.
    pub async fn record_accepted_origin(
        &self,
        project: ProjectId,
        origin: String,
    ) -> Result<(), StoreError> {
        let upsert = "INSERT INTO origins (project_id, origin, accepted_at, rejected_count)
            SELECT id, ?2, ?3, 0 FROM projects WHERE id = ?1
            ON CONFLICT DO UPDATE SET accepted_at = excluded.accepted_at, rejected_count = 0";
        self.record_origin(project, origin, upsert).await
    }

    /// Records that feedback from this origin was rejected.
    pub async fn record_rejected_origin(
        &self,
        project: ProjectId,
        origin: String,
    ) -> Result<(), StoreError> {
        let upsert = "INSERT INTO origins (project_id, origin, rejected_count, rejected_at)
            SELECT id, ?2, 1, ?3 FROM projects WHERE id = ?1
            ON CONFLICT DO UPDATE SET rejected_count = rejected_count + 1,
            rejected_at = excluded.rejected_at";
        self.record_origin(project, origin, upsert).await
    }

    async fn record_origin(
        &self,
        project: ProjectId,
        origin: String,
        upsert: &'static str,
    ) -> Result<(), StoreError> {
        let Some(origin) = normalize_origin(origin) else {
            return Ok(());
        };
        self.writer
            .write(move |tx| {
                sql::execute(tx, upsert, params![project, origin, tx.now])?;
                delete_oldest_origins(tx, &project)
            })
            .await
    }

    /// Returns the recorded origins of all projects, sorted by their last request, latest first.
    pub async fn origins(&self) -> Result<Vec<OriginStats>, StoreError> {
        self.reader
            .read(|c| {
                let statement = "SELECT * FROM origins
                    ORDER BY max(ifnull(accepted_at, 0), ifnull(rejected_at, 0)) DESC, origin";
                sql::query_all(c, statement, [], origin_from_row)
            })
            .await
    }

    /// Adds an origin to a project's allowed origins. Returns `None` if there is no such project.
    pub async fn allow_origin(
        &self,
        project: String,
        origin: String,
    ) -> Result<Option<AllowOriginResult>, StoreError> {
        self.writer
            .write(move |tx| {
                let Some(mut project) = projects::find_project(tx, &project)? else {
                    return Ok(None);
                };
                let list = &mut project.allowed_origins;
                // An empty list allows all origins. Adding an origin to it would block all other
                // origins.
                if list.is_empty() || list.contains(&origin) {
                    return Ok(Some(AllowOriginResult::AlreadyAllowed));
                }
                if list.len() >= ORIGINS_MAX {
                    return Ok(Some(AllowOriginResult::ListFull));
                }
                list.push(origin.clone());
                let update = "UPDATE projects SET allowed_origins = ?2 WHERE id = ?1";
                sql::execute(tx, update, params![project.id, Json(list)])?;
                let reset = "UPDATE origins SET rejected_count = 0
                    WHERE project_id = ?1 AND origin = ?2";
                sql::execute(tx, reset, params![project.id, origin])?;
                Ok(Some(AllowOriginResult::Added))
            })
            .await
    }
}

/// Returns the origin as browsers write it, or `None` if the text isn't an origin.
fn normalize_origin(origin: String) -> Option<String> {
    if origin == OPAQUE_ORIGIN {
        return Some(origin);
    }
    project::check_origins(vec![origin]).ok()?.pop()
}

/// Deletes all but the latest origins of a project. Accepted and rejected origins have separate
/// limits, so rejected origins can't evict accepted origins.
fn delete_oldest_origins(tx: &WriteTx<'_>, project: &ProjectId) -> Result<(), StoreError> {
    for (kind, time) in [
        ("accepted_at IS NOT NULL", "accepted_at"),
        ("accepted_at IS NULL", "rejected_at"),
    ] {
        let statement = format!(
            "DELETE FROM origins WHERE project_id = ?1 AND {kind} AND origin NOT IN
             (SELECT origin FROM origins WHERE project_id = ?1 AND {kind}
              ORDER BY {time} DESC LIMIT ?2)"
        );
        sql::execute(tx, &statement, params![project, STORED_ORIGINS_MAX])?;
    }
    Ok(())
}

fn origin_from_row(row: &Row<'_>) -> rusqlite::Result<OriginStats> {
    Ok(OriginStats {
        project: row.get("project_id")?,
        origin: row.get("origin")?,
        accepted_at: row.get("accepted_at")?,
        rejected_count: row.get("rejected_count")?,
        rejected_at: row.get("rejected_at")?,
    })
}
