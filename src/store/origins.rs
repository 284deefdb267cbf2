//! Which web origins a project's widget was used on, and which were refused; a few of each are remembered.

use rusqlite::{Row, params};

use super::db::error::StoreError;
use super::db::sql;
use super::db::writer::WriteTx;
use super::{Store, projects};
use crate::clock::Timestamp;
use crate::domain::id::ProjectId;
use crate::domain::project::{self, ORIGINS_MAX};

/// How many origins of each kind are remembered for a project, the latest.
const ORIGINS_KEPT: i64 = 10;
/// What a browser calls the origin of a page that has none of its own.
const NULL: &str = "null";

/// What is known of an origin.
#[derive(Clone, Debug)]
pub struct OriginStats {
    pub project: ProjectId,
    pub origin: String,
    pub accepted_at: Option<Timestamp>,
    /// How often it was refused, and when last; 0 since it was allowed.
    pub rejected_count: u64,
    pub rejected_at: Option<Timestamp>,
}

/// What came of allowing an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AllowOrigin {
    Added,
    /// It is allowed already, or all are.
    AlreadyAllowed,
    /// The list is as long as it may be.
    ListFull,
}

impl Store {
    /// Notes that feedback came from pages of this origin.
    pub async fn record_accepted_origin(
        &self,
        project: ProjectId,
        origin: String,
    ) -> Result<(), StoreError> {
        let Some(origin) = normalize(origin) else {
            return Ok(());
        };
        self.writer
            .write(move |write| {
                sql::execute(
                    write,
                    "INSERT INTO origins (project_id, origin, accepted_at, rejected_count) SELECT id, ?2, ?3, 0 FROM projects WHERE id = ?1
                     ON CONFLICT DO UPDATE SET accepted_at = excluded.accepted_at, rejected_count = 0",
                    params![project.as_str(), origin, write.now.millis()],
                )?;
                delete_oldest(write, &project)
            })
            .await
    }

    /// Notes that pages of this origin tried to send feedback, and may not.
    pub async fn record_rejected_origin(
        &self,
        project: ProjectId,
        origin: String,
    ) -> Result<(), StoreError> {
        let Some(origin) = normalize(origin) else {
            return Ok(());
        };
        self.writer
            .write(move |write| {
                sql::execute(
                    write,
                    "INSERT INTO origins (project_id, origin, rejected_count, rejected_at) SELECT id, ?2, 1, ?3 FROM projects WHERE id = ?1
                     ON CONFLICT DO UPDATE SET rejected_count = rejected_count + 1, rejected_at = excluded.rejected_at",
                    params![project.as_str(), origin, write.now.millis()],
                )?;
                delete_oldest(write, &project)
            })
            .await
    }

    /// All that is known, of all projects, the latest first.
    pub async fn origins(&self) -> Result<Vec<OriginStats>, StoreError> {
        self.reader
            .read(|c| {
                let statement = "SELECT * FROM origins ORDER BY max(ifnull(accepted_at, 0), ifnull(rejected_at, 0)) DESC, origin";
                sql::query_all(c, statement, [], read)
            })
            .await
    }

    /// Adds an origin to those that a project allows. `None`: there is no such project.
    pub async fn allow_origin(
        &self,
        project: String,
        origin: String,
    ) -> Result<Option<AllowOrigin>, StoreError> {
        self.writer
            .write(move |write| {
                let Some(mut project) = projects::find(write, &project)? else {
                    return Ok(None);
                };
                let list = &mut project.allowed_origins;
                // To an empty list, which allows all, it must not be added: that would shut all others out.
                if list.is_empty() || list.contains(&origin) {
                    return Ok(Some(AllowOrigin::AlreadyAllowed));
                }
                if list.len() >= ORIGINS_MAX {
                    return Ok(Some(AllowOrigin::ListFull));
                }
                list.push(origin.clone());
                let id = project.id.as_str();
                sql::execute(
                    write,
                    "UPDATE projects SET allowed_origins = ?2 WHERE id = ?1",
                    params![id, sql::to_json(list)?],
                )?;
                sql::execute(
                    write,
                    "UPDATE origins SET rejected_count = 0 WHERE project_id = ?1 AND origin = ?2",
                    [id, &origin],
                )?;
                Ok(Some(AllowOrigin::Added))
            })
            .await
    }
}

/// As browsers write it; anything else that calls itself an origin is not worth a row.
fn normalize(origin: String) -> Option<String> {
    if origin == NULL {
        return Some(origin);
    }
    project::check_origins(vec![origin]).ok()?.pop()
}

/// The two kinds apart, so that nobody pushes out what was seen by trying under many names.
fn delete_oldest(write: &WriteTx<'_>, project: &ProjectId) -> Result<(), StoreError> {
    for (kind, time) in [
        ("accepted_at IS NOT NULL", "accepted_at"),
        ("accepted_at IS NULL", "rejected_at"),
    ] {
        let statement = format!(
            "DELETE FROM origins WHERE project_id = ?1 AND {kind} AND origin NOT IN
             (SELECT origin FROM origins WHERE project_id = ?1 AND {kind} ORDER BY {time} DESC LIMIT ?2)"
        );
        sql::execute(write, &statement, params![project.as_str(), ORIGINS_KEPT])?;
    }
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<OriginStats> {
    let time = |column| {
        Ok::<_, rusqlite::Error>(
            row.get::<_, Option<i64>>(column)?
                .map(Timestamp::from_millis),
        )
    };
    Ok(OriginStats {
        project: ProjectId::new(row.get::<_, String>("project_id")?),
        origin: row.get("origin")?,
        accepted_at: time("accepted_at")?,
        rejected_count: row.get("rejected_count")?,
        rejected_at: time("rejected_at")?,
    })
}
