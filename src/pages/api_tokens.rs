//! Settings → API tokens: lists, creates, and revokes tokens.
//!
//! A new token is shown only once, immediately after it is created. URLs never contain it.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use askama::Template;

use super::framework::context::RequestContext;
use super::framework::flash::OneTimeValue;
use super::framework::form_field::FormField;
use super::framework::format::DisplayTime;
use super::framework::idempotent_form::IdempotentForm;
use super::framework::layout::{Layout, render};
use super::framework::navigation::NavSection;
use super::framework::page_error::PageError;
use crate::domain::account::{ApiToken, Scope};
use crate::domain::id::{Id, TokenId};
use crate::domain::project;
use crate::domain::validation::{check_all_fields, check_field};
use crate::server::security_events::set_event_subject;
use crate::server::tokens;
use crate::store::UserError;

const PATH: &str = "/settings/tokens";

#[derive(Template)]
#[template(path = "api_tokens.html")]
struct TokensPage {
    layout: Layout,
    add: Option<NewTokenForm>,
    created: Option<CreatedToken>,
    rows: Vec<TokenRow>,
}

struct CreatedToken {
    name: String,
    /// The bearer token, which is shown only once.
    token: String,
    fingerprint: String,
}

struct NewTokenForm {
    name: FormField,
    scope: Scope,
    scope_error: Option<String>,
}

struct TokenRow {
    token: ApiToken,
    created_at: DisplayTime,
    last_used_at: Option<DisplayTime>,
    is_confirming_revoke: bool,
}

impl TokenRow {
    fn revoke_path(&self) -> String {
        format!("{PATH}/{}/revoke", self.token.id)
    }
}

/// Each scope with its label and description.
const SCOPE_OPTIONS: [(Scope, &str, &str); 3] = [
    (Scope::Submit, "Submit", "Submit feedback only"),
    (Scope::Full, "Full", "All your permissions"),
    (Scope::Metrics, "Metrics", "Read metrics only"),
];

impl TokensPage {
    async fn new(context: &RequestContext, add: Option<NewTokenForm>) -> Result<Self, PageError> {
        let mut tokens = context.app.store.tokens().await?;
        tokens.reverse();
        let (layout, _) = context.build_layout("API tokens", NavSection::ApiTokens);
        let revoking = context.query_param("revoke").map(TokenId::parse_or_nil);
        let rows = tokens.into_iter().map(|token| TokenRow {
            created_at: layout.display_time(&token.created_at),
            last_used_at: token
                .last_used_at
                .as_ref()
                .map(|at| layout.display_time(at)),
            is_confirming_revoke: revoking == Some(token.id),
            token,
        });
        let rows = rows.collect();
        let created = match context
            .take_one_time_value(|value| matches!(value, OneTimeValue::Token { .. }))
        {
            Some(OneTimeValue::Token {
                name,
                token,
                fingerprint,
            }) => Some(CreatedToken {
                name,
                token,
                fingerprint,
            }),
            _ => None,
        };
        let blank = || NewTokenForm {
            name: FormField::default(),
            scope: Scope::Submit,
            scope_error: None,
        };
        let add = add.or_else(|| context.query_param("add").map(|_| blank()));
        Ok(Self {
            layout,
            add,
            created,
            rows,
        })
    }

    fn scope_options(&self) -> [(Scope, &'static str, &'static str); 3] {
        SCOPE_OPTIONS
    }

    fn scope_label(&self, scope: &Scope) -> &'static str {
        let found = SCOPE_OPTIONS.iter().find(|(known, ..)| known == scope);
        found.map_or("", |(_, name, _)| name)
    }
}

pub(super) async fn show(context: RequestContext) -> Result<HttpResponse, PageError> {
    render(StatusCode::OK, &TokensPage::new(&context, None).await?)
}

/// Creates a token for the current user.
pub(super) async fn create(
    context: RequestContext,
    fields: IdempotentForm,
) -> Result<HttpResponse, PageError> {
    let scope = fields.get("scope").parse::<Scope>();
    let selected_scope = *scope.as_ref().unwrap_or(&Scope::Submit);
    let (name, scope) = match check_all_fields((
        check_field("name", project::check_name(fields.get("name"))),
        check_field("scope", scope),
    )) {
        Ok(checked) => checked,
        Err(errors) => {
            let form = NewTokenForm {
                name: FormField::from_submitted_value("name", fields.get("name"), &errors),
                scope: selected_scope,
                scope_error: errors.message_for("scope").map(str::to_owned),
            };
            let page = TokensPage::new(&context, Some(form)).await?;
            return render(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
    };
    let user = context.user()?.clone();
    let token = tokens::random_api_token();
    let hash = tokens::sha256(&token);
    match context
        .app
        .store
        .create_token(user.email.clone(), name.clone(), scope, hash, Some(user))
        .await
    {
        Ok(created) => {
            set_event_subject(&context.request, created.id);
            let value = OneTimeValue::Token {
                name,
                token,
                fingerprint: created.fingerprint,
            };
            context.update_flash(|flash| flash.one_time_value = Some(value));
            Ok(context.redirect(PATH))
        }
        Err(UserError::Store(error)) => Err(error.into()),
        Err(_) => Err(PageError::ItemNotFound),
    }
}

pub(super) async fn revoke(
    context: RequestContext,
    id: web::Path<String>,
) -> Result<HttpResponse, PageError> {
    let id = TokenId::parse_or_nil(id.into_inner());
    if context.app.store.revoke_token(id).await? {
        context.add_flash_message("Token revoked.");
    }
    Ok(context.redirect(PATH))
}
