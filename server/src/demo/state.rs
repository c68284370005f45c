//! What the development provider remembers: bounded, in memory.

use std::collections::HashMap;

/// Most codes, sessions and access tokens of each kind; then all of that kind are forgotten.
const MOST: usize = 1_000;
/// Seconds that a code is good.
const CODE_LIFETIME: i64 = 60;

#[derive(Default)]
pub(super) struct OpState {
    codes: HashMap<String, Code>,
    /// By `sid`.
    pub(super) sessions: HashMap<String, PersonSession>,
    /// Token → `sub`.
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
        room(&mut self.codes).insert(id, code);
    }

    pub(super) fn take_code(&mut self, id: &str, now: i64) -> Option<Code> {
        self.codes.remove(id).filter(|code| now - code.issued <= CODE_LIFETIME)
    }

    pub(super) fn put_session(&mut self, session: PersonSession) {
        room(&mut self.sessions).insert(session.sid.clone(), session);
    }

    pub(super) fn put_access_token(&mut self, token: String, sub: String) {
        room(&mut self.access_tokens).insert(token, sub);
    }
}

fn room<T>(map: &mut HashMap<String, T>) -> &mut HashMap<String, T> {
    if map.len() >= MOST {
        map.clear();
    }
    map
}

/// 256 random bits, as text.
pub(super) fn random() -> String {
    let mut fill = |bytes: &mut [u8]| getrandom::fill(bytes).expect("the operating system gives randomness");
    claimgate::oidc::random_token(&mut fill)
}
