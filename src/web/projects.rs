//! Settings → Projects: what feedback is about.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;

use super::failure::PageError;
use super::fields::Fields;
use super::once::Once;
use super::page::{Frame, render};
use super::visit::Visit;
use super::widget_use::{WidgetUse, WidgetUseOf};
use crate::domain::project::{self, Project, ProjectStatus};
use crate::store::CreateProjectError;

#[derive(Template)]
#[template(path = "projects.html")]
struct ProjectsPage {
    frame: Frame,
    projects: Vec<Project>,
    adding: bool,
    name: String,
    problem: Option<String>,
    /// By which two presses of "Create" are known to be one.
    key: String,
    widget: WidgetUse,
}

impl ProjectsPage {
    async fn new(visit: &Visit, name: &str, problem: Option<String>) -> Result<Self, PageError> {
        let projects = visit.site.store.projects_by_name().await?;
        let adding = problem.is_some() || visit.query("add").is_some();
        let (frame, _) = visit.frame("Projects", "projects");
        Ok(Self {
            frame,
            projects,
            adding,
            name: name.to_owned(),
            problem,
            key: Once::key(),
            widget: WidgetUse::new(visit).await?,
        })
    }

    fn widget_of<'a>(&'a self, project: &'a Project) -> WidgetUseOf<'a> {
        let allow = format!("/settings/projects/{}/origins", project.id);
        self.widget
            .of(project, self.frame.is_admin().then(|| self.frame.to(allow)))
    }

    fn is_paused(&self, project: &Project) -> bool {
        project.status == ProjectStatus::Paused
    }
}

pub(super) async fn show(visit: Visit) -> Result<HttpResponse, PageError> {
    render(StatusCode::OK, &ProjectsPage::new(&visit, "", None).await?)
}

pub(super) async fn create(visit: Visit, fields: Fields) -> Result<HttpResponse, PageError> {
    let given = fields.get("name");
    let name = match project::name(given) {
        Ok(name) => name,
        Err(error) => {
            let page = ProjectsPage::new(&visit, given, Some(error.to_string())).await?;
            return render(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
    };
    if !visit.state.once.is_first(fields.get("key")) {
        return Ok(visit.redirect("/settings/projects"));
    }
    let created = visit.site.store.create_project(name, None).await;
    if created.is_err() {
        visit.state.once.forget(fields.get("key"));
    }
    let project = created.map_err(|error| match error {
        CreateProjectError::Store(error) => PageError::from(error),
        CreateProjectError::SlugTaken(_) => PageError::Internal(error.to_string()),
    })?;
    visit.say(format!(
        "The project “{}” is made; its slug is {}.",
        project.name, project.slug
    ));
    Ok(visit.redirect("/settings/projects"))
}
