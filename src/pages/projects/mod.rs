//! Settings → Projects: lists and edits projects, and shows their widget snippets.
//!
//! Members can view the page; only admins can make changes. Query parameters (`?add`, `?open=ID`,
//! `?delete=ID`) open forms and rows.

pub mod origins;

use std::net::IpAddr;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use self::origins::{ProjectOrigins, WidgetOrigins};
use super::framework::context::RequestContext;
use super::framework::form_edits::{self, EditField, FormEdits, LoadedField};
use super::framework::form_field::FormField;
use super::framework::format::group_digits;
use super::framework::idempotent_form::IdempotentForm;
use super::framework::layout::{Layout, render};
use super::framework::navigation::NavSection;
use super::framework::page_error::PageError;
use super::getting_started::Checklist;
use crate::domain::id::{Id, ProjectId};
use crate::domain::project::{self, Project, ProjectStatus};
use crate::domain::validation::{ValidationErrors, check_all_fields, check_field};
use crate::server::security_events::set_event_subject;
use crate::store::{ChangeError, CreateProjectError, Precondition, ProjectPatch};

const PATH: &str = "/settings/projects";
const EDIT_FIELDS: [EditField; 2] = [("name", "Name"), ("origins", "Allowed origins")];
const UNTRUSTED_PROXIES_SHOWN: usize = 3;

type IdPath = web::Path<String>;

#[derive(Template)]
#[template(path = "projects.html")]
struct ProjectsPage {
    layout: Layout,
    /// Always `None` for members, who see the checklist only on the feedback list.
    getting_started: Option<Checklist>,
    rows: Vec<ProjectRow>,
    add: Option<NewProjectForm>,
    widget: WidgetOrigins,
    /// Empty for members.
    untrusted_proxies: Vec<UntrustedProxy>,
}

/// A peer whose `X-Forwarded-…` headers are ignored.
struct UntrustedProxy {
    peer: IpAddr,
    /// The value of `--trusted-proxy` that adds the peer to the trusted networks.
    option_value: String,
}

/// The "New project" form.
#[derive(Default)]
struct NewProjectForm {
    name: FormField,
    slug: FormField,
}

/// One project on the page, with the fields of its forms.
struct ProjectRow {
    project: Project,
    /// Number of feedback items, formatted with commas.
    feedback_count: String,
    is_open: bool,
    is_deletion_open: bool,
    name: FormField,
    origins: FormField,
    typed_slug: FormField,
}

impl ProjectRow {
    fn is_paused(&self) -> bool {
        self.project.status == ProjectStatus::Paused
    }

    fn id(&self) -> ProjectId {
        self.project.id
    }

    fn loaded_values(&self) -> Vec<LoadedField> {
        form_edits::loaded_values(&EDIT_FIELDS, |name| stored_field_value(&self.project, name))
    }

    fn action_path(&self, action: &str) -> String {
        format!("{PATH}/{}/{action}", self.project.id)
    }
}

/// A form that failed validation, with the submitted values.
enum RejectedProjectForm {
    Add(NewProjectForm),
    Edit {
        id: ProjectId,
        name: FormField,
        origins: FormField,
    },
    Delete {
        id: ProjectId,
        typed_slug: FormField,
    },
}

impl ProjectsPage {
    fn project_origins<'a>(&'a self, project: &'a Project) -> ProjectOrigins<'a> {
        let allow = format!("{PATH}/{}/origins", project.id);
        self.widget.for_project(
            project,
            self.layout.is_admin().then(|| self.layout.path(allow)),
        )
    }

