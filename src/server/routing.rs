//! How an address is written down: its methods, what each needs, and the handler.
//!
//! `HEAD` works where `GET` does; any other method is answered with 405 and those that there are.

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Resource, Responder, Route, Scope, guard, web};

use super::permissions::Needs;

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
method!(
    options,
    Method::OPTIONS,
    web::route().method(Method::OPTIONS)
);

/// An address with its methods, ready to be served.
pub struct Address {
    path: String,
    methods: Vec<(Method, Needs)>,
    resource: Resource,
}

/// `guarded` puts the guard of pages or of the API before a route; `wrong_method` makes the answer to any other method
/// from what `Allow` says.
pub fn address<const N: usize>(
    path: &str,
    entries: [Entry; N],
    guarded: fn(Needs, Route) -> Route,
    wrong_method: impl FnOnce(String) -> Route,
) -> Address {
    let mut allow: Vec<&str> = entries.iter().map(|entry| entry.method.as_str()).collect();
    if allow.contains(&"GET") {
        allow.push("HEAD");
    }
    let other = wrong_method(allow.join(", "));
    let methods = entries
        .iter()
        .map(|entry| (entry.method.clone(), entry.needs))
        .collect();
    let resource = entries
        .into_iter()
        .fold(web::resource(path), |resource, entry| {
            resource.route(guarded(entry.needs, entry.route))
        })
        .default_service(other);
    Address {
        path: path.to_owned(),
        methods,
        resource,
    }
}

/// Addresses as they are written down: to be served, or to be looked through.
#[derive(Default)]
pub struct Routes {
    prefix: String,
    parts: Vec<Part>,
    default: Option<Route>,
}

/// An address, or others beneath a prefix.
pub enum Part {
    Address(Address),
    Routes(Routes),
}

impl From<Address> for Part {
    fn from(address: Address) -> Self {
        Self::Address(address)
    }
}

impl From<Routes> for Part {
    fn from(routes: Routes) -> Self {
        Self::Routes(routes)
    }
}

/// What may be asked, and what it needs.
#[derive(Clone, Debug)]
pub struct Listed {
    pub path: String,
    pub method: Method,
    pub needs: Needs,
}

/// Routes that all stand beneath a prefix.
pub fn scope(prefix: &str) -> Routes {
    Routes {
        prefix: prefix.to_owned(),
        ..Routes::default()
    }
}

impl Routes {
    pub fn service(mut self, part: impl Into<Part>) -> Self {
        self.parts.push(part.into());
        self
    }

    /// Answers where there is no address.
    pub fn default_service(mut self, route: Route) -> Self {
        self.default = Some(route);
        self
    }

    /// Every method of every address.
    pub fn list(&self) -> Vec<Listed> {
        let beneath = |part: &Part| match part {
            Part::Routes(routes) => routes.list(),
            Part::Address(address) => address
                .methods
                .iter()
                .map(|(method, needs)| Listed {
                    path: address.path.clone(),
                    method: method.clone(),
                    needs: *needs,
                })
                .collect(),
        };
        let mut all: Vec<Listed> = self.parts.iter().flat_map(beneath).collect();
        for listed in &mut all {
            listed.path.insert_str(0, &self.prefix);
        }
        all
    }

    /// Serves them. What is asked first wins: an address stands before the pattern that would take it too.
    pub fn configure(self, config: &mut web::ServiceConfig) {
        for part in self.parts {
            match part {
                Part::Address(address) => config.service(address.resource),
                Part::Routes(routes) => config.service(routes.into_scope()),
            };
        }
        if let Some(route) = self.default {
            config.default_service(route);
        }
    }

    fn into_scope(self) -> Scope {
        let scope = web::scope(&self.prefix);
        let scope = self
            .parts
            .into_iter()
            .fold(scope, |scope, part| match part {
                Part::Address(address) => scope.service(address.resource),
                Part::Routes(routes) => scope.service(routes.into_scope()),
            });
        match self.default {
            Some(route) => scope.default_service(route),
            None => scope,
        }
    }
}
