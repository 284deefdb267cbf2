//! The widget section of Settings → Projects: the snippet, the origins that use the widget, and
//! rejected origins, which admins can allow.

use actix_web::{HttpResponse, web};
use askama::Template;

use crate::clock::Timestamp;
use crate::domain::project::{self, Project};
use crate::intake::ScriptLoad;
use crate::pages::framework::context::RequestContext;
use crate::pages::framework::format::DisplayTime;
use crate::pages::framework::idempotent_form::IdempotentForm;
use crate::pages::framework::page_error::PageError;
use crate::store::{AllowOriginResult, OriginStats};

/// Maximum number of listed origins that loaded the widget's script recently.
const RECENT_ORIGINS_MAX: usize = 3;

/// The data for the widget sections of all projects: URLs, origins that sent feedback, and origins
/// that loaded the script.
pub struct WidgetOrigins {
    script_url: String,
    form_url: String,
    now: Timestamp,
    origins: Vec<OriginStats>,
    has_one_project: bool,
    /// The origins that loaded the widget's script most recently.
    pub loads: Vec<SeenOrigin>,
}

/// An origin and the time when it was last seen.
pub struct SeenOrigin {
    /// The origin without `https://`.
    pub name: String,
    pub at: DisplayTime,
    /// The relative time. Unlike `at.relative`, it shows seconds during the first minute.
    pub ago: String,
    /// The project slug that the widget uses, if it is known. There may be no such project.
    pub slug: Option<String>,
}

/// An origin whose feedback was rejected.
struct RejectedOrigin {
    origin: String,
    name: String,
    /// `was rejected 3 times`.
    rejections: String,
    at: DisplayTime,
    /// `false` for the origin `null`, which many unrelated pages share.
    can_be_allowed: bool,
}

/// The widget section of one project.
#[derive(Template)]
#[template(path = "project_origins.html")]
pub struct ProjectOrigins<'a> {
    project: &'a Project,
    script_url: &'a str,
    form_url: String,
    /// The origin of the latest accepted feedback.
    seen: Option<SeenOrigin>,
    /// The latest load of the widget's script that can be a load of this project's widget.
    load: Option<&'a SeenOrigin>,
    rejected: Vec<RejectedOrigin>,
    allow_url: Option<String>,
}

impl WidgetOrigins {
    pub async fn new(context: &RequestContext, projects: &[Project]) -> Result<Self, PageError> {
        let app = &context.app;
        let own_origin = context.trusted_proxies().own_origin(&context.request);
        let now = app.clock.now();
        let seen_origin = |load: ScriptLoad| SeenOrigin {
            slug: load.slug,
            ..SeenOrigin::new(&load.origin, load.at, now)
        };
        Ok(Self {
            script_url: app.urls.absolute_url(&own_origin, "/widget.js"),
            form_url: app.urls.absolute_url(&own_origin, "/f/"),
            now,
            has_one_project: projects.len() == 1,
            origins: app.store.origins().await?,
            loads: context
                .intake
                .script_loads
                .latest(RECENT_ORIGINS_MAX)
                .into_iter()
                .map(seen_origin)
                .collect(),
        })
    }

    /// Returns whether feedback was rejected because of its origin, and this origin still isn't
    /// allowed. The page then expands the project's row for admins.
    pub fn has_rejected_origin(&self, project: &Project) -> bool {
        self.origins
            .iter()
            .any(|stats| stats.project == project.id && is_rejected_origin(stats, project))
    }

    /// Returns the widget section of one project. `allow_url` is the URL that the "Allow" buttons
    /// post to. It is `None` for members, who don't see the buttons.
    pub fn for_project<'a>(
        &'a self,
        project: &'a Project,
        allow_url: Option<String>,
    ) -> ProjectOrigins<'a> {
        let in_project = || {
            self.origins
                .iter()
                .filter(|stats| stats.project == project.id)
        };
        let seen = in_project()
            .filter_map(|stats| Some((stats.accepted_at?, &stats.origin)))
            .max()
            .map(|(at, origin)| SeenOrigin::new(origin, at, self.now));
        let rejected = in_project()
            .filter(|stats| is_rejected_origin(stats, project))
            .filter_map(|stats| Some(RejectedOrigin::new(stats, stats.rejected_at?, self.now)))
            .collect();
        ProjectOrigins {
            project,
            script_url: &self.script_url,
            form_url: format!("{}{}", self.form_url, project.slug),
            seen,
            // A load without a slug can be a load of any project's widget.
            load: self.loads.iter().find(|load| match &load.slug {
                Some(slug) => self.has_one_project || *slug == project.slug,
                None => self.has_one_project,
            }),
            rejected,
            allow_url,
        }
    }
}

impl ProjectOrigins<'_> {
    /// Returns the slug that the widget uses instead of the project's slug.
    fn wrong_slug(&self) -> Option<&str> {
        let slug = self.load?.slug.as_deref()?;
        (slug != self.project.slug).then_some(slug)
    }
}

fn is_rejected_origin(stats: &OriginStats, project: &Project) -> bool {
    let allowed = &project.allowed_origins;
    stats.rejected_count > 0 && !allowed.is_empty() && !allowed.contains(&stats.origin)
}

impl SeenOrigin {
    fn new(origin: &str, at: Timestamp, now: Timestamp) -> Self {
        let time = DisplayTime::new(at, now);
        let ago = match now.since(at).as_secs() {
            seconds @ 1..60 => format!("{seconds} s ago"),
            _ => time.relative.clone(),
        };
        Self {
            name: strip_https(origin),
            at: time,
            ago,
            slug: None,
        }
    }
}

impl RejectedOrigin {
    fn new(stats: &OriginStats, at: Timestamp, now: Timestamp) -> Self {
        let can_be_allowed = project::check_origins(vec![stats.origin.clone()]).is_ok();
        Self {
            name: if can_be_allowed {
                strip_https(&stats.origin)
            } else {
                "a page without an origin".to_owned()
            },
            origin: stats.origin.clone(),
            rejections: match stats.rejected_count {
                1 => "was rejected once".to_owned(),
                count => format!("was rejected {count} times"),
            },
            at: DisplayTime::new(at, now),
            can_be_allowed,
        }
    }
}

fn strip_https(origin: &str) -> String {
    origin.strip_prefix("https://").unwrap_or(origin).to_owned()
}

/// Adds an origin to the allowed origins of a project.
pub async fn allow_origin(
    context: RequestContext,
    project: web::Path<String>,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let origin = project::check_origins(vec![fields.get("origin").to_owned()])
        .ok()
        .and_then(|mut origins| origins.pop())
        .ok_or(PageError::InvalidForm)?;
    let id = project.into_inner();
    let allowed = context
        .app
        .store
        .allow_origin(id.clone(), origin.clone())
        .await?
        .ok_or(PageError::ItemNotFound)?;
    context.add_flash_message(match allowed {
        AllowOriginResult::Added => format!("{} can now submit feedback.", strip_https(&origin)),
        AllowOriginResult::AlreadyAllowed => {
            format!("{} can already submit feedback.", strip_https(&origin))
        }
        AllowOriginResult::ListFull => {
            format!(
                "The limit of {} allowed origins is reached. Remove an origin first.",
                project::ORIGINS_MAX
            )
        }
    });
    Ok(context.redirect(&format!("/settings/projects?open={id}#{id}")))
}
