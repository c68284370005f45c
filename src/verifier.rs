//! The whole pipeline, from a token's bytes to validated claims.

use std::marker::PhantomData;
use std::sync::{Arc, Weak};

use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use crate::alg::Registry;
use crate::claims::{AccessToken, Claims, IdToken, Jwt, Kind, LogoutToken, NumericDate, Policy, TokenKind};
use crate::error::Error;
use crate::jws::{BuildError, Header, JwsVerifier, KeyReport, KeyTable, VerifiedJws};
use crate::key::KeySet;
use crate::limits::Limits;
use crate::time::UnixTime;

/// A token of kind `K` whose signature was verified and whose claims satisfy a [`Policy`]. Only a
/// [`Verifier`] of that kind makes one. A clone shares the contents.
#[derive(Clone, Debug)]
pub struct ValidatedToken<K: Kind> {
    contents: Arc<Contents>,
    kind: PhantomData<K>,
}

#[derive(Debug)]
struct Contents {
    kind: TokenKind,
    header: Header,
    claims: Claims,
}

impl<K: Kind> ValidatedToken<K> {
    /// Returns the kind of token.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        self.contents.kind
    }

    /// Returns the JOSE header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.contents.header
    }

    /// Returns the claims.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        &self.contents.claims
    }
}

impl ValidatedToken<IdToken> {
    /// Returns `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        IdToken::issuer(self.claims())
    }

    /// Returns `sub`, which is not empty.
    #[must_use]
    pub fn subject(&self) -> &str {
        IdToken::subject(self.claims())
    }

    /// Returns `exp`.
    #[must_use]
    pub fn expires_at(&self) -> NumericDate {
        IdToken::expires_at(self.claims())
    }

    /// Returns `iat`.
    #[must_use]
    pub fn issued_at(&self) -> NumericDate {
        IdToken::issued_at(self.claims())
    }
}

impl ValidatedToken<LogoutToken> {
    /// Returns `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        LogoutToken::issuer(self.claims())
    }

    /// Returns `iat`.
    #[must_use]
    pub fn issued_at(&self) -> NumericDate {
        LogoutToken::issued_at(self.claims())
    }

    /// Returns `jti`, which is not empty.
    #[must_use]
    pub fn token_id(&self) -> &str {
        LogoutToken::token_id(self.claims())
    }
}

