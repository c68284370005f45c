//! Logouts that are remembered: `jti`s that were used, and marks for the sign-ins they overtake.
//!
//! The table is only appended to, so that a storm of logouts writes few pages; nothing is looked up
//! there. What is looked up is in memory, for the writing thread alone.

use std::collections::HashMap;

use ring::digest::{Context, SHA256};
use rusqlite::Connection;

use claimgate::oidc::records::{LogoutRecord, LogoutTarget};
use claimgate::time::UnixTime;

/// Most logouts remembered at once: bounds memory. Only tokens that verified are, each until its mark
/// is over (a quarter of an hour, or its token's lifetime).
pub(super) const MOST: usize = 4_000_000;

/// Stands for a `jti` or for what a mark is about, of one issuer.
type Tag = [u8; 16];

#[derive(Clone, Copy)]
struct Mark {
    issued_at: UnixTime,
    received_ms: i64,
    until: UnixTime,
}

enum Change {
    /// Added, and which row was the newest before.
    Jti(Tag, i64),
    Mark(Tag, Option<Mark>),
}

#[derive(Default)]
pub(super) struct Remembered {
    jtis: HashMap<Tag, UnixTime>,
    marks: HashMap<Tag, Mark>,
    /// What the present transaction changed, for undoing.
    changes: Vec<Change>,
    /// The newest row that is known, and the version of the file when it was.
    newest: i64,
    seen_version: i64,
}

impl Remembered {
    pub(super) fn knows(&self, issuer: &str, jti: &str) -> bool {
        self.jtis.contains_key(&jti_tag(issuer, jti))
    }

    pub(super) fn is_full(&self) -> bool {
        self.jtis.len() >= MOST
    }

    /// Adds what was written to the table as this row.
    pub(super) fn add(&mut self, row: i64, jti: &str, mark: &LogoutRecord) {
        let tag = jti_tag(&mark.issuer, jti);
        self.jtis.insert(tag, mark.until);
        self.changes.push(Change::Jti(tag, self.newest));
        self.newest = row;
        self.add_mark(mark);
    }

    fn add_mark(&mut self, mark: &LogoutRecord) {
        let LogoutRecord { issuer, issued_at, received_ms, until, .. } = mark;
        let new = Mark { issued_at: *issued_at, received_ms: *received_ms, until: *until };
        let mut put = |about: About, value: &str| {
            let tag = mark_tag(issuer, about, value);
            let old = self.marks.get(&tag).copied();
            let newest = old.map_or(new, |old| Mark {
                issued_at: old.issued_at.max(new.issued_at),
                received_ms: old.received_ms.max(new.received_ms),
                until: old.until.max(new.until),
            });
            self.marks.insert(tag, newest);
            self.changes.push(Change::Mark(tag, old));
        };
        match &mark.target {
            LogoutTarget::Subject(subject) => put(About::Subject, subject),
            LogoutTarget::Session { sid, subject } => {
                put(About::Session, sid);
                if let Some(subject) = subject {
                    put(About::SubjectWithoutSession, subject);
                }
            }
        }
    }

    /// The newest `iat` and arrival of the marks about a session, or about a subject that has none.
    pub(super) fn newest_logout(
        &self,
        issuer: &str,
        sid: Option<&str>,
        subject: &str,
    ) -> Option<(UnixTime, i64)> {
        let other = match sid {
            Some(sid) => mark_tag(issuer, About::Session, sid),
            None => mark_tag(issuer, About::SubjectWithoutSession, subject),
        };
        let whole = self.marks.get(&mark_tag(issuer, About::Subject, subject));
        let found = whole.into_iter().chain(self.marks.get(&other));
        found
            .map(|mark| (mark.issued_at, mark.received_ms))
            .reduce(|one, other| (one.0.max(other.0), one.1.max(other.1)))
    }

    /// How much has changed, to come back to with [`undo`](Self::undo).
    pub(super) fn here(&self) -> usize {
        self.changes.len()
    }

    /// Undoes what was changed since.
    pub(super) fn undo(&mut self, here: usize) {
        for change in self.changes.drain(here..).rev() {
            match change {
                Change::Jti(tag, newest) => {
                    self.jtis.remove(&tag);
                    self.newest = newest;
                }
                Change::Mark(tag, None) => drop(self.marks.remove(&tag)),
                Change::Mark(tag, Some(old)) => drop(self.marks.insert(tag, old)),
            }
        }
    }

    /// The transaction is durable: nothing of it is undone any more.
    pub(super) fn keep(&mut self) {
        self.changes.clear();
    }

    pub(super) fn forget_expired(&mut self, now: UnixTime) {
        self.jtis.retain(|_, until| *until > now);
        self.marks.retain(|_, mark| mark.until > now);
        self.jtis.shrink_to(self.jtis.len() * 2);
        self.marks.shrink_to(self.marks.len() * 2);
    }

    /// Reads what is new in the table where another process has written.
    pub(super) fn follow(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let version = connection.pragma_query_value(None, "data_version", |row| row.get(0))?;
        if version == self.seen_version {
            return Ok(());
        }
        let sql = "SELECT id, jti, issuer, sid, subject, issued_at, received_ms, until
            FROM logout WHERE id > ?1 ORDER BY id";
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([self.newest])?;
        while let Some(row) = rows.next()? {
            self.newest = row.get(0)?;
            // It is in the file, whatever becomes of the present transaction and of the rows to come.
            self.keep();
            let until = UnixTime(row.get(7)?);
            if let Some(hash) = row.get::<_, Option<[u8; 16]>>(1)? {
                self.jtis.insert(hash, until);
            }
            let subject: Option<String> = row.get(4)?;
            let target = match (row.get(3)?, subject) {
                (Some(sid), subject) => LogoutTarget::Session { sid, subject },
                (None, Some(subject)) => LogoutTarget::Subject(subject),
                (None, None) => continue,
            };
            self.add_mark(&LogoutRecord {
                issuer: row.get(2)?,
                target,
                issued_at: UnixTime(row.get(5)?),
                received_ms: row.get(6)?,
                until,
            });
        }
        self.keep();
        self.seen_version = version;
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum About {
    Subject,
    Session,
    SubjectWithoutSession,
}

/// A `jti` may be long, and nobody needs to read it again.
pub(super) fn jti_tag(issuer: &str, jti: &str) -> Tag {
    tag(&[issuer.len().to_string().as_bytes(), b":", issuer.as_bytes(), jti.as_bytes()])
}

fn mark_tag(issuer: &str, about: About, value: &str) -> Tag {
    let about = match about {
        About::Subject => b"\0",
        About::Session => b"\x01",
        About::SubjectWithoutSession => b"\x02",
    };
    tag(&[about, issuer.as_bytes(), b"\0", value.as_bytes()])
}

fn tag(parts: &[&[u8]]) -> Tag {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let hash = context.finish();
    std::array::from_fn(|index| hash.as_ref()[index])
}
