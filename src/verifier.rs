//! The whole pipeline, from a token's bytes to validated claims.

use std::sync::{Arc, Weak};

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use crate::alg::Registry;
use crate::claims::{Claims, Policy, TokenKind};
use crate::error::Error;
use crate::jws::{BuildError, Header, JwsVerifier, KeyReport, VerifiedJws};
use crate::key::KeySet;
use crate::limits::Limits;
use crate::time::UnixTime;

/// A token whose signature was verified and whose claims were held against a policy; only
/// [`Verifier`] can make one. A clone shares the contents.
#[derive(Clone, Debug)]
pub struct ValidatedToken(Arc<Contents>);

#[derive(Debug)]
struct Contents {
    header: Header,
    claims: Claims,
}

impl ValidatedToken {
    /// The JOSE header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.0.header
    }

    /// The claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.0.claims
    }
}

/// Verifies tokens of one kind from known issuers. Built once, shared by all threads.
///
/// ```
/// use claimgate::{claims::Policy, key::KeySet, time::UnixTime, Verifier};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let verifier = Verifier::builder()
///     .algorithms(["HS256"])
///     .keys(KeySet::from_secret(b"a secret of at least 32 bytes, for HS256"))
///     .policy(Policy::id_token("https://idp.example.com", "crm"))
///     .build()?;
/// let refusal = verifier.verify("not.a.token", UnixTime(1_700_000_000)).unwrap_err();
/// assert_eq!(refusal.code(), "jws.base64url");
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Verifier {
    jws: JwsVerifier,
    policy: Policy,
    cache: Option<TokenCache>,
}

impl Verifier {
    /// Starts with the built-in registry, no allowed algorithm, no keys, a plain JWT's policy.
    #[must_use]
    pub fn builder() -> VerifierBuilder {
        VerifierBuilder {
            registry: None,
            algorithms: Vec::new(),
            keys: KeySet::default(),
            policy: Policy::new(TokenKind::Jwt),
            limits: Limits::DEFAULT,
            cached_tokens: 0,
        }
    }

    /// A verifier with a policy of its own that shares another's algorithms and keys: ID tokens
    /// and logout tokens of one provider, say. It has no cache.
    #[must_use]
    pub fn sharing_keys(jws: JwsVerifier, policy: Policy) -> Self {
        Self { jws, policy, cache: None }
    }

    /// Verifies one token at a moment.
    ///
    /// # Errors
    /// The [`Error`] of the first stage that refuses: size, shape, header, allow-list, key,
    /// signature, claims, policy.
    pub fn verify(&self, token: &str, now: UnixTime) -> Result<ValidatedToken, Error> {
        let Some(cache) = &self.cache else {
            return self.judge(self.jws.verify(token)?, now);
        };
        let keys = self.jws.key_table();
        let id = TokenCache::id(token);
        if let Some(known) = cache.find(&id, &keys) {
            // The signature is known to hold; what time does to the claims is judged every time.
            self.policy.validate(known.header(), known.claims(), now)?;
            return Ok(known);
        }
        let validated = self.judge(self.jws.verify(token)?, now)?;
        cache.keep(id, &keys, &validated);
        Ok(validated)
    }

    /// Verifies many tokens at a moment; results in the order of the tokens, one bad token harms
    /// no other. The cache is not consulted.
    pub fn verify_batch(&self, tokens: &[&str], now: UnixTime) -> Vec<Result<ValidatedToken, Error>> {
        let verified = self.jws.verify_batch(tokens);
        verified.into_iter().map(|jws| self.judge(jws?, now)).collect()
    }

    /// Puts another set of keys in the place of the present one; see [`JwsVerifier::replace_keys`].
    /// Cached tokens are forgotten with the keys that verified them.
    pub fn replace_keys(&self, keys: &KeySet) -> KeyReport {
        self.jws.replace_keys(keys)
    }

    /// The signature stage by itself.
    #[must_use]
    pub fn jws(&self) -> &JwsVerifier {
        &self.jws
    }

    fn judge(&self, jws: VerifiedJws, now: UnixTime) -> Result<ValidatedToken, Error> {
        let (header, payload) = jws.into_parts();
        let claims = Claims::of_payload(payload, self.jws.limits())?;
        self.policy.validate(&header, &claims, now)?;
        Ok(ValidatedToken(Arc::new(Contents { header, claims })))
    }
}

/// Collects what a [`Verifier`] needs.
#[derive(Debug)]
pub struct VerifierBuilder {
    registry: Option<Registry>,
    algorithms: Vec<String>,
    keys: KeySet,
    policy: Policy,
    limits: Limits,
    cached_tokens: usize,
}

impl VerifierBuilder {
    /// The algorithms that exist, in place of [`Registry::builtin`].
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = Some(registry);
        self
    }

    /// The algorithms that are allowed; nothing else is accepted, whatever a header says.
    #[must_use]
    pub fn algorithms<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.algorithms = names.into_iter().map(Into::into).collect();
        self
    }

    /// The keys to begin with.
    #[must_use]
    pub fn keys(mut self, keys: KeySet) -> Self {
        self.keys = keys;
        self
    }

    /// What the claims must say.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// The limits, in place of [`Limits::DEFAULT`].
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Remembers up to this many accepted tokens, so that one that comes again and again costs a
    /// hash in place of a signature check. Off (0) by default. The policy is applied every time:
    /// no token outlives its `exp`, and a token without `exp` is not remembered.
    #[must_use]
    pub fn cached_tokens(mut self, entries: usize) -> Self {
        self.cached_tokens = entries;
        self
    }

    /// Builds the verifier.
    ///
    /// # Errors
    /// A [`BuildError`].
    pub fn build(self) -> Result<Verifier, BuildError> {
        let registry = self.registry.unwrap_or_else(Registry::builtin);
        Ok(Verifier {
            jws: JwsVerifier::new(&registry, &self.algorithms, &self.keys, self.limits)?,
            policy: self.policy,
            cache: (self.cached_tokens > 0).then(|| TokenCache(Cache::new(self.cached_tokens))),
        })
    }
}

type TokenId = [u8; 32];

/// Accepted tokens by the SHA-256 of their whole text, each with the key table that verified it.
struct TokenCache(Cache<TokenId, (Weak<crate::jws::KeyTable>, ValidatedToken)>);

impl TokenCache {
    fn id(token: &str) -> TokenId {
        Sha256::digest(token.as_bytes()).into()
    }

    fn find(&self, id: &TokenId, keys: &Arc<crate::jws::KeyTable>) -> Option<ValidatedToken> {
        let (verified_by, token) = self.0.get(id)?;
        std::ptr::eq(verified_by.as_ptr(), Arc::as_ptr(keys)).then_some(token)
    }

    fn keep(&self, id: TokenId, keys: &Arc<crate::jws::KeyTable>, token: &ValidatedToken) {
        if token.claims().expires_at().is_some() {
            self.0.insert(id, (Arc::downgrade(keys), token.clone()));
        }
    }
}

impl std::fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCache").field("entries", &self.0.len()).finish()
    }
}
