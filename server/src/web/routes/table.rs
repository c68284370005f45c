//! The routes as a table, from which the router is built and with which the description of the interface is compared.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{self, MethodRouter};

use crate::web::app::Server;

/// A route: an address, and what answers one method there.
pub(super) struct Route {
    pub(super) path: &'static str,
    /// In lower case; `any` for all methods.
    #[cfg_attr(not(test), expect(dead_code, reason = "the description is compared with it"))]
    pub(super) method: &'static str,
    pub(super) answer: MethodRouter<Server>,
}

/// Defines the constructors of routes, one for each method.
macro_rules! methods {
    ($($method:ident)*) => {$(
        pub(super) fn $method<H: Handler<T, Server>, T: 'static>(path: &'static str, handler: H) -> Route {
            Route { path, method: stringify!($method), answer: routing::$method(handler) }
        }
    )*};
}

methods!(any delete get patch post put);

/// Returns the router of routes.
pub(super) fn router(routes: impl IntoIterator<Item = Route>) -> Router<Server> {
    let routes = routes.into_iter();
    routes.fold(Router::new(), |router, Route { path, answer, .. }| router.route(path, answer))
}
