//! What a program adds for the configuration file to name: algorithms and signers.

use std::collections::BTreeMap;
use std::sync::Arc;

use claimgate::alg::Registry;
use claimgate::sign::Signer;

/// The algorithms and signers of a program, which a configuration file may name.
#[derive(Clone, Debug)]
pub struct Extensions {
    /// The algorithms that exist.
    pub registry: Registry,
    /// The signers of client assertions, by the names that `private_key_signer` gives them.
    pub signers: BTreeMap<String, Arc<dyn Signer>>,
}

impl Extensions {
    /// Returns the built-in algorithms, and no signers.
    #[must_use]
    pub fn builtin() -> Self {
        Self::from(Registry::builtin())
    }
}

impl From<Registry> for Extensions {
    fn from(registry: Registry) -> Self {
        Self { registry, signers: BTreeMap::new() }
    }
}
