//! The whole pipeline, from a token to validated claims.

mod builder;
#[cfg(feature = "cache")]
mod cache;
mod issuers;
mod token;

use crate::claims::{Claims, IdToken, Jwt, Kind, Policy};
use crate::error::Error;
#[cfg(feature = "cache")]
use crate::jws::KeyTable;
use crate::jws::{BuildError, Header, JwsVerifier, KeyReport, NoUsableKey, VerifiedJws};
use crate::key::KeySet;
use crate::time::UnixTime;
#[cfg(feature = "cache")]
use cache::{TokenCache, TokenId, estimated_bytes};
#[cfg(feature = "cache")]
use std::sync::Arc;

pub use builder::VerifierBuilder;
pub use issuers::{IssuerError, Issuers, unverified_issuer};
pub use token::ValidatedToken;

/// A verifier of tokens of one kind. Build it once and share it between threads.
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
    #[cfg(feature = "cache")]
    cache: Option<TokenCache<K>>,
}

impl Verifier<Jwt> {
    /// Starts a builder with the built-in registry, no allowed algorithm, no keys and no policy.
    pub fn builder() -> VerifierBuilder<()> {
        VerifierBuilder::new()
    }
}

impl<K: Kind> Verifier<K> {
    /// Combines the signature stage with a policy. Several verifiers may share one signature stage
    /// by clones of it: the ID tokens and the logout tokens of one provider, say.
    ///
    /// ```
    /// use claimgate::{Verifier, alg::Registry, claims::Policy, jws::JwsVerifier, key::KeySet, limits::Limits};
    ///
    /// let keys = KeySet::from_jwks(&std::fs::read("vectors/demo/jwks.json")?, &Limits::DEFAULT)?;
    /// let jws = JwsVerifier::new(&Registry::builtin(), ["RS256"], &keys, Limits::DEFAULT)?;
    /// let id_tokens = Verifier::new(jws.clone(), Policy::id_token("https://idp.example.com", "crm"))?;
    /// let logout_tokens = Verifier::new(jws, Policy::logout_token("https://idp.example.com", "crm"))?;
    /// assert_eq!(id_tokens.jws().key_report(), logout_tokens.jws().key_report());
    /// assert_eq!(id_tokens.policy().issuers().next(), Some("https://idp.example.com"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Those of [`Policy::check`].
    pub fn new(jws: JwsVerifier, policy: Policy<K>) -> Result<Self, BuildError> {
        policy.check()?;
        Ok(Self {
            jws,
            policy,
            #[cfg(feature = "cache")]
            cache: None,
        })
    }

    /// Adds a cache of accepted tokens, so that a token that is presented again costs a hash instead
    /// of a signature verification. It takes about `bytes` of memory at most.
    ///
    /// The times are checked each time: no cached token outlives its `exp`, and a token without
    /// `exp` is not cached. Replaced keys invalidate the tokens they verified.
    ///
    /// Measured by `benches/verify.rs` on an AMD EPYC (Zen 4), one thread, AVX-512 not available (RSA by
    /// ring): a cached RS256 token (2048 bits) took 0.82 µs instead of 28.6 µs, 35 times less; a cached HS256
    /// token 0.57 µs instead of 1.24 µs, 2.2 times less.
    ///
    /// ```
    /// use claimgate::{Verifier, claims::Policy, key::KeySet, limits::Limits};
    ///
    /// let keys = KeySet::from_jwks(&std::fs::read("vectors/demo/jwks.json")?, &Limits::DEFAULT)?;
    /// let policy = Policy::access_token("https://idp.example.com", "crm");
    /// let verifier = Verifier::builder().algorithms(["RS256"]).keys(keys).policy(policy).build()?.with_cache(16 << 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "cache")]
    #[must_use]
    pub fn with_cache(mut self, bytes: u64) -> Self {
        self.cache = Some(TokenCache::new(bytes));
        self
    }

    /// Verifies one token at the time `now`.
    ///
    /// # Errors
    /// The [`Error`] of the first stage that rejects the token: size, shape, header, allow-list, key,
    /// signature, claims, policy.
    pub fn verify(&self, token: &str, now: impl Into<UnixTime>) -> Result<ValidatedToken<K>, Error> {
        self.verify_at(token, now.into())
    }

