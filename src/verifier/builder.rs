//! Building a verifier.

use super::Verifier;
use crate::alg::Registry;
use crate::claims::{Kind, Policy};
use crate::jws::{BuildError, JwsVerifier};
use crate::key::KeySet;
use crate::limits::Limits;

/// The parts of a [`Verifier`] to be built. `P` is `()` until [`policy`](Self::policy) sets the rules on the
/// claims; without them nothing can be built:
///
/// ```compile_fail,E0599
/// use claimgate::{Verifier, key::KeySet};
/// let keys = KeySet::from_secret(b"a secret of at least 32 bytes, for HS256");
/// let verifier = Verifier::builder().algorithms(["HS256"]).keys(keys).build();
/// ```
#[derive(Debug)]
#[must_use]
pub struct VerifierBuilder<P> {
    registry: Option<Registry>,
    algorithms: Vec<String>,
    keys: KeySet,
    needs_usable_key: bool,
    policy: P,
    limits: Limits,
}

impl VerifierBuilder<()> {
    pub(super) fn new() -> Self {
        Self {
            registry: None,
            algorithms: Vec::new(),
            keys: KeySet::default(),
            needs_usable_key: true,
            policy: (),
            limits: Limits::DEFAULT,
        }
    }

    /// Sets the rules that the claims must satisfy, and with them the kind of token.
    pub fn policy<K: Kind>(self, policy: Policy<K>) -> VerifierBuilder<Policy<K>> {
        let Self { registry, algorithms, keys, needs_usable_key, policy: (), limits } = self;
        VerifierBuilder { registry, algorithms, keys, needs_usable_key, policy, limits }
    }
}

impl<P> VerifierBuilder<P> {
    /// Sets the registry of algorithms, in place of [`Registry::builtin`].
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// Sets the allowed algorithms. A token by any other is rejected.
    pub fn algorithms<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.algorithms = names.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the keys, those of the one issuer that the policy names. At least one of them must be usable with the
    /// allowed algorithms. The keys of another issuer belong in a verifier of its own; see
    /// [`Issuers`](super::Issuers).
    pub fn keys(mut self, keys: KeySet) -> Self {
        self.keys = keys;
        self.needs_usable_key = true;
        self
    }

    /// Sets the keys as [`keys`](Self::keys) does, and accepts a set without a usable key, or an empty one. Until
    /// [`Verifier::replace_keys`] brings a usable key, each token is rejected with the reason.
    ///
    /// ```
    /// use claimgate::{Verifier, alg::Registry, claims::Policy, key::KeySet, limits::Limits};
    ///
    /// let verifier = Verifier::builder()
    ///     .registry(Registry::builtin().by_ring())
    ///     .algorithms(["RS256"])
    ///     .any_keys(KeySet::default()) // they come later, by `replace_keys`
    ///     .limits(Limits { token_bytes: 4096, ..Limits::DEFAULT })
    ///     .policy(Policy::access_token("https://idp.example.com", "crm"))
    ///     .build()?;
    /// assert_eq!(verifier.jws().limits().token_bytes, 4096);
    /// # Ok::<(), claimgate::jws::BuildError>(())
    /// ```
    pub fn any_keys(mut self, keys: KeySet) -> Self {
        self.keys = keys;
        self.needs_usable_key = false;
        self
    }

    /// Sets the limits, in place of [`Limits::DEFAULT`].
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }
}

impl<K: Kind> VerifierBuilder<Policy<K>> {
    /// Builds the verifier.
    ///
    /// # Errors
    /// A [`BuildError`]: no algorithm, or one that is not registered; no usable key; a policy that
    /// [`Policy::check`] rejects.
    pub fn build(self) -> Result<Verifier<K>, BuildError> {
        let registry = self.registry.unwrap_or_else(Registry::builtin);
        let new = if self.needs_usable_key { JwsVerifier::new } else { JwsVerifier::with_any_keys };
        Verifier::new(new(&registry, &self.algorithms, &self.keys, self.limits)?, self.policy)
    }
}
