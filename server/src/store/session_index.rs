//! The session index: live sessions and their users in memory, for look-ups without the disk.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;

use super::session_end::{SessionEnd, Uses};
use super::session_origins::{IndexedOrigin, NamedSessions, Origins};
use claimgate::oidc::facts::{KeptClaims, SessionFacts};
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::oidc::records::LogoutTarget;
use claimgate::oidc::session::{LiveSession, SessionId};
use claimgate::oidc::user::{User, UserId, UserKind};
use claimgate::time::UnixTime;

/// Parts of the index with a lock each, so that a write seldom blocks a read.
const SHARDS: usize = 64;

/// A change of a transaction, applied to the index once the transaction is durable.
#[derive(Clone, Debug)]
pub(super) enum Effect {
    Opened {
        id: SessionId,
        user: User,
        session: IndexedSession,
        /// When it was opened; none for a session that was read from the file.
        created: Option<UnixTime>,
    },
    Ended(SessionId),
    /// A session keeps other values of claims.
    KeptClaims {
        id: SessionId,
        claims: KeptClaims,
    },
    Changed(User),
    /// The row of a user cannot be read any more.
    Unreadable(UserId),
    /// A user was switched off, or on again: the subjects linked to the user.
    Activity {
        links: Vec<Fingerprint>,
        active: bool,
    },
    /// Subjects were linked to users, or are linked no more.
    Linked,
    /// The sessions of one issuer are another's.
    RenamedIssuer {
        old: String,
        new: String,
    },
    /// The logouts that were over at this time were purged.
    PurgedLogouts(UnixTime),
}

impl Effect {
    /// Reports whether it changes a user, or which user a subject is linked to.
    fn changes_users(&self) -> bool {
        match self {
            Effect::Changed(_)
            | Effect::Unreadable(_)
            | Effect::Activity { .. }
            | Effect::Linked
            | Effect::RenamedIssuer { .. } => true,
            Effect::Opened { .. }
            | Effect::Ended(_)
            | Effect::KeptClaims { .. }
            | Effect::PurgedLogouts(_) => false,
        }
    }

    /// Returns the time of a purge of logouts.
    pub(super) fn purged_logouts(&self) -> Option<UnixTime> {
        match self {
            Effect::PurgedLogouts(now) => Some(*now),
            _ => None,
        }
    }
}

/// A session in the index.
#[derive(Clone, Debug)]
pub(super) struct IndexedSession {
    pub(super) user: UserId,
    /// By the clock of the system, in seconds.
    end: SessionEnd,
    pub(super) origin: IndexedOrigin,
    /// When the person authenticated, in seconds since 1970; `i64::MIN` if it is not known.
    authenticated: i64,
    claims: KeptClaims,
}

impl IndexedSession {
    pub(super) fn new(user: UserId, end: SessionEnd, origin: IndexedOrigin, facts: SessionFacts) -> Self {
        let SessionFacts { authenticated, claims } = facts;
        Self { user, end, origin, authenticated: authenticated.map_or(i64::MIN, |time| time.0), claims }
    }

    fn facts(&self) -> SessionFacts {
        let authenticated = Some(UnixTime(self.authenticated)).filter(|time| time.0 != i64::MIN);
        SessionFacts { authenticated, claims: self.claims.clone() }
    }
}

/// A compact [`User`]: one is held per signed-in user, and the full type takes about a kilobyte. A request
/// that asks for the user gets the full type.
pub(super) struct CompactUser {
    kind: UserKind,
    active: bool,
    /// The number of sessions in the index; with the last one the user is removed.
    sessions: u32,
    /// The username, the profile as JSON and the teams as JSON.
    text: Box<str>,
    /// The ends of the first two in `text`.
    ends: [u32; 2],
}

