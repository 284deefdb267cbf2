//! Settings → Projects: what feedback is about, each with the snippet that puts the widget on a site.
//!
//! Members see them; only admins change them. What is open stands in the address (`?add`, `?open=ID`, `?delete=ID`).

pub mod origins;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use self::origins::{WidgetUse, WidgetUseOf};
use super::framework::context::RequestContext;
use super::framework::format::group_digits;
use super::framework::idempotent_form::SubmissionKeys;
use super::framework::layout::{Layout, render};
use super::framework::page_error::PageError;
use crate::domain::id::ProjectId;
use crate::domain::project::{self, Project, ProjectStatus};
use crate::domain::validation::{Checks, ValidationErrors};
use crate::server::form_data::FormData;
use crate::store::{CreateProjectError, ProjectPatch};

const ADDRESS: &str = "/settings/projects";

type Id = web::Path<String>;

#[derive(Template)]
#[template(path = "projects.html")]
struct ProjectsPage {
    layout: Layout,
    rows: Vec<Row>,
    add: Option<AddForm>,
    /// By which two presses of a form are known to be one.
    key: String,
    widget: WidgetUse,
}

/// The form of a project that is not made yet.
#[derive(Default)]
struct AddForm {
    name: String,
    slug: String,
    name_problem: Option<String>,
    slug_problem: Option<String>,
}

/// A project as the page shows it, its form with what was typed.
struct Row {
    project: Project,
    /// How much feedback it has.
    count: String,
    is_open: bool,
    is_delete_asked: bool,
    name: String,
    origins: String,
    typed: String,
    name_problem: Option<String>,
    origins_problem: Option<String>,
    typed_problem: Option<String>,
}

impl Row {
    fn is_paused(&self) -> bool {
        self.project.status == ProjectStatus::Paused
    }

    fn id(&self) -> &str {
        self.project.id.as_str()
    }

    fn address(&self, action: &str) -> String {
        format!("{ADDRESS}/{}/{action}", self.project.id)
    }
}

/// A form that was not taken, with what was typed.
enum Refused {
    Add {
        name: String,
        slug: String,
    },
    Edit {
        id: ProjectId,
        name: String,
        origins: String,
    },
    Delete {
        id: ProjectId,
        typed: String,
    },
}

impl ProjectsPage {
    fn widget_of<'a>(&'a self, project: &'a Project) -> WidgetUseOf<'a> {
        let allow = format!("{ADDRESS}/{}/origins", project.id);
        self.widget.of(
            project,
            self.layout.is_admin().then(|| self.layout.path(allow)),
        )
    }

    async fn new(
        context: &RequestContext,
        refused: Option<(Refused, ValidationErrors)>,
    ) -> Result<Self, PageError> {
        let projects = context.app.store.projects_by_name().await?;
        let counts = context.app.store.count_feedback_by_project().await?;
        let widget = WidgetUse::new(context).await?;
        let (layout, _) = context.layout("Projects", "projects");
        let asked = |name, id: &ProjectId| {
            context
                .query_param(name)
                .is_some_and(|it| it == id.as_str())
        };
        let mut rows: Vec<Row> = projects
            .into_iter()
            .map(|project| Row {
                count: group_digits(counts.get(&project.id).copied().unwrap_or(0)),
                is_open: asked("open", &project.id)
                    || layout.is_admin() && widget.has_refused(&project),
                is_delete_asked: layout.is_admin() && asked("delete", &project.id),
                name: project.name.clone(),
                origins: project.allowed_origins.join("\n"),
                typed: String::new(),
                name_problem: None,
                origins_problem: None,
                typed_problem: None,
                project,
            })
            .collect();
        let mut add =
            (layout.is_admin() && context.query_param("add").is_some()).then(AddForm::default);
        if let Some((refused, invalid)) = refused {
            let problem = |field| invalid.message_for(field).map(str::to_owned);
            match refused {
                Refused::Add { name, slug } => {
                    add = Some(AddForm {
                        name,
                        slug,
                        name_problem: problem("name"),
                        slug_problem: problem("slug"),
                    });
                }
                Refused::Edit { id, name, origins } => {
                    if let Some(row) = rows.iter_mut().find(|row| row.project.id == id) {
                        row.is_open = true;
                        (row.name, row.origins) = (name, origins);
                        row.name_problem = problem("name");
                        row.origins_problem = problem("origins");
                    }
                }
                Refused::Delete { id, typed } => {
                    if let Some(row) = rows.iter_mut().find(|row| row.project.id == id) {
                        row.is_delete_asked = true;
                        row.typed = typed;
                        row.typed_problem = problem("typed");
                    }
                }
            }
        }
        Ok(Self {
            layout,
            rows,
            add,
            widget,
            key: SubmissionKeys::key(),
        })
    }
}

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    render(StatusCode::OK, &ProjectsPage::new(&context, None).await?)
}

