//! The relying party's rules, without a store, a server or a provider: each module is one subject.
#![allow(clippy::unwrap_used)]

use claimgate::oidc::records::{Records, StoreError};

/// Test data of other projects.
#[path = "../engine/shared_data.rs"]
mod shared_data;

mod contract;
mod memory;
mod provider;

mod access;
mod accounts;
mod authorization;
mod client_assertion;
mod decision;
mod errors;
mod facts;
mod logout;
mod password;
mod provider_documents;
mod refresh;
mod session_refresh;
mod security_events;
mod sign_in;
mod tokens;

/// The double in memory behaves as the rules expect of every store.
#[test]
fn the_store_in_memory_keeps_the_contract() {
    contract::check(memory::MemoryStore::default);
}

impl contract::Database for memory::MemoryStore {
    fn transact<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Records) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        memory::MemoryStore::transact(self, work)
    }
}