impl CompactUser {
    /// Builds a user from the columns of the database.
    pub(super) fn new(kind: UserKind, active: bool, username: &str, profile: &str, teams: &str) -> Self {
        let end = |length: usize| u32::try_from(length).expect("SQLite holds no longer texts");
        let ends = [end(username.len()), end(username.len() + profile.len())];
        Self { kind, active, sessions: 0, text: [username, profile, teams].concat().into(), ends }
    }

    fn of(user: &User) -> Self {
        let profile = serde_json::to_string(&user.profile).expect("texts are JSON");
        let teams = serde_json::to_string(&user.teams).expect("texts and names are JSON");
        Self::new(user.kind, user.active, &user.username, &profile, &teams)
    }

    /// Returns the full user, or `None` if the JSON in the database is broken.
    fn to_user(&self, id: UserId) -> Option<User> {
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

/// All sessions of the database and their users, to replace the content of an index with.
pub(super) struct Snapshot {
    shards: [HashMap<SessionId, IndexedSession>; SHARDS],
    pub(super) users: HashMap<UserId, CompactUser>,
    /// The subjects linked to users who are switched off.
    pub(super) inactive: HashSet<Fingerprint>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| HashMap::new()),
            users: HashMap::new(),
            inactive: HashSet::new(),
        }
    }
}

impl Snapshot {
    /// Adds a session. Its user must be added before.
    pub(super) fn add_session(&mut self, id: SessionId, session: IndexedSession) {
        if let Some(user) = self.users.get_mut(&session.user) {
            user.sessions += 1;
        }
        self.shards[shard_of(id)].insert(id, session);
    }
}

/// The index.
pub(super) struct SessionIndex {
    shards: [RwLock<HashMap<SessionId, IndexedSession>>; SHARDS],
    users: RwLock<HashMap<UserId, CompactUser>>,
    /// The subjects linked to users who are switched off, by [`link_tag`].
    inactive: RwLock<HashSet<Fingerprint>>,
    /// What a logout finds its sessions by. The writing thread alone reads it.
    origins: Origins,
    /// The uses of sessions that are to be written.
    pub(super) uses: Uses,
    /// Whether the sessions of the file were read.
    is_loaded: AtomicBool,
    /// The number of changes of users, and of what subjects they are linked to.
    users_version: AtomicU64,
}

impl Default for SessionIndex {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| RwLock::default()),
            users: RwLock::default(),
            inactive: RwLock::default(),
            origins: Origins::default(),
            uses: Uses::new(1),
            is_loaded: AtomicBool::new(false),
            users_version: AtomicU64::new(0),
        }
    }
}

impl SessionIndex {
    fn shard(&self, id: SessionId) -> &RwLock<HashMap<SessionId, IndexedSession>> {
        &self.shards[shard_of(id)]
    }

    /// Returns a session with its user, if the session is live and the user active. That is a use of the session.
    pub(super) fn session(&self, id: SessionId, now: UnixTime) -> Option<LiveSession> {
        self.look_up(id, now, |end| self.uses.note(id, end, now.0))
    }

    /// Returns what [`session`](Self::session) returns. That is no use of the session.
    pub(super) fn peek(&self, id: SessionId, now: UnixTime) -> Option<LiveSession> {
        self.look_up(id, now, |_| {})
    }

    /// Returns a live session of an active user, and calls `found` with its end.
    fn look_up(&self, id: SessionId, now: UnixTime, found: impl FnOnce(&SessionEnd)) -> Option<LiveSession> {
        let shard = self.shard(id).read();
        let session = shard.get(&id).filter(|session| !session.end.is_over(now.0))?;
        let users = self.users.read();
        let user = users.get(&session.user).filter(|user| user.active)?;
        found(&session.end);
        let (id, facts) = (session.user, session.facts());
        drop(shard);
        Some(LiveSession { user: user.to_user(id)?, facts })
    }

