//! The configuration file as a subcommand needs it: the file itself, a provider's key file, and the
//! verifier of presented tokens.

use std::path::Path;

use claimgate::Verifier;
use claimgate::claims::AnyKind;
use claimgate::key::KeySet;
use claimgate::limits::Limits;
use claimgate_config::{Config, Extensions, Provider};

use crate::command::input;
use crate::command::output::Failure;

/// Loads a configuration file whose algorithms and signers are those of the program.
pub(crate) fn load(file: &Path, extensions: &Extensions) -> Result<Config, Failure> {
    Config::load(file, extensions).map_err(|error| Failure::Usage(error.with_codes()))
}

/// Reads the key file of a provider.
pub(crate) fn keys(provider: &Provider) -> Result<KeySet, Failure> {
    let file = provider.jwks_file.as_ref().map_or_else(String::new, |file| file.display().to_string());
    KeySet::from_jwks_with_secrets(&input::read(&file)?, &Limits::DEFAULT)
        .map_err(|error| Failure::Usage(format!("{file}: {error} [{}]", error.code())))
}

/// Builds the verifier of tokens that are presented for verification, with the key file's keys.
pub(crate) fn verifier(provider: &Provider) -> Result<Verifier<AnyKind>, Failure> {
    Verifier::builder()
        .registry(provider.registry.clone())
        .algorithms(provider.algorithms.clone())
        .any_keys(keys(provider)?)
        .policy(provider.presented_policy())
        .build()
        .map_err(|error| Failure::Usage(error.to_string()))
}
