//! The state of the development provider: bounded, in memory.

use std::collections::HashMap;

use crate::system;

/// Maximum number of codes, of sessions and of access tokens; then all of that kind are dropped.
const MAX_ENTRIES: usize = 1_000;
/// Lifetime of a code, in seconds.
const CODE_LIFETIME: i64 = 60;

#[derive(Default)]
pub(super) struct OpState {
    codes: HashMap<String, Code>,
    /// Sessions by `sid`.
    pub(super) sessions: HashMap<String, PersonSession>,
    /// The `sub` of each access token.
    pub(super) access_tokens: HashMap<String, String>,
}

pub(super) struct Code {
    pub(super) sub: String,
    pub(super) sid: String,
    pub(super) nonce: Option<String>,
    pub(super) challenge: String,
    pub(super) auth_time: i64,
    pub(super) issued: i64,
}

#[derive(Clone)]
pub(super) struct PersonSession {
    pub(super) sid: String,
    pub(super) sub: String,
    pub(super) since: i64,
}

impl OpState {
    pub(super) fn put_code(&mut self, id: String, code: Code) {
        bounded(&mut self.codes).insert(id, code);
    }

    pub(super) fn take_code(&mut self, id: &str, now: i64) -> Option<Code> {
        self.codes.remove(id).filter(|code| now - code.issued <= CODE_LIFETIME)
    }

    pub(super) fn put_session(&mut self, session: PersonSession) {
        bounded(&mut self.sessions).insert(session.sid.clone(), session);
    }

    pub(super) fn put_access_token(&mut self, token: String, sub: String) {
        bounded(&mut self.access_tokens).insert(token, sub);
    }
}

/// Returns the map with space for one more entry.
fn bounded<T>(map: &mut HashMap<String, T>) -> &mut HashMap<String, T> {
    if map.len() >= MAX_ENTRIES {
        map.clear();
    }
    map
}

/// Returns 256 random bits as text.
pub(super) fn random() -> String {
    claimgate::oidc::random_token(&mut system::random)
}