    /// Sets the idle time. The sessions that are there end no later than so long from now without a further use.
    pub(super) fn set_idle_time(&self, idle: Option<Duration>, now: UnixTime) {
        if self.uses.set_idle_time(idle) && idle.is_some() {
            for shard in &self.shards {
                shard.read().iter().for_each(|(id, session)| self.uses.limit(*id, &session.end, now.0));
            }
        }
    }

    /// Limits the rest of a session that was added to the idle time, which may have been set since its end was decided:
    /// either this sees the new idle time, or [`set_idle_time`](Self::set_idle_time) sees the session.
    fn limit_opened(&self, id: SessionId, created: UnixTime) {
        if let Some(session) = self.shard(id).read().get(&id) {
            self.uses.limit(id, &session.end, created.0);
        }
    }

    /// Takes the ends of sessions that are to be written; those of all uses, or those that are due. For each, the end and
    /// that of the lifetime.
    pub(super) fn take_ends(&self, all: bool) -> Vec<(SessionId, i64, i64)> {
        let taken = self.uses.take(all).into_iter();
        let end = |id: SessionId| {
            let shard = self.shard(id).read();
            let end = &shard.get(&id)?.end;
            Some((id, end.take()?, end.latest()))
        };
        taken.filter_map(end).collect()
    }

    /// Notes the ends that were written; they are limited to the idle time, from now.
    pub(super) fn note_ends(&self, written: &[(SessionId, i64, i64)], now: UnixTime) {
        for (id, end, _) in written {
            if let Some(session) = self.shard(*id).read().get(id) {
                self.uses.note_written(*id, &session.end, *end, now.0);
            }
        }
    }

    /// Gives ends back that could not be written.
    pub(super) fn give_back_ends(&self, ends: &[(SessionId, i64, i64)]) {
        for (id, end, _) in ends {
            if let Some(session) = self.shard(*id).read().get(id) {
                self.uses.give_back(*id, &session.end, *end);
            }
        }
    }

    /// Reports whether a provider's subject is linked to a user who is switched off.
    pub(super) fn is_inactive(&self, issuer: &str, subject: &str) -> bool {
        self.inactive.read().contains(&link_tag(issuer, subject))
    }

    /// Returns the version of the users and their links: another one after each change that is applied.
    pub(super) fn users_version(&self) -> u64 {
        self.users_version.load(Ordering::Acquire)
    }

    /// Returns the number of sessions.
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    /// Applies the effects of a durable transaction.
    pub(super) fn apply(&self, effects: impl IntoIterator<Item = Effect>) {
        for effect in effects {
            if effect.changes_users() {
                self.users_version.fetch_add(1, Ordering::AcqRel);
            }
            match effect {
                Effect::Opened { id, user, session, created } => {
                    let origin = session.origin;
                    let before = self.shard(id).write().insert(id, session);
                    if let Some(created) = created {
                        self.limit_opened(id, created);
                    }
                    self.origins.replace(id, before.as_ref().map(|before| before.origin), Some(origin));
                    let mut users = self.users.write();
                    let sessions = users.get(&user.id).map_or(0, |known| known.sessions);
                    users.insert(user.id, CompactUser { sessions: sessions + 1, ..CompactUser::of(&user) });
                    drop(users);
                    if let Some(before) = before {
                        self.release_user(before.user);
                    }
                }
                Effect::Ended(id) => {
                    let ended = self.shard(id).write().remove(&id);
                    if let Some(session) = ended {
                        self.origins.replace(id, Some(session.origin), None);
                        self.release_user(session.user);
                    }
                }
                Effect::KeptClaims { id, claims } => {
                    if let Some(session) = self.shard(id).write().get_mut(&id) {
                        session.claims = claims;
                    }
                }
                Effect::Activity { links, active: false } => self.inactive.write().extend(links),
                Effect::Activity { links, active: true } => {
                    let mut inactive = self.inactive.write();
                    for link in links {
                        inactive.remove(&link);
                    }
                }
                Effect::Changed(user) => {
                    if let Some(known) = self.users.write().get_mut(&user.id) {
                        *known = CompactUser { sessions: known.sessions, ..CompactUser::of(&user) };
                    }
                }
                Effect::Unreadable(id) => drop(self.users.write().remove(&id)),
                Effect::RenamedIssuer { old, new } => self.origins.rename_issuer(&old, &new),
                // Memory of logouts is the writer's.
                Effect::PurgedLogouts(_) | Effect::Linked => {}
            }
        }
    }

