//! The rules of the tree: documents, layers, supply chain, tables of tests.

/// Documents compared with the code they describe.
mod documentation;
/// The page of the HTTP interface.
mod http_interface;
/// The direction of imports between modules and files.
mod layers;
/// SECURITY.md compared with the tests it names.
mod security_document;
/// The tables of attacks and of conformance modules.
mod security_table;
/// Test data of other projects.
#[path = "../engine/shared_data.rs"]
mod shared_data;
/// The documentation as a site.
mod site;
/// The Rust sources, and their code alone.
mod skipped;
mod source;
/// Dependencies, licences and build scripts.
mod supply_chain;
/// Clocks, `unsafe`, statuses, sizes of files and functions.
mod tidy;
/// The tests of the tree by name.
mod traceability;
/// Words that documents and comments do without.
mod words;
