//! The effects of a transaction, with what a logout looks up among them.

use std::collections::HashMap;

use super::session_index::{Effect, IndexedSession};
use claimgate::oidc::session::SessionId;

/// The effects of a transaction, in their order.
#[derive(Default)]
pub(super) struct Effects {
    all: Vec<Effect>,
    /// The sessions that have ended, each with the number of the first effect that says so.
    ended: HashMap<SessionId, usize>,
    /// The numbers of the effects that open sessions.
    opened: Vec<usize>,
}

impl Effects {
    /// Adds an effect.
    pub(super) fn push(&mut self, effect: Effect) {
        let number = self.all.len();
        match &effect {
            Effect::Ended(id) => drop(self.ended.entry(*id).or_insert(number)),
            Effect::Opened { .. } => self.opened.push(number),
            _ => {}
        }
        self.all.push(effect);
    }

    /// Returns the number of effects.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Removes all but the first effects.
    pub(super) fn truncate(&mut self, length: usize) {
        for effect in self.all.drain(length..) {
            if let Effect::Ended(id) = effect
                && self.ended.get(&id).is_some_and(|first| *first >= length)
            {
                self.ended.remove(&id);
            }
        }
        self.opened.retain(|number| *number < length);
    }

    /// Reports whether a session has ended in the transaction.
    pub(super) fn has_ended(&self, session: SessionId) -> bool {
        self.ended.contains_key(&session)
    }

    /// Returns the sessions that the transaction has opened.
    pub(super) fn opened(&self) -> impl Iterator<Item = (SessionId, &IndexedSession)> {
        self.opened.iter().filter_map(|number| match &self.all[*number] {
            Effect::Opened { id, session, .. } => Some((*id, session)),
            _ => None,
        })
    }

    /// Returns all effects.
    pub(super) fn as_slice(&self) -> &[Effect] {
        &self.all
    }

    /// Returns all effects.
    pub(super) fn into_vec(self) -> Vec<Effect> {
        self.all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rollback_removes_has_not_ended() {
        let [first, second] = [1, 2].map(|id| SessionId([id; 16]));
        let mut effects = Effects::default();
        effects.push(Effect::Ended(first));
        effects.push(Effect::Ended(second));
        effects.push(Effect::Ended(first));
        effects.truncate(1);
        assert_eq!((effects.len(), effects.has_ended(first), effects.has_ended(second)), (1, true, false));
        effects.truncate(0);
        assert!(!effects.has_ended(first));
    }
}
