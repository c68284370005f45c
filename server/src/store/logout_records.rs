//! Logout records in memory: the `jti`s that were used, and the newest logout of each session and
//! subject.
//!
//! On disk each logout is one appended row, so that a storm of logouts writes few pages; the table is read
//! at the start, and where another process has written, and never searched. The writing thread alone changes
//! the maps; requests that verify tokens read the newest logouts.
//!
//! A logout takes 29 to 57 bytes for its `jti` and 47 to 94 for each target, of which one with `sid` and `sub` has
//! two: entries of 25 and 41 bytes in tables that are between 7/16 and 7/8 full.
//!
//! The maps change together with the transaction: a second token with the same `jti` in one transaction must
//! find the first. If the transaction, or one piece of work in it, is rolled back, the maps must follow. Each
//! change is therefore logged with the value before it, and [`rollback_to`](LogoutRecords::rollback_to) undoes the
//! changes after a [`Savepoint`], the newest first, as SQLite does with its own.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use rusqlite::{Connection, Row};

use super::bad_rows::BadRows;
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::oidc::records::{LogoutRecord, LogoutTarget, Position};
use claimgate::time::UnixTime;

/// Most logouts recorded at a time: limits memory to 1 GiB. Only verified tokens are recorded, each until it can
/// overtake no sign-in any more (a quarter of an hour, or the token's lifetime) and until the tokens of its sessions
/// are too old for `/api/v1/verify`, if that is in use.
pub(super) const MAX_RECORDS: usize = 4_000_000;

/// A hash that identifies a `jti`, or the target of a logout, within one issuer.
type Tag = Fingerprint;

/// The newest logout of one target.
#[derive(Clone, Copy)]
struct Newest {
    issued_at: UnixTime,
    received: Position,
    until: UnixTime,
}

/// A change of the present transaction, with the value before it.
enum Change {
    AddedJti(Tag),
    SetNewest(Tag, Option<Newest>),
}

/// A state to roll back to.
#[derive(Clone, Copy)]
pub(super) struct Savepoint {
    changes: usize,
    newest_row: i64,
}

/// Parts of the newest logouts with a lock each, so that a write seldom blocks a read.
const SHARDS: usize = 64;

/// The newest logout of each target. A logout is seen here from when it is recorded, just before it is durable.
pub(super) struct NewestLogouts([RwLock<HashMap<Tag, Newest>>; SHARDS]);

impl Default for NewestLogouts {
    fn default() -> Self {
        Self(std::array::from_fn(|_| RwLock::default()))
    }
}

impl NewestLogouts {
    /// Returns the shard of a tag. It is a hash, so any byte spreads the tags evenly.
    fn shard(&self, tag: &Tag) -> &RwLock<HashMap<Tag, Newest>> {
        &self.0[usize::from(tag.0[15]) % SHARDS]
    }

    fn get(&self, tag: &Tag) -> Option<Newest> {
        self.shard(tag).read().get(tag).copied()
    }

    /// Sets the newest logout of a target, or removes it.
    fn set(&self, tag: Tag, newest: Option<Newest>) {
        let mut shard = self.shard(&tag).write();
        match newest {
            Some(newest) => drop(shard.insert(tag, newest)),
            None => drop(shard.remove(&tag)),
        }
    }

    fn remove_expired(&self, now: UnixTime) {
        for shard in &self.0 {
            let mut shard = shard.write();
            shard.retain(|_, newest| newest.until > now);
            let length = shard.len();
            shard.shrink_to(length * 2);
        }
    }

    /// Reports whether a logout ends a token that was issued at `issued_at`, by the provider's clock: by the
    /// token's `sid` within the leeway, by its subject exactly.
    pub(super) fn ends(&self, token: &PresentedToken<'_>, leeway: u64) -> bool {
        let is_ended = |target, value: &str, leeway| {
            self.get(&target_tag(token.issuer, target, value))
                .is_some_and(|newest| token.issued_at <= newest.issued_at.saturating_add(leeway))
        };
        let by_sid = token.sid.is_some_and(|sid| is_ended(Target::Session, sid, leeway));
        let by_subject = token.subject.is_some_and(|subject| {
            is_ended(Target::Subject, subject, 0)
                || (token.sid.is_none() && is_ended(Target::SubjectWithoutSession, subject, 0))
        });
        by_sid || by_subject
    }
}

/// The claims of a verified token that a logout may name.
#[derive(Clone, Copy, Debug)]
pub struct PresentedToken<'t> {
    /// `iss`
    pub issuer: &'t str,
    /// `sub`, if the token has one.
    pub subject: Option<&'t str>,
    /// `sid`, if the token has one.
    pub sid: Option<&'t str>,
    /// `iat`
    pub issued_at: UnixTime,
}

#[derive(Default)]
pub(super) struct LogoutRecords {
    /// Until when each `jti` is refused.
    jtis: HashMap<Tag, UnixTime>,
    newest: Arc<NewestLogouts>,
    changes: Vec<Change>,
    /// The newest row of the table that the maps include.
    newest_row: i64,
}

impl LogoutRecords {
    /// Builds records without a logout; the newest ones will be in `newest`.
    pub(super) fn new(newest: Arc<NewestLogouts>) -> Self {
        Self { newest, ..Self::default() }
    }

    /// Reports whether an issuer's `jti` was used.
    pub(super) fn contains(&self, issuer: &str, jti: &str) -> bool {
        self.jtis.contains_key(&jti_tag(issuer, jti))
    }

    /// Reports whether no further logout can be recorded.
    pub(super) fn is_full(&self) -> bool {
        self.jtis.len() >= MAX_RECORDS
    }

