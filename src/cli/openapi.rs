//! `miniback openapi`: prints the API's OpenAPI document.

use url::Url;

use super::{CommandError, try_print};
use crate::api;
use crate::server::urls::Urls;

pub(super) fn run(base_url: Option<&Url>) -> Result<(), CommandError> {
    let urls = Urls::new(base_url);
    let server_url = match urls.origin() {
        Some(origin) => urls.absolute_url(origin, ""),
        None => "/".to_owned(),
    };
    let json = serde_json::to_string_pretty(&api::document(&server_url));
    let json = json.map_err(CommandError::new)?;
    try_print(&format!("{json}\n")).map_err(CommandError::io_error("can’t print the document"))
}
