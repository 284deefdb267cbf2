//! Which web origins a project's widget was used on, and which were refused; a few of each are remembered.

use rusqlite::{Row, params};

use super::error::StoreError;
use super::writer::Write;
use super::{Store, projects, sql};
use crate::clock::Timestamp;
use crate::domain::id::ProjectId;
use crate::domain::project::{self, ORIGINS_MAX};

/// How many origins of each kind are remembered for a project, the latest.
const REMEMBERED: i64 = 10;
/// What a browser calls the origin of a page that has none of its own.
const NULL: &str = "null";

/// What is known of an origin.
#[derive(Clone, Debug)]
pub struct OriginUse {
    pub project: ProjectId,
    pub origin: String,
    pub seen_at: Option<Timestamp>,
    /// How often it was refused, and when last; 0 since it was allowed.
    pub refused: u64,
    pub refused_at: Option<Timestamp>,
}

/// What came of allowing an origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    Now,
    /// It is allowed already, or all are.
    Already,
    /// The list is as long as it may be.
    Full,
}

impl Store {
    /// Notes that feedback came from pages of this origin.
    pub async fn origin_seen(&self, project: ProjectId, origin: String) -> Result<(), StoreError> {
        let Some(origin) = remembered(origin) else {
            return Ok(());
        };
        self.writer
            .write(move |write| {
                sql::run(
                    write,
                    "INSERT INTO origins (project_id, origin, seen_at, refused) SELECT id, ?2, ?3, 0 FROM projects WHERE id = ?1
                     ON CONFLICT DO UPDATE SET seen_at = excluded.seen_at, refused = 0",
                    params![project.as_str(), origin, write.now.millis()],
                )?;
                forget_old(write, &project)
            })
            .await
    }

    /// Notes that pages of this origin tried to send feedback, and may not.
    pub async fn origin_refused(
        &self,
        project: ProjectId,
        origin: String,
    ) -> Result<(), StoreError> {
        let Some(origin) = remembered(origin) else {
            return Ok(());
        };
        self.writer
            .write(move |write| {
                sql::run(
                    write,
                    "INSERT INTO origins (project_id, origin, refused, refused_at) SELECT id, ?2, 1, ?3 FROM projects WHERE id = ?1
                     ON CONFLICT DO UPDATE SET refused = refused + 1, refused_at = excluded.refused_at",
                    params![project.as_str(), origin, write.now.millis()],
                )?;
                forget_old(write, &project)
            })
            .await
    }

    /// All that is known, of all projects, the latest first.
    pub async fn origins(&self) -> Result<Vec<OriginUse>, StoreError> {
        self.reader
            .read(|c| {
                let statement = "SELECT * FROM origins ORDER BY max(ifnull(seen_at, 0), ifnull(refused_at, 0)) DESC, origin";
                sql::all(c, statement, [], read)
            })
            .await
    }

    /// Adds an origin to those that a project allows. `None`: there is no such project.
    pub async fn allow_origin(
        &self,
        project: String,
        origin: String,
    ) -> Result<Option<Allowed>, StoreError> {
        self.writer
            .write(move |write| {
                let Some(mut project) = projects::find(write, &project)? else {
                    return Ok(None);
                };
                let list = &mut project.allowed_origins;
                // To an empty list, which allows all, it must not be added: that would shut all others out.
                if list.is_empty() || list.contains(&origin) {
                    return Ok(Some(Allowed::Already));
                }
                if list.len() >= ORIGINS_MAX {
                    return Ok(Some(Allowed::Full));
                }
                list.push(origin.clone());
                let id = project.id.as_str();
                sql::run(
                    write,
                    "UPDATE projects SET allowed_origins = ?2 WHERE id = ?1",
                    params![id, sql::to_json(list)?],
                )?;
                sql::run(
                    write,
                    "UPDATE origins SET refused = 0 WHERE project_id = ?1 AND origin = ?2",
                    [id, &origin],
                )?;
                Ok(Some(Allowed::Now))
            })
            .await
    }
}

/// As browsers write it; anything else that calls itself an origin is not worth a row.
fn remembered(origin: String) -> Option<String> {
    if origin == NULL {
        return Some(origin);
    }
    project::check_origins(vec![origin]).ok()?.pop()
}

/// The two kinds apart, so that nobody pushes out what was seen by trying under many names.
fn forget_old(write: &Write<'_>, project: &ProjectId) -> Result<(), StoreError> {
    for (kind, time) in [
        ("seen_at IS NOT NULL", "seen_at"),
        ("seen_at IS NULL", "refused_at"),
    ] {
        let statement = format!(
            "DELETE FROM origins WHERE project_id = ?1 AND {kind} AND origin NOT IN
             (SELECT origin FROM origins WHERE project_id = ?1 AND {kind} ORDER BY {time} DESC LIMIT ?2)"
        );
        sql::run(write, &statement, params![project.as_str(), REMEMBERED])?;
    }
    Ok(())
}

fn read(row: &Row<'_>) -> rusqlite::Result<OriginUse> {
    let time = |column| {
        Ok::<_, rusqlite::Error>(
            row.get::<_, Option<i64>>(column)?
                .map(Timestamp::from_millis),
        )
    };
    Ok(OriginUse {
        project: ProjectId::new(row.get::<_, String>("project_id")?),
        origin: row.get("origin")?,
        seen_at: time("seen_at")?,
        refused: row.get("refused")?,
        refused_at: time("refused_at")?,
    })
}
