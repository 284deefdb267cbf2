//! `miniback token create`, `list`, and `revoke`.

use super::open_store::with_store;
use super::{CommandError, escape_control_chars, log_security_event, print, try_print};
use crate::config::{DataDirOptions, TokenCommand};
use crate::domain::account::Scope;
use crate::domain::id::{Id, TokenId};
use crate::domain::project;
use crate::io_errors;
use crate::server::tokens;

pub(super) fn run(command: TokenCommand) -> Result<(), CommandError> {
    match command {
        TokenCommand::Create {
            user,
            scope,
            name,
            data,
        } => create(user, scope, &name, &data),
        TokenCommand::List { data } => list(&data),
        TokenCommand::Revoke { id, data } => revoke(&id, &data),
    }
}

fn create(
    user: String,
    scope: Scope,
    name: &str,
    data: &DataDirOptions,
) -> Result<(), CommandError> {
    let name = project::check_name(name).map_err(CommandError::usage_error)?;
    let token = tokens::random_api_token();
    let hash = tokens::sha256(&token);
    let created = with_store(data, async |store| {
        store.create_token(user, name, scope, hash, None).await
    })?;
    // The token is printed only once. If printing fails, tell the user to revoke it.
    let id = created.id;
    try_print(&format!("{token}\n")).map_err(|error| {
        CommandError::new(format!(
            "can’t print the token: {}; revoke it with miniback token revoke {id} and create \
             another one",
            io_errors::describe(&error)
        ))
    })?;
    log_security_event("token_created", &id.to_string());
    Ok(())
}

fn list(data: &DataDirOptions) -> Result<(), CommandError> {
    for token in with_store(data, async |store| store.tokens().await)? {
        let last_use = match token.last_used_at {
            Some(time) => format!("used {time}"),
            None => "never used".to_owned(),
        };
        let user = escape_control_chars(&token.user.email);
        let name = escape_control_chars(&token.name);
        print(&format!(
            "{}\t{}\t{user}\t{name}\t{}\t{last_use}\n",
            token.id,
            token.scope.as_str(),
            token.created_at
        ));
    }
    Ok(())
}

fn revoke(id: &str, data: &DataDirOptions) -> Result<(), CommandError> {
    let token = TokenId::parse_or_nil(id);
    let revoked = with_store(data, async |store| store.revoke_token(token).await)?;
    let id = escape_control_chars(id);
    if !revoked {
        return Err(CommandError::new(format!(
            "no token {id}; miniback token list shows all tokens"
        )));
    }
    log_security_event("token_revoked", &id);
    print(&format!("Revoked token {id}.\n"));
    Ok(())
}
