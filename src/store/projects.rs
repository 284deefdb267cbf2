//! Projects: creation, settings, and deletion.

use std::collections::HashMap;

use rusqlite::{Connection, Row, params};

use super::db::change_feed::ChangeKind;
use super::db::error::StoreError;
use super::db::pagination::{Page, PageRequest};
use super::db::sql::{self, Json};
use super::db::writer::WriteTx;
use super::precondition::{ChangeError, Precondition};
use super::{Store, erasure};
use crate::domain::id::{FeedbackId, Id, ProjectId};
use crate::domain::project::{Project, ProjectStatus, slug_from_name};

/// Maximum number of feedback items deleted in one transaction when a project is deleted.
const DELETE_BATCH_SIZE: usize = 100;

#[derive(Debug, thiserror::Error)]
pub enum CreateProjectError {
    #[error("The slug “{0}” is already in use. Choose another one.")]
    SlugTaken(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A partial update of a project; `None` leaves a field unchanged.
#[derive(Clone, Debug, Default)]
pub struct ProjectPatch {
    pub name: Option<String>,
    pub status: Option<ProjectStatus>,
    pub allowed_origins: Option<Vec<String>>,
}

impl Store {
    /// Creates a project. A given `slug` must be unused; a slug generated from the name receives a
    /// suffix (`-2`, `-3`, …) if necessary.
    pub async fn create_project(
        &self,
        name: String,
        slug: Option<String>,
    ) -> Result<Project, CreateProjectError> {
        self.writer
            .write(move |tx| {
                let slug = match slug {
                    Some(slug) if is_slug_taken(tx, &slug)? => {
                        return Err(CreateProjectError::SlugTaken(slug));
                    }
                    Some(slug) => slug,
                    None => find_free_slug(tx, &slug_from_name(&name))?,
                };
                let project = Project {
                    id: tx.next_id(),
                    name,
                    slug,
                    status: ProjectStatus::Active,
                    allowed_origins: Vec::new(),
                    created_at: tx.now,
                    updated_at: tx.now,
                };
                sql::execute(
                    tx,
                    "INSERT INTO projects (id, slug, name, status, allowed_origins, created_at,
                     updated_at)
                     VALUES (?1, ?2, ?3, ?4, '[]', ?5, ?5)",
                    params![
                        project.id,
                        project.slug,
                        project.name,
                        project.status,
                        project.created_at
                    ],
                )?;
                Ok(project)
            })
            .await
    }

    /// Returns a page of projects, newest first.
    pub async fn projects(&self, page: PageRequest) -> Result<Page<Project>, StoreError> {
        self.reader
            .read(move |c| {
                let statement = "SELECT * FROM projects WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
                let values = params![page.id_upper_bound(), page.row_limit()];
                let rows = sql::query_all(c, statement, values, project_from_row)?;
                Ok(page.build_page(rows, |project| project.id))
            })
            .await
    }

    /// Returns all projects, sorted by name.
    pub async fn projects_by_name(&self) -> Result<Vec<Project>, StoreError> {
        self.reader
            .read(|c| {
                let statement = "SELECT * FROM projects ORDER BY name COLLATE NOCASE, id";
                sql::query_all(c, statement, [], project_from_row)
            })
            .await
    }

    pub async fn project(&self, id_or_slug: String) -> Result<Option<Project>, StoreError> {
        self.reader
            .read(move |c| find_project(c, &id_or_slug))
            .await
    }

    /// Updates a project. Returns `None` if there is no such project.
    pub async fn update_project(
        &self,
        id_or_slug: String,
        patch: ProjectPatch,
        mut precondition: Precondition<Project>,
    ) -> Result<Option<Project>, ChangeError<Project>> {
        self.writer
            .write(move |tx| {
                let Some(mut project) = find_project(tx, &id_or_slug)? else {
                    return Ok(None);
                };
                precondition.check(&project)?;
                let before = project.clone();
                project.name = patch.name.unwrap_or(project.name);
                project.status = patch.status.unwrap_or(project.status);
                project.allowed_origins = patch.allowed_origins.unwrap_or(project.allowed_origins);
                if project != before {
                    project.updated_at = tx.now;
                }
                sql::execute(
                    tx,
                    "UPDATE projects SET name = ?2, status = ?3, allowed_origins = ?4,
                     updated_at = ?5 WHERE id = ?1",
                    params![
                        project.id,
                        project.name,
                        project.status,
                        Json(&project.allowed_origins),
                        project.updated_at
                    ],
                )?;
                tx.publish_change(ChangeKind::Feedback);
                Ok(Some(project))
            })
            .await
    }

    /// Returns the number of feedback items of each project that has feedback.
    pub async fn count_feedback_by_project(&self) -> Result<HashMap<ProjectId, u64>, StoreError> {
        self.reader
            .read(|c| {
                let statement = "SELECT project_id, sum(count) FROM feedback_counts
                     GROUP BY project_id HAVING sum(count) > 0";
                let rows = sql::query_all(c, statement, [], |row| row.try_into())?;
                Ok(rows.into_iter().collect())
            })
            .await
    }

    /// Deletes a project, its feedback, and the feedback's content in the delivery log. Returns
    /// `false` if there is no such project.
    ///
    /// Feedback is deleted in batches, so that other jobs don't wait long. If one batch isn't
    /// enough, the first batch also pauses the project, so that no feedback is added.
    pub async fn delete_project(
        &self,
        id_or_slug: String,
        mut precondition: Precondition<Project>,
    ) -> Result<bool, ChangeError<Project>> {
        loop {
            let id_or_slug = id_or_slug.clone();
            // The first batch checks the precondition.
            let precondition = std::mem::replace(&mut precondition, Precondition::none());
            let batch = self
                .writer
                .write(move |tx| delete_project_batch(tx, &id_or_slug, precondition));
            match batch.await? {
                DeleteProgress::NotFound => return Ok(false),
                DeleteProgress::Done => return Ok(true),
                DeleteProgress::HasMore => {}
            }
        }
    }
}

/// The result of deleting one batch of a project's feedback.
enum DeleteProgress {
    NotFound,
    HasMore,
    Done,
}

fn delete_project_batch(
    tx: &mut WriteTx<'_>,
    id_or_slug: &str,
    mut precondition: Precondition<Project>,
) -> Result<DeleteProgress, ChangeError<Project>> {
    let Some(project) = find_project(tx, id_or_slug)? else {
        return Ok(DeleteProgress::NotFound);
    };
    precondition.check(&project)?;
    let batch = "SELECT id FROM feedback WHERE project_id = ?1 ORDER BY number LIMIT ?2";
    let batch: Vec<FeedbackId> =
        sql::query_column(tx, batch, params![project.id, DELETE_BATCH_SIZE])?;
    for feedback in &batch {
        erasure::erase_feedback(tx, feedback)?;
    }
    if batch.len() == DELETE_BATCH_SIZE {
        if project.status != ProjectStatus::Paused {
            let pause = "UPDATE projects SET status = ?2, updated_at = ?3 WHERE id = ?1";
            let values = params![project.id, ProjectStatus::Paused, tx.now];
            sql::execute(tx, pause, values)?;
        }
        return Ok(DeleteProgress::HasMore);
    }
    sql::execute(tx, "DELETE FROM projects WHERE id = ?1", [project.id])?;
    Ok(DeleteProgress::Done)
}

/// Finds a project by id or slug. Ids contain an underscore; slugs don't.
pub(super) fn find_project(
    connection: &Connection,
    id_or_slug: &str,
) -> Result<Option<Project>, StoreError> {
    if id_or_slug.contains('_') {
        let by_id = "SELECT * FROM projects WHERE id = ?1";
        let id = ProjectId::parse_or_nil(id_or_slug);
        return sql::query_optional(connection, by_id, [id], project_from_row);
    }
    let by_slug = "SELECT * FROM projects WHERE slug = ?1";
    sql::query_optional(connection, by_slug, [id_or_slug], project_from_row)
}

fn is_slug_taken(connection: &Connection, slug: &str) -> Result<bool, StoreError> {
    sql::exists(connection, "SELECT 1 FROM projects WHERE slug = ?1", [slug])
}

fn find_free_slug(connection: &Connection, preferred: &str) -> Result<String, StoreError> {
    let mut slug = preferred.to_owned();
    let mut number = 2;
    while is_slug_taken(connection, &slug)? {
        slug = format!("{preferred}-{number}");
        number += 1;
    }
    Ok(slug)
}

fn project_from_row(row: &Row<'_>) -> rusqlite::Result<Project> {
    Ok(Project {
        id: row.get("id")?,
        name: row.get("name")?,
        slug: row.get("slug")?,
        status: row.get("status")?,
        allowed_origins: row.get::<_, Json<_>>("allowed_origins")?.0,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
    })
}
