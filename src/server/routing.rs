//! How an address is written down: its methods, what each needs, and the handler.
//!
//! `HEAD` works where `GET` does; any other method is answered with 405 and those that there are.

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Resource, Responder, Route, guard, web};

use super::access::Needs;

/// One method of an address.
pub struct Entry {
    method: Method,
    needs: Needs,
    route: Route,
}

impl Entry {
    fn new<F, Args>(method: Method, route: Route, needs: Needs, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self {
            method,
            needs,
            route: route.to(handler),
        }
    }

    pub fn method(&self) -> &Method {
        &self.method
    }

    pub fn needs(&self) -> Needs {
        self.needs
    }
}

macro_rules! method {
    ($name:ident, $method:expr, $route:expr) => {
        pub fn $name<F, Args>(needs: Needs, handler: F) -> Entry
        where
            F: Handler<Args>,
            Args: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            Entry::new($method, $route, needs, handler)
        }
    };
}

method!(
    get,
    Method::GET,
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
);
method!(post, Method::POST, web::post());
method!(patch, Method::PATCH, web::patch());
method!(delete, Method::DELETE, web::delete());

/// An address with its methods. `guarded` puts the guard of pages or of the API before a route; `wrong_method` makes
/// the answer to any other method from what `Allow` says.
pub fn address(
    path: &str,
    entries: impl IntoIterator<Item = Entry>,
    guarded: fn(Needs, Route) -> Route,
    wrong_method: impl FnOnce(String) -> Route,
) -> Resource {
    let entries: Vec<Entry> = entries.into_iter().collect();
    let mut allow: Vec<&str> = entries.iter().map(|entry| entry.method.as_str()).collect();
    if allow.contains(&"GET") {
        allow.push("HEAD");
    }
    let other = wrong_method(allow.join(", "));
    entries
        .into_iter()
        .fold(web::resource(path), |resource, entry| {
            resource.route(guarded(entry.needs, entry.route))
        })
        .default_service(other)
}
