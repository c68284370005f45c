//! The renaming of an issuer. It ends the sessions that a logout of either name would have ended under the other.

use std::collections::HashMap;

use rusqlite::params;

use super::error::store_error;
use super::logout_batches;
use super::logout_entry::{LogoutEntry, TargetKind};
use super::records::SqliteRecords;
use super::session_index::Effect;
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::oidc::records::{RenamedIssuer, StoreError};
use claimgate::oidc::session::SessionId;
use claimgate::time::UnixTime;

/// The newest `iat` of the logouts of each target.
type NewestLogouts = HashMap<(TargetKind, Fingerprint), UnixTime>;

impl SqliteRecords<'_> {
    /// Gives the links, the sessions and the logouts of one issuer to another.
    pub(super) fn rename(&mut self, old: &str, new: &str) -> Result<RenamedIssuer, StoreError> {
        let logouts = self.copy_logouts(old, new).map_err(|error| store_error(&error))?;
        self.follow_inactive_links("link.issuer = ?1", [old], true)?;
        let links = self.execute("UPDATE OR REPLACE link SET issuer = ?2 WHERE issuer = ?1", [old, new])?;
        self.follow_inactive_links("link.issuer = ?1", [new], false)?;
        let sql = "UPDATE session SET issuer = ?2 WHERE issuer = ?1 AND NOT is_ended(id)";
        let sessions = self.execute(sql, [old, new])?;
        self.effects.push(Effect::RenamedIssuer { old: old.to_owned(), new: new.to_owned() });
        self.end_those_logged_out(new)?;
        Ok(RenamedIssuer { links, sessions, logouts })
    }

    /// Records the logouts of one issuer as those of another too. Returns their number.
    fn copy_logouts(&mut self, old: &str, new: &str) -> rusqlite::Result<usize> {
        let mut pending = self.logouts.pending_of(old);
        pending.retain(LogoutEntry::has_targets);
        for entry in &pending {
            self.logouts.add(new, entry);
        }
        let mut copied = pending.len();
        // A command has no memory of logouts.
        let remembers = self.index.is_loaded();
        let Self { connection, logouts, .. } = self;
        logout_batches::read(connection, 0, Some(old), |_, entry| {
            if entry.has_targets() {
                copied += 1;
                if remembers {
                    logouts.remember(new, entry);
                }
            }
        })?;
        // A running server reads new rows only.
        if let Some(row) = logout_batches::copy(connection, old, new)? {
            logouts.count_as_read(row);
        }
        Ok(copied)
    }

    /// Ends the sessions of an issuer that its kept logouts name: by `sid` all, and by subject those that are not newer.
    fn end_those_logged_out(&mut self, issuer: &str) -> Result<(), StoreError> {
        let mut newest = NewestLogouts::new();
        let mut add = |entry: &LogoutEntry| {
            for target in entry.targets() {
                let known = newest.entry(target).or_insert(entry.issued_at);
                *known = entry.issued_at.max(*known);
            }
        };
        self.logouts.pending_of(issuer).iter().for_each(&mut add);
        logout_batches::read(self.connection, 0, Some(issuer), |_, entry| add(entry))
            .map_err(|error| store_error(&error))?;
        let sql = "SELECT id, subject, sid, issued_at FROM session
            WHERE issuer = ?1 AND subject IS NOT NULL AND NOT is_ended(id)";
        let named = self.query_all("session", sql, params![issuer], |row| {
            let (subject, sid) = (row.get_ref(1)?.as_str()?, row.get_ref(2)?.as_str_or_null()?);
            let is_named = ends(&newest, subject, sid, UnixTime(row.get(3)?));
            Ok(is_named.then_some(SessionId(row.get(0)?)))
        })?;
        for session in named.into_iter().flatten() {
            self.execute("DELETE FROM session WHERE id = ?1", [session.0])?;
            self.effects.push(Effect::Ended(session));
        }
        Ok(())
    }
}

/// Reports whether logouts end a session.
fn ends(newest: &NewestLogouts, subject: &str, sid: Option<&str>, issued_at: UnixTime) -> bool {
    let newest = |kind, value: &str| newest.get(&(kind, Fingerprint::of(value))).copied();
    let by_subject = newest(TargetKind::Subject, subject);
    match sid {
        Some(sid) => newest(TargetKind::Session, sid).is_some() || by_subject >= Some(issued_at),
        None => by_subject.max(newest(TargetKind::SubjectWithoutSession, subject)) >= Some(issued_at),
    }
}
