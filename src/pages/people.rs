//! Settings → People: users and invitations.
//!
//! An admin copies a one-time link, which is shown only once, and shares it. With a mail server,
//! Miniback also sends the link by email. Query parameters (`?add`, `?role=ID`, `?remove=ID`) open
//! forms.

mod link_email;

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

pub use self::link_email::LinkEmailReport;
use self::link_email::{LinkPurpose, NewInvitation, NewResetLink};
use super::framework::context::RequestContext;
use super::framework::flash::OneTimeValue;
use super::framework::form_edits::{self, EditField, FormEdits, LoadedField};
use super::framework::form_field::FormField;
use super::framework::format::DisplayTime;
use super::framework::idempotent_form::IdempotentForm;
use super::framework::layout::{Layout, render};
use super::framework::navigation::NavSection;
use super::framework::page_error::PageError;
use super::framework::session;
use crate::domain::account::{Role, User};
use crate::domain::email::check_email;
use crate::domain::id::{Id, LinkId, UserId};
use crate::server::tokens;
use crate::store::{LinkError, OneTimeLink, Precondition, UserError};

const PATH: &str = "/settings/people";
const ROLE_FIELD: EditField = ("role", "Role");
const INVITATION_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
const RESET_LINK_LIFETIME: Duration = Duration::from_secs(24 * 3600);

type IdPath = web::Path<String>;

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    layout: Layout,
    add: Option<InvitationForm>,
    /// The person who was just invited.
    invited: Option<NewInvitation>,
    /// Whether invitations are also sent by email.
    sends_invitations: bool,
    people: Vec<PersonRow>,
    invitations: Vec<InvitationRow>,
    /// The reason the submitted change was rejected.
    problem: Option<String>,
}

struct InvitationForm {
    email: FormField,
    role: Role,
}

struct PersonRow {
    user: User,
    created: DisplayTime,
    last_seen: Option<DisplayTime>,
    is_you: bool,
    is_last_admin: bool,
    is_changing_role: bool,
    is_confirming_remove: bool,
    new_reset_link: Option<NewResetLink>,
    /// The id and expiry of the active reset link.
    reset: Option<(LinkId, DisplayTime)>,
}

struct InvitationRow {
    link: OneTimeLink,
    expires_at: DisplayTime,
}

impl PersonRow {
    fn id(&self) -> UserId {
        self.user.id
    }

    fn action_path(&self, action: &str) -> String {
        format!("{PATH}/{}/{action}", self.user.id)
    }

    fn is_admin(&self) -> bool {
        self.user.role == Role::Admin
    }

    fn loaded_values(&self) -> Vec<LoadedField> {
        form_edits::loaded_values(&[ROLE_FIELD], |_| self.user.role.to_string())
    }
}

impl InvitationForm {
    fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }
}

impl PeoplePage {
    /// Returns whether only programs on Miniback's own computer can open a link.
    fn is_only_local(&self, link: &str) -> bool {
        let url = url::Url::parse(link).ok();
        url.is_some_and(|url| match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
            Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        })
    }

    async fn new(
        context: &RequestContext,
        add: Option<InvitationForm>,
        problem: Option<String>,
    ) -> Result<Self, PageError> {
        let store = &context.app.store;
        let users = store.users().await?;
        let links = store.active_links(context.app.clock.now()).await?;
        let (layout, _) = context.build_layout("People", NavSection::People);
        let (mut invited, mut new_reset_link) = (None, None);
        let is_shown_here = |value: &OneTimeValue| {
            matches!(
                value,
                OneTimeValue::Invitation { .. } | OneTimeValue::Reset { .. }
            )
        };
        match context.take_one_time_value(is_shown_here) {
            Some(OneTimeValue::Invitation { email, link, sent }) => {
                invited = Some(NewInvitation { email, link, sent });
            }
            Some(OneTimeValue::Reset { user, link, sent }) => {
                new_reset_link = Some(NewResetLink { user, link, sent });
            }
            _ => {}
        }
        let people = person_rows(context, &layout, users, &links, new_reset_link)?;
        let invitations = links.into_iter().filter(|link| link.user.is_none());
        let invitations = invitations
            .map(|link| InvitationRow {
                expires_at: layout.display_time(&link.expires_at),
                link,
            })
            .collect();
        let blank = || InvitationForm {
            email: FormField::default(),
            role: Role::Member,
        };
        let add = add.or_else(|| context.query_param("add").map(|_| blank()));
        Ok(Self {
            layout,
            add,
            invited,
            sends_invitations: link_email::is_available(context),
            people,
            invitations,
            problem,
        })
    }
}

