//! `miniback setup-link`: prints a new one-time setup URL.

use url::Url;

use super::open_store::with_store;
use super::{CommandError, escape_control_chars, print};
use crate::app::{self, listeners};
use crate::config::{DataDirOptions, ListenerOptions};
use crate::server::urls::Urls;
use crate::store::{self, UserError};

pub(super) fn run(
    data: &DataDirOptions,
    listener: &ListenerOptions,
    base_url: Option<&Url>,
) -> Result<(), CommandError> {
    // The running server may have been started with other options than this command.
    let running = store::lock_holder(&data.data_dir).and_then(|server| server.url);
    let url = running.unwrap_or_else(|| listeners::browser_origin(&listener.listen));
    let urls = Urls::new(base_url);
    let url = with_store(data, async |store| {
        match app::create_setup_url(&store, &urls, &url).await {
            Err(UserError::AlreadySetUp) => Err(
                "there is already a user; miniback user add adds another user, and miniback user \
                 passwd sets a forgotten password"
                    .to_owned(),
            ),
            created => created.map_err(|error| error.to_string()),
        }
    })?;
    print(&format!("{}\n", escape_control_chars(&url)));
    eprintln!(
        "Open this URL within 1 hour to create the first user. Earlier setup URLs are invalid."
    );
    Ok(())
}
