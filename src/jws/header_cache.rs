//! Where a header leads: the same header segments come again and again, so each is parsed, and its
//! keys are looked up, once per key set.
//!
//! Only headers of tokens that verified are remembered: nobody without a key can fill the list.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};

use super::JwsError;
use crate::alg::{InvalidSignature, PreparedKey};
use crate::jws::{CompactJws, Header, VerifiedJws};
use crate::key::KeyError;

/// A header, its allowed algorithm, and the keys to try.
pub(super) struct Route {
    /// The header segment, as it stands in the token.
    pub(super) protected: Box<[u8]>,
    pub(super) header: Header,
    /// The algorithm's place in the verifier's list.
    pub(super) algorithm: usize,
    pub(super) keys: Vec<Arc<dyn PreparedKey>>,
    /// Whether more keys would have fitted than may be tried.
    pub(super) is_cut: bool,
}

impl Route {
    /// The token, once one of the keys has verified it.
    pub(super) fn verified(&self, jws: &CompactJws<'_>) -> VerifiedJws {
        VerifiedJws::new(self.header.clone(), jws.unverified_payload())
    }

    /// Why none of the keys did.
    pub(super) fn exhausted(&self) -> JwsError {
        if self.is_cut { KeyError::TooManyCandidates.into() } else { InvalidSignature.into() }
    }
}

/// The remembered ones.
#[derive(Default)]
pub(super) struct Routes(ArcSwap<Known>);

#[derive(Default)]
pub(super) struct Known(Vec<Arc<Route>>);

impl Known {
    pub(super) fn find(&self, protected: &[u8]) -> Option<&Arc<Route>> {
        self.0.iter().find(|route| *route.protected == *protected)
    }
}

impl Routes {
    pub(super) fn load(&self) -> Guard<Arc<Known>> {
        self.0.load()
    }

    /// Remembers a route while there is room. A list that is full stays as it is: it lasts no longer
    /// than its key set.
    pub(super) fn keep(&self, route: &Arc<Route>, most: usize) {
        let has_room = |known: &Known| known.0.len() < most && known.find(&route.protected).is_none();
        if has_room(&self.0.load()) {
            self.0.rcu(|known| {
                let mut routes = known.0.clone();
                if has_room(known) {
                    routes.push(Arc::clone(route));
                }
                Known(routes)
            });
        }
    }
}
