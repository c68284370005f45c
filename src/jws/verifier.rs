//! From a token's bytes to a verified one, by allowed algorithms and known keys alone.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::JwsError;
use crate::alg::{Algorithm, BatchItem, InvalidSignature, PreparedKey, Registry, RegistryError, Signed};
use crate::jws::header_cache::{Route, Routes};
use crate::jws::{CompactJws, Header};
use crate::key::{KeyError, KeySet, SkippedKey};
use crate::limits::Limits;

/// A JWS whose signature has been verified; only [`JwsVerifier`] can make one.
#[derive(Clone, Debug)]
pub struct VerifiedJws {
    header: Header,
    payload: Vec<u8>,
}

impl VerifiedJws {
    /// The JOSE header.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The payload's bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(super) fn new(header: Header, payload: Vec<u8>) -> Self {
        Self { header, payload }
    }

    pub(crate) fn into_parts(self) -> (Header, Vec<u8>) {
        (self.header, self.payload)
    }
}

/// The token's algorithm is not one that the verifier allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the token's algorithm is not allowed")]
pub struct AlgorithmError;

impl AlgorithmError {
    /// The stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            AlgorithmError => "algorithm.not_allowed",
        }
    }
}

/// Why a verifier cannot be built.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// An allowed algorithm is not in the registry.
    #[error("the algorithm `{name}` is not registered")]
    UnknownAlgorithm {
        /// The name asked for.
        name: String,
    },
    /// No algorithm is allowed: nothing could ever verify.
    #[error("no algorithm is allowed; name at least one")]
    NoAlgorithm,
    /// The registry could not be built.
    #[error(transparent)]
    Registry(#[from] RegistryError),
}

impl BuildError {
    /// The stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            BuildError::UnknownAlgorithm { .. } => "build.unknown_algorithm",
            BuildError::NoAlgorithm => "build.no_algorithm",
            BuildError::Registry(error) => error.code(),
        }
    }
}

/// Signatures up to this length are decoded on the stack: an RSA signature of 4096 bits, and those of
/// all other built-in algorithms are shorter.
const SHORT: usize = 512;

/// What became of the keys of a set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyReport {
    /// How many keys serve at least one allowed algorithm.
    pub usable: usize,
    /// The keys that serve none, and why: malformed, weak, meant for something else.
    pub skipped: Vec<SkippedKey>,
}

/// Verifies signatures, and nothing else. A clone shares the keys: replacing them in one replaces
/// them in all, without a verification ever waiting for it.
#[derive(Clone)]
pub struct JwsVerifier {
    allowed: Arc<[Arc<dyn Algorithm>]>,
    keys: Arc<ArcSwap<KeyTable>>,
    limits: Limits,
}

impl JwsVerifier {
    /// Builds a verifier that allows the named algorithms of a registry, with a first set of keys.
    ///
    /// # Errors
    /// A [`BuildError`]. Keys that do not fit are no error: see [`key_report`](Self::key_report).
    pub fn new<N: AsRef<str>>(
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
        Ok(Self { allowed: algorithms.into(), keys: Arc::new(ArcSwap::from_pointee(table)), limits })
    }

    /// Puts another set of keys in the place of the present one. Verifications under way finish
    /// with the keys they began with; none of them waits.
    pub fn replace_keys(&self, keys: &KeySet) -> KeyReport {
        let table = KeyTable::prepare(&self.allowed, keys);
        let report = table.report.clone();
        self.keys.store(Arc::new(table));
        report
    }

    /// What became of the keys of the present set.
    #[must_use]
    pub fn key_report(&self) -> KeyReport {
        self.keys.load().report.clone()
    }

    /// The limits in force.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Identifies the present key table, so that a cache can tell when it was replaced.
    pub(crate) fn key_table(&self) -> Arc<KeyTable> {
        self.keys.load_full()
    }

