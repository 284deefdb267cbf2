//! `/api/projects`: list, create, and read projects.

use actix_web::http::header::{ETAG, EntityTag, HeaderName};
use actix_web::{HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::projects::{CreateProject, IdOrSlug, NOT_FOUND, validate_and_create};
use crate::clock::Timestamp;
use crate::domain::id::ProjectId;
use crate::domain::project::{Project, ProjectStatus};
use crate::server::AppState;
use crate::server::json_body::Json;
use crate::server::problem::Problem;
use crate::server::versions::{VersionHasher, Versioned};
use crate::store::PageRequest;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::api) struct HostedProject {
    id: ProjectId,
    #[schema(example = "My Website")]
    name: String,
    #[schema(example = "my-website")]
    slug: String,
    status: ProjectStatus,
    created_at: Timestamp,
    /// The time of the last change of the name, the status, or the allowed origins.
    updated_at: Timestamp,
}

impl From<Project> for HostedProject {
    fn from(project: Project) -> Self {
        Self {
            id: project.id,
            name: project.name,
            slug: project.slug,
            status: project.status,
            created_at: project.created_at,
            updated_at: project.updated_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(in crate::api) struct HostedProjectList {
    /// All projects, newest first.
    data: Vec<HostedProject>,
}

/// List all projects
#[utoipa::path(
    get,
    path = "/api/projects",
    operation_id = "hostedListProjects",
    tag = "Hosted API paths",
    responses((status = 200, description = "All projects", body = HostedProjectList))
)]
pub(in crate::api) async fn list(app: web::Data<AppState>) -> Result<HttpResponse, Problem> {
    let all = PageRequest {
        limit: usize::MAX,
        before: None,
    };
    let projects = app.store.projects(all).await?.items;
    Ok(HttpResponse::Ok().json(HostedProjectList {
        data: projects.into_iter().map(HostedProject::from).collect(),
    }))
}

/// Create a project
///
/// If the slug generated from the name is already in use, `-2` or the next free number is appended.
#[utoipa::path(
    post,
    path = "/api/projects",
    operation_id = "hostedCreateProject",
    tag = "Hosted API paths",
    request_body = CreateProject,
    responses(
        (status = 201, description = "The project", body = HostedProject),
        (status = 409, description = "The slug is already in use"),
    )
)]
pub(in crate::api) async fn create(
    app: web::Data<AppState>,
    Json(body): Json<CreateProject>,
) -> Result<HttpResponse, Problem> {
    let project = validate_and_create(&app, body).await?;
    let location = app.urls.path(&format!("/api/projects/{}", project.id));
    Ok(HttpResponse::Created()
        .insert_header(("Location", location))
        .insert_header(etag_header(&project, &app.versions))
        .json(HostedProject::from(project)))
}

/// Get a project
#[utoipa::path(
    get,
    path = "/api/projects/{projectId}",
    operation_id = "hostedGetProject",
    tag = "Hosted API paths",
    params(("projectId" = IdOrSlug, Path)),
    responses((status = 200, description = "The project", body = HostedProject))
)]
pub(in crate::api) async fn get(
    app: web::Data<AppState>,
    project: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let project = app.store.project(project.into_inner()).await?;
    let project = project.ok_or(NOT_FOUND)?;
    Ok(HttpResponse::Ok()
        .insert_header(etag_header(&project, &app.versions))
        .json(HostedProject::from(project)))
}

/// Returns the `ETag` header. The version alone isn't enough: after a field has been changed and
/// changed back, the version is the same, but `updatedAt` isn't.
fn etag_header(project: &Project, versions: &VersionHasher) -> (HeaderName, String) {
    let (version, updated_at) = (project.version(versions), project.updated_at.millis());
    let tag = EntityTag::new_strong(format!("{version}.{updated_at}"));
    (ETAG, tag.to_string())
}
