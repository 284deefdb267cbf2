//! `/api/v1/projects`: create, list, read, update, and delete projects.

use std::borrow::Cow;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::json;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{Array, ArrayBuilder, ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use super::etag::{IfMatch, etag_header};
use super::lists::{List, PageParams, QueryParams};
use crate::domain::id::ProjectId;
use crate::domain::project::{self, ORIGINS_MAX, Project, ProjectStatus};
use crate::domain::validation::{check_all_fields, check_field};
use crate::server::json_body::{Json, deserialize_non_null};
use crate::server::problem::{Problem, deletion_response};
use crate::server::security_events::set_event_subject;
use crate::server::{AppState, schemas};
use crate::store::{CreateProjectError, ProjectPatch};

pub(super) const NOT_FOUND: Problem = Problem::NotFound("Project not found.");

/// The OpenAPI schema of a project's id or slug.
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
pub(super) struct CreateProject {
    #[schema(schema_with = schemas::project_name)]
    name: String,
    /// 1 to 64 characters from `a` to `z`, `0` to `9`, and `-`. Generated from the name if omitted.
    /// Can’t be changed later.
    #[schema(pattern = "^[a-z0-9-]{1,64}$", example = "my-website")]
    slug: Option<String>,
}

/// Returns the OpenAPI schema of a list of origins, as `project::check_origins` accepts it.
fn allowed_origins_schema() -> Array {
    let origin = ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(r"^\s*[Hh][Tt][Tt][Pp][Ss]?://[^/?#@\s]+/?\s*$"));
    ArrayBuilder::new()
        .items(origin)
        .max_items(Some(ORIGINS_MAX))
        .description(Some(
            "Replaces the list of allowed origins. An origin looks like `https://example.com`, \
             without a path. An empty list allows every origin.",
        ))
        .examples([json!(["https://example.com"])])
        .build()
}

#[derive(Deserialize, ToSchema)]
#[schema(as = ProjectChange)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct UpdateProject {
    #[schema(schema_with = schemas::project_name, required = false)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    name: Option<String>,
    #[schema(nullable = false, example = "PAUSED")]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    status: Option<ProjectStatus>,
    #[schema(schema_with = allowed_origins_schema)]
    #[serde(default, deserialize_with = "deserialize_non_null")]
    allowed_origins: Option<Vec<String>>,
}

/// Create a project
///
/// If the slug generated from the name is already in use, `-2` or the next free number is appended.
#[utoipa::path(
    post,
    path = "/api/v1/projects",
    operation_id = "createProject",
    tag = "Projects",
    request_body = CreateProject,
    responses(
        (status = 201, description = "The project", body = Project),
        (status = 409, description = "The slug is already in use"),
    )
)]
pub(super) async fn create(
    app: web::Data<AppState>,
    Json(body): Json<CreateProject>,
) -> Result<HttpResponse, Problem> {
    let project = validate_and_create(&app, body).await?;
    let location = app.urls.path(&format!("/api/v1/projects/{}", project.id));
    Ok(HttpResponse::Created()
        .insert_header(("Location", location))
        .insert_header(etag_header(&project, &app.versions))
        .json(project))
}

/// Creates a project if the name and the slug are valid.
pub(super) async fn validate_and_create(
    app: &AppState,
    body: CreateProject,
) -> Result<Project, Problem> {
    let (name, slug) = check_all_fields((
        check_field("name", project::check_name(&body.name)),
        check_field("slug", body.slug.map(project::check_slug).transpose()),
    ))?;
    let created = app.store.create_project(name, slug).await;
    created.map_err(|error| match error {
        CreateProjectError::SlugTaken(_) => Problem::Conflict(error.to_string()),
        CreateProjectError::Store(error) => error.into(),
    })
}

/// List projects
#[utoipa::path(
    get,
    path = "/api/v1/projects",
    operation_id = "listProjects",
    tag = "Projects",
    params(PageParams<ProjectId>),
    responses((status = 200, description = "A page of projects", body = List<Project>))
)]
pub(super) async fn list(
    app: web::Data<AppState>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let page = QueryParams::parse(&request)?.page_request::<ProjectId>()?;
    Ok(HttpResponse::Ok().json(List::from_page(
        app.store.projects(page).await?,
        |project| project,
    )))
}

/// Get a project
#[utoipa::path(
    get,
    path = "/api/v1/projects/{project}",
    operation_id = "getProject",
    tag = "Projects",
    params(("project" = IdOrSlug, Path)),
    responses((status = 200, description = "The project", body = Project))
)]
pub(super) async fn get(
    app: web::Data<AppState>,
    project: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let project = app
        .store
        .project(project.into_inner())
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok()
        .insert_header(etag_header(&project, &app.versions))
        .json(project))
}

/// Update a project
///
/// Omitted fields stay unchanged. A `PAUSED` project accepts no feedback.
#[utoipa::path(
    patch,
    path = "/api/v1/projects/{project}",
    operation_id = "changeProject",
    tag = "Projects",
    params(("project" = IdOrSlug, Path)),
    request_body = UpdateProject,
    responses((status = 200, description = "The updated project", body = Project))
)]
pub(super) async fn update(
    app: web::Data<AppState>,
    project: web::Path<String>,
    if_match: IfMatch,
    Json(body): Json<UpdateProject>,
) -> Result<HttpResponse, Problem> {
    let name = body.name.as_deref().map(project::check_name);
    let origins = body.allowed_origins.map(project::check_origins);
    let (name, allowed_origins) = check_all_fields((
        check_field("name", name.transpose()),
        check_field("allowedOrigins", origins.transpose()),
    ))?;
    let change = ProjectPatch {
        name,
        status: body.status,
        allowed_origins,
    };
    let project = app
        .store
        .update_project(
            project.into_inner(),
            change,
            if_match.into_precondition(&app.versions),
        )
        .await?
        .ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok()
        .insert_header(etag_header(&project, &app.versions))
        .json(project))
}

/// Delete a project
///
/// Deletes the project with all its feedback, cancels pending deliveries of the feedback, and
/// removes the feedback’s content from the delivery log.
#[utoipa::path(
    delete,
    path = "/api/v1/projects/{project}",
    operation_id = "deleteProject",
    tag = "Projects",
    params(("project" = IdOrSlug, Path)),
    responses((status = 204, description = "The project was deleted"))
)]
pub(super) async fn delete(
    app: web::Data<AppState>,
    request: HttpRequest,
    project: web::Path<String>,
    if_match: IfMatch,
) -> Result<HttpResponse, Problem> {
    let precondition = if_match.into_precondition(&app.versions);
    let project = app.store.project(project.into_inner()).await?;
    let id = project.ok_or(NOT_FOUND)?.id.to_string();
    set_event_subject(&request, &id);
    let deleted = app.store.delete_project(id, precondition).await?;
    deletion_response(deleted, NOT_FOUND)
}
