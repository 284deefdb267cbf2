//! `/api/v1/projects`.

use std::borrow::Cow;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::body::{Json, named};
use super::lists::{List, Paging, Query};
use super::problem::{Problem, answer_to_delete};
use crate::domain::id::ProjectId;
use crate::domain::project::{self, ORIGINS_MAX, Project, ProjectStatus};
use crate::domain::validation::Checks;
use crate::server::Site;
use crate::store::{CreateProjectError, ProjectChange};

const NOT_FOUND: Problem = Problem::NotFound("There is no such project.");

/// How a project is named, for the document: by its id or its slug.
pub(super) struct IdOrSlug;

impl PartialSchema for IdOrSlug {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("The id or the slug of a project."))
            .pattern(Some("^(prj_[0-7][0-9A-HJKMNP-TV-Z]{25}|[a-z0-9-]{1,64})$"))
            .examples(["my-website"])
            .into()
    }
}

impl ToSchema for IdOrSlug {
    fn name() -> Cow<'static, str> {
        "ProjectIdOrSlug".into()
    }
}

#[derive(Deserialize, ToSchema)]
#[schema(as = NewProject)]
#[serde(deny_unknown_fields)]
pub(super) struct Create {
    /// Without control characters; white space at its ends is cut off.
    #[schema(
        min_length = 1,
        max_length = 100,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$",
        example = "My Website"
    )]
    name: String,
    /// 1 to 64 of the characters a to z, 0 to 9 and -; made from the name where it is left out. It never changes.
    #[schema(pattern = "^[a-z0-9-]{1,64}$", example = "my-website")]
    slug: Option<String>,
}

/// A list of what `project::check_origins` takes, for the document.
fn origins_schema() -> Array {
    let origin = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(r"^\s*[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\s]+/?\s*$"));
    ArrayBuilder::new()
        .items(origin)
        .max_items(Some(ORIGINS_MAX))
        .description(Some(
            "Replaces the list. Each as `https://example.com`, without a path; empty = every origin.",
        ))
        .examples([json!(["https://example.com"])])
        .build()
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ProjectChange)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Change {
    #[schema(
        nullable = false,
        min_length = 1,
        max_length = 100,
        pattern = "^[^\\x00-\\x1f\\x7f-\\x9f]*[^\\s\\x00-\\x1f\\x7f-\\x9f][^\\x00-\\x1f\\x7f-\\x9f]*$"
    )]
    #[serde(default, deserialize_with = "named")]
    name: Option<String>,
    #[schema(nullable = false, example = "PAUSED")]
    #[serde(default, deserialize_with = "named")]
    status: Option<ProjectStatus>,
    #[schema(schema_with = origins_schema)]
    #[serde(default, deserialize_with = "named")]
    allowed_origins: Option<Vec<String>>,
}

/// Create a project
///
/// A slug that is made from the name gets `-2`, `-3`… where it is taken.
#[utoipa::path(post, path = "/api/v1/projects", operation_id = "createProject", tag = "Projects",
    request_body = Create,
    responses(
        (status = 201, description = "The project", body = Project),
        (status = 409, description = "The slug that was given is taken"),
    ))]
pub(super) async fn create(
    site: web::Data<Site>,
    Json(body): Json<Create>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let name = checks
        .take("name", project::check_name(&body.name))
        .unwrap_or_default();
    let slug = body
        .slug
        .and_then(|slug| checks.take("slug", project::check_slug(slug)));
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

/// List projects
#[utoipa::path(get, path = "/api/v1/projects", operation_id = "listProjects", tag = "Projects",
    params(Paging<ProjectId>),
    responses((status = 200, description = "A page of projects", body = List<Project>)))]
pub(super) async fn list(
    site: web::Data<Site>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let page = Query::of(&request)?.page::<ProjectId>()?;
    Ok(
        HttpResponse::Ok().json(List::of(site.store.projects(page).await?, |project| {
            project
        })),
    )
}

/// Show a project
#[utoipa::path(get, path = "/api/v1/projects/{project}", operation_id = "getProject", tag = "Projects",
    params(("project" = IdOrSlug, Path)),
    responses((status = 200, description = "The project", body = Project)))]
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

/// Change a project
///
/// What is not named stays. A project that is `PAUSED` takes no feedback.
#[utoipa::path(patch, path = "/api/v1/projects/{project}", operation_id = "changeProject", tag = "Projects",
    params(("project" = IdOrSlug, Path)), request_body = Change,
    responses((status = 200, description = "The project as it is now", body = Project)))]
pub(super) async fn change(
    site: web::Data<Site>,
    project: web::Path<String>,
    Json(body): Json<Change>,
) -> Result<HttpResponse, Problem> {
    let mut checks = Checks::default();
    let change = ProjectChange {
        name: body
            .name
            .and_then(|name| checks.take("name", project::check_name(&name))),
        status: body.status,
        allowed_origins: body
            .allowed_origins
            .and_then(|list| checks.take("allowedOrigins", project::check_origins(list))),
    };
    checks.finish()?;
    let project = site
        .store
        .change_project(project.into_inner(), change)
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok().json(project))
}

/// Delete a project with its feedback
///
/// Deliveries of it that are pending are canceled, and its words are taken out of the log.
#[utoipa::path(delete, path = "/api/v1/projects/{project}", operation_id = "deleteProject", tag = "Projects",
    params(("project" = IdOrSlug, Path)),
    responses((status = 204, description = "It is deleted")))]
pub(super) async fn delete(
    site: web::Data<Site>,
    project: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let deleted = site.store.delete_project(project.into_inner()).await?;
    answer_to_delete(deleted, NOT_FOUND)
}
