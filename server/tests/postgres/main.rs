//! The store over PostgreSQL, against a server that the tests start. Without an installed PostgreSQL they are
//! skipped, or fail where `CLAIMGATE_REQUIRE_POSTGRES` is set. Likewise `CLAIMGATE_REQUIRE_FAULTS`, for those that set
//! clocks, cut networks and fill disks, which root may do where Linux has name spaces.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod administration;
#[path = "../store/bad_row_contract.rs"]
mod bad_row_contract;
mod bad_rows;
mod command;
#[path = "../../../tests/relying_party/contract.rs"]
mod contract;
mod copying;
mod disk;
mod doctor;
mod engine;
mod errors;
#[path = "../store/event_contract.rs"]
mod event_contract;
mod events;
mod faults;
mod idle;
mod model;
mod network;
mod node_process;
mod nodes;
mod people;
mod processes;
#[path = "../../../tests/relying_party/provider.rs"]
#[expect(dead_code, reason = "the tests of the store need a part of the provider")]
mod provider;
mod races;
mod record;
#[path = "../store/refresh_contract.rs"]
mod refresh_contract;
mod refreshes;
mod schema;
#[path = "../store/search_contract.rs"]
mod search_contract;
mod serving;
mod standby;
mod stores;
mod tls;
mod updates;
mod upkeep;
