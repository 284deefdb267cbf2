//! Settings → People: who has an account, and who is invited.
//!
//! There is no mail server: an admin is shown a one-time link, once, and hands it over. What is open stands in the
//! address (`?add`, `?role=ID`, `?remove=ID`).

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::fields::FormData;
use super::framework::context::RequestContext;
use super::framework::flash::OneTimeReveal;
use super::framework::format::DisplayTime;
use super::framework::idempotent_form::SubmissionKeys;
use super::framework::layout::{Layout, render};
use super::framework::page_error::PageError;
use super::framework::session;
use crate::domain::account::{Role, User};
use crate::domain::feedback;
use crate::domain::id::{LinkId, UserId};
use crate::server::tokens;
use crate::store::{LinkError, OneTimeLink, UserError};

const ADDRESS: &str = "/settings/people";
const INVITATION_LIVES: Duration = Duration::from_secs(7 * 24 * 3600);
const RESET_LIVES: Duration = Duration::from_secs(24 * 3600);

type Id = web::Path<String>;

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    layout: Layout,
    add: Option<AddForm>,
    /// The address that was just invited, and the link to hand over.
    invited: Option<(String, String)>,
    people: Vec<Person>,
    invitations: Vec<Invitation>,
    /// Why what was asked for could not be done.
    problem: Option<String>,
    key: String,
}

struct AddForm {
    email: String,
    role: Role,
    problem: Option<String>,
}

struct Person {
    user: User,
    created: DisplayTime,
    seen: Option<DisplayTime>,
    is_you: bool,
    is_last_admin: bool,
    is_role_asked: bool,
    is_remove_asked: bool,
    /// The link for a new password that was just made.
    reset_link: Option<String>,
    /// The one that is in force: its id, and until when.
    reset: Option<(LinkId, DisplayTime)>,
    key: String,
}

struct Invitation {
    link: OneTimeLink,
    until: DisplayTime,
    key: String,
}

impl Person {
    fn id(&self) -> &str {
        self.user.id.as_str()
    }

    fn address(&self, action: &str) -> String {
        format!("{ADDRESS}/{}/{action}", self.user.id)
    }

    fn is_admin(&self) -> bool {
        self.user.role == Role::Admin
    }
}

impl AddForm {
    fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }
}

impl PeoplePage {
    async fn new(
        context: &RequestContext,
        add: Option<AddForm>,
        problem: Option<String>,
    ) -> Result<Self, PageError> {
        let store = &context.app.store;
        let users = store.users().await?;
        let links = store.active_links(context.app.clock.now()).await?;
        let (layout, _) = context.layout("People", "people");
        let (mut invited, mut made_for) = (None, None);
        let is_link = |made: &OneTimeReveal| {
            matches!(
                made,
                OneTimeReveal::Invitation { .. } | OneTimeReveal::Reset { .. }
            )
        };
        match context.made(is_link) {
            Some(OneTimeReveal::Invitation { email, link }) => invited = Some((email, link)),
            Some(OneTimeReveal::Reset { user, link }) => made_for = Some((user, link)),
            _ => {}
        }
        let you = context.user()?;
        let admins = users.iter().filter(|user| user.role == Role::Admin).count();
        let asked =
            |name, user: &User| context.query(name).is_some_and(|it| it == user.id.as_str());
        let people = users.into_iter().map(|user| {
            let is_last_admin = user.role == Role::Admin && admins == 1;
            let reset = links
                .iter()
                .find(|link| link.user.as_ref() == Some(&user.id));
            Person {
                created: layout.time(&user.created_at),
                seen: user.last_seen_at.as_ref().map(|at| layout.time(at)),
                is_you: user.id == you.id,
                is_last_admin,
                is_role_asked: !is_last_admin && asked("role", &user),
                is_remove_asked: !is_last_admin && asked("remove", &user),
                reset_link: made_for
                    .as_ref()
                    .filter(|(made_for, _)| *made_for == user.id)
                    .map(|(_, link)| link.clone()),
                reset: reset.map(|link| (link.id.clone(), layout.time(&link.expires_at))),
                key: SubmissionKeys::key(),
                user,
            }
        });
        let people = people.collect();
        let invitations = links.into_iter().filter(|link| link.user.is_none());
        let invitations = invitations
            .map(|link| Invitation {
                until: layout.time(&link.expires_at),
                key: SubmissionKeys::key(),
                link,
            })
            .collect();
        let blank = || AddForm {
            email: String::new(),
            role: Role::Member,
            problem: None,
        };
        let add = add.or_else(|| context.query("add").map(|_| blank()));
        Ok(Self {
            layout,
            add,
            invited,
            people,
            invitations,
            problem,
            key: SubmissionKeys::key(),
        })
    }
}

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    render(
        StatusCode::OK,
        &PeoplePage::new(&context, None, None).await?,
    )
}

