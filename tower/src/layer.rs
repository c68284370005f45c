//! The layer that verifies bearer tokens.

use std::sync::Arc;
use std::task::{Context, Poll};

use claimgate::identity::Mapping;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response};
use tower_layer::Layer;
use tower_service::Service;

use crate::authorization::token_of;
use crate::logouts::{LogoutStore, Logouts, Revocation};
use crate::principal::{Authentication, Principal};
use crate::refusal::{Answering, Refusal, is_grpc};
use crate::verifier::{BearerVerifier, Verify};

/// The layer around the services that need a token: it verifies the token of `Authorization: Bearer` and answers
/// requests without an acceptable one; see the [table](crate).
///
/// # What does not compile
///
/// A layer without a verifier, and one of tokens that grant no access:
///
/// ```compile_fail,E0061
/// claimgate_tower::BearerLayer::new();
/// ```
/// ```compile_fail,E0277
/// # use claimgate_tower::{BearerLayer, RemoteVerifier};
/// # use claimgate_tower::claimgate::claims::LogoutToken;
/// fn layer(tokens: RemoteVerifier<LogoutToken>) -> BearerLayer {
///     BearerLayer::new(tokens)
/// }
/// ```
/// ```compile_fail,E0277
/// # use claimgate_tower::{BearerLayer, RemoteVerifier};
/// # use claimgate_tower::claimgate::claims::IdToken;
/// fn layer(tokens: RemoteVerifier<IdToken>) -> BearerLayer {
///     BearerLayer::new(tokens)
/// }
/// ```
///
/// ```
/// use claimgate_tower::claimgate::claims::AccessToken;
/// use claimgate_tower::claimgate::identity::Mapping;
/// use claimgate_tower::{BearerLayer, Logouts, MemoryLogouts, Refusal, RemoteIssuers};
///
/// fn layer(tokens: RemoteIssuers<AccessToken>, mapping: Mapping, logouts: &Logouts<MemoryLogouts>) -> BearerLayer {
///     BearerLayer::new(tokens).mapping(mapping).logouts(logouts).optional()
/// }
///
/// /// In a framework that is not built on tower.
/// async fn decide(layer: &BearerLayer, authorization: &[&[u8]]) -> Result<String, (u16, Option<String>)> {
///     let answer = |refusal: Refusal| {
///         refusal.log();
///         (refusal.status().as_u16(), refusal.challenge())
///     };
///     let principal = layer.authenticate(authorization.iter().copied()).await.map_err(answer)?;
///     let subject = principal.as_ref().and_then(|principal| principal.claims().subject());
///     Ok(subject.unwrap_or("a stranger").to_owned())
/// }
/// ```
#[derive(Clone)]
pub struct BearerLayer(Arc<Rules>);

#[derive(Clone)]
struct Rules {
    verifier: Arc<dyn Verify>,
    mapping: Option<Arc<Mapping>>,
    revocation: Option<Arc<dyn Revocation>>,
    is_optional: bool,
}

impl BearerLayer {
    /// Makes a layer of a verifier. A cache of accepted tokens is the verifier's: `Issuer::cache`,
    /// [`Verifier::with_cache`](claimgate::Verifier::with_cache).
    #[must_use]
    pub fn new(verifier: impl BearerVerifier) -> Self {
        let verifier = Arc::new(verifier);
        Self(Arc::new(Rules { verifier, mapping: None, revocation: None, is_optional: false }))
    }

    fn with(self, change: impl FnOnce(&mut Rules)) -> Self {
        let mut rules = Arc::unwrap_or_clone(self.0);
        change(&mut rules);
        Self(Arc::new(rules))
    }

    /// Passes requests without a bearer token on. A handler then takes `Option<Verified<T>>`; one that takes
    /// `Verified<T>`, and [`Require`](crate::Require), refuse them. A token that is not acceptable is refused all the
    /// same.
    #[must_use]
    pub fn optional(self) -> Self {
        self.with(|rules| rules.is_optional = true)
    }

    /// Maps the claims of each accepted token to an identity, for [`MappedIdentity`](crate::MappedIdentity) and
    /// [`Require::team`](crate::Require::team). A token without one is refused with 403.
    #[must_use]
    pub fn mapping(self, mapping: impl Into<Arc<Mapping>>) -> Self {
        self.with(|rules| rules.mapping = Some(mapping.into()))
    }

    /// Refuses the tokens of sessions and subjects that were logged out by the back channel.
    #[must_use]
    pub fn logouts<S: LogoutStore>(self, logouts: &Logouts<S>) -> Self {
        self.with(|rules| rules.revocation = Some(Arc::new(logouts.clone())))
    }

    /// Makes the decision of the layer on the values of all `Authorization` headers of a request, for frameworks that
    /// are not built on tower. Returns `None` for a request without a token that an [optional](Self::optional) layer
    /// passes on. The caller [logs](Refusal::log) the refusal and answers with its [status](Refusal::status) and
    /// [challenge](Refusal::challenge).
    ///
    /// # Errors
    /// A [`Refusal`].
    pub async fn authenticate<'h>(
        &self,
        authorization: impl IntoIterator<Item = &'h [u8]>,
    ) -> Result<Option<Principal>, Refusal> {
        self.0.decide(token_of(authorization)).await
    }
}

impl std::fmt::Debug for BearerLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Rules { mapping, revocation, is_optional, .. } = &*self.0;
        let mut fields = f.debug_struct("BearerLayer");
        fields.field("mapping", &mapping.is_some()).field("logouts", &revocation.is_some());
        fields.field("optional", is_optional).finish_non_exhaustive()
    }
}

impl Rules {
    /// Decides on a request by its token.
    async fn decide(&self, token: Result<Option<String>, Refusal>) -> Result<Option<Principal>, Refusal> {
        let Some(token) = token? else {
            return if self.is_optional { Ok(None) } else { Err(Refusal::Missing) };
        };
        let mut principal = self.verifier.verify_bearer(&token).await?;
        if let Some(revocation) = &self.revocation {
            revocation.check(&principal).await?;
        }
        if let Some(mapping) = &self.mapping {
            let identity = mapping.identify(principal.claims().as_value())?;
            principal = principal.with_identity(identity);
        }
        Ok(Some(principal))
    }
}

impl<S> Layer<S> for BearerLayer {
    type Service = BearerService<S>;

    fn layer(&self, inner: S) -> BearerService<S> {
        BearerService { inner, rules: Arc::clone(&self.0) }
    }
}

/// A service behind a [`BearerLayer`].
#[derive(Clone)]
pub struct BearerService<S> {
    inner: S,
    rules: Arc<Rules>,
}

impl<S: std::fmt::Debug> std::fmt::Debug for BearerService<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BearerService").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, B, A> Service<Request<B>> for BearerService<S>
where
    S: Service<Request<B>, Response = Response<A>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    A: Default,
{
    type Response = Response<A>;
    type Error = S::Error;
    type Future = Answering<Self::Response, Self::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        // The service that is ready is this one, and not its clone.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let rules = Arc::clone(&self.rules);
        let authorization = request.headers().get_all(AUTHORIZATION).iter().map(HeaderValue::as_bytes);
        let (token, is_grpc) = (token_of(authorization), is_grpc(&request));
        Box::pin(async move {
            match rules.decide(token).await {
                Ok(principal) => {
                    request.extensions_mut().insert(Authentication(principal));
                    inner.call(request).await
                }
                Err(refusal) => Ok(refusal.answer(is_grpc)),
            }
        })
    }
}