async fn refuse(
    context: &RequestContext,
    refused: Refused,
    invalid: ValidationErrors,
) -> Result<HttpResponse, PageError> {
    let page = ProjectsPage::new(context, Some((refused, invalid))).await?;
    render(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

pub(super) async fn create(
    context: RequestContext,
    fields: FormData,
) -> Result<HttpResponse, PageError> {
    let (name, slug) = (fields.get("name"), fields.get("slug").trim());
    let refused = || Refused::Add {
        name: name.to_owned(),
        slug: slug.to_owned(),
    };
    let mut checks = Checks::default();
    let checked = checks.take("name", project::check_name(name));
    let wanted = (!slug.is_empty())
        .then(|| checks.take("slug", project::check_slug(slug.to_owned())))
        .flatten();
    if let Err(invalid) = checks.finish() {
        return refuse(&context, refused(), invalid).await;
    }
    let store = context.app.store.clone();
    let work = async move {
        match store
            .create_project(checked.unwrap_or_default(), wanted)
            .await
        {
            Ok(project) => Ok(Ok(project)),
            Err(CreateProjectError::Store(error)) => Err(error.into()),
            Err(taken) => Ok(Err(taken)),
        }
    };
    match context
        .state
        .submission_keys
        .run(fields.get("key"), work)
        .await?
    {
        Some(Ok(project)) => {
            context.push_message(format!("The project “{}” is made.", project.name));
            Ok(open(&context, &project.id))
        }
        Some(Err(taken)) => {
            // Another slug is another try of the same form.
            context.state.submission_keys.forget(fields.get("key"));
            refuse(&context, refused(), ValidationErrors::single("slug", taken)).await
        }
        None => Ok(context.redirect(ADDRESS)),
    }
}

/// Name and allowed origins.
pub(super) async fn edit(
    context: RequestContext,
    id: Id,
    fields: FormData,
) -> Result<HttpResponse, PageError> {
    let id = find(&context, id).await?.id;
    let (name, origins) = (fields.get("name"), fields.get("origins"));
    let lines = origins
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let mut checks = Checks::default();
    let change = ProjectPatch {
        name: checks.take("name", project::check_name(name)),
        allowed_origins: checks.take(
            "origins",
            project::check_origins(lines.map(str::to_owned).collect()),
        ),
        status: None,
    };
    if let Err(invalid) = checks.finish() {
        let refused = Refused::Edit {
            id,
            name: name.to_owned(),
            origins: origins.to_owned(),
        };
        return refuse(&context, refused, invalid).await;
    }
    update_project(&context, &id, change).await?;
    context.push_message("Saved.");
    Ok(open(&context, &id))
}

/// "Pause" and "Resume".
pub(super) async fn set_status(
    context: RequestContext,
    id: Id,
    fields: FormData,
) -> Result<HttpResponse, PageError> {
    let id = find(&context, id).await?.id;
    let status = match fields.get("status") {
        "ACTIVE" => ProjectStatus::Active,
        "PAUSED" => ProjectStatus::Paused,
        _ => return Err(PageError::InvalidForm),
    };
    let change = ProjectPatch {
        status: Some(status),
        ..ProjectPatch::default()
    };
    let project = update_project(&context, &id, change).await?;
    context.push_message(match status {
        ProjectStatus::Active => format!("“{}” takes feedback again.", project.name),
        ProjectStatus::Paused => format!("“{}” is paused and takes no feedback.", project.name),
    });
    if fields.get("open") == "true" {
        return Ok(open(&context, &id));
    }
    Ok(context.redirect(&format!("{ADDRESS}#{id}")))
}

/// Deletes a project whose name was typed.
pub(super) async fn delete(
    context: RequestContext,
    id: Id,
    fields: FormData,
) -> Result<HttpResponse, PageError> {
    let project = match context.app.store.project(id.into_inner()).await? {
        Some(project) => project,
        // Pressed twice: it is gone, as was wished.
        None => return Ok(context.redirect(ADDRESS)),
    };
    let typed = fields.get("typed");
    if typed.trim() != project.name {
        let problem = "This is not the project’s name; nothing was deleted.";
        let refused = Refused::Delete {
            id: project.id,
            typed: typed.to_owned(),
        };
        return refuse(
            &context,
            refused,
            ValidationErrors::single("typed", problem),
        )
        .await;
    }
    let (store, id) = (context.app.store.clone(), project.id.to_string());
    let work = async move { Ok(store.delete_project(id).await?) };
    if context
        .state
        .submission_keys
        .run(fields.get("key"), work)
        .await?
        == Some(true)
    {
        context.push_message(format!("“{}” is deleted with its feedback.", project.name));
    }
    Ok(context.redirect(ADDRESS))
}

async fn find(context: &RequestContext, id: Id) -> Result<Project, PageError> {
    let found = context.app.store.project(id.into_inner()).await?;
    found.ok_or(PageError::ItemNotFound)
}

async fn update_project(
    context: &RequestContext,
    id: &ProjectId,
    change: ProjectPatch,
) -> Result<Project, PageError> {
    let changed = context
        .app
        .store
        .update_project(id.to_string(), change)
        .await?;
    changed.ok_or(PageError::ItemNotFound)
}

fn open(context: &RequestContext, id: &ProjectId) -> HttpResponse {
    context.redirect(&format!("{ADDRESS}?open={id}#{id}"))
}
