//! `miniback openapi`.

use url::Url;

use super::{Failure, write_out};
use crate::api;
use crate::server::urls::Links;

pub(super) fn run(base_url: Option<&Url>) -> Result<(), Failure> {
    let links = Links::new(base_url);
    let address = match links.origin() {
        Some(origin) => links.absolute(origin, ""),
        None => "/".to_owned(),
    };
    let json = api::document(&address).to_pretty_json();
    let json = json.map_err(Failure::new)?;
    write_out(&format!("{json}\n")).map_err(Failure::new)
}
