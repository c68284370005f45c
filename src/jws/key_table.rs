//! The keys of a set, each prepared once for every allowed algorithm that may use it.

use std::collections::HashMap;
use std::sync::Arc;

use super::header_cache::{HeaderCache, ResolvedHeader};
use super::{AlgorithmError, CompactJws, JwsError, KeyReport};
use crate::alg::{Algorithm, PreparedKey};
use crate::key::{KeyError, KeySet, SkippedKey, VerificationKey};
use crate::limits::Limits;

/// Keys prepared for each allowed algorithm, and the headers resolved to them.
pub(crate) struct KeyTable {
    /// In the order of the verifier's algorithms.
    by_algorithm: Vec<AlgorithmKeys>,
    /// Keys rejected for an algorithm of their family, kept to explain failed look-ups.
    rejected: Vec<RejectedKey>,
    pub(super) report: KeyReport,
    pub(super) headers: HeaderCache,
}

#[derive(Default)]
struct AlgorithmKeys {
    named: HashMap<String, Vec<Arc<dyn PreparedKey>>>,
    nameless: Vec<Arc<dyn PreparedKey>>,
    all: Vec<Arc<dyn PreparedKey>>,
}

impl AlgorithmKeys {
    fn add(&mut self, kid: Option<&str>, key: Arc<dyn PreparedKey>) {
        match kid {
            Some(kid) => self.named.entry(kid.to_owned()).or_default().push(Arc::clone(&key)),
            None => self.nameless.push(Arc::clone(&key)),
        }
        self.all.push(key);
    }
}

struct RejectedKey {
    /// The algorithm that rejected it; `None` if the key itself is malformed.
    algorithm: Option<String>,
    kid: Option<String>,
    reason: KeyError,
}

impl KeyTable {
    /// Prepares each key of the set for each algorithm.
    pub(super) fn prepare(algorithms: &[Arc<dyn Algorithm>], set: &KeySet) -> Self {
        let malformed = set.skipped().iter().map(|key| RejectedKey {
            algorithm: None,
            kid: key.kid.clone(),
            reason: key.reason.clone(),
        });
        let mut table = Self {
            by_algorithm: algorithms.iter().map(|_| AlgorithmKeys::default()).collect(),
            rejected: malformed.collect(),
            report: KeyReport { usable: 0, skipped: set.skipped().to_vec() },
            headers: HeaderCache::default(),
        };
        for (index, key) in set.keys().iter().enumerate() {
            match table.add(algorithms, key) {
                Ok(()) => table.report.usable += 1,
                Err(reason) => {
                    let kid = key.kid().map(str::to_owned);
                    table.report.skipped.push(SkippedKey { index, kid, reason });
                }
            }
        }
        table
    }

    /// Adds a key for every algorithm that can use it. Returns the most informative reason if none
    /// can: any other says more than [`KeyError::WrongFamily`].
    fn add(&mut self, algorithms: &[Arc<dyn Algorithm>], key: &VerificationKey) -> Result<(), KeyError> {
        let mut usable = false;
        let mut informative = KeyError::WrongFamily;
        for (algorithm, keys) in algorithms.iter().zip(&mut self.by_algorithm) {
            match prepare(algorithm.as_ref(), key) {
                Ok(prepared) => {
                    usable = true;
                    keys.add(key.kid(), prepared);
                }
                Err(KeyError::WrongFamily) => {}
                Err(reason) => {
                    self.rejected.push(RejectedKey {
                        algorithm: Some(algorithm.name().to_owned()),
                        kid: key.kid().map(str::to_owned),
                        reason: reason.clone(),
                    });
                    if informative == KeyError::WrongFamily {
                        informative = reason;
                    }
                }
            }
        }
        if usable { Ok(()) } else { Err(informative) }
    }

    /// Resolves a token's header: parses it, and finds its allowed algorithm and the keys to try.
    pub(super) fn resolve(
        &self,
        allowed: &[Arc<dyn Algorithm>],
        jws: &CompactJws<'_>,
        limits: &Limits,
    ) -> Result<ResolvedHeader, JwsError> {
        let header = jws.header(limits)?;
        let algorithm = allowed
            .iter()
            .position(|algorithm| algorithm.name() == header.algorithm())
            .ok_or(AlgorithmError)?;
        let available = &self.by_algorithm[algorithm];
        let kid = header.kid();
        let (named, others) = match kid {
            // A key without a kid may be the one meant; a key with another kid is not.
            Some(kid) => {
                (available.named.get(kid).map_or(&[][..], Vec::as_slice), available.nameless.as_slice())
            }
            None => (available.all.as_slice(), &[][..]),
        };
        let count = named.len() + others.len();
        if count == 0 {
            let reason = self.explain(allowed[algorithm].name(), kid, available.all.is_empty());
            return Err(reason.into());
        }
        let keys = named.iter().chain(others).take(limits.keys_tried).cloned().collect();
        Ok(ResolvedHeader {
            segment: jws.protected_segment().into(),
            is_cut: count > limits.keys_tried,
            lacks_kid: kid.is_none() && available.all.len() - available.nameless.len() > 1,
            header,
            algorithm,
            keys,
        })
    }

    /// Explains a failed look-up: with the reason the matching key was rejected for, if there is
    /// one.
    fn explain(&self, algorithm: &str, kid: Option<&str>, no_key_for_algorithm: bool) -> KeyError {
        let mut rejected =
            self.rejected.iter().filter(|key| key.algorithm.as_deref().is_none_or(|name| name == algorithm));
        // The key with the token's kid says more than one that merely may be the one meant.
        let rejected = rejected
            .clone()
            .find(|key| kid.is_some() && key.kid.as_deref() == kid)
            .or_else(|| rejected.find(|key| kid.is_none() || key.kid.is_none()));
        match rejected {
            Some(key) => key.reason.clone(),
            None if kid.is_some() && !no_key_for_algorithm => KeyError::UnknownKid,
            None => KeyError::NoneFits,
        }
    }
}

/// Prepares a key for an algorithm that its family and its metadata permit, in this order.
fn prepare(algorithm: &dyn Algorithm, key: &VerificationKey) -> Result<Arc<dyn PreparedKey>, KeyError> {
    if !algorithm.accepts(key.material()) {
        return Err(KeyError::WrongFamily);
    }
    key.permits(algorithm.name())?;
    algorithm.prepare(key)
}
