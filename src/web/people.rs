//! Settings → People: who has an account, and who is invited.
//!
//! There is no mail server: an admin is shown a one-time link, once, and hands it over. What is open stands in the
//! address (`?add`, `?role=ID`, `?remove=ID`).

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::failure::PageError;
use super::fields::Fields;
use super::flash::Made;
use super::once::Once;
use super::page::{Frame, render};
use super::session;
use super::times::Time;
use super::visit::Visit;
use crate::domain::account::{Role, User};
use crate::domain::feedback;
use crate::domain::id::{LinkId, UserId};
use crate::server::tokens;
use crate::store::{AccountLink, AccountStoreError};

const ADDRESS: &str = "/settings/people";
const INVITATION_LIVES: Duration = Duration::from_secs(7 * 24 * 3600);
const RESET_LIVES: Duration = Duration::from_secs(24 * 3600);

type Id = web::Path<String>;

#[derive(Template)]
#[template(path = "people.html")]
struct PeoplePage {
    frame: Frame,
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
    created: Time,
    seen: Option<Time>,
    is_you: bool,
    is_last_admin: bool,
    is_role_asked: bool,
    is_remove_asked: bool,
    /// The link for a new password that was just made.
    reset_link: Option<String>,
    /// The one that is in force: its id, and until when.
    reset: Option<(LinkId, Time)>,
    key: String,
}

struct Invitation {
    link: AccountLink,
    until: Time,
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
        visit: &Visit,
        add: Option<AddForm>,
        problem: Option<String>,
    ) -> Result<Self, PageError> {
        let store = &visit.site.store;
        let users = store.users().await?;
        let links = store.account_links(visit.site.clock.now()).await?;
        let (frame, _) = visit.frame("People", "people");
        let (mut invited, mut made_for) = (None, None);
        let is_link = |made: &Made| matches!(made, Made::Invitation { .. } | Made::Reset { .. });
        match visit.made(is_link) {
            Some(Made::Invitation { email, link }) => invited = Some((email, link)),
            Some(Made::Reset { user, link }) => made_for = Some((user, link)),
            _ => {}
        }
        let you = visit.user()?;
        let admins = users.iter().filter(|user| user.role == Role::Admin).count();
        let asked = |name, user: &User| visit.query(name).is_some_and(|it| it == user.id.as_str());
        let people = users.into_iter().map(|user| {
            let is_last_admin = user.role == Role::Admin && admins == 1;
            let reset = links
                .iter()
                .find(|link| link.user.as_ref() == Some(&user.id));
            Person {
                created: frame.time(&user.created_at),
                seen: user.last_seen_at.as_ref().map(|at| frame.time(at)),
                is_you: user.id == you.id,
                is_last_admin,
                is_role_asked: !is_last_admin && asked("role", &user),
                is_remove_asked: !is_last_admin && asked("remove", &user),
                reset_link: made_for
                    .as_ref()
                    .filter(|(made_for, _)| *made_for == user.id)
                    .map(|(_, link)| link.clone()),
                reset: reset.map(|link| (link.id.clone(), frame.time(&link.expires_at))),
                key: Once::key(),
                user,
            }
        });
        let people = people.collect();
        let invitations = links.into_iter().filter(|link| link.user.is_none());
        let invitations = invitations
            .map(|link| Invitation {
                until: frame.time(&link.expires_at),
                key: Once::key(),
                link,
            })
            .collect();
        let blank = || AddForm {
            email: String::new(),
            role: Role::Member,
            problem: None,
        };
        let add = add.or_else(|| visit.query("add").map(|_| blank()));
        Ok(Self {
            frame,
            add,
            invited,
            people,
            invitations,
            problem,
            key: Once::key(),
        })
    }
}

pub(super) async fn show(visit: Visit) -> Result<HttpResponse, PageError> {
    render(StatusCode::OK, &PeoplePage::new(&visit, None, None).await?)
}

/// Invites somebody, or makes another link for who is invited: the one before is void then.
pub(super) async fn invite(visit: Visit, fields: Fields) -> Result<HttpResponse, PageError> {
    let email = fields.get("email").trim().to_owned();
    let role = read_role(&fields)?;
    if let Err(error) = feedback::check_email(email.clone()) {
        return refuse_invitation(&visit, email, role, error.to_string()).await;
    }
    let (by, address) = (visit.clone(), email.clone());
    let work = async move {
        let token = tokens::new();
        let (hash, admin) = (tokens::hash(&token), by.user()?.id.clone());
        let store = &by.site.store;
        match store
            .invite(address.clone(), role, admin, hash, INVITATION_LIVES)
            .await
        {
            Ok(()) => {
                let (email, link) = (address, by.absolute(&format!("/invitation?token={token}")));
                by.leave(|flash| flash.made = Some(Made::Invitation { email, link }));
                Ok(true)
            }
            Err(AccountStoreError::Exists(_)) => Ok(false),
            Err(error) => Err(failure(error)),
        }
    };
    if visit.state.once.run(fields.get("key"), work).await? == Some(false) {
        visit.state.once.forget(fields.get("key"));
        let problem = "This address has an account already.".to_owned();
        return refuse_invitation(&visit, email, role, problem).await;
    }
    Ok(visit.redirect(ADDRESS))
}

