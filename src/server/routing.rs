//! Route tables as values: paths with their methods, permissions, and handlers. A table configures
//! the server, and tests list its routes.
//!
//! A `GET` route also accepts `HEAD`. For a method that the path doesn't support, the response is
//! 405 with `Allow`.

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Resource, Responder, Route, Scope, guard, web};

use super::permissions::Permission;

/// A method of a path, with its permission and handler.
pub struct MethodRoute {
    method: Method,
    permission: Permission,
    route: Route,
}

impl MethodRoute {
    fn new<F, Args>(method: Method, route: Route, permission: Permission, handler: F) -> Self
    where
        F: Handler<Args>,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self {
            method,
            permission,
            route: route.to(handler),
        }
    }

    pub fn method(&self) -> &Method {
        &self.method
    }

    pub fn permission(&self) -> Permission {
        self.permission
    }
}

macro_rules! method {
    ($name:ident, $method:expr, $route:expr) => {
        pub fn $name<F, Args>(permission: Permission, handler: F) -> MethodRoute
        where
            F: Handler<Args>,
            Args: FromRequest + 'static,
            F::Output: Responder + 'static,
        {
            MethodRoute::new($method, $route, permission, handler)
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

/// A path with all its supported methods.
pub struct PathRoutes {
    path: String,
    methods: Vec<(Method, Permission)>,
    resource: Resource,
}

/// Creates the routes of a path.
///
/// `with_auth` wraps a route in the middleware that checks its permission. `method_not_allowed`
/// creates the route for all other methods; its argument is the value of `Allow`.
pub fn path_routes<const N: usize>(
    path: &str,
    routes: [MethodRoute; N],
    with_auth: fn(Permission, Route) -> Route,
    method_not_allowed: impl FnOnce(String) -> Route,
) -> PathRoutes {
    let mut allow: Vec<&str> = routes.iter().map(|route| route.method.as_str()).collect();
    if allow.contains(&"GET") {
        allow.push("HEAD");
    }
    let other = method_not_allowed(allow.join(", "));
    let methods = routes
        .iter()
        .map(|route| (route.method.clone(), route.permission))
        .collect();
    let resource = routes
        .into_iter()
        .fold(web::resource(path), |resource, route| {
            resource.route(with_auth(route.permission, route.route))
        })
        .default_service(other);
    PathRoutes {
        path: path.to_owned(),
        methods,
        resource,
    }
}

impl PathRoutes {
    /// Adds data that the path's handlers can access.
    pub fn with_app_data<T: 'static>(mut self, data: T) -> Self {
        self.resource = self.resource.app_data(data);
        self
    }
}

/// A route table. All paths in it start with `prefix`, which can be empty.
#[derive(Default)]
pub struct Routes {
    prefix: String,
    nodes: Vec<RouteNode>,
    default: Option<Route>,
}

/// A path, or a route table under a prefix.
pub enum RouteNode {
    Path(PathRoutes),
    Routes(Routes),
}

impl From<PathRoutes> for RouteNode {
    fn from(path: PathRoutes) -> Self {
        Self::Path(path)
    }
}

impl From<Routes> for RouteNode {
    fn from(routes: Routes) -> Self {
        Self::Routes(routes)
    }
}

/// A route: its path, its HTTP method, and the permission that it requires.
#[derive(Clone, Debug)]
pub struct ListedRoute {
    pub path: String,
    pub method: Method,
    pub permission: Permission,
}

/// Returns an empty route table for paths that start with `prefix`.
pub fn scope(prefix: &str) -> Routes {
    Routes {
        prefix: prefix.to_owned(),
        ..Routes::default()
    }
}

impl Routes {
    pub fn service(mut self, node: impl Into<RouteNode>) -> Self {
        self.nodes.push(node.into());
        self
    }

    /// Sets the handler for unknown paths.
    pub fn default_service(mut self, route: Route) -> Self {
        self.default = Some(route);
        self
    }

    /// Returns a [`ListedRoute`] for each method of each path.
    pub fn list(&self) -> Vec<ListedRoute> {
        let infos = |node: &RouteNode| match node {
            RouteNode::Routes(routes) => routes.list(),
            RouteNode::Path(path) => path
                .methods
                .iter()
                .map(|(method, permission)| ListedRoute {
                    path: path.path.clone(),
                    method: method.clone(),
                    permission: *permission,
                })
                .collect(),
        };
        let mut all: Vec<ListedRoute> = self.nodes.iter().flat_map(infos).collect();
        for info in &mut all {
            info.path.insert_str(0, &self.prefix);
        }
        all
    }

    /// Registers the routes with actix. Order matters: register fixed paths before patterns that
    /// also match them.
    pub fn configure(self, config: &mut web::ServiceConfig) {
        for node in self.nodes {
            match node {
                RouteNode::Path(path) => config.service(path.resource),
                RouteNode::Routes(routes) => config.service(routes.into_scope()),
            };
        }
        if let Some(route) = self.default {
            config.default_service(route);
        }
    }

    fn into_scope(self) -> Scope {
        let scope = web::scope(&self.prefix);
        let scope = self
            .nodes
            .into_iter()
            .fold(scope, |scope, node| match node {
                RouteNode::Path(path) => scope.service(path.resource),
                RouteNode::Routes(routes) => scope.service(routes.into_scope()),
            });
        match self.default {
            Some(route) => scope.default_service(route),
            None => scope,
        }
    }
}
