//! The page of a form. If a submitted form can't be processed, the page is rendered again with the
//! submitted values.

use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, Handler, HttpMessage, HttpRequest, HttpResponse, Responder};
use futures_util::future::LocalBoxFuture;

use crate::server::form_data::FormData;

type PageRenderer = dyn Fn(HttpRequest) -> LocalBoxFuture<'static, HttpResponse>;

/// The page that contains a route's form, stored in the data of the route.
#[derive(Clone)]
pub struct FormPage {
    /// Path and query of the page, with placeholders (see [`fill_placeholders`]).
    url: &'static str,
    /// The `action` of the form on the page, with placeholders; `None` if it is the route's path. A
    /// button with `formaction` can submit a form to a different path.
    action: Option<&'static str>,
    render: Rc<PageRenderer>,
}

/// The query string that a page uses instead of the request's own query string. It is stored in the
/// request's extensions.
#[derive(Clone)]
pub struct FormPageQuery(pub String);

impl FormPage {
    /// Creates the page of a form. `url` is the path and query of the page, and `handler` renders
    /// it.
    pub fn new<F, Args>(url: &'static str, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        let render = move |request: HttpRequest| -> LocalBoxFuture<'static, HttpResponse> {
            let handler = handler.clone();
            Box::pin(async move {
                match Args::from_request(&request, &mut Payload::None).await {
                    Ok(args) => {
                        let response = handler.call(args).await.respond_to(&request);
                        response.map_into_boxed_body()
                    }
                    Err(error) => HttpResponse::from_error(error),
                }
            })
        };
        Self {
            url,
            action: None,
            render: Rc::new(render),
        }
    }

    /// Sets the `action` of the form, if it differs from the route's path.
    pub fn with_action(mut self, action: &'static str) -> Self {
        self.action = Some(action);
        self
    }

    /// Returns the page of the form that the request's route processes, if the route has a form.
    pub fn for_request(request: &HttpRequest) -> Option<Self> {
        request.app_data::<Self>().cloned()
    }

    /// Path and query of the page, without the base path.
    pub fn url(&self, request: &HttpRequest, form: &FormData) -> String {
        let url = fill_placeholders(self.url, request, form);
        url.trim_end_matches('?').to_owned()
    }

    /// The `action` of the form on the page, without the base path. `path` is the request's path.
    pub fn action(&self, path: &str, request: &HttpRequest, form: &FormData) -> String {
        let action = self
            .action
            .map(|action| fill_placeholders(action, request, form));
        action.unwrap_or_else(|| path.to_owned())
    }

    /// Renders the page at `url` for the user of the request.
    pub async fn render(&self, request: &HttpRequest, url: &str) -> HttpResponse {
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let query = FormPageQuery(query.to_owned());
        request.extensions_mut().insert(query);
        let response = (self.render)(request.clone()).await;
        request.extensions_mut().remove::<FormPageQuery>();
        response
    }
}

/// Replaces each placeholder such as `{id}` with the parameter of that name in the route's path or,
/// if there is no such parameter, with the form field of that name.
fn fill_placeholders(template: &str, request: &HttpRequest, form: &FormData) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        let value = request.match_info().get(name);
        let value = value.unwrap_or_else(|| form.get(name));
        filled.push_str(before);
        filled.extend(value.chars().filter(char::is_ascii_graphic));
        rest = after;
    }
    filled.push_str(rest);
    filled
}
