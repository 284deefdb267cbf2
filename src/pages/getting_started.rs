//! The "Getting started" checklist on Feedback, Notifications, and Projects.
//!
//! A step is done when the database contains its result, such as a project. The checklist
//! disappears when all steps are done, or when the user dismisses it. Members see only the widget
//! step, once a project exists.

use actix_web::HttpResponse;

use super::framework::context::RequestContext;
use super::framework::idempotent_form::IdempotentForm;
use super::framework::page_error::PageError;
use crate::domain::account::Role;
use crate::server::tokens;
use crate::store::SetupProgress;

/// The path of the feedback list. Only this page shows the checklist expanded at first, and has the
/// "Dismiss" button.
const FEEDBACK_LIST_PATH: &str = "/feedback";
const WIDGET_TITLE: &str = "Add the widget to your site";

pub struct Checklist {
    pub steps: Vec<ChecklistStep>,
    /// Whether the steps are visible at first. A collapsed checklist shows only the next step.
    pub is_expanded: bool,
    /// Whether the checklist is hidden until a button beside the page's title opens it.
    pub is_popover: bool,
    /// The path of the page that contains the checklist.
    pub page: &'static str,
    /// The live updates that refresh the checklist (see `framework/live_updates.rs`).
    pub live: &'static str,
}

pub struct ChecklistStep {
    pub title: &'static str,
    pub is_done: bool,
    /// An instruction or, if the step is done, the result.
    pub text: String,
    /// The path and label of the link to the step's page; `None` if the step is done or not
    /// possible yet.
    pub link: Option<(String, &'static str)>,
}

impl ChecklistStep {
    fn new_not_done(title: &'static str, text: &str, link: Option<(String, &'static str)>) -> Self {
        Self {
            title,
            is_done: false,
            text: text.to_owned(),
            link,
        }
    }

    fn new_done(title: &'static str, text: impl Into<String>) -> Self {
        Self {
            title,
            is_done: true,
            text: text.into(),
            link: None,
        }
    }
}

impl Checklist {
    /// Returns the checklist for the page at `page`. Returns `None` if all steps are done, if the
    /// user dismissed the checklist, or if the user can't do any step.
    pub async fn load(
        context: &RequestContext,
        page: &'static str,
    ) -> Result<Option<Self>, PageError> {
        let progress = load_progress(context).await?;
        if progress.is_dismissed {
            return Ok(None);
        }
        let mut checklist = Self::new(&progress, context.user()?.role, page);
        let steps = checklist.iter_mut().flat_map(|list| &mut list.steps);
        let is_open = |step: &&mut ChecklistStep| step.title == WIDGET_TITLE && !step.is_done;
        if progress.project.is_some()
            && let Some(step) = steps.into_iter().find(is_open)
            && let Some(load) = WidgetLoad::latest(context).await?
        {
            step.text = load.describe();
        }
        Ok(checklist)
    }

    fn new(progress: &SetupProgress, role: Role, page: &'static str) -> Option<Self> {
        let steps = match role {
            Role::Admin => vec![
                project_step(progress),
                widget_step(progress),
                webhook_step(progress),
                delivery_step(progress),
                people_step(progress),
            ],
            Role::Member if progress.project.is_some() => vec![widget_step(progress)],
            Role::Member => Vec::new(),
        };
        let live = match role {
            Role::Admin if progress.has_webhook && !progress.has_delivered => "feedback deliveries",
            _ => "feedback",
        };
        let is_unfinished = steps.iter().any(|step| !step.is_done);
        is_unfinished.then_some(Self {
            steps,
            is_expanded: page == FEEDBACK_LIST_PATH,
            is_popover: page == FEEDBACK_LIST_PATH && progress.has_feedback,
            page,
            live,
        })
    }

    /// Returns whether the page has the "Dismiss" button.
    pub fn can_be_dismissed(&self) -> bool {
        self.page == FEEDBACK_LIST_PATH
    }

    pub fn done_count(&self) -> usize {
        self.steps.iter().filter(|step| step.is_done).count()
    }

    /// Returns the first step that the user can do now.
    pub fn next_step(&self) -> Option<&ChecklistStep> {
        self.steps.iter().find(|step| step.link.is_some())
    }

    /// Returns the link that a collapsed checklist shows: the link of the next step, unless the
    /// link points to the current page. Returns `None` for an expanded checklist.
    pub fn collapsed_link(&self) -> Option<&(String, &'static str)> {
        let link = self.next_step()?.link.as_ref()?;
        (!self.is_expanded && !link.0.starts_with(self.page)).then_some(link)
    }

    pub fn is_next(&self, step: &ChecklistStep) -> bool {
        self.next_step()
            .is_some_and(|next| std::ptr::eq(next, step))
    }
}

/// Returns whether the user dismissed a checklist with steps that aren't done.
pub async fn can_be_shown_again(context: &RequestContext) -> Result<bool, PageError> {
    let progress = load_progress(context).await?;
    let role = context.user()?.role;
    Ok(progress.is_dismissed && Checklist::new(&progress, role, FEEDBACK_LIST_PATH).is_some())
}

async fn load_progress(context: &RequestContext) -> Result<SetupProgress, PageError> {
    let (store, now) = (&context.app.store, context.app.clock.now());
    let user = context.user()?.id;
    Ok(store.setup_progress(user, now).await?)
}

