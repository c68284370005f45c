//! The verification of a compact JWS with allowed algorithms and known keys.

use std::ops::Range;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::header_cache::{CachedOrNew, Headers};
use super::{BuildError, CompactJws, Header, JwsError, KeyReport, KeyTable, NoUsableKey};
use crate::alg::{Algorithm, BatchItem, Registry, SignatureError, Signed, Unavailable};
use crate::key::{KeyError, KeySet};
use crate::limits::Limits;

/// A JWS whose signature has been verified. Only a [`JwsVerifier`] makes one.
///
/// ```
/// use claimgate::jws::VerifiedJws;
///
/// fn read(jws: &VerifiedJws) -> serde_json::Result<serde_json::Value> {
///     println!("by {:?}", jws.header().kid());
///     serde_json::from_slice(jws.payload())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct VerifiedJws {
    header: Header,
    payload: Vec<u8>,
}

impl VerifiedJws {
    /// Returns the JOSE header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Returns the verified payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn into_parts(self) -> (Header, Vec<u8>) {
        (self.header, self.payload)
    }
}

/// The longest signature that is decoded on the stack, in bytes: RSA with 4096 bits. The other built-in
/// algorithms have shorter ones.
const SHORT: usize = 512;

/// A verifier of signatures; claims are not checked. Clones share the keys: a replacement in one is a
/// replacement in all, and no verification waits for it.
///
/// ```
/// use claimgate::alg::Registry;
/// use claimgate::jws::JwsVerifier;
/// use claimgate::key::KeySet;
/// use claimgate::limits::Limits;
/// let keys = KeySet::from_jwks(&std::fs::read("vectors/demo/jwks.json")?, &Limits::DEFAULT)?;
/// let verifier = JwsVerifier::new(&Registry::builtin(), ["RS256"], &keys, Limits::DEFAULT)?;
/// let jws = verifier.verify(std::fs::read_to_string("vectors/demo/token.txt")?.trim())?;
/// assert_eq!(jws.header().algorithm(), "RS256");
/// assert!(jws.payload().starts_with(b"{"));
///
/// // A set without a usable key replaces nothing.
/// let refusal = verifier.replace_keys(&KeySet::new([])).unwrap_err();
/// assert_eq!(refusal.code(), "key.none_usable");
/// assert_eq!(verifier.key_report().usable, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct JwsVerifier {
    allowed: Arc<[Arc<dyn Algorithm>]>,
    keys: Arc<ArcSwap<KeyTable>>,
    limits: Limits,
    kid_required: bool,
}

impl JwsVerifier {
    /// Builds a verifier that allows the named algorithms of a registry, with a first set of keys.
    ///
    /// # Errors
    /// A [`BuildError`]: no algorithm, one that is not registered, or no usable key. An unusable key beside a usable
    /// one is not an error: see [`key_report`](Self::key_report).
    pub fn new<N: AsRef<str>>(
        registry: &Registry,
        allowed: impl IntoIterator<Item = N>,
        keys: &KeySet,
        limits: Limits,
    ) -> Result<Self, BuildError> {
        let verifier = Self::with_any_keys(registry, allowed, keys, limits)?;
        let report = verifier.key_report();
        if report.usable == 0 { Err(NoUsableKey { report }.into()) } else { Ok(verifier) }
    }