    /// Verifies one token: size, shape, header, allow-list, key, signature, in this order.
    ///
    /// # Errors
    /// The [`JwsError`] of the first stage that refuses.
    pub fn verify(&self, token: &str) -> Result<VerifiedJws, JwsError> {
        let table = self.keys.load();
        let jws = CompactJws::parse(token, &self.limits)?;
        let known = table.routes.load();
        let found = known.find(jws.protected());
        let (route, is_new) = match found {
            Some(route) => (route, false),
            None => (&Arc::new(self.route(&table, &jws)?), true),
        };
        let (mut short, mut long);
        let buffer = match jws.signature_len() {
            0..=SHORT => {
                short = [0; SHORT];
                &mut short[..]
            }
            length => {
                long = vec![0; length];
                &mut long[..]
            }
        };
        let signature = jws.decode_signature(buffer);
        for key in &route.keys {
            if key.verify(jws.signing_input(), signature).is_ok() {
                if is_new {
                    table.routes.keep(route, self.limits.headers_cached);
                }
                return Ok(route.verified(&jws));
            }
        }
        Err(route.exhausted())
    }

    /// Verifies many tokens; results in the order of the tokens. Tokens of one algorithm are
    /// handed to it together, which may be cheaper than one by one.
    pub fn verify_batch(&self, tokens: &[&str]) -> Vec<Result<VerifiedJws, JwsError>> {
        let table = self.keys.load();
        let known = table.routes.load();
        let mut results: Vec<Option<Result<VerifiedJws, JwsError>>> = Vec::with_capacity(tokens.len());
        let mut groups: Vec<Vec<Member<'_>>> = Vec::new();
        groups.resize_with(self.allowed.len(), Vec::new);
        let mut signatures = Vec::new();
        for (index, token) in tokens.iter().enumerate() {
            let member = CompactJws::parse(token, &self.limits).map_err(JwsError::from).and_then(|jws| {
                let (route, is_new) = match known.find(jws.protected()) {
                    Some(route) => (Arc::clone(route), false),
                    None => (Arc::new(self.route(&table, &jws)?), true),
                };
                let start = signatures.len();
                signatures.resize(start + jws.signature_len(), 0);
                jws.decode_signature(&mut signatures[start..]);
                Ok(Member { index, jws, route, is_new, signature: start..signatures.len() })
            });
            results.push(match member {
                Ok(member) if member.route.keys.len() == 1 => {
                    groups[member.route.algorithm].push(member);
                    None
                }
                Ok(_) => Some(self.verify(token)),
                Err(error) => Some(Err(error)),
            });
        }
        for (algorithm, members) in groups.into_iter().enumerate().filter(|(_, members)| !members.is_empty())
        {
            let items: Vec<BatchItem<'_>> = members.iter().map(|member| member.item(&signatures)).collect();
            let mut verdicts = vec![Err(InvalidSignature); items.len()];
            self.allowed[algorithm].verify_batch(&items, &mut verdicts);
            for (member, verdict) in members.iter().zip(verdicts) {
                results[member.index] = Some(match verdict {
                    Ok(()) => {
                        if member.is_new {
                            table.routes.keep(&member.route, self.limits.headers_cached);
                        }
                        Ok(member.route.verified(&member.jws))
                    }
                    Err(_) => Err(member.route.exhausted()),
                });
            }
        }
        results.into_iter().map(|result| result.expect("each token is judged or in a group")).collect()
    }

    /// What a token's header leads to: parsed, its algorithm allowed, the keys that may fit.
    fn route(&self, table: &KeyTable, jws: &CompactJws<'_>) -> Result<Route, JwsError> {
        let header = jws.header(&self.limits)?;
        let algorithm = self
            .allowed
            .iter()
            .position(|algorithm| algorithm.name() == header.algorithm())
            .ok_or(AlgorithmError)?;
        let keys = &table.by_algorithm[algorithm];
        let kid = header.key_id();
        let (named, others) = match kid {
            // Keys without a kid may be the one meant; keys with another kid are not.
            Some(kid) => (keys.named.get(kid).map_or(&[][..], Vec::as_slice), keys.nameless.as_slice()),
            None => (keys.all.as_slice(), &[][..]),
        };
        let count = named.len() + others.len();
        if count == 0 {
            return Err(table.why_none(self.allowed[algorithm].name(), kid, keys.all.is_empty()).into());
        }
        let keys = named.iter().chain(others).take(self.limits.keys_tried).cloned().collect();
        let is_cut = count > self.limits.keys_tried;
        Ok(Route { protected: jws.protected().into(), header, algorithm, keys, is_cut })
    }
}

impl std::fmt::Debug for JwsVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let allowed: Vec<_> = self.allowed.iter().map(|algorithm| algorithm.name()).collect();
        f.debug_struct("JwsVerifier").field("allowed", &allowed).finish_non_exhaustive()
    }
}

