//! Live sessions in memory: what a request needs to know, without the disk.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use parking_lot::RwLock;

use crate::oidc::session::SessionId;
use crate::oidc::user::{User, UserId};
use crate::time::UnixTime;

/// Parts that are locked one by one, so that writing seldom meets reading.
const SHARDS: usize = 64;

/// What a transaction changed, for the index to follow once it is durable.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    Opened { id: SessionId, user: Arc<User>, expires: UnixTime },
    Ended(SessionId),
    Changed(Arc<User>),
    Expired(UnixTime),
}

#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) user: UserId,
    pub(super) expires: UnixTime,
}

pub(super) struct Index {
    shards: [RwLock<HashMap<SessionId, Entry>>; SHARDS],
    users: RwLock<HashMap<UserId, Arc<User>>>,
}

impl Default for Index {
    fn default() -> Self {
        Self { shards: std::array::from_fn(|_| RwLock::default()), users: RwLock::default() }
    }
}

impl Index {
    fn shard(&self, id: SessionId) -> &RwLock<HashMap<SessionId, Entry>> {
        // The identifier is a hash already.
        &self.shards[usize::from(id.0[15]) % SHARDS]
    }

    pub(super) fn user_of(&self, id: SessionId, now: UnixTime) -> Option<Arc<User>> {
        let entry = self.shard(id).read().get(&id).copied()?;
        if entry.expires <= now {
            return None;
        }
        self.users.read().get(&entry.user).filter(|user| user.active).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    pub(super) fn follow(&self, effects: impl IntoIterator<Item = Effect>) {
        for effect in effects {
            match effect {
                Effect::Opened { id, user, expires } => {
                    let entry = Entry { user: user.id, expires };
                    self.users.write().insert(user.id, user);
                    self.shard(id).write().insert(id, entry);
                }
                Effect::Ended(id) => {
                    self.shard(id).write().remove(&id);
                }
                Effect::Changed(user) => {
                    if let Some(known) = self.users.write().get_mut(&user.id) {
                        *known = user;
                    }
                }
                Effect::Expired(now) => self.forget_expired(now),
            }
        }
    }

    fn forget_expired(&self, now: UnixTime) {
        let mut live = HashSet::new();
        for shard in &self.shards {
            let mut sessions = shard.write();
            sessions.retain(|_, entry| entry.expires > now);
            live.extend(sessions.values().map(|entry| entry.user));
        }
        self.users.write().retain(|id, _| live.contains(id));
    }

    /// Puts everything in the place of what was there: another process has written.
    pub(super) fn replace(&self, sessions: Vec<(SessionId, Entry)>, users: Vec<User>) {
        *self.users.write() = users.into_iter().map(|user| (user.id, Arc::new(user))).collect();
        let mut shards: [HashMap<SessionId, Entry>; SHARDS] = std::array::from_fn(|_| HashMap::new());
        for (id, entry) in sessions {
            shards[usize::from(id.0[15]) % SHARDS].insert(id, entry);
        }
        for (shard, sessions) in self.shards.iter().zip(shards) {
            *shard.write() = sessions;
        }
    }
}