async fn refuse_invitation(
    visit: &Visit,
    email: String,
    role: Role,
    problem: String,
) -> Result<HttpResponse, PageError> {
    let form = AddForm {
        email,
        role,
        problem: Some(problem),
    };
    let page = PeoplePage::new(visit, Some(form), None).await?;
    render(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

/// Makes a link by which somebody sets another password.
pub(super) async fn reset_password(
    visit: Visit,
    id: Id,
    fields: Fields,
) -> Result<HttpResponse, PageError> {
    let user = UserId::new(id.into_inner());
    let anchor = format!("{ADDRESS}#{user}");
    let by = visit.clone();
    let work = async move {
        let token = tokens::new();
        let (hash, admin) = (tokens::hash(&token), by.user()?.id.clone());
        let store = &by.site.store;
        let made = store
            .make_reset_link(user.clone(), admin, hash, RESET_LIVES)
            .await;
        made.map_err(failure)?;
        let link = by.absolute(&format!("/reset?token={token}"));
        by.leave(|flash| flash.made = Some(Made::Reset { user, link }));
        Ok(())
    };
    visit.state.once.run(fields.get("key"), work).await?;
    Ok(visit.redirect(&anchor))
}

pub(super) async fn set_role(
    visit: Visit,
    id: Id,
    fields: Fields,
) -> Result<HttpResponse, PageError> {
    let role = read_role(&fields)?;
    let id = UserId::new(id.into_inner());
    let was_you = visit.user()?.id == id && visit.user()?.role != role;
    match visit.site.store.set_role(id, role).await {
        Ok(_) if was_you => Ok(signed_out(&visit)),
        Ok(user) => {
            visit.say(match user.role {
                Role::Admin => format!("{} is an admin.", user.email),
                Role::Member => format!("{} is a member.", user.email),
            });
            Ok(visit.redirect(ADDRESS))
        }
        Err(AccountStoreError::LastAdmin(email)) => refuse_last_admin(&visit, &email).await,
        Err(error) => Err(failure(error)),
    }
}

pub(super) async fn remove(visit: Visit, id: Id) -> Result<HttpResponse, PageError> {
    let id = UserId::new(id.into_inner());
    let is_you = visit.user()?.id == id;
    match visit.site.store.remove_user_with_id(id).await {
        Ok(_) if is_you => Ok(signed_out(&visit)),
        Ok(user) => {
            visit.say(format!("{} is removed.", user.email));
            Ok(visit.redirect(ADDRESS))
        }
        // Pressed twice: they are gone, as was wished.
        Err(AccountStoreError::Unknown(_)) => Ok(visit.redirect(ADDRESS)),
        Err(AccountStoreError::LastAdmin(email)) => refuse_last_admin(&visit, &email).await,
        Err(error) => Err(failure(error)),
    }
}

/// Makes an invitation or a link for a new password void.
pub(super) async fn revoke_link(visit: Visit, id: Id) -> Result<HttpResponse, PageError> {
    let id = LinkId::new(id.into_inner());
    if visit.site.store.revoke_link(id).await? {
        visit.say("The link is revoked: nobody can use it any more.");
    }
    Ok(visit.redirect(ADDRESS))
}

fn read_role(fields: &Fields) -> Result<Role, PageError> {
    let role = fields.get("role").parse();
    role.map_err(|_| PageError::BrokenForm)
}

async fn refuse_last_admin(visit: &Visit, email: &str) -> Result<HttpResponse, PageError> {
    let problem = format!(
        "{email} is the last admin, and stays one: nobody could change the settings any more. Make somebody else an admin first."
    );
    let page = PeoplePage::new(visit, None, Some(problem)).await?;
    render(StatusCode::CONFLICT, &page)
}

/// After what ended one's own sessions.
fn signed_out(visit: &Visit) -> HttpResponse {
    let mut response = visit.redirect("/login");
    session::clear(visit, &mut response);
    response
}

fn failure(error: AccountStoreError) -> PageError {
    match error {
        AccountStoreError::Store(error) => error.into(),
        AccountStoreError::NotAdmin => PageError::Forbidden,
        _ => PageError::Gone,
    }
}
