//! Users by the subject that they are linked to, kept from one look-up to the next.

use std::collections::HashMap;

use parking_lot::Mutex;

use super::session_index::link_tag;
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::oidc::user::User;

/// Most subjects that are kept: some 8 MiB. With one more, all are dropped.
const MOST: usize = 4_096;

/// The users of subjects that were looked up. An entry is right as long as no user and no link has changed since.
#[derive(Default)]
pub(super) struct KnownSubjects(Mutex<HashMap<Fingerprint, Known>>);

struct Known {
    version: u64,
    user: Option<User>,
}

impl KnownSubjects {
    /// Returns the user of a subject, if it was looked up at this version of the users.
    pub(super) fn get(&self, issuer: &str, subject: &str, version: u64) -> Option<Option<User>> {
        let known = self.0.lock();
        known
            .get(&link_tag(issuer, subject))
            .filter(|known| known.version == version)
            .map(|known| known.user.clone())
    }

    /// Keeps the user of a subject. `version` is one from before the look-up.
    pub(super) fn keep(&self, issuer: &str, subject: &str, version: u64, user: Option<User>) {
        let mut known = self.0.lock();
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(link_tag(issuer, subject), Known { version, user });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_of_one_version_and_their_number_is_bounded() {
        let known = KnownSubjects::default();
        known.keep("issuer", "ada", 1, None);
        assert_eq!(known.get("issuer", "ada", 1), Some(None));
        assert_eq!(known.get("issuer", "ada", 2), None);
        assert_eq!(known.get("issuer", "grace", 1), None);
        for subject in 0..2 * MOST {
            known.keep("issuer", &subject.to_string(), 1, None);
            assert!(known.0.lock().len() <= MOST);
        }
    }
}
