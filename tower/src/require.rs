//! Guards: layers that admit a request by the scopes of its token or the teams of its identity.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::principal::{Authentication, Principal};
use crate::refusal::{Answering, Refusal, is_grpc};

/// A layer that admits requests by scope or by team, and answers others with 403 (RFC 6750 §3.1). It stands between a
/// [`BearerLayer`](crate::BearerLayer) and the service; without one around it every request is answered with 500.
///
/// One of several is enough by [`or`](Self::or); two layers demand both:
///
/// ```
/// use axum::{Router, routing::get};
/// use claimgate_tower::Require;
///
/// # async fn list() {}
/// # async fn close() {}
/// let orders: Router = Router::new()
///     .route("/orders", get(list).route_layer(Require::scope("orders:read").or("orders:admin")))
///     .route("/close", get(close).route_layer(Require::scope("orders:admin")).route_layer(Require::team("Accounting")));
/// // .layer(BearerLayer::new(tokens).mapping(mapping))
/// ```
#[derive(Clone, Debug)]
pub struct Require(Arc<Rule>);

#[derive(Clone, Debug)]
enum Rule {
    Scope(Vec<String>),
    Team(Vec<String>),
}

impl Require {
    /// Admits tokens with a scope; see [`Principal::scopes`].
    ///
    /// # Panics
    /// For a name that no scope can have: empty, or with characters beyond those of RFC 6749 §3.3. No token would be
    /// admitted.
    #[must_use]
    pub fn scope(name: impl Into<String>) -> Self {
        Self(Arc::new(Rule::Scope(vec![scope_name(name.into())])))
    }

    /// Admits identities in a team, as the layer's [mapping](crate::BearerLayer::mapping) gives it.
    #[must_use]
    pub fn team(name: impl Into<String>) -> Self {
        Self(Arc::new(Rule::Team(vec![name.into()])))
    }

    /// Admits another scope, or another team, as well.
    ///
    /// # Panics
    /// As [`scope`](Self::scope).
    #[must_use]
    pub fn or(self, name: impl Into<String>) -> Self {
        let mut rule = Arc::unwrap_or_clone(self.0);
        match &mut rule {
            Rule::Scope(names) => names.push(scope_name(name.into())),
            Rule::Team(names) => names.push(name.into()),
        }
        Self(Arc::new(rule))
    }

    /// Decides on a principal, for frameworks that are not built on tower.
    ///
    /// ```
    /// use claimgate_tower::{Principal, Refusal, Require};
    ///
    /// fn delete(principal: &Principal) -> Result<(), Refusal> {
    ///     Require::scope("orders:write").or("orders:admin").admit(principal)
    /// }
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Scope`] or [`Refusal::Team`]; [`Refusal::Program`] for a team if the layer has no mapping.
    pub fn admit(&self, principal: &Principal) -> Result<(), Refusal> {
        self.0.admit(principal)
    }
}

fn scope_name(name: String) -> String {
    let is_allowed = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    assert!(!name.is_empty() && name.bytes().all(is_allowed), "no scope has the name {name:?}");
    name
}

impl Rule {
    fn admit(&self, principal: &Principal) -> Result<(), Refusal> {
        match self {
            Rule::Scope(scopes) => {
                let is_admitted = principal.scopes().any(|scope| scopes.iter().any(|name| name == scope));
                if is_admitted { Ok(()) } else { Err(Refusal::Scope { scopes: scopes.clone() }) }
            }
            Rule::Team(teams) => {
                let missing = "a team is required, and the `BearerLayer` has no `mapping`";
                let identity = principal.identity().ok_or(Refusal::Program { missing })?;
                let is_admitted = identity.teams.iter().any(|team| teams.contains(team));
                if is_admitted { Ok(()) } else { Err(Refusal::Team { teams: teams.clone() }) }
            }
        }
    }

    fn decide<B>(&self, request: &Request<B>) -> Result<(), Refusal> {
        let principal = Authentication::of(request.extensions())?.0.as_ref();
        self.admit(principal.ok_or(Refusal::Missing)?)
    }
}

impl<S> Layer<S> for Require {
    type Service = RequireService<S>;

    fn layer(&self, inner: S) -> RequireService<S> {
        RequireService { inner, rule: Arc::clone(&self.0) }
    }
}

/// A service behind a [`Require`].
#[derive(Clone, Debug)]
pub struct RequireService<S> {
    inner: S,
    rule: Arc<Rule>,
}

impl<S, B, A> Service<Request<B>> for RequireService<S>
where
    S: Service<Request<B>, Response = Response<A>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    A: Default + Send + 'static,
{
    type Response = Response<A>;
    type Error = S::Error;
    type Future = Answering<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.rule.decide(&request) {
            Ok(()) => Box::pin(self.inner.call(request)),
            Err(refusal) => {
                let answer = refusal.answer(is_grpc(&request));
                Box::pin(std::future::ready(Ok(answer)))
            }
        }
    }
}