    /// Returns the sessions that have expired, without those of which a use is to be written.
    pub(super) fn expired(&self, now: UnixTime) -> Vec<SessionId> {
        let is_expired = |end: &SessionEnd| end.is_over(now.0) && !end.is_waiting();
        let mut expired = Vec::new();
        for shard in &self.shards {
            let sessions = shard.read();
            expired
                .extend(sessions.iter().filter(|(_, session)| is_expired(&session.end)).map(|(id, _)| *id));
        }
        expired
    }

    /// Counts a session of a user less, and removes the user with the last one.
    fn release_user(&self, id: UserId) {
        let mut users = self.users.write();
        if let Some(user) = users.get_mut(&id) {
            user.sessions = user.sessions.saturating_sub(1);
            if user.sessions == 0 {
                users.remove(&id);
            }
        }
    }

    /// Returns the origin of a session, for the index: issuer, `sub`, `sid` and `iat`.
    pub(super) fn origin(&self, origin: Option<(&str, &str, Option<&str>, UnixTime)>) -> IndexedOrigin {
        origin.map_or(IndexedOrigin::NONE, |(issuer, subject, sid, issued_at)| {
            self.origins.index(issuer, subject, sid, issued_at)
        })
    }

    /// Reports whether the sessions of the file were read.
    pub(super) fn is_loaded(&self) -> bool {
        self.is_loaded.load(Ordering::Relaxed)
    }

    /// Returns what a logout names; `None` if the sessions of the file were not read.
    pub(super) fn named(
        &self,
        issuer: &str,
        target: &LogoutTarget,
        issued_until: UnixTime,
    ) -> Option<NamedSessions> {
        self.is_loaded().then(|| self.origins.named(issuer, target, issued_until))
    }

    /// Returns the sessions that a logout names.
    pub(super) fn find(&self, named: &NamedSessions) -> Vec<SessionId> {
        let is_named = |id: &SessionId| {
            self.shard(*id).read().get(id).is_some_and(|session| named.includes(&session.origin))
        };
        self.origins.candidates(named).into_iter().filter(is_named).collect()
    }

    /// Returns the user of one of the sessions that a logout names.
    pub(super) fn owner(&self, named: &NamedSessions) -> Option<UserId> {
        let id = *self.find(named).first()?;
        self.shard(id).read().get(&id).map(|session| session.user)
    }

    /// Reads the whole content.
    pub(super) fn replace(&self, snapshot: Snapshot) {
        self.users_version.fetch_add(1, Ordering::AcqRel);
        self.is_loaded.store(true, Ordering::Relaxed);
        self.origins.load(snapshot.shards.iter().flatten().map(|(id, session)| (*id, session.origin)));
        *self.users.write() = snapshot.users;
        *self.inactive.write() = snapshot.inactive;
        for (shard, sessions) in self.shards.iter().zip(snapshot.shards) {
            *shard.write() = sessions;
        }
    }
}

/// Returns the hash that identifies a link of a provider's subject.
pub(super) fn link_tag(issuer: &str, subject: &str) -> Fingerprint {
    Fingerprint::of_parts(&[issuer.as_bytes(), b"\0", subject.as_bytes()])
}

/// Returns the shard of a session. The identifier is a hash, so any byte spreads the sessions evenly.
fn shard_of(id: SessionId) -> usize {
    usize::from(id.0[15]) % SHARDS
}