    /// Builds a verifier as [`new`](Self::new) does, and accepts a set without a usable key, or an empty one. Until
    /// [`replace_keys`](Self::replace_keys) brings a usable key, each token is rejected with the reason.
    ///
    /// ```
    /// use claimgate::alg::Registry;
    /// use claimgate::jws::JwsVerifier;
    /// use claimgate::key::KeySet;
    /// use claimgate::limits::Limits;
    ///
    /// let none = KeySet::default();
    /// let verifier = JwsVerifier::with_any_keys(&Registry::builtin(), ["HS256"], &none, Limits::DEFAULT)?.require_kid();
    /// assert_eq!(verifier.verify("not.a.token").unwrap_err().code(), "jws.base64url");
    ///
    /// let keys = KeySet::from_secret(b"a secret of at least 32 bytes, for HS256");
    /// assert_eq!(verifier.report_on(&keys).usable, 1);
    /// assert_eq!(verifier.replace_keys(&keys)?.usable, 1);
    /// // Every key of the issuer is withdrawn: nothing verifies until there are others.
    /// assert_eq!(verifier.replace_with_any_keys(&none).usable, 0);
    /// assert_eq!(verifier.verify_batch(&["a.b.c", "d.e.f"]).len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`BuildError::NoAlgorithm`] and [`BuildError::UnknownAlgorithm`].
    pub fn with_any_keys<N: AsRef<str>>(
        registry: &Registry,
        allowed: impl IntoIterator<Item = N>,
        keys: &KeySet,
        limits: Limits,
    ) -> Result<Self, BuildError> {
        let mut algorithms: Vec<Arc<dyn Algorithm>> = Vec::new();
        for name in allowed {
            let name = name.as_ref();
            let algorithm =
                registry.get(name).ok_or_else(|| BuildError::UnknownAlgorithm { name: name.to_owned() })?;
            if !algorithms.iter().any(|known| known.name() == name) {
                algorithms.push(Arc::clone(algorithm));
            }
        }
        if algorithms.is_empty() {
            return Err(BuildError::NoAlgorithm);
        }
        let table = KeyTable::prepare(&algorithms, keys);
        Ok(Self {
            allowed: algorithms.into(),
            keys: Arc::new(ArcSwap::from_pointee(table)),
            limits,
            kid_required: false,
        })
    }

    /// Rejects a token without `kid` if several keys with a `kid` fit it, before any signature is checked
    /// (OpenID Connect Core §10.1: the provider MUST then send one). Other clones are not affected. Without
    /// this, each fitting key is tried, up to [`Limits::keys_tried`].
    #[must_use]
    pub fn require_kid(mut self) -> Self {
        self.kid_required = true;
        self
    }

    /// Replaces the keys, and reports which of the new ones are usable. Verifications in progress finish with the
    /// keys they began with; none of them waits.
    ///
    /// # Errors
    /// [`NoUsableKey`] if no key of the set is usable; the present keys then stay. To remove keys that no others
    /// follow, see [`replace_with_any_keys`](Self::replace_with_any_keys).
    pub fn replace_keys(&self, keys: &KeySet) -> Result<KeyReport, NoUsableKey> {
        let table = KeyTable::prepare(&self.allowed, keys);
        let report = table.report.clone();
        if report.usable == 0 {
            return Err(NoUsableKey { report });
        }
        self.keys.store(Arc::new(table));
        Ok(report)
    }

    /// Replaces the keys as [`replace_keys`](Self::replace_keys) does, and accepts a set without a usable key, or an
    /// empty one: each token is then rejected with the reason.
    pub fn replace_with_any_keys(&self, keys: &KeySet) -> KeyReport {
        let table = KeyTable::prepare(&self.allowed, keys);
        let report = table.report.clone();
        self.keys.store(Arc::new(table));
        report
    }

    /// Returns which keys of a set would be usable. The present keys stay.
    #[must_use]
    pub fn report_on(&self, keys: &KeySet) -> KeyReport {
        KeyTable::prepare(&self.allowed, keys).report
    }

    /// Returns which of the present keys are usable.
    #[must_use]
    pub fn key_report(&self) -> KeyReport {
        self.keys.load().report.clone()
    }

    /// Returns the limits.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns an identifier of the place where the keys are replaced: verifiers that share it share all replacements.
    pub(crate) fn keys_id(&self) -> usize {
        Arc::as_ptr(&self.keys).addr()
    }

    /// Returns the present key table, by whose address a cache recognises a replacement.
    #[cfg(feature = "cache")]
    pub(crate) fn key_table(&self) -> Arc<KeyTable> {
        self.keys.load_full()
    }

    /// Verifies one token: size, shape, header, allow-list, key, signature, in this order.
    ///
    /// # Errors
    /// The [`JwsError`] of the first stage that rejects the token.
    pub fn verify(&self, token: &str) -> Result<VerifiedJws, JwsError> {
        self.verify_by(&self.keys.load(), token)
    }

