//! The engine: from a token's bytes to an identity. One module per subject.

/// Algorithms, the registry, and algorithms from outside the crate.
mod algorithms;
/// The number of heap allocations of one verification.
mod allocations;
/// Claim paths: literal names and RFC 9535.
mod claim_path;
/// Claim paths against two other implementations.
mod claim_path_properties;
/// Values of claims that a policy demands, and access tokens that do not say what they are.
mod demands;
/// Properties of parsers and verification on generated input.
mod engine_properties;
/// Username, profile, groups and teams.
mod identity_mapping;
/// JWK, JWK set, PEM and secrets.
mod keys;
/// What cannot be built, because it would accept what it must not.
mod misuse;
/// Algorithms from outside: in the place of built-in ones, unavailable, awaited.
mod outside;
/// Policies at their boundaries.
mod policy;
/// The scanner of claims against the strict parser.
mod quick_and_strict;
/// Security event tokens.
mod security_events;
/// Where test data of other projects is found.
mod shared_data;
/// Published test data of other projects, where it is present.
mod third_party;
/// The project's own vectors.
mod vectors;
/// The whole pipeline: batches, key replacement, the cache.
mod verifier;
