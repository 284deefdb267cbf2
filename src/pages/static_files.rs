//! `/static/{name}`: the stylesheet, scripts, and icon.

use actix_web::{HttpResponse, web};

use super::framework::page_error::PageError;
use crate::server::static_files;

pub(super) async fn get_static_file(name: web::Path<String>) -> Result<HttpResponse, PageError> {
    static_files::response(&name).ok_or(PageError::NotFound)
}