    /// Verifies one token as [`verify`](Self::verify) does, without blocking the thread where a key waits for
    /// something beyond this process; see [`JwsVerifier::verify_async`]. `now` is the time at which the token
    /// arrived.
    ///
    /// ```
    /// use claimgate::claims::AccessToken;
    /// use claimgate::Verifier;
    ///
    /// async fn status(verifier: &Verifier<AccessToken>, token: &str) -> u16 {
    ///     match verifier.verify_async(token, std::time::SystemTime::now()).await {
    ///         Ok(token) => {
    ///             println!("{}", token.subject());
    ///             200
    ///         }
    ///         Err(error) if error.unavailable().is_some() => 503, // the token may be good
    ///         Err(_) => 401,
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_async<'a>(
        &'a self,
        token: &'a str,
        now: impl Into<UnixTime>,
    ) -> impl Future<Output = Result<ValidatedToken<K>, Error>> + Send + 'a {
        let now = now.into();
        async move {
            #[cfg(feature = "cache")]
            if let Some(cache) = &self.cache {
                let keys = self.jws.key_table();
                let id = TokenCache::<K>::id(token);
                return match self.cached(cache, &id, &keys, now) {
                    Some(known) => known,
                    None => {
                        let jws = self.jws.verify_async_by(&keys, token).await?;
                        self.validate_and_cache(cache, id, &keys, jws, now)
                    }
                };
            }
            self.validate(self.jws.verify_async(token).await?, now)
        }
    }

    fn verify_at(&self, token: &str, now: UnixTime) -> Result<ValidatedToken<K>, Error> {
        #[cfg(feature = "cache")]
        if let Some(cache) = &self.cache {
            let keys = self.jws.key_table();
            let id = TokenCache::<K>::id(token);
            return match self.cached(cache, &id, &keys, now) {
                Some(known) => known,
                None => self.validate_and_cache(cache, id, &keys, self.jws.verify_by(&keys, token)?, now),
            };
        }
        self.validate(self.jws.verify(token)?, now)
    }

    /// Returns the result for a token whose signature was verified before. Its times are checked each time.
    #[cfg(feature = "cache")]
    fn cached(
        &self,
        cache: &TokenCache<K>,
        id: &TokenId,
        keys: &Arc<KeyTable>,
        now: UnixTime,
    ) -> Option<Result<ValidatedToken<K>, Error>> {
        let known = cache.find(id, keys)?;
        let verdict = self.policy.validate_again(known.claims(), now);
        Some(verdict.map(|()| known).map_err(Error::from))
    }

    /// Validates a token that a key of `keys` verified, and adds it to the cache as verified by them.
    #[cfg(feature = "cache")]
    fn validate_and_cache(
        &self,
        cache: &TokenCache<K>,
        id: TokenId,
        keys: &Arc<KeyTable>,
        jws: VerifiedJws,
        now: UnixTime,
    ) -> Result<ValidatedToken<K>, Error> {
        let bytes = estimated_bytes(jws.payload());
        let validated = self.validate(jws, now)?;
        cache.insert(id, keys, &validated, bytes);
        Ok(validated)
    }

    /// Verifies many tokens at the time `now`. Returns the results in the order of the tokens, each
    /// independent of the others. The signatures of tokens that the cache does not have are verified together;
    /// [`JwsVerifier::verify_batch`] says which batches cost less than single tokens.
    ///
    /// ```
    /// use claimgate::{Verifier, claims::Policy, key::KeySet, limits::Limits, time::UnixTime};
    /// let jwks = std::fs::read("vectors/demo/jwks.json")?;
    /// let verifier = Verifier::builder()
    ///     .algorithms(["RS256"])
    ///     .keys(KeySet::from_jwks(&jwks, &Limits::DEFAULT)?)
    ///     .policy(Policy::id_token("https://idp.example.com/realms/acme", "crm"))
    ///     .build()?;
    /// let token = std::fs::read_to_string("vectors/demo/token.txt")?;
    /// let results = verifier.verify_batch(&[token.trim(), "not.a.token"], UnixTime(1_795_500_000));
    /// assert!(results[0].is_ok());
    /// assert_eq!(results[1].as_ref().unwrap_err().code(), "jws.base64url");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn verify_batch(
        &self,
        tokens: &[&str],
        now: impl Into<UnixTime>,
    ) -> Vec<Result<ValidatedToken<K>, Error>> {
        let now = now.into();
        #[cfg(feature = "cache")]
        if let Some(cache) = &self.cache {
            return self.verify_batch_with(cache, tokens, now);
        }
        let verified = self.jws.verify_batch(tokens);
        verified.into_iter().map(|jws| self.validate(jws?, now)).collect()
    }

    /// Verifies those tokens of a batch that the cache does not have, by the same keys as the others, and adds them to
    /// it.
    #[cfg(feature = "cache")]
    fn verify_batch_with(
        &self,
        cache: &TokenCache<K>,
        tokens: &[&str],
        now: UnixTime,
    ) -> Vec<Result<ValidatedToken<K>, Error>> {
        let keys = self.jws.key_table();
        let find = |token: &&str| {
            let id = TokenCache::<K>::id(token);
            (id, self.cached(cache, &id, &keys, now))
        };
        let found: Vec<_> = tokens.iter().map(find).collect();
        let new = tokens.iter().zip(&found).filter(|(_, (_, known))| known.is_none());
        let new: Vec<&str> = new.map(|(token, _)| *token).collect();
        let mut verified = self.jws.verify_batch_by(&keys, &new).into_iter();
        let settle = |(id, known): (TokenId, Option<_>)| match known {
            Some(known) => known,
            None => {
                let jws = verified.next().expect("each token that the cache does not have is verified");
                self.validate_and_cache(cache, id, &keys, jws?, now)
            }
        };
        found.into_iter().map(settle).collect()
    }

    /// Replaces the keys; see [`JwsVerifier::replace_keys`]. Cached tokens are forgotten with the keys
    /// that verified them.
    ///
    /// ```
    /// use claimgate::{Verifier, claims::AccessToken, key::KeySet, limits::Limits};
    ///
    /// fn renew(verifier: &Verifier<AccessToken>, jwks: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    ///     let report = verifier.replace_keys(&KeySet::from_jwks(jwks, &Limits::DEFAULT)?)?;
    ///     report.skipped.iter().for_each(|skipped| eprintln!("{skipped}"));
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`NoUsableKey`] if no key of the set is usable; the present keys then stay.
    pub fn replace_keys(&self, keys: &KeySet) -> Result<KeyReport, NoUsableKey> {
        self.jws.replace_keys(keys)
    }

    /// Returns the signature stage.
    #[must_use]
    pub fn jws(&self) -> &JwsVerifier {
        &self.jws
    }

    /// Returns the policy.
    #[must_use]
    pub fn policy(&self) -> &Policy<K> {
        &self.policy
    }

    fn validate(&self, jws: VerifiedJws, now: UnixTime) -> Result<ValidatedToken<K>, Error> {
        let (header, payload) = jws.into_parts();
        let claims = Claims::of_payload(payload, self.jws.limits())?;
        self.policy.validate(&header, &claims, now)?;
        Ok(self.validated(header, claims))
    }

    /// To be called once the policy has accepted the claims.
    fn validated(&self, header: Header, claims: Claims) -> ValidatedToken<K> {
        ValidatedToken::new(self.policy.kind(), header, claims)
    }
}