    /// Verifies one token by the keys of one table.
    pub(crate) fn verify_by(&self, table: &KeyTable, token: &str) -> Result<VerifiedJws, JwsError> {
        let cached = table.headers.load();
        let candidate = self.resolve(table, &cached, token)?;
        let (mut short, mut long);
        let buffer = match candidate.jws.signature_len() {
            0..=SHORT => {
                short = [0; SHORT];
                &mut short[..]
            }
            length => {
                long = vec![0; length];
                &mut long[..]
            }
        };
        let signature = candidate.jws.decode_signature(buffer);
        self.try_keys(table, &candidate, signature)
    }

    /// Verifies one token as [`verify`](Self::verify) does, without blocking the thread where a key waits for
    /// something beyond this process: it awaits [`PreparedKey::verify_async`](crate::alg::PreparedKey::verify_async).
    /// No runtime is needed. With the built-in algorithms the future is ready when it is first polled.
    ///
    /// ```
    /// use claimgate::jws::{JwsError, JwsVerifier};
    ///
    /// async fn status(verifier: &JwsVerifier, token: &str) -> u16 {
    ///     match verifier.verify_async(token).await {
    ///         Ok(_) => 200,
    ///         Err(error) if error.unavailable().is_some() => 503, // the token may be good
    ///         Err(_) => 401,
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub async fn verify_async(&self, token: &str) -> Result<VerifiedJws, JwsError> {
        self.verify_async_by(&self.keys.load_full(), token).await
    }

    /// Verifies one token by the keys of one table, without blocking the thread.
    pub(crate) async fn verify_async_by(
        &self,
        table: &KeyTable,
        token: &str,
    ) -> Result<VerifiedJws, JwsError> {
        let cached = table.headers.load_full();
        let candidate = self.resolve(table, &cached, token)?;
        let signing_input = candidate.jws.signing_input();
        let signature = candidate.jws.signature();
        let mut unavailable = None;
        for key in &candidate.header.keys {
            let verdict = match key.verify_async(signing_input, &signature) {
                Some(verifying) => verifying.await,
                None => key.verify(signing_input, &signature),
            };
            match verdict {
                Ok(()) => return Ok(self.accept(table, &candidate)),
                Err(SignatureError::Invalid) => {}
                Err(SignatureError::Unavailable(reason)) => unavailable = Some(reason),
            }
        }
        Err(candidate.header.exhausted(unavailable))
    }

    /// Verifies many tokens. Returns the results in the order of the tokens, each as that of [`verify`](Self::verify).
    ///
    /// Tokens of one algorithm are passed to it together; where several keys may verify a token, those that the first
    /// did not verify are passed with their second key, and so on. Of the built-in algorithms RS256, RS384 and RS512
    /// cost less together, on CPUs with AVX-512 IFMA: the kernel verifies eight signatures at a time, by one key or by
    /// several of one size. Of the rest of a batch, five to seven cost as much as eight, and up to four are verified
    /// one by one: a program that can wait collects a multiple of eight. A batch of other algorithms costs what its
    /// tokens cost.
    #[must_use]
    pub fn verify_batch(&self, tokens: &[&str]) -> Vec<Result<VerifiedJws, JwsError>> {
        self.verify_batch_by(&self.keys.load(), tokens)
    }

    /// Verifies many tokens by the keys of one table.
    pub(crate) fn verify_batch_by(
        &self,
        table: &KeyTable,
        tokens: &[&str],
    ) -> Vec<Result<VerifiedJws, JwsError>> {
        let cached = table.headers.load();
        let mut results: Vec<Option<Result<VerifiedJws, JwsError>>> = Vec::with_capacity(tokens.len());
        let mut groups: Vec<Vec<Member<'_, '_>>> = Vec::new();
        groups.resize_with(self.allowed.len(), Vec::new);
        let mut signatures = Vec::new();
        for (index, token) in tokens.iter().enumerate() {
            results.push(match self.resolve(table, &cached, token) {
                Ok(candidate) => {
                    let start = signatures.len();
                    signatures.resize(start + candidate.jws.signature_len(), 0);
                    candidate.jws.decode_signature(&mut signatures[start..]);
                    let signature = start..signatures.len();
                    let algorithm = candidate.header.algorithm;
                    groups[algorithm].push(Member { index, candidate, signature, unavailable: None });
                    None
                }
                Err(error) => Some(Err(error)),
            });
        }
        for (algorithm, mut members) in self.allowed.iter().zip(groups) {
            // In each round, the next key of each token that no key has verified yet.
            for round in 0.. {
                if members.is_empty() {
                    break;
                }
                let verdicts = verdicts(&**algorithm, &members, round, &signatures);
                members = (members.into_iter().zip(verdicts))
                    .filter_map(|(mut member, verdict)| {
                        match verdict {
                            Ok(()) => {
                                results[member.index] = Some(Ok(self.accept(table, &member.candidate)));
                                return None;
                            }
                            Err(SignatureError::Invalid) => {}
                            Err(SignatureError::Unavailable(reason)) => member.unavailable = Some(reason),
                        }
                        if round + 1 < member.candidate.header.keys.len() {
                            return Some(member);
                        }
                        results[member.index] =
                            Some(Err(member.candidate.header.exhausted(member.unavailable)));
                        None
                    })
                    .collect();
            }
        }
        results.into_iter().map(|result| result.expect("each token has a result or is in a group")).collect()
    }