    /// Adds a logout that the present transaction has written to the table as `row`.
    pub(super) fn add(&mut self, row: i64, jti: &str, record: &LogoutRecord) {
        let tag = jti_tag(&record.issuer, jti);
        self.jtis.insert(tag, record.until);
        self.changes.push(Change::AddedJti(tag));
        self.newest_row = row;
        for tag in target_tags(record) {
            let before = self.merge(tag, record);
            self.changes.push(Change::SetNewest(tag, before));
        }
    }

    /// Merges a logout into the newest one of a target. Returns the value before.
    fn merge(&mut self, tag: Tag, record: &LogoutRecord) -> Option<Newest> {
        let LogoutRecord { issued_at, received, until, .. } = *record;
        let before = self.newest.get(&tag);
        let newest = before.map_or(Newest { issued_at, received, until }, |before| Newest {
            issued_at: before.issued_at.max(issued_at),
            received: before.received.max(received),
            until: before.until.max(until),
        });
        self.newest.set(tag, Some(newest));
        before
    }

    /// Returns the newest `iat`, and the newest position, of the logouts that end a
    /// session with this `sid`, or a session of the subject without one.
    pub(super) fn newest(
        &self,
        issuer: &str,
        sid: Option<&str>,
        subject: &str,
    ) -> Option<(UnixTime, Position)> {
        let session = match sid {
            Some(sid) => target_tag(issuer, Target::Session, sid),
            None => target_tag(issuer, Target::SubjectWithoutSession, subject),
        };
        let subject = target_tag(issuer, Target::Subject, subject);
        [subject, session]
            .iter()
            .filter_map(|tag| self.newest.get(tag))
            .map(|newest| (newest.issued_at, newest.received))
            .reduce(|one, other| (one.0.max(other.0), one.1.max(other.1)))
    }

    /// Returns the present state, to roll back to.
    pub(super) fn savepoint(&self) -> Savepoint {
        Savepoint { changes: self.changes.len(), newest_row: self.newest_row }
    }

    /// Undoes the changes since a savepoint of the present transaction.
    pub(super) fn rollback_to(&mut self, savepoint: Savepoint) {
        for change in self.changes.drain(savepoint.changes..).rev() {
            match change {
                Change::AddedJti(tag) => drop(self.jtis.remove(&tag)),
                Change::SetNewest(tag, before) => self.newest.set(tag, before),
            }
        }
        self.newest_row = savepoint.newest_row;
    }

    /// Makes the changes final: the transaction is durable.
    pub(super) fn commit(&mut self) {
        self.changes.clear();
    }

    /// Removes the logouts that are over, and returns memory.
    pub(super) fn remove_expired(&mut self, now: UnixTime) {
        self.jtis.retain(|_, until| *until > now);
        self.jtis.shrink_to(self.jtis.len() * 2);
        self.newest.remove_expired(now);
    }

    /// Reads the rows of the table that other processes have written. They are durable, so no rollback
    /// undoes them; the present transaction must not have changed anything yet.
    pub(super) fn read_new_rows(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let sql = "SELECT id, jti, issuer, sid, subject, issued_at, received_ms, until
            FROM logout WHERE id > ?1 ORDER BY id";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([self.newest_row])?;
        let mut bad = BadRows::default();
        while let Some(row) = rows.next()? {
            self.newest_row = row.get(0)?;
            if let Some((jti, until)) = bad.read(read_jti(row)) {
                self.jtis.extend(jti.map(|tag| (Fingerprint(tag), until)));
            }
            if let Some(record) = bad.read(read_record(row)).flatten() {
                for tag in target_tags(&record) {
                    self.merge(tag, &record);
                }
            }
        }
        bad.report("logout");
        Ok(())
    }
}

fn read_jti(row: &Row<'_>) -> rusqlite::Result<(Option<[u8; 16]>, UnixTime)> {
    Ok((row.get(1)?, UnixTime(row.get(7)?)))
}

/// Reads a logout; `None` for a row that holds a `jti` alone.
pub(super) fn read_record(row: &Row<'_>) -> rusqlite::Result<Option<LogoutRecord>> {
    let target = match (row.get(3)?, row.get(4)?) {
        (Some(sid), subject) => LogoutTarget::Session { sid, subject },
        (None, Some(subject)) => LogoutTarget::Subject(subject),
        (None, None) => return Ok(None),
    };
    Ok(Some(LogoutRecord {
        issuer: row.get(2)?,
        target,
        issued_at: UnixTime(row.get(5)?),
        received: Position(row.get(6)?),
        until: UnixTime(row.get(7)?),
    }))
}

#[derive(Clone, Copy)]
enum Target {
    Subject,
    Session,
    SubjectWithoutSession,
}

/// Returns the tag of a `jti`, which may be long and is never read again.
pub(super) fn jti_tag(issuer: &str, jti: &str) -> Tag {
    Fingerprint::of_parts(&[issuer.len().to_string().as_bytes(), b":", issuer.as_bytes(), jti.as_bytes()])
}

fn target_tags(record: &LogoutRecord) -> impl Iterator<Item = Tag> + use<> {
    let tag = |target, value: &str| target_tag(&record.issuer, target, value);
    let (first, second) = match &record.target {
        LogoutTarget::Subject(subject) => (tag(Target::Subject, subject), None),
        LogoutTarget::Session { sid, subject } => {
            let subject = subject.as_ref().map(|subject| tag(Target::SubjectWithoutSession, subject));
            (tag(Target::Session, sid), subject)
        }
    };
    std::iter::once(first).chain(second)
}

fn target_tag(issuer: &str, target: Target, value: &str) -> Tag {
    let prefix = match target {
        Target::Subject => b"\0",
        Target::Session => b"\x01",
        Target::SubjectWithoutSession => b"\x02",
    };
    Fingerprint::of_parts(&[prefix, issuer.as_bytes(), b"\0", value.as_bytes()])
}
