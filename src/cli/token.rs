//! `miniback token create|list|revoke`.

use super::data::with_store;
use super::user::failure;
use super::{Failure, print, safe, write_out};
use crate::config::TokenCommand;
use crate::domain::id::TokenId;
use crate::domain::project;
use crate::server::tokens;

pub(super) fn run(command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Create {
            user,
            scope,
            name,
            data,
        } => {
            let name = project::name(&name).map_err(Failure::wrong)?;
            let token = tokens::random_api_token();
            let hash = tokens::sha256(&token);
            let made = with_store(&data, |store| async move {
                store
                    .create_token(user, name, scope, hash, None)
                    .await
                    .map_err(failure)
            })?;
            // It is shown this once: one that nobody saw must not be left behind in silence.
            write_out(&format!("{token}\n")).map_err(|error| {
                let id = made.id;
                Failure::new(format!("the token could not be printed ({error}); miniback token revoke {id}, then create another one"))
            })?;
        }
        TokenCommand::List { data } => {
            let tokens = with_store(&data, |store| async move {
                store.tokens().await.map_err(Failure::new)
            })?;
            for token in tokens {
                let used = token
                    .last_used_at
                    .map_or_else(|| "never used".to_owned(), |at| format!("used {at}"));
                let (name, user) = (safe(&token.name), safe(&token.user.email));
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
                store.revoke_token(token).await.map_err(Failure::new)
            })?;
            if !revoked {
                return Err(Failure::new(format!(
                    "there is no token {}; miniback token list shows them",
                    safe(&id)
                )));
            }
            print(&format!("The token {} is revoked.\n", safe(&id)));
        }
    }
    Ok(())
}