fn project_step(progress: &SetupProgress) -> ChecklistStep {
    const TITLE: &str = "Create a project";
    match &progress.project {
        Some((_, name)) => ChecklistStep::new_done(TITLE, format!("“{name}” collects feedback.")),
        None => ChecklistStep::new_not_done(
            TITLE,
            "A project is the website, app, or product that you want feedback on.",
            Some(("/settings/projects?add".into(), "Create a project")),
        ),
    }
}

/// The latest load of the widget's script, while no website is known to use it correctly.
struct WidgetLoad {
    /// The origin without `https://`.
    site: String,
    /// The slug that the widget uses, if there is no such project.
    unknown_slug: Option<String>,
    /// The slug to use instead, if there is only one project.
    slug: Option<String>,
}

impl WidgetLoad {
    async fn latest(context: &RequestContext) -> Result<Option<Self>, PageError> {
        let Some(load) = context.intake.script_loads.latest(1).pop() else {
            return Ok(None);
        };
        let projects = context.app.store.projects_by_name().await?;
        let is_unknown = |slug: &String| !projects.iter().any(|project| project.slug == *slug);
        let site = load.origin.strip_prefix("https://");
        Ok(Some(Self {
            site: site.unwrap_or(&load.origin).to_owned(),
            unknown_slug: load.slug.filter(is_unknown),
            slug: match &projects[..] {
                [project] => Some(project.slug.clone()),
                _ => None,
            },
        }))
    }

    fn describe(&self) -> String {
        let Self { site, .. } = self;
        match (&self.unknown_slug, &self.slug) {
            (None, _) => {
                format!("The widget was loaded on {site}. To finish, submit feedback there.")
            }
            (Some(unknown), Some(slug)) => format!(
                "The widget was loaded on {site} with the unknown project “{unknown}”. \
                 Use “{slug}”."
            ),
            (Some(unknown), None) => format!(
                "The widget was loaded on {site} with the unknown project “{unknown}”. \
                 Copy the snippet again."
            ),
        }
    }
}

fn widget_step(progress: &SetupProgress) -> ChecklistStep {
    match (&progress.widget_origin, &progress.project) {
        // The origin is `null` for a page such as a file that a browser opened from disk.
        (Some(origin), _) if origin == "null" => ChecklistStep::new_done(
            WIDGET_TITLE,
            "Feedback arrived from a page without an origin.",
        ),
        (Some(origin), _) => {
            let site = origin.strip_prefix("https://").unwrap_or(origin);
            ChecklistStep::new_done(WIDGET_TITLE, format!("The widget is on {site}."))
        }
        (None, Some((id, _))) => ChecklistStep::new_not_done(
            WIDGET_TITLE,
            "Paste the snippet into your pages, then open a page. Miniback detects the widget.",
            Some((
                format!("/settings/projects?open={id}#{id}"),
                "Get the snippet",
            )),
        ),
        (None, None) => ChecklistStep::new_not_done(
            WIDGET_TITLE,
            "Create a project first. It contains the snippet.",
            None,
        ),
    }
}

fn webhook_step(progress: &SetupProgress) -> ChecklistStep {
    const TITLE: &str = "Set up a webhook";
    if progress.has_webhook {
        return ChecklistStep::new_done(TITLE, "Miniback sends new feedback to your endpoint.");
    }
    let draft = tokens::random_token();
    ChecklistStep::new_not_done(
        TITLE,
        "Miniback sends feedback to your URL. To test without code, run “miniback listen”.",
        Some((
            format!("/settings/notifications?add={draft}"),
            "Set up a webhook",
        )),
    )
}

fn delivery_step(progress: &SetupProgress) -> ChecklistStep {
    const TITLE: &str = "Receive the first delivery";
    if progress.has_delivered {
        return ChecklistStep::new_done(TITLE, "Your endpoint accepted a delivery.");
    }
    match (&progress.failed_webhook, progress.has_webhook) {
        (Some(webhook), _) => ChecklistStep::new_not_done(
            TITLE,
            "A delivery failed. The delivery log shows the reason.",
            Some((
                format!("/settings/notifications/{webhook}/deliveries"),
                "See why it failed",
            )),
        ),
        (None, true) => ChecklistStep::new_not_done(
            TITLE,
            "Press “Test” next to the webhook, or submit feedback on your site.",
            Some(("/settings/notifications".into(), "Go to webhooks")),
        ),
        (None, false) => ChecklistStep::new_not_done(TITLE, "Set up a webhook first.", None),
    }
}

fn people_step(progress: &SetupProgress) -> ChecklistStep {
    const TITLE: &str = "Invite a teammate";
    match (progress.users, progress.invitations) {
        (0 | 1, 0) => ChecklistStep::new_not_done(
            TITLE,
            "You get a link to share. Members read and process feedback.",
            Some(("/settings/people?add".into(), "Invite a teammate")),
        ),
        (0 | 1, 1) => ChecklistStep::new_done(TITLE, "1 invitation is pending."),
        (0 | 1, count) => {
            ChecklistStep::new_done(TITLE, format!("{count} invitations are pending."))
        }
        (users, _) => ChecklistStep::new_done(TITLE, format!("{users} people have accounts.")),
    }
}

/// Dismisses the checklist, or shows it again.
pub(super) async fn set_visibility(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let is_dismissed = match fields.get("show") {
        "false" => true,
        "true" => false,
        _ => return Err(PageError::InvalidForm),
    };
    let user = context.user()?.id;
    let store = &context.app.store;
    store.set_checklist_dismissed(user, is_dismissed).await?;
    if is_dismissed {
        let message = "Checklist dismissed. You can show it again under Settings → Account.";
        context.add_flash_message(message);
    }
    Ok(context.redirect(FEEDBACK_LIST_PATH))
}