impl ValidatedToken<AccessToken> {
    /// Returns `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        AccessToken::issuer(self.claims())
    }

    /// Returns `sub`, which is not empty.
    #[must_use]
    pub fn subject(&self) -> &str {
        AccessToken::subject(self.claims())
    }

    /// Returns `exp`.
    #[must_use]
    pub fn expires_at(&self) -> NumericDate {
        AccessToken::expires_at(self.claims())
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
pub struct Verifier<K: Kind> {
    jws: JwsVerifier,
    policy: Policy<K>,
    cache: Option<TokenCache<K>>,
}

impl Verifier<Jwt> {
    /// Starts with the built-in registry, no allowed algorithm, no keys, a plain JWT's policy.
    #[must_use]
    pub fn builder() -> VerifierBuilder<Jwt> {
        VerifierBuilder {
            registry: None,
            algorithms: Vec::new(),
            keys: KeySet::default(),
            policy: Policy::jwt(),
            limits: Limits::DEFAULT,
            cached_tokens: 0,
        }
    }
}

impl<K: Kind> Verifier<K> {
    /// Combines the signature stage with a policy. Several verifiers may share one signature stage
    /// by clones of it: the ID tokens and the logout tokens of one provider, say.
    #[must_use]
    pub fn new(jws: JwsVerifier, policy: Policy<K>) -> Self {
        Self { jws, policy, cache: None }
    }

    /// Verifies one token at a moment.
    ///
    /// # Errors
    /// The [`Error`] of the first stage that refuses: size, shape, header, allow-list, key,
    /// signature, claims, policy.
    pub fn verify(&self, token: &str, now: UnixTime) -> Result<ValidatedToken<K>, Error> {
        let Some(cache) = &self.cache else {
            return self.validate(self.jws.verify(token)?, now);
        };
        let keys = self.jws.key_table();
        let id = TokenCache::<K>::id(token);
        if let Some(known) = cache.find(&id, &keys) {
            // The signature is known to hold; what time does to the claims is judged every time.
            self.policy.validate(known.header(), known.claims(), now)?;
            return Ok(known);
        }
        let validated = self.validate(self.jws.verify(token)?, now)?;
        cache.keep(id, &keys, &validated);
        Ok(validated)
    }

    /// Verifies many tokens at a moment; results in the order of the tokens, one bad token harms
    /// no other. The cache is not consulted.
    pub fn verify_batch(&self, tokens: &[&str], now: UnixTime) -> Vec<Result<ValidatedToken<K>, Error>> {
        let verified = self.jws.verify_batch(tokens);
        verified.into_iter().map(|jws| self.validate(jws?, now)).collect()
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

    fn validate(&self, jws: VerifiedJws, now: UnixTime) -> Result<ValidatedToken<K>, Error> {
        let (header, payload) = jws.into_parts();
        let claims = Claims::of_payload(payload, self.jws.limits())?;
        self.policy.validate(&header, &claims, now)?;
        Ok(self.validated(header, claims))
    }

    /// To be called once the policy has accepted the claims.
    fn validated(&self, header: Header, claims: Claims) -> ValidatedToken<K> {
        let contents = Contents { kind: self.policy.kind(), header, claims };
        ValidatedToken { contents: Arc::new(contents), kind: PhantomData }
    }
}

impl Verifier<IdToken> {
    /// As [`verify`](Self::verify), and requires the nonce of one sign-in (OpenID Connect Core
    /// §3.1.3.7, item 11), compared in constant time. The cache is not consulted.
    ///
    /// # Errors
    /// As [`verify`](Self::verify); [`ClaimsError::Nonce`](crate::claims::ClaimsError::Nonce) for
    /// another nonce.
    pub fn verify_with_nonce(
        &self,
        token: &str,
        nonce: &str,
        now: UnixTime,
    ) -> Result<ValidatedToken<IdToken>, Error> {
        let (header, payload) = self.jws.verify(token)?.into_parts();
        let claims = Claims::of_payload(payload, self.jws.limits())?;
        self.policy.validate_with_nonce(&header, &claims, nonce, now)?;
        Ok(self.validated(header, claims))
    }
}

/// Collects what a [`Verifier`] needs.
#[derive(Debug)]
pub struct VerifierBuilder<K: Kind> {
    registry: Option<Registry>,
    algorithms: Vec<String>,
    keys: KeySet,
    policy: Policy<K>,
    limits: Limits,
    cached_tokens: usize,
}

impl<K: Kind> VerifierBuilder<K> {
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

    /// Sets the rules that the claims must satisfy, and with them the kind of token.
    #[must_use]
    pub fn policy<L: Kind>(self, policy: Policy<L>) -> VerifierBuilder<L> {
        let Self { registry, algorithms, keys, policy: _, limits, cached_tokens } = self;
        VerifierBuilder { registry, algorithms, keys, policy, limits, cached_tokens }
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
    pub fn build(self) -> Result<Verifier<K>, BuildError> {
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
struct TokenCache<K: Kind>(Cache<TokenId, (Weak<KeyTable>, ValidatedToken<K>)>);

impl<K: Kind> TokenCache<K> {
    fn id(token: &str) -> TokenId {
        Sha256::digest(token.as_bytes()).into()
    }

    fn find(&self, id: &TokenId, keys: &Arc<KeyTable>) -> Option<ValidatedToken<K>> {
        let (verified_by, token) = self.0.get(id)?;
        std::ptr::eq(verified_by.as_ptr(), Arc::as_ptr(keys)).then_some(token)
    }

    fn keep(&self, id: TokenId, keys: &Arc<KeyTable>, token: &ValidatedToken<K>) {
        if token.claims().expires_at().is_some() {
            self.0.insert(id, (Arc::downgrade(keys), token.clone()));
        }
    }
}

impl<K: Kind> std::fmt::Debug for TokenCache<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCache").field("entries", &self.0.len()).finish()
    }
}