/// Invites somebody, or makes another link for who is invited: the one before is void then.
pub(super) async fn invite(
    context: RequestContext,
    fields: FormData,
) -> Result<HttpResponse, PageError> {
    let email = fields.get("email").trim().to_owned();
    let role = read_role(&fields)?;
    if let Err(error) = feedback::check_email(email.clone()) {
        return refuse_invitation(&context, email, role, error.to_string()).await;
    }
    let (by, address) = (context.clone(), email.clone());
    let work = async move {
        let token = tokens::random_token();
        let (hash, admin) = (tokens::sha256(&token), by.user()?.id.clone());
        let store = &by.app.store;
        match store
            .invite(address.clone(), role, admin, hash, INVITATION_LIVES)
            .await
        {
            Ok(()) => {
                let (email, link) = (address, by.absolute(&format!("/invitation?token={token}")));
                by.leave(|flash| flash.made = Some(OneTimeReveal::Invitation { email, link }));
                Ok(true)
            }
            Err(LinkError::User(UserError::EmailTaken(_))) => Ok(false),
            Err(error) => Err(link_error(error)),
        }
    };
    if context
        .state
        .submission_keys
        .run(fields.get("key"), work)
        .await?
        == Some(false)
    {
        context.state.submission_keys.forget(fields.get("key"));
        let problem = "This address has an account already.".to_owned();
        return refuse_invitation(&context, email, role, problem).await;
    }
    Ok(context.redirect(ADDRESS))
}

async fn refuse_invitation(
    context: &RequestContext,
    email: String,
    role: Role,
    problem: String,
) -> Result<HttpResponse, PageError> {
    let form = AddForm {
        email,
        role,
        problem: Some(problem),
    };
    let page = PeoplePage::new(context, Some(form), None).await?;
    render(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

/// Makes a link by which somebody sets another password.
pub(super) async fn reset_password(
    context: RequestContext,
    id: Id,
    fields: FormData,
) -> Result<HttpResponse, PageError> {
    let user = UserId::new(id.into_inner());
    let anchor = format!("{ADDRESS}#{user}");
    let by = context.clone();
    let work = async move {
        let token = tokens::random_token();
        let (hash, admin) = (tokens::sha256(&token), by.user()?.id.clone());
        let store = &by.app.store;
        let made = store
            .create_reset_link(user.clone(), admin, hash, RESET_LIVES)
            .await;
        made.map_err(link_error)?;
        let link = by.absolute(&format!("/reset?token={token}"));
        by.leave(|flash| flash.made = Some(OneTimeReveal::Reset { user, link }));
        Ok(())
    };
    context
        .state
        .submission_keys
        .run(fields.get("key"), work)
        .await?;
    Ok(context.redirect(&anchor))
}

pub(super) async fn set_role(
    context: RequestContext,
    id: Id,
    fields: FormData,
) -> Result<HttpResponse, PageError> {
    let role = read_role(&fields)?;
    let id = UserId::new(id.into_inner());
    let was_you = context.user()?.id == id && context.user()?.role != role;
    match context.app.store.set_role(id, role).await {
        Ok(_) if was_you => Ok(signed_out(&context)),
        Ok(user) => {
            context.say(match user.role {
                Role::Admin => format!("{} is an admin.", user.email),
                Role::Member => format!("{} is a member.", user.email),
            });
            Ok(context.redirect(ADDRESS))
        }
        Err(UserError::LastAdmin(email)) => refuse_last_admin(&context, &email).await,
        Err(error) => Err(user_error(error)),
    }
}

pub(super) async fn remove(context: RequestContext, id: Id) -> Result<HttpResponse, PageError> {
    let id = UserId::new(id.into_inner());
    let is_you = context.user()?.id == id;
    match context.app.store.delete_user_by_id(id).await {
        Ok(_) if is_you => Ok(signed_out(&context)),
        Ok(user) => {
            context.say(format!("{} is removed.", user.email));
            Ok(context.redirect(ADDRESS))
        }
        // Pressed twice: they are gone, as was wished.
        Err(UserError::NotFound(_)) => Ok(context.redirect(ADDRESS)),
        Err(UserError::LastAdmin(email)) => refuse_last_admin(&context, &email).await,
        Err(error) => Err(user_error(error)),
    }
}

/// Makes an invitation or a link for a new password void.
pub(super) async fn revoke_link(
    context: RequestContext,
    id: Id,
) -> Result<HttpResponse, PageError> {
    let id = LinkId::new(id.into_inner());
    if context.app.store.revoke_link(id).await? {
        context.say("The link is revoked: nobody can use it any more.");
    }
    Ok(context.redirect(ADDRESS))
}

fn read_role(fields: &FormData) -> Result<Role, PageError> {
    let role = fields.get("role").parse();
    role.map_err(|_| PageError::BrokenForm)
}

async fn refuse_last_admin(
    context: &RequestContext,
    email: &str,
) -> Result<HttpResponse, PageError> {
    let problem = format!(
        "{email} is the last admin, and stays one: nobody could change the settings any more. Make somebody else an admin first."
    );
    let page = PeoplePage::new(context, None, Some(problem)).await?;
    render(StatusCode::CONFLICT, &page)
}

/// After what ended one's own sessions.
fn signed_out(context: &RequestContext) -> HttpResponse {
    let mut response = context.redirect("/login");
    session::clear(context, &mut response);
    response
}

fn link_error(error: LinkError) -> PageError {
    match error {
        LinkError::Store(error) => error.into(),
        LinkError::User(error) => user_error(error),
        LinkError::NotAdmin => PageError::Forbidden,
        LinkError::Invalid => PageError::Gone,
    }
}

fn user_error(error: UserError) -> PageError {
    match error {
        UserError::Store(error) => error.into(),
        _ => PageError::Gone,
    }
}
