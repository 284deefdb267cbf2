//! Projects.

use std::collections::HashMap;

use rusqlite::{Connection, Row, params};

use super::db::change_feed::ChangeKind;
use super::db::error::StoreError;
use super::db::page::{Page, PageRequest};
use super::db::sql;
use super::db::writer::WriteTx;
use super::{Store, erasure};
use crate::clock::Timestamp;
use crate::domain::id::ProjectId;
use crate::domain::project::{Project, ProjectStatus, slug_from_name};

#[derive(Debug, thiserror::Error)]
pub enum CreateProjectError {
    #[error("The slug “{0}” is taken; choose another one.")]
    SlugTaken(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What of a project is to change; `None` stays.
#[derive(Clone, Debug, Default)]
pub struct ProjectPatch {
    pub name: Option<String>,
    pub status: Option<ProjectStatus>,
    pub allowed_origins: Option<Vec<String>>,
}

impl Store {
    /// Makes a project. A slug that was asked for must be free; one made from the name gets `-2`, `-3`, … until it is.
    pub async fn create_project(
        &self,
        name: String,
        slug: Option<String>,
    ) -> Result<Project, CreateProjectError> {
        self.writer
            .write(move |write| {
                let slug = match slug {
                    Some(slug) if is_slug_taken(write, &slug)? => return Err(CreateProjectError::SlugTaken(slug)),
                    Some(slug) => slug,
                    None => free_slug(write, &slug_from_name(&name))?,
                };
                let project = Project {
                    id: write.next_id(),
                    name,
                    slug,
                    status: ProjectStatus::Active,
                    allowed_origins: Vec::new(),
                    created_at: write.now,
                };
                sql::execute(
                    write,
                    "INSERT INTO projects (id, slug, name, status, allowed_origins, created_at) VALUES (?1, ?2, ?3, ?4, '[]', ?5)",
                    params![
                        project.id.as_str(),
                        project.slug,
                        project.name,
                        project.status.as_str(),
                        project.created_at.millis()
                    ],
                )?;
                Ok(project)
            })
            .await
    }

    pub async fn projects(&self, page: PageRequest) -> Result<Page<Project>, StoreError> {
        self.reader
            .read(move |c| {
                let statement = "SELECT * FROM projects WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
                let rows = sql::query_all(c, statement, params![page.before(), page.rows()], read)?;
                Ok(page.page(rows, |project| project.id.as_str()))
            })
            .await
    }

    /// All projects by name, for a page's choice.
    pub async fn projects_by_name(&self) -> Result<Vec<Project>, StoreError> {
        self.reader
            .read(|c| {
                sql::query_all(
                    c,
                    "SELECT * FROM projects ORDER BY name COLLATE NOCASE, id",
                    [],
                    read,
                )
            })
            .await
    }

    pub async fn project(&self, id_or_slug: String) -> Result<Option<Project>, StoreError> {
        self.reader.read(move |c| find(c, &id_or_slug)).await
    }

    pub async fn update_project(
        &self,
        id_or_slug: String,
        change: ProjectPatch,
    ) -> Result<Option<Project>, StoreError> {
        self.writer
            .write(move |write| {
                let Some(mut project) = find(write, &id_or_slug)? else { return Ok(None) };
                project.name = change.name.unwrap_or(project.name);
                project.status = change.status.unwrap_or(project.status);
                project.allowed_origins = change.allowed_origins.unwrap_or(project.allowed_origins);
                sql::execute(
                    write,
                    "UPDATE projects SET name = ?2, status = ?3, allowed_origins = ?4 WHERE id = ?1",
                    params![
                        project.id.as_str(),
                        project.name,
                        project.status.as_str(),
                        sql::to_json(&project.allowed_origins)?
                    ],
                )?;
                write.publish_change(ChangeKind::Feedback);
                Ok(Some(project))
            })
            .await
    }

    /// How much feedback each project has, by its id; a project without any is not in it.
    pub async fn count_feedback_by_project(&self) -> Result<HashMap<ProjectId, u64>, StoreError> {
        self.reader
            .read(|c| {
                let statement = "SELECT project_id, sum(count) FROM feedback_counts
                     GROUP BY project_id HAVING sum(count) > 0";
                let read =
                    |row: &Row<'_>| Ok((ProjectId::new(row.get::<_, String>(0)?), row.get(1)?));
                Ok(sql::query_all(c, statement, [], read)?
                    .into_iter()
                    .collect())
            })
            .await
    }

    /// Deletes a project with its feedback, and its words in the log. `false`: there is no such project.
    ///
    /// It goes in steps that hold no other writer long: paused first, so that nothing comes in meanwhile.
    pub async fn delete_project(&self, id_or_slug: String) -> Result<bool, StoreError> {
        loop {
            let asked = id_or_slug.clone();
            let step = self.writer.write(move |write| delete_batch(write, &asked));
            match step.await? {
                Step::None => return Ok(false),
                Step::Done => return Ok(true),
                Step::More => {}
            }
        }
    }
}

/// What a step of deleting a project came to.
enum Step {
    /// There is no such project.
    None,
    More,
    Done,
}

/// How many feedbacks a step deletes.
const STEP: usize = 100;

fn delete_batch(write: &mut WriteTx<'_>, id_or_slug: &str) -> Result<Step, StoreError> {
    let Some(project) = find(write, id_or_slug)? else {
        return Ok(Step::None);
    };
    let id = project.id.as_str();
    let some = "SELECT id FROM feedback WHERE project_id = ?1 ORDER BY id LIMIT ?2";
    let ids = sql::query_all(write, some, params![id, STEP], |row| {
        row.get::<_, String>(0)
    })?;
    for feedback in &ids {
        erasure::erase_feedback(write, feedback)?;
    }
    if ids.len() == STEP {
        let pause = "UPDATE projects SET status = ?2 WHERE id = ?1";
        sql::execute(write, pause, [id, ProjectStatus::Paused.as_str()])?;
        return Ok(Step::More);
    }
    sql::execute(write, "DELETE FROM projects WHERE id = ?1", [id])?;
    Ok(Step::Done)
}

/// Ids hold an underscore and slugs do not, so one look-up serves both.
pub(super) fn find(
    connection: &Connection,
    id_or_slug: &str,
) -> Result<Option<Project>, StoreError> {
    let column = if id_or_slug.contains('_') {
        "id"
    } else {
        "slug"
    };
    sql::query_optional(
        connection,
        &format!("SELECT * FROM projects WHERE {column} = ?1"),
        [id_or_slug],
        read,
    )
}

fn is_slug_taken(connection: &Connection, slug: &str) -> Result<bool, StoreError> {
    Ok(sql::query_optional(
        connection,
        "SELECT 1 FROM projects WHERE slug = ?1",
        [slug],
        |_| Ok(()),
    )?
    .is_some())
}

fn free_slug(connection: &Connection, wanted: &str) -> Result<String, StoreError> {
    let mut slug = wanted.to_owned();
    let mut number = 2;
    while is_slug_taken(connection, &slug)? {
        slug = format!("{wanted}-{number}");
        number += 1;
    }
    Ok(slug)
}

fn read(row: &Row<'_>) -> rusqlite::Result<Project> {
    let status = |text: &str| {
        [ProjectStatus::Active, ProjectStatus::Paused]
            .into_iter()
            .find(|s| s.as_str() == text)
    };
    Ok(Project {
        id: ProjectId::new(row.get::<_, String>("id")?),
        name: row.get("name")?,
        slug: row.get("slug")?,
        status: sql::parse_column(row, "status", status)?,
        allowed_origins: sql::from_json(row, "allowed_origins")?,
        created_at: Timestamp::from_millis(row.get("created_at")?),
    })
}
