//! What the keys of a provider are made of.

use std::any::Any;
use std::sync::Arc;

use claimgate::alg::Registry;
use claimgate::key::KeySet;
use claimgate::oidc::discovery::{EndpointOverrides, ProviderMetadata};
use claimgate::oidc::endpoint::Endpoint;
use claimgate::time::UnixTime;
use tokio::sync::Semaphore;

/// The clock: it returns the seconds since 1970.
pub type Clock = Arc<dyn Fn() -> UnixTime + Send + Sync>;

/// A place to wait in, until it is dropped.
pub type Place = Box<dyn Any + Send>;

/// The places where tokens wait for a call to the provider: it returns one for the token at hand, or `None` if as
/// many wait as may. A provider that hangs then occupies few requests, and none that needs nothing from it.
pub type Places = Arc<dyn Fn() -> Option<Place> + Send + Sync>;

/// Returns a number of places, for all tokens together.
#[must_use]
pub fn places(most: usize) -> Places {
    let free = Arc::new(Semaphore::new(most));
    Arc::new(move || Some(Box::new(Arc::clone(&free).try_acquire_owned().ok()?)))
}

/// Where a provider's documents are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Documents {
    /// Behind the discovery document of an issuer.
    Discovery {
        /// The issuer's address, to which `/.well-known/openid-configuration` is added.
        issuer: Endpoint,
        /// Endpoints that take precedence over the document's.
        overrides: Box<EndpointOverrides>,
    },
    /// The metadata is known; its JWK set, if it names one, is fetched.
    Metadata(Box<ProviderMetadata>),
    /// The address of the JWK set is known, and no metadata.
    JwkSet(Endpoint),
}

/// What a [`RemoteKeys`](crate::RemoteKeys) is made of.
#[derive(Clone)]
pub struct RemoteOptions {
    /// The provider's name in the log.
    pub name: String,
    /// The issuer that the discovery document must name.
    pub issuer: String,
    /// Whether published keys that name another issuer (`issuer`, a member of Entra ID's keys) are left out.
    pub keys_of_issuer_alone: bool,
    /// Where the documents are.
    pub documents: Documents,
    /// Whether plain http is accepted beyond loopback.
    pub danger_allow_http: bool,
    /// The algorithms that exist.
    pub registry: Registry,
    /// The algorithms allowed.
    pub algorithms: Vec<String>,
    /// Those of `algorithms` that verify with a key of `own_keys`, never with a published one.
    pub secret_algorithms: Vec<String>,
    /// Keys that need no fetching: those of a file, or the client secret.
    pub own_keys: KeySet,
    /// Where tokens wait for a call to the provider.
    pub places: Places,
    /// The clock.
    pub clock: Clock,
}

impl std::fmt::Debug for RemoteOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteOptions")
            .field("name", &self.name)
            .field("issuer", &self.issuer)
            .field("documents", &self.documents)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}