fn person_rows(
    context: &RequestContext,
    layout: &Layout,
    users: Vec<User>,
    links: &[OneTimeLink],
    mut new_reset_link: Option<NewResetLink>,
) -> Result<Vec<PersonRow>, PageError> {
    let current_user = context.user()?;
    let admins = users.iter().filter(|user| user.role == Role::Admin).count();
    let is_selected = |name, user: &User| {
        context
            .query_param(name)
            .is_some_and(|id| UserId::parse(&id) == Some(user.id))
    };
    let rows = users.into_iter().map(|user| {
        let is_last_admin = user.role == Role::Admin && admins == 1;
        let reset = links
            .iter()
            .find(|link| link.user.as_ref() == Some(&user.id));
        PersonRow {
            created: layout.display_time(&user.created_at),
            last_seen: user.last_seen_at.as_ref().map(|at| layout.display_time(at)),
            is_you: user.id == current_user.id,
            is_last_admin,
            is_changing_role: !is_last_admin && is_selected("role", &user),
            is_confirming_remove: !is_last_admin && is_selected("remove", &user),
            new_reset_link: new_reset_link.take_if(|new| new.user == user.id),
            reset: reset.map(|link| (link.id, layout.display_time(&link.expires_at))),
            user,
        }
    });
    Ok(rows.collect())
}

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    render(
        StatusCode::OK,
        &PeoplePage::new(&context, None, None).await?,
    )
}

/// Invites a user. If an invitation for this email exists, its link is replaced.
pub(super) async fn invite_user(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let typed = fields.get("email");
    let role = parse_role(&fields)?;
    let email = match check_email(typed) {
        Ok(email) => email,
        Err(error) => {
            return render_rejected_invitation(&context, typed.to_owned(), role, error.to_string())
                .await;
        }
    };
    let token = tokens::random_token();
    let (hash, admin) = (tokens::sha256(&token), context.user()?.id);
    match context
        .app
        .store
        .create_invitation(email.clone(), role, admin, hash, INVITATION_LIFETIME)
        .await
    {
        Ok(()) => {
            let path = format!("/invitation?token={token}");
            let link = context.absolute_url(&path);
            let by = context.user()?.email.clone();
            let purpose = LinkPurpose::Invitation { by, role };
            let sent = link_email::send_link(&context, &email, &path, purpose).await?;
            context.update_flash(|flash| {
                flash.one_time_value = Some(OneTimeValue::Invitation { email, link, sent });
            });
            Ok(context.redirect(PATH))
        }
        Err(LinkError::User(UserError::EmailTaken(_))) => {
            let error = "This email already has an account.".to_owned();
            render_rejected_invitation(&context, email, role, error).await
        }
        Err(error) => Err(into_page_error(error)),
    }
}

