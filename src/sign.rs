//! Key generation and signing.