    async fn new(context: &RequestContext) -> Result<Self, PageError> {
        let projects = context.app.store.projects_by_name().await?;
        let counts = context.app.store.count_feedback_by_project().await?;
        let widget = WidgetOrigins::new(context, &projects).await?;
        let (layout, _) = context.build_layout("Projects", NavSection::Projects);
        let is_requested = |name, id: &ProjectId| {
            let requested = context.query_param(name);
            requested.map(ProjectId::parse_or_nil) == Some(*id)
        };
        let rows = projects
            .into_iter()
            .map(|project| ProjectRow {
                feedback_count: group_digits(counts.get(&project.id).copied().unwrap_or(0)),
                is_open: is_requested("open", &project.id)
                    || layout.is_admin() && widget.has_rejected_origin(&project),
                is_deletion_open: layout.is_admin() && is_requested("delete", &project.id),
                name: FormField::new(&project.name),
                origins: FormField::new(&project.allowed_origins.join("\n")),
                typed_slug: FormField::default(),
                project,
            })
            .collect();
        let proxies = context.trusted_proxies();
        let untrusted_peers = proxies.untrusted_peers().into_iter();
        let untrusted_proxies = untrusted_peers
            .filter(|_| layout.is_admin())
            .take(UNTRUSTED_PROXIES_SHOWN)
            .map(|peer| UntrustedProxy {
                peer,
                option_value: proxies.suggested_trusted_proxy_option(peer),
            })
            .collect();
        let getting_started = match layout.is_admin() {
            true => Checklist::load(context, PATH).await?,
            false => None,
        };
        let is_adding = layout.is_admin() && context.query_param("add").is_some();
        Ok(Self {
            add: is_adding.then(NewProjectForm::default),
            layout,
            getting_started,
            rows,
            widget,
            untrusted_proxies,
        })
    }

    fn set_rejected_form(&mut self, form: RejectedProjectForm) {
        match form {
            RejectedProjectForm::Add(form) => self.add = Some(form),
            RejectedProjectForm::Edit { id, name, origins } => {
                if let Some(row) = self.find_row_mut(&id) {
                    row.is_open = true;
                    (row.name, row.origins) = (name, origins);
                }
            }
            RejectedProjectForm::Delete { id, typed_slug } => {
                if let Some(row) = self.find_row_mut(&id) {
                    row.is_deletion_open = true;
                    row.typed_slug = typed_slug;
                }
            }
        }
    }

    fn find_row_mut(&mut self, id: &ProjectId) -> Option<&mut ProjectRow> {
        self.rows.iter_mut().find(|row| row.project.id == *id)
    }
}

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    render(StatusCode::OK, &ProjectsPage::new(&context).await?)
}