    /// Parses a token and finds the keys that may verify it.
    fn resolve<'t, 'c>(
        &self,
        table: &KeyTable,
        cached: &'c Headers,
        token: &'t str,
    ) -> Result<Candidate<'t, 'c>, JwsError> {
        let jws = CompactJws::parse(token, &self.limits)?;
        let header = match cached.find(jws.protected_segment()) {
            Some(header) => CachedOrNew::Cached(header),
            None => CachedOrNew::New(Arc::new(table.resolve(&self.allowed, &jws, &self.limits)?)),
        };
        if self.kid_required && header.lacks_kid {
            return Err(KeyError::KidRequired.into());
        }
        Ok(Candidate { jws, header })
    }

    fn try_keys(
        &self,
        table: &KeyTable,
        candidate: &Candidate<'_, '_>,
        signature: &[u8],
    ) -> Result<VerifiedJws, JwsError> {
        let signing_input = candidate.jws.signing_input();
        let mut unavailable = None;
        for key in &candidate.header.keys {
            match key.verify(signing_input, signature) {
                Ok(()) => return Ok(self.accept(table, candidate)),
                Err(SignatureError::Invalid) => {}
                Err(SignatureError::Unavailable(reason)) => unavailable = Some(reason),
            }
        }
        Err(candidate.header.exhausted(unavailable))
    }

    /// Makes the verified token. Call only after a key has verified the signature.
    fn accept(&self, table: &KeyTable, candidate: &Candidate<'_, '_>) -> VerifiedJws {
        if let CachedOrNew::New(header) = &candidate.header {
            table.headers.insert(header, self.limits.headers_cached);
        }
        VerifiedJws { header: candidate.header.header.clone(), payload: candidate.jws.decode_payload() }
    }
}

impl std::fmt::Debug for JwsVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let allowed: Vec<_> = self.allowed.iter().map(|algorithm| algorithm.name()).collect();
        f.debug_struct("JwsVerifier").field("allowed", &allowed).finish_non_exhaustive()
    }
}

/// A parsed token with the keys that may verify it.
struct Candidate<'t, 'c> {
    jws: CompactJws<'t>,
    header: CachedOrNew<'c>,
}

/// A token of a batch that no key has verified yet.
struct Member<'t, 'c> {
    index: usize,
    candidate: Candidate<'t, 'c>,
    /// Its part of the batch's signatures.
    signature: Range<usize>,
    /// Why one of its keys could not judge the signature.
    unavailable: Option<Unavailable>,
}

/// Verifies each token by one of its candidate keys.
fn verdicts(
    algorithm: &dyn Algorithm,
    members: &[Member<'_, '_>],
    key: usize,
    signatures: &[u8],
) -> Vec<Result<(), SignatureError>> {
    let items: Vec<BatchItem<'_>> = members.iter().map(|member| member.item(key, signatures)).collect();
    let mut verdicts = vec![Err(SignatureError::Invalid); items.len()];
    algorithm.verify_batch(&items, &mut verdicts);
    verdicts
}

impl Member<'_, '_> {
    fn item<'b>(&'b self, key: usize, signatures: &'b [u8]) -> BatchItem<'b> {
        BatchItem {
            key: self.candidate.header.keys[key].as_ref(),
            signed: Signed {
                signing_input: self.candidate.jws.signing_input(),
                signature: &signatures[self.signature.clone()],
            },
        }
    }
}