impl Verifier<IdToken> {
    /// As [`verify`](Self::verify), and requires the nonce of one sign-in (OpenID Connect Core
    /// §3.1.3.7, item 11), compared in constant time. The cache is not consulted.
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// use claimgate::{Error, Verifier, claims::IdToken};
    ///
    /// fn subject(verifier: &Verifier<IdToken>, token: &str, nonce: &str) -> Result<String, Error> {
    ///     let token = verifier.verify_with_nonce(token, nonce, SystemTime::now())?;
    ///     Ok(token.subject().to_owned())
    /// }
    ///
    /// async fn awaited(verifier: &Verifier<IdToken>, token: &str, nonce: &str) -> Result<String, Error> {
    ///     let token = verifier.verify_with_nonce_async(token, nonce, SystemTime::now()).await?;
    ///     Ok(token.subject().to_owned())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`verify`](Self::verify); [`ClaimsError::Nonce`](crate::claims::ClaimsError::Nonce) for
    /// another nonce.
    pub fn verify_with_nonce(
        &self,
        token: &str,
        nonce: &str,
        now: impl Into<UnixTime>,
    ) -> Result<ValidatedToken<IdToken>, Error> {
        self.validate_with_nonce(self.jws.verify(token)?, nonce, now.into())
    }

    /// As [`verify_with_nonce`](Self::verify_with_nonce), without blocking the thread where a key waits for something
    /// beyond this process; see [`JwsVerifier::verify_async`].
    ///
    /// # Errors
    /// As [`verify_with_nonce`](Self::verify_with_nonce).
    pub fn verify_with_nonce_async<'a>(
        &'a self,
        token: &'a str,
        nonce: &'a str,
        now: impl Into<UnixTime>,
    ) -> impl Future<Output = Result<ValidatedToken<IdToken>, Error>> + Send + 'a {
        let now = now.into();
        async move { self.validate_with_nonce(self.jws.verify_async(token).await?, nonce, now) }
    }

    fn validate_with_nonce(
        &self,
        jws: VerifiedJws,
        nonce: &str,
        now: UnixTime,
    ) -> Result<ValidatedToken<IdToken>, Error> {
        let (header, payload) = jws.into_parts();
        let claims = Claims::of_payload(payload, self.jws.limits())?;
        self.policy.validate_with_nonce(&header, &claims, nonce, now)?;
        Ok(self.validated(header, claims))
    }
}