async fn render_rejected_invitation(
    context: &RequestContext,
    email: String,
    role: Role,
    error: String,
) -> Result<HttpResponse, PageError> {
    let email = FormField {
        value: email,
        error: Some(error),
    };
    let form = InvitationForm { email, role };
    let page = PeoplePage::new(context, Some(form), None).await?;
    render(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

/// Creates a password reset link. The handler reads no fields, but it extracts the form to detect
/// repeated submissions.
pub(super) async fn create_reset_link(
    context: RequestContext,
    id: IdPath,
    _: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let user = UserId::parse_or_nil(id.into_inner());
    let anchor = format!("{PATH}#{user}");
    let token = tokens::random_token();
    let (hash, admin) = (tokens::sha256(&token), context.user()?.id);
    context
        .app
        .store
        .create_reset_link(user, admin, hash, RESET_LINK_LIFETIME)
        .await
        .map_err(into_page_error)?;
    let path = format!("/reset?token={token}");
    let link = context.absolute_url(&path);
    let users = context.app.store.users().await?;
    let sent = match users.into_iter().find(|known| known.id == user) {
        Some(known) => {
            let purpose = LinkPurpose::PasswordReset;
            link_email::send_link(&context, &known.email, &path, purpose).await?
        }
        None => None,
    };
    context.update_flash(|flash| {
        flash.one_time_value = Some(OneTimeValue::Reset { user, link, sent });
    });
    Ok(context.redirect(&anchor))
}

pub(super) async fn set_role(
    context: RequestContext,
    id: IdPath,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let role = parse_role(&fields)?;
    let id = UserId::parse_or_nil(id.into_inner());
    let is_own_change = context.user()?.id == id && context.user()?.role != role;
    let edits = FormEdits::from_form(&fields, &[ROLE_FIELD]);
    if !edits.is_changed("role") {
        return Ok(context.redirect(PATH));
    }
    let checked = edits.clone();
    let conflicts = move |stored: &User| checked.conflicts(|_| stored.role.to_string());
    let unchanged = Precondition::new(move |stored| conflicts(stored).is_empty());
    match context.app.store.set_role(id, role, unchanged).await {
        Err(UserError::Changed(stored)) => {
            let conflicts = edits.conflicts(|_| stored.role.to_string());
            Err(PageError::Conflict(conflicts))
        }
        Ok(_) if is_own_change => Ok(redirect_to_sign_in(&context)),
        Ok(user) => {
            context.add_flash_message(match user.role {
                Role::Admin => format!("{} is an admin now.", user.email),
                Role::Member => format!("{} is a member now.", user.email),
            });
            Ok(context.redirect(PATH))
        }
        Err(UserError::LastAdmin(email)) => render_last_admin_error(&context, &email).await,
        Err(error) => Err(error.into()),
    }
}

pub(super) async fn remove_user(
    context: RequestContext,
    id: IdPath,
) -> Result<HttpResponse, PageError> {
    let id = UserId::parse_or_nil(id.into_inner());
    let is_you = context.user()?.id == id;
    match context.app.store.delete_user_by_id(id).await {
        Ok(_) if is_you => Ok(redirect_to_sign_in(&context)),
        Ok(user) => {
            context.add_flash_message(format!("{} removed.", user.email));
            Ok(context.redirect(PATH))
        }
        // The user has already been removed, for example by an earlier submission.
        Err(UserError::NotFound(_)) => Ok(context.redirect(PATH)),
        Err(UserError::LastAdmin(email)) => render_last_admin_error(&context, &email).await,
        Err(error) => Err(error.into()),
    }
}

/// Revokes an invitation or a password reset link.
pub(super) async fn revoke_link(
    context: RequestContext,
    id: IdPath,
) -> Result<HttpResponse, PageError> {
    let id = LinkId::parse_or_nil(id.into_inner());
    if context.app.store.revoke_link(id).await? {
        context.add_flash_message("Link revoked.");
    }
    Ok(context.redirect(PATH))
}

fn parse_role(fields: &IdempotentForm) -> Result<Role, PageError> {
    let role = fields.get("role").parse();
    role.map_err(|_| PageError::InvalidForm)
}

async fn render_last_admin_error(
    context: &RequestContext,
    email: &str,
) -> Result<HttpResponse, PageError> {
    let problem = format!(
        "{email} is the only admin and can’t be changed or removed. Make another user an admin first."
    );
    let page = PeoplePage::new(context, None, Some(problem)).await?;
    render(StatusCode::CONFLICT, &page)
}

/// Redirects to the sign-in page after a change that ended the current user's sessions.
fn redirect_to_sign_in(context: &RequestContext) -> HttpResponse {
    let mut response = context.redirect("/login");
    session::clear_session_cookies(context, &mut response);
    response
}

fn into_page_error(error: LinkError) -> PageError {
    match error {
        LinkError::Store(error) => error.into(),
        LinkError::User(error) => error.into(),
        LinkError::NotAdmin => PageError::Forbidden,
        LinkError::Invalid => PageError::ItemNotFound,
    }
}
