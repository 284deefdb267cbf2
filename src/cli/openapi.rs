//! `miniback openapi`.

use url::Url;

use super::{Failure, write_out};
use crate::api;
use crate::server::urls::Urls;

pub(super) fn run(base_url: Option<&Url>) -> Result<(), Failure> {
    let urls = Urls::new(base_url);
    let address = match urls.origin() {
        Some(origin) => urls.absolute(origin, ""),
        None => "/".to_owned(),
    };
    let json = api::document(&address).to_pretty_json();
    let json = json.map_err(Failure::new)?;
    write_out(&format!("{json}\n")).map_err(Failure::new)
}