/// A token of a batch that one key alone may have signed.
struct Member<'t> {
    index: usize,
    jws: CompactJws<'t>,
    route: Arc<Route>,
    /// Whether the route is not remembered yet.
    is_new: bool,
    /// Where among the batch's signatures its own stands.
    signature: Range<usize>,
}

impl Member<'_> {
    fn item<'b>(&'b self, signatures: &'b [u8]) -> BatchItem<'b> {
        let signature = &signatures[self.signature.clone()];
        BatchItem {
            key: self.route.keys[0].as_ref(),
            signed: Signed { signing_input: self.jws.signing_input(), signature },
        }
    }
}

/// Keys prepared for each allowed algorithm.
pub(crate) struct KeyTable {
    by_algorithm: Vec<AlgorithmKeys>,
    /// Keys that should have served an algorithm but may not: what to tell a token that asks.
    refused: Vec<Refused>,
    report: KeyReport,
    routes: Routes,
}

#[derive(Default)]
struct AlgorithmKeys {
    named: HashMap<String, Vec<Arc<dyn PreparedKey>>>,
    nameless: Vec<Arc<dyn PreparedKey>>,
    all: Vec<Arc<dyn PreparedKey>>,
}

struct Refused {
    /// The algorithm that refused it; none if it could not even be read.
    algorithm: Option<String>,
    kid: Option<String>,
    reason: KeyError,
}

impl KeyTable {
    fn prepare(algorithms: &[Arc<dyn Algorithm>], set: &KeySet) -> Self {
        let mut by_algorithm: Vec<AlgorithmKeys> = Vec::new();
        by_algorithm.resize_with(algorithms.len(), AlgorithmKeys::default);
        let mut report = KeyReport { usable: 0, skipped: set.skipped().to_vec() };
        let mut refused: Vec<Refused> = set
            .skipped()
            .iter()
            .map(|key| Refused { algorithm: None, kid: key.kid.clone(), reason: key.reason.clone() })
            .collect();
        for (index, key) in set.keys().iter().enumerate() {
            let mut usable = false;
            let mut worst: Option<KeyError> = None;
            for (algorithm, keys) in algorithms.iter().zip(&mut by_algorithm) {
                let prepared =
                    algorithm.prepare(key).and_then(|ready| key.permits(algorithm.name()).map(|()| ready));
                match prepared {
                    Ok(ready) => {
                        usable = true;
                        match key.kid() {
                            Some(kid) => {
                                keys.named.entry(kid.to_owned()).or_default().push(Arc::clone(&ready))
                            }
                            None => keys.nameless.push(Arc::clone(&ready)),
                        }
                        keys.all.push(ready);
                    }
                    Err(reason) => {
                        if reason != KeyError::WrongFamily {
                            refused.push(Refused {
                                algorithm: Some(algorithm.name().to_owned()),
                                kid: key.kid().map(str::to_owned),
                                reason: reason.clone(),
                            });
                        }
                        // The most telling reason: anything says more than "another family".
                        if worst.as_ref().is_none_or(|known| *known == KeyError::WrongFamily) {
                            worst = Some(reason);
                        }
                    }
                }
            }
            if usable {
                report.usable += 1;
            } else if let Some(reason) = worst {
                report.skipped.push(SkippedKey { index, kid: key.kid().map(str::to_owned), reason });
            }
        }
        Self { by_algorithm, refused, report, routes: Routes::default() }
    }

    /// Why no key is there for a token: the reason its key was refused for, if it was.
    fn why_none(&self, algorithm: &str, kid: Option<&str>, no_key_for_algorithm: bool) -> KeyError {
        let mut refused =
            self.refused.iter().filter(|key| key.algorithm.as_deref().is_none_or(|name| name == algorithm));
        // The key of that kid says more than one that merely might be meant.
        let refused = refused
            .clone()
            .find(|key| kid.is_some() && key.kid.as_deref() == kid)
            .or_else(|| refused.find(|key| kid.is_none() || key.kid.is_none()));
        match refused {
            Some(key) => key.reason.clone(),
            None if kid.is_some() && !no_key_for_algorithm => KeyError::UnknownKid,
            None => KeyError::NoneFits,
        }
    }
}
