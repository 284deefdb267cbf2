//! `/api/v1/projects`.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;

use super::body::{Json, named};
use super::lists::{List, Query};
use super::problem::{Problem, answer_to_delete};
use crate::domain::invalid::Checks;
use crate::domain::project::{self, ProjectStatus};
use crate::server::Site;
use crate::store::{CreateProjectError, ProjectChange};

const NOT_FOUND: Problem = Problem::NotFound("There is no such project.");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    name: String,
    slug: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Change {
    #[serde(default, deserialize_with = "named")]
    name: Option<String>,
    #[serde(default, deserialize_with = "named")]
    status: Option<ProjectStatus>,
    #[serde(default, deserialize_with = "named")]
    allowed_origins: Option<Vec<String>>,
}

pub(super) async fn create(
    site: web::Data<Site>,
    Json(body): Json<Create>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let name = checks
        .take("name", project::name(&body.name))
        .unwrap_or_default();
    let slug = body
        .slug
        .and_then(|slug| checks.take("slug", project::slug(slug)));
    checks.finish()?;
    let project = site
        .store
        .create_project(name, slug)
        .await
        .map_err(|error| match error {
            CreateProjectError::SlugTaken(_) => Problem::Conflict(error.to_string()),
            CreateProjectError::Store(error) => error.into(),
        })?;
    let location = site.links.to(&format!("/api/v1/projects/{}", project.id));
    Ok(HttpResponse::Created()
        .insert_header(("Location", location))
        .json(project))
}

pub(super) async fn list(
    site: web::Data<Site>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let page = Query::of(&request)?.page("prj_")?;
    Ok(
        HttpResponse::Ok().json(List::of(site.store.projects(page).await?, |project| {
            project
        })),
    )
}

pub(super) async fn get(
    site: web::Data<Site>,
    project: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let project = site
        .store
        .project(project.into_inner())
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(project))
}

pub(super) async fn change(
    site: web::Data<Site>,
    project: web::Path<String>,
    Json(body): Json<Change>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let change = ProjectChange {
        name: body
            .name
            .and_then(|name| checks.take("name", project::name(&name))),
        status: body.status,
        allowed_origins: body
            .allowed_origins
            .and_then(|list| checks.take("allowedOrigins", project::origins(list))),
    };
    checks.finish()?;
    let project = site
        .store
        .change_project(project.into_inner(), change)
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(project))
}

pub(super) async fn delete(
    site: web::Data<Site>,
    project: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let deleted = site.store.delete_project(project.into_inner()).await?;
    answer_to_delete(deleted, NOT_FOUND)
}