async fn render_rejected_form(
    context: &RequestContext,
    form: RejectedProjectForm,
) -> Result<HttpResponse, PageError> {
    let mut page = ProjectsPage::new(context).await?;
    page.set_rejected_form(form);
    render(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

pub(super) async fn create(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let (name, slug) = (fields.get("name"), fields.get("slug").trim());
    let rejected = |errors: ValidationErrors| {
        RejectedProjectForm::Add(NewProjectForm {
            name: FormField::from_submitted_value("name", name, &errors),
            slug: FormField::from_submitted_value("slug", slug, &errors),
        })
    };
    let given_slug = (!slug.is_empty()).then(|| project::check_slug(slug.to_owned()));
    let (checked_name, checked_slug) = match check_all_fields((
        check_field("name", project::check_name(name)),
        check_field("slug", given_slug.transpose()),
    )) {
        Ok(checked) => checked,
        Err(errors) => return render_rejected_form(&context, rejected(errors)).await,
    };
    let store = &context.app.store;
    match store.create_project(checked_name, checked_slug).await {
        Ok(project) => {
            context.add_flash_message(format!("Project “{}” created.", project.name));
            Ok(redirect_to_open_row(&context, &project.id))
        }
        Err(CreateProjectError::Store(error)) => Err(error.into()),
        Err(error @ CreateProjectError::SlugTaken(_)) => {
            let errors = ValidationErrors::for_field("slug", error);
            render_rejected_form(&context, rejected(errors)).await
        }
    }
}

/// Saves the settings form: name and allowed origins.
pub(super) async fn edit(
    context: RequestContext,
    id: IdPath,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let id = context.project(id.into_inner()).await?.id;
    let (name, origins) = (fields.get("name"), fields.get("origins"));
    let lines = origins
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let lines = lines.map(str::to_owned).collect();
    let mut edits = FormEdits::from_form(&fields, &EDIT_FIELDS);
    let change = match check_all_fields((
        check_field("name", project::check_name(name)),
        check_field("origins", project::check_origins(lines)),
    )) {
        Ok((name, allowed_origins)) => {
            edits.set_canonical_value("name", &name);
            edits.set_canonical_value("origins", &allowed_origins.join("\n"));
            ProjectPatch {
                name: edits.value_if_changed("name", name),
                allowed_origins: edits.value_if_changed("origins", allowed_origins),
                status: None,
            }
        }
        Err(errors) => {
            let rejected = RejectedProjectForm::Edit {
                id,
                name: FormField::from_submitted_value("name", name, &errors),
                origins: FormField::from_submitted_value("origins", origins, &errors),
            };
            return render_rejected_form(&context, rejected).await;
        }
    };
    let checked = edits.clone();
    let conflicts =
        move |stored: &Project| checked.conflicts(|name| stored_field_value(stored, name));
    let unchanged = Precondition::new(move |stored| conflicts(stored).is_empty());
    if let Err(stored) = update_project(&context, &id, change, unchanged).await? {
        let conflicts = edits.conflicts(|name| stored_field_value(&stored, name));
        return Err(PageError::Conflict(conflicts));
    }
    context.add_flash_message("Saved.");
    Ok(redirect_to_open_row(&context, &id))
}

/// Handles "Pause" and "Resume".
pub(super) async fn set_status(
    context: RequestContext,
    id: IdPath,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let id = context.project(id.into_inner()).await?.id;
    let status = match fields.get("status") {
        "ACTIVE" => ProjectStatus::Active,
        "PAUSED" => ProjectStatus::Paused,
        _ => return Err(PageError::InvalidForm),
    };
    let change = ProjectPatch {
        status: Some(status),
        ..ProjectPatch::default()
    };
    let (Ok(project) | Err(project)) =
        update_project(&context, &id, change, Precondition::none()).await?;
    context.add_flash_message(match status {
        ProjectStatus::Active => format!("“{}” is accepting feedback again.", project.name),
        ProjectStatus::Paused => {
            format!("“{}” is paused and isn’t accepting feedback.", project.name)
        }
    });
    if fields.get("open") == "true" {
        return Ok(redirect_to_open_row(&context, &id));
    }
    Ok(context.redirect(&format!("{PATH}#{id}")))
}

/// Deletes a project if the user typed its slug correctly.
pub(super) async fn delete(
    context: RequestContext,
    id: IdPath,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let project = match context.app.store.project(id.into_inner()).await? {
        Some(project) => project,
        // The project has already been deleted, for example by an earlier submission.
        None => return Ok(context.redirect(PATH)),
    };
    let typed_slug = fields.get("typed");
    if typed_slug.trim() != project.slug {
        let rejected = RejectedProjectForm::Delete {
            id: project.id,
            typed_slug: FormField {
                value: typed_slug.to_owned(),
                error: Some("The slug doesn’t match. Nothing was deleted.".into()),
            },
        };
        return render_rejected_form(&context, rejected).await;
    }
    let id = project.id.to_string();
    set_event_subject(&context.request, &id);
    let deleted = context.app.store.delete_project(id, Precondition::none());
    if deleted.await? {
        context.add_flash_message(format!("“{}” and its feedback were deleted.", project.name));
    }
    Ok(context.redirect(PATH))
}

/// Changes a project. Returns the stored project as an error if it doesn't meet the precondition.
async fn update_project(
    context: &RequestContext,
    id: &ProjectId,
    change: ProjectPatch,
    precondition: Precondition<Project>,
) -> Result<Result<Project, Project>, PageError> {
    let store = &context.app.store;
    match store
        .update_project(id.to_string(), change, precondition)
        .await
    {
        Ok(project) => project.map(Ok).ok_or(PageError::ItemNotFound),
        Err(ChangeError::Changed(stored)) => Ok(Err(*stored)),
        Err(ChangeError::Store(error)) => Err(error.into()),
    }
}

/// Returns a field's stored value in the format of the settings form.
fn stored_field_value(project: &Project, name: &str) -> String {
    match name {
        "name" => project.name.clone(),
        _ => project.allowed_origins.join("\n"),
    }
}

fn redirect_to_open_row(context: &RequestContext, id: &ProjectId) -> HttpResponse {
    context.redirect(&format!("{PATH}?open={id}#{id}"))
}
