//! The rules of the tree: documents, layers, supply chain, tables of tests.

/// Documents compared with the code they describe.
mod documentation;
/// SECURITY.md compared with the tests it names.
mod security_document;
/// The tables of attacks and of conformance modules.
mod security_table;
/// Dependencies, licences and build scripts.
mod supply_chain;
/// Layers, clocks, `unsafe`, sizes of files.
mod tidy;
/// The tests of the tree by name.
mod traceability;
