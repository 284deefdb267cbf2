//! `miniback token create`, `list`, and `revoke`.

use super::open_store::with_store;
use super::{CommandError, escape_control_chars, print, print_result};
use crate::config::TokenCommand;
use crate::domain::id::TokenId;
use crate::domain::project;
use crate::server::tokens;

pub(super) fn run(command: TokenCommand) -> Result<(), CommandError> {
    match command {
        TokenCommand::Create {
            user,
            scope,
            name,
            data,
        } => {
            let name = project::check_name(&name).map_err(CommandError::usage_error)?;
            let token = tokens::random_api_token();
            let hash = tokens::sha256(&token);
            let created = with_store(&data, |store| async move {
                store
                    .create_token(user, name, scope, hash, None)
                    .await
                    .map_err(CommandError::new)
            })?;
            // The token is printed only once. If printing fails, tell the user to revoke it.
            print_result(&format!("{token}\n")).map_err(|error| {
                let id = created.id;
                CommandError::new(format!(
                    "printing the token failed ({error}); \
                     revoke it with miniback token revoke {id} and create another one"
                ))
            })?;
        }
        TokenCommand::List { data } => {
            let tokens = with_store(&data, |store| async move {
                store.tokens().await.map_err(CommandError::new)
            })?;
            for token in tokens {
                let used = token
                    .last_used_at
                    .map_or_else(|| "never used".to_owned(), |at| format!("used {at}"));
                let (name, user) = (
                    escape_control_chars(&token.name),
                    escape_control_chars(&token.user.email),
                );
                print(&format!(
                    "{}\t{}\t{user}\t{name}\t{}\t{used}\n",
                    token.id,
                    token.scope.as_str(),
                    token.created_at
                ));
            }
        }
        TokenCommand::Revoke { id, data } => {
            let token = TokenId::new(id.clone());
            let revoked = with_store(&data, |store| async move {
                store.revoke_token(token).await.map_err(CommandError::new)
            })?;
            if !revoked {
                return Err(CommandError::new(format!(
                    "no token {}; miniback token list shows all tokens",
                    escape_control_chars(&id)
                )));
            }
            print(&format!("Revoked token {}.\n", escape_control_chars(&id)));
        }
    }
    Ok(())
}
