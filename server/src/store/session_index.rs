//! Live sessions in memory: what a request needs to know, without the disk.

use std::collections::{HashMap, HashSet};

use parking_lot::RwLock;

use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::{User, UserId, UserKind};
use claimgate::time::UnixTime;

/// Parts that are locked one by one, so that writing seldom meets reading.
const SHARDS: usize = 64;

/// What a transaction changed, for the index to follow once it is durable.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    Opened { id: SessionId, user: User, expires: UnixTime },
    Ended(SessionId),
    Changed(User),
    Expired(UnixTime),
}

impl Effect {
    pub(super) fn expired(&self) -> Option<UnixTime> {
        match self {
            Effect::Expired(now) => Some(*now),
            _ => None,
        }
    }
}

#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) user: UserId,
    pub(super) expires: UnixTime,
}

/// A user in little room: as many as there are sessions, and a map of maps takes a kilobyte. Made into
/// a [`User`] where a request asks for it.
pub(super) struct KeptUser {
    kind: UserKind,
    active: bool,
    /// The username, the profile as JSON, the teams as JSON: where the first two end.
    ends: [u32; 2],
    text: Box<str>,
}

impl KeptUser {
    /// From what the database holds.
    pub(super) fn new(kind: UserKind, active: bool, username: &str, profile: &str, teams: &str) -> Self {
        let end = |length: usize| u32::try_from(length).expect("SQLite holds no longer texts");
        let ends = [end(username.len()), end(username.len() + profile.len())];
        Self { kind, active, ends, text: [username, profile, teams].concat().into() }
    }

    fn of(user: &User) -> Self {
        let profile = serde_json::to_string(&user.profile).expect("texts are JSON");
        let teams = serde_json::to_string(&user.teams).expect("texts and names are JSON");
        Self::new(user.kind, user.active, &user.username, &profile, &teams)
    }

    /// None where the database holds what this program never wrote.
    fn user(&self, id: UserId) -> Option<User> {
        let [username, profile] = self.ends.map(|end| usize::try_from(end).expect("32 bits"));
        Some(User {
            id,
            username: self.text[..username].to_owned(),
            kind: self.kind,
            active: self.active,
            profile: serde_json::from_str(&self.text[username..profile]).ok()?,
            teams: serde_json::from_str(&self.text[profile..]).ok()?,
        })
    }
}

pub(super) struct Index {
    shards: [RwLock<HashMap<SessionId, Entry>>; SHARDS],
    users: RwLock<HashMap<UserId, KeptUser>>,
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

    pub(super) fn user_of(&self, id: SessionId, now: UnixTime) -> Option<User> {
        let entry = self.shard(id).read().get(&id).copied()?;
        if entry.expires <= now {
            return None;
        }
        self.users.read().get(&entry.user).filter(|user| user.active)?.user(entry.user)
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    pub(super) fn follow(&self, effects: impl IntoIterator<Item = Effect>) {
        for effect in effects {
            match effect {
                Effect::Opened { id, user, expires } => {
                    let entry = Entry { user: user.id, expires };
                    self.users.write().insert(user.id, KeptUser::of(&user));
                    self.shard(id).write().insert(id, entry);
                }
                Effect::Ended(id) => {
                    self.shard(id).write().remove(&id);
                }
                Effect::Changed(user) => {
                    if let Some(known) = self.users.write().get_mut(&user.id) {
                        *known = KeptUser::of(&user);
                    }
                }
                Effect::Expired(now) => self.forget_expired(now),
            }
        }
    }

    /// The sessions that are over.
    pub(super) fn expired(&self, now: UnixTime) -> Vec<SessionId> {
        let mut expired = Vec::new();
        for shard in &self.shards {
            let sessions = shard.read();
            expired.extend(sessions.iter().filter(|(_, entry)| entry.expires <= now).map(|(id, _)| *id));
        }
        expired
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
    pub(super) fn replace(&self, sessions: Vec<(SessionId, Entry)>, users: Vec<(UserId, KeptUser)>) {
        *self.users.write() = users.into_iter().collect();
        let mut shards: [HashMap<SessionId, Entry>; SHARDS] = std::array::from_fn(|_| HashMap::new());
        for (id, entry) in sessions {
            shards[usize::from(id.0[15]) % SHARDS].insert(id, entry);
        }
        for (shard, sessions) in self.shards.iter().zip(shards) {
            *shard.write() = sessions;
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use claimgate::oidc::user::TeamSource;

    fn resident() -> usize {
        let status = std::fs::read_to_string("/proc/self/status").expect("proc");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
    }

    /// A million sessions of a million people, each with the usual profile and three teams. In a
    /// process of its own: what is measured is the process.
    #[test]
    fn a_million_sessions_take_at_most_400_bytes_each() {
        const COUNT: i64 = 1_000_000;
        const ALONE: &str = "CLAIMGATE_TEST_ALONE";
        if std::env::var_os(ALONE).is_none() {
            let this = "store::session_index::tests::a_million_sessions_take_at_most_400_bytes_each";
            let alone = std::process::Command::new(std::env::current_exe().expect("this program"))
                .args(["--exact", this, "--nocapture"])
                .env(ALONE, "1")
                .output()
                .expect("this program runs");
            let said = String::from_utf8_lossy(&alone.stdout);
            assert!(alone.status.success() && said.contains("1 passed"), "{said}");
            return;
        }
        let before = resident();
        let index = Index::default();
        let session = |number: i64| {
            let entry = Entry { user: UserId(number), expires: UnixTime(60) };
            (SessionId::of_secret(&number.to_string()), entry)
        };
        let user = |number: i64| {
            let profile = format!(
                "{{\"email\":\"somebody.{number:07}@example.com\",\"family_name\":\"Body{number:07}\",\
                 \"given_name\":\"Somebody\",\"name\":\"Somebody Body{number:07}\"}}"
            );
            let teams = "{\"crm\":\"mapping\",\"sales\":\"mapping\",\"support\":\"hand\"}";
            let name = format!("somebody.{number:07}");
            (UserId(number), KeptUser::new(UserKind::Regular, true, &name, &profile, teams))
        };
        index.replace((0..COUNT).map(session).collect(), (0..COUNT).map(user).collect());
        let each = resident().saturating_sub(before) / index.len();
        assert_eq!(index.len(), 1_000_000);
        let user = index.user_of(SessionId::of_secret("7"), UnixTime(0)).expect("a live session");
        assert_eq!(user.username, "somebody.0000007");
        assert_eq!(user.email(), Some("somebody.0000007@example.com"));
        assert_eq!(user.teams.get("support"), Some(&TeamSource::Hand));
        assert!(index.user_of(SessionId::of_secret("7"), UnixTime(60)).is_none());
        println!("{each} bytes each");
        assert!((100..=400).contains(&each), "{each} bytes each");
    }
}
