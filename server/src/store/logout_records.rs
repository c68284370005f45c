//! The logouts within a transaction: the `jti`s that were used, and the newest logout of each session and subject.
//!
//! Memory ([`Generations`]) changes together with the transaction: a second token with the same `jti` in one
//! transaction must find the first. If the transaction, or one piece of work in it, is rolled back, memory must
//! follow. Each change is therefore logged with the value before it, and [`rollback_to`](LogoutRecords::rollback_to)
//! undoes the changes after a [`Savepoint`], the newest first, as SQLite does with its own. The entries themselves
//! are written at the end of the transaction, as one batch for each issuer ([`logout_batches`]).

use std::sync::Arc;

use rusqlite::Connection;

use super::logout_batches;
use super::logout_entry::{LogoutEntry, Tagger, TargetKind, jti_fingerprint};
use super::logout_generation::Newest;
use super::logout_generations::{Generations, LineageId, Loading, lineage_of};
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::oidc::records::{LogoutRecord, Position};
use claimgate::time::UnixTime;

/// A change of the present transaction, with the value before it.
enum Change {
    /// With whether the `jti` was new.
    AddedJti(LineageId, u64, bool),
    Merged(LineageId, u64, Option<Newest>),
}

/// A state to roll back to.
#[derive(Clone, Copy)]
pub(super) struct Savepoint {
    changes: usize,
    pending: usize,
    written: Option<i64>,
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

/// Whether a logout ends a presented token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenEnd {
    NotEnded,
    Ended,
    /// The logouts that may end it were dropped from memory.
    Unknown,
}

/// The logouts in memory. A clone is the same logouts.
#[derive(Clone, Default)]
pub(super) struct KnownLogouts {
    pub(super) tagger: Arc<Tagger>,
    pub(super) generations: Generations,
}

impl KnownLogouts {
    /// Returns the newest logout of a target, if it may be as new as `since` by the provider's clock.
    fn newest(&self, issuer: &str, kind: TargetKind, value: &str, since: UnixTime) -> Option<Newest> {
        self.generations.newest(self.tagger.target(issuer, kind, Fingerprint::of(value)), since)
    }

    /// Reports whether a logout ends a token that was issued at `issued_at`, by the provider's clock: by the
    /// token's `sid` within the leeway, by its subject exactly.
    pub(super) fn end_of(&self, token: &PresentedToken<'_>, leeway: u64) -> TokenEnd {
        let is_ended = |kind, value: &str, leeway: u64| {
            let since = UnixTime(token.issued_at.0.saturating_sub_unsigned(leeway));
            self.newest(token.issuer, kind, value, since).is_some_and(|newest| since <= newest.issued_at)
        };
        let by_sid = token.sid.is_some_and(|sid| is_ended(TargetKind::Session, sid, leeway));
        let by_subject = token.subject.is_some_and(|subject| {
            is_ended(TargetKind::Subject, subject, 0)
                || (token.sid.is_none() && is_ended(TargetKind::SubjectWithoutSession, subject, 0))
        });
        if by_sid || by_subject {
            return TokenEnd::Ended;
        }
        match self.generations.watermark() {
            Some(dropped) if token.issued_at <= dropped.newest.issued_at.saturating_add(leeway) => {
                TokenEnd::Unknown
            }
            _ => TokenEnd::NotEnded,
        }
    }

    /// Returns the number of logouts that were dropped because memory was full.
    pub(super) fn dropped(&self) -> u64 {
        self.generations.dropped()
    }
}

/// The logouts, for the writing thread.
#[derive(Default)]
pub(super) struct LogoutRecords {
    known: KnownLogouts,
    changes: Vec<Change>,
    /// The issuers of the present transaction.
    issuers: Vec<String>,
    /// The entries that the present transaction is to write, each with the number of its issuer.
    pending: Vec<(usize, LogoutEntry)>,
    /// The newest row of the table that memory includes.
    newest_row: i64,
    /// The number of the present transaction's last row, once it is written.
    written: Option<i64>,
}

impl LogoutRecords {
    /// Builds records that share memory.
    pub(super) fn new(known: KnownLogouts) -> Self {
        Self { known, ..Self::default() }
    }

    /// Records a logout in the present transaction. Returns `false`, and changes nothing, if the `jti` is known, or
    /// may have been dropped.
    pub(super) fn record(&mut self, jti: &str, record: &LogoutRecord) -> bool {
        let watermark = self.known.generations.watermark();
        let may_be_dropped = watermark.is_some_and(|dropped| record.issued_at <= dropped.token_issued_at);
        !may_be_dropped && self.record_repeatable(jti, record)
    }

    /// Records a logout in the present transaction. Returns `false`, and changes nothing, if the `jti` is known.
    pub(super) fn record_repeatable(&mut self, jti: &str, record: &LogoutRecord) -> bool {
        let tag = self.known.tagger.jti(jti_fingerprint(&record.issuer, jti));
        if self.known.generations.contains_jti(tag) {
            return false;
        }
        self.add(&record.issuer, &LogoutEntry::new(jti, record));
        true
    }

    /// Adds an entry in the present transaction.
    pub(super) fn add(&mut self, issuer: &str, entry: &LogoutEntry) {
        self.remember(issuer, entry);
        let known = self.issuers.iter().position(|known| known == issuer);
        let number = known.unwrap_or_else(|| {
            self.issuers.push(issuer.to_owned());
            self.issuers.len() - 1
        });
        self.pending.push((number, *entry));
    }

    /// Adds an entry to memory in the present transaction.
    pub(super) fn remember(&mut self, issuer: &str, entry: &LogoutEntry) {
        let KnownLogouts { tagger, generations } = &self.known;
        let lineage = lineage_of(entry);
        let tag = tagger.jti(entry.jti);
        let is_new = generations.add_jti(lineage, tag, entry);
        self.changes.push(Change::AddedJti(lineage, tag, is_new));
        let newest = Newest { issued_at: entry.issued_at, received: entry.received };
        for (kind, value) in entry.targets() {
            let tag = tagger.target(issuer, kind, value);
            let before = generations.merge(lineage, tag, newest);
            self.changes.push(Change::Merged(lineage, tag, before));
        }
    }

    /// Returns the newest `iat`, and the newest position, of the logouts that end a session with this `sid`, or a
    /// session of the subject without one. Logouts that were dropped from memory count as such.
    pub(super) fn newest(
        &self,
        issuer: &str,
        sid: Option<&str>,
        subject: &str,
    ) -> Option<(UnixTime, Position)> {
        let newest = |kind, value| self.known.newest(issuer, kind, value, UnixTime(i64::MIN));
        let session = match sid {
            Some(sid) => newest(TargetKind::Session, sid),
            None => newest(TargetKind::SubjectWithoutSession, subject),
        };
        let dropped = self.known.generations.watermark().map(|dropped| dropped.newest);
        [newest(TargetKind::Subject, subject), session, dropped]
            .into_iter()
            .flatten()
            .reduce(Newest::merged)
            .map(|newest| (newest.issued_at, newest.received))
    }

    /// Returns the entries of an issuer that are not written yet.
    pub(super) fn pending_of(&self, issuer: &str) -> Vec<LogoutEntry> {
        let is_its = |number: usize| self.issuers[number] == issuer;
        self.pending.iter().filter(|(number, _)| is_its(*number)).map(|(_, entry)| *entry).collect()
    }

    /// Returns the present state, to roll back to.
    pub(super) fn savepoint(&self) -> Savepoint {
        Savepoint { changes: self.changes.len(), pending: self.pending.len(), written: self.written }
    }

    /// Undoes the changes since a savepoint of the present transaction.
    pub(super) fn rollback_to(&mut self, savepoint: Savepoint) {
        let generations = &self.known.generations;
        for change in self.changes.drain(savepoint.changes..).rev() {
            match change {
                Change::AddedJti(lineage, tag, is_new) => generations.remove_jti(lineage, tag, is_new),
                Change::Merged(lineage, tag, before) => generations.set_back(lineage, tag, before),
            }
        }
        self.pending.truncate(savepoint.pending);
        self.written = savepoint.written;
    }

    /// Takes the rows until `row`, which the present transaction has written, as in memory.
    pub(super) fn count_as_read(&mut self, row: i64) {
        self.written = Some(row);
    }

    /// Writes the entries of the present transaction, at its end.
    pub(super) fn write(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut entries = Vec::new();
        for (number, issuer) in self.issuers.iter().enumerate() {
            let its = self.pending.iter().filter(|(its, _)| *its == number).map(|(_, entry)| *entry);
            entries.extend(its);
            self.written = logout_batches::append(connection, issuer, &entries)?.or(self.written);
            entries.clear();
        }
        Ok(())
    }

    /// Makes the changes final: the transaction is durable.
    pub(super) fn commit(&mut self) {
        self.changes.clear();
        self.pending.clear();
        self.issuers.clear();
        self.newest_row = self.written.take().unwrap_or(self.newest_row);
        self.known.generations.end_full();
    }

    /// Removes the logouts that are over, and returns memory. No transaction may be under way.
    pub(super) fn remove_expired(&mut self, now: UnixTime) {
        self.known.generations.remove_expired(now);
    }

    /// Reads all rows of the table, at the start.
    pub(super) fn load(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let KnownLogouts { tagger, generations } = &self.known;
        let mut loading = Loading::new(generations);
        let add = |issuer: &str, entry: &LogoutEntry| loading.add(tagger, issuer, entry);
        self.newest_row = logout_batches::read(connection, 0, None, add)?;
        loading.finish();
        Ok(())
    }

    /// Reads the rows of the table that other processes have written. They are durable, so no rollback
    /// undoes them; the present transaction must not have changed anything yet.
    pub(super) fn read_new_rows(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let known = self.newest_row;
        self.newest_row = logout_batches::read(connection, known, None, |issuer, entry| {
            self.remember(issuer, entry);
            self.changes.clear();
            self.known.generations.end_full();
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use claimgate::oidc::records::LogoutTarget;
    use proptest::prelude::*;

    use super::super::schema;
    use super::*;

    const START: i64 = 1_800_000_000;

    impl LogoutRecords {
        /// Builds records in generations of `generation` logouts, of which those that have ended take `most_bytes`.
        fn bounded(most_bytes: usize, generation: usize) -> Self {
            let generations = Generations::bounded(most_bytes, generation);
            Self::new(KnownLogouts { generations, ..KnownLogouts::default() })
        }
    }

    fn logout(subject: &str, issued_at: i64, lifetime: i64) -> LogoutRecord {
        LogoutRecord {
            issuer: "i".to_owned(),
            target: LogoutTarget::Subject(subject.to_owned()),
            issued_at: UnixTime(issued_at),
            received: Position(issued_at * 1000 + 7),
            token_until: UnixTime(issued_at + lifetime.min(120)),
            until: UnixTime(issued_at + lifetime),
        }
    }

    fn committed(records: &mut LogoutRecords, jti: &str, record: &LogoutRecord) -> bool {
        let recorded = records.record(jti, record);
        records.commit();
        recorded
    }

    #[derive(Clone, Debug)]
    enum Step {
        Record { jti: u8, subject: u8, iat: i64, lifetime: i64 },
        Commit,
        Rollback,
        Purge { after: i64 },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let lifetimes = prop_oneof![Just(60), Just(900), Just(86_400), Just(30 * 86_400)];
        let record = (0..200_u8, 0..20_u8, -60..60_i64, lifetimes)
            .prop_map(|(jti, subject, iat, lifetime)| Step::Record { jti, subject, iat, lifetime });
        let after = prop_oneof![0..60_i64, 3600..90_000_i64];
        let step = prop_oneof![
            8 => record,
            3 => Just(Step::Commit),
            1 => Just(Step::Rollback),
            1 => after.prop_map(|after| Step::Purge { after }),
        ];
        proptest::collection::vec(step, 1..200)
    }

    /// All logouts that were ever recorded, as a map by their `jti`.
    #[derive(Clone, Default)]
    struct Model {
        logouts: Vec<(String, LogoutRecord)>,
        jtis: HashMap<String, UnixTime>,
    }

    impl Model {
        fn newest(&self, subject: &str, now: i64) -> (Option<UnixTime>, Option<UnixTime>) {
            let its = |least: i64| {
                let logouts =
                    self.logouts.iter().filter(|(name, record)| name == subject && record.until.0 > least);
                logouts.map(|(_, record)| record.issued_at).max()
            };
            (its(now), its(i64::MIN))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn generations_know_what_a_map_knows(steps in steps(), generation in 1..12_usize) {
            let mut records = LogoutRecords::bounded(usize::MAX, generation);
            let (mut now, mut model) = (START, Model::default());
            let (mut start, mut before) = (records.savepoint(), model.clone());
            for step in steps {
                match step {
                    Step::Record { jti, subject, iat, lifetime } => {
                        let (jti, subject) = (jti.to_string(), subject.to_string());
                        let record = logout(&subject, now + iat, lifetime);
                        let known = model.jtis.get(&jti).copied();
                        if records.record(&jti, &record) {
                            prop_assert!(known.is_none_or(|until| until.0 <= now), "a replay of {jti}");
                            model.jtis.insert(jti, record.token_until);
                            model.logouts.push((subject, record));
                        } else {
                            prop_assert!(known.is_some(), "{jti} was never used");
                        }
                    }
                    Step::Rollback => {
                        records.rollback_to(start);
                        model = before.clone();
                    }
                    Step::Commit | Step::Purge { .. } => {
                        records.commit();
                        if let Step::Purge { after } = step {
                            now += after;
                            records.remove_expired(UnixTime(now));
                        }
                        (start, before) = (records.savepoint(), model.clone());
                    }
                }
                for subject in (0..20).map(|subject| subject.to_string()) {
                    let found = records.newest("i", Some("another session"), &subject);
                    let (must, may) = model.newest(&subject, now);
                    let found = found.map(|(issued_at, received)| {
                        assert!(received.0 >= issued_at.0 * 1000, "of this logout or a later one");
                        issued_at
                    });
                    prop_assert!(must <= found && found <= may, "{subject}: {must:?} {found:?} {may:?}");
                }
            }
        }

        #[test]
        fn what_is_written_is_read_at_the_start(subjects in proptest::collection::vec(0..50_u16, 1..600), generation in 1..300_usize) {
            let connection = schema::open_in_memory().expect("a database");
            let mut records = LogoutRecords::bounded(usize::MAX, generation);
            for (transaction, subjects) in subjects.chunks(70).enumerate() {
                for (number, subject) in subjects.iter().enumerate() {
                    let number = transaction * 70 + number;
                    let record = logout(&subject.to_string(), START + i64::from(*subject % 7), 900);
                    let issuer = ["i", "another"][number % 2].to_owned();
                    let recorded = records.record(&number.to_string(), &LogoutRecord { issuer, ..record });
                    prop_assert!(recorded);
                }
                records.write(&connection).expect("an append");
                records.commit();
            }
            let mut restarted = LogoutRecords::bounded(usize::MAX, generation);
            restarted.load(&connection).expect("a table");
            prop_assert_eq!(restarted.newest_row, records.newest_row);
            for subject in (0..50).map(|subject| subject.to_string()) {
                for issuer in ["i", "another"] {
                    let newest = |records: &LogoutRecords| records.newest(issuer, None, &subject);
                    prop_assert_eq!(newest(&restarted), newest(&records), "{} {}", issuer, &subject);
                }
            }
            for number in 0..subjects.len() {
                let issuer = ["i", "another"][number % 2].to_owned();
                let record = LogoutRecord { issuer, ..logout("x", START, 900) };
                let recorded = restarted.record(&number.to_string(), &record);
                prop_assert!(!recorded, "{} is used", number);
            }
        }
    }

    #[test]
    fn beyond_the_memory_what_was_dropped_is_refused_and_nothing_else() {
        // Two generations of four logouts fit.
        let mut records = LogoutRecords::bounded(2 * 4 * 41, 4);
        for number in 0..40 {
            let record = logout(&number.to_string(), START + number, 900);
            assert!(committed(&mut records, &number.to_string(), &record), "{number}");
        }
        assert!(records.known.dropped() >= 28, "{}", records.known.dropped());
        let newest_dropped = START + i64::try_from(records.known.dropped()).expect("a few") - 1;
        assert_eq!(
            records.newest("i", None, "never logged out"),
            Some((UnixTime(newest_dropped), Position(newest_dropped * 1000 + 7))),
            "a sign-in that began before it is refused"
        );
        let end_of = |records: &LogoutRecords, issued_at| {
            let subject = Some("never logged out");
            let token = PresentedToken { issuer: "i", subject, sid: None, issued_at: UnixTime(issued_at) };
            records.known.end_of(&token, 0)
        };
        assert_eq!(end_of(&records, newest_dropped), TokenEnd::Unknown);
        assert_eq!(end_of(&records, newest_dropped + 1), TokenEnd::NotEnded);
        let ended =
            PresentedToken { issuer: "i", subject: Some("39"), sid: None, issued_at: UnixTime(START) };
        assert_eq!(records.known.end_of(&ended, 0), TokenEnd::Ended, "what is known is known");
        assert!(!committed(&mut records, "new", &logout("s", newest_dropped, 900)), "it may be a replay");
        assert!(committed(&mut records, "new", &logout("s", newest_dropped + 1, 900)));
        assert!(!committed(&mut records, "39", &logout("s", START + 39, 900)));
        let (before, late) = (records.savepoint(), logout("late", START, 900));
        assert!(records.record_repeatable("late", &late), "what may be a replay may as well be new");
        assert!(!records.record_repeatable("late", &late), "it is known");
        records.rollback_to(before);
        records.remove_expired(UnixTime(newest_dropped + 900));
        assert_eq!(records.newest("i", None, "never logged out"), None, "with the last of the dropped");
        assert_eq!(end_of(&records, START), TokenEnd::NotEnded);
    }

    #[test]
    fn many_rows_of_another_process_are_read_within_the_memory() {
        let connection = schema::open_in_memory().expect("a database");
        let mut other = LogoutRecords::default();
        for number in 0..40 {
            assert!(other.record(&number.to_string(), &logout("s", START + number, 900)));
        }
        other.write(&connection).expect("an append");
        // Two generations of four logouts fit.
        let mut records = LogoutRecords::bounded(2 * 4 * 41, 4);
        records.read_new_rows(&connection).expect("a table");
        assert!(records.known.dropped() >= 28, "{}", records.known.dropped());
        assert!(records.changes.is_empty() && records.changes.capacity() < 10, "no rollback undoes them");
    }

    #[test]
    fn a_jti_that_was_known_before_stays_known_after_a_rollback() {
        let mut records = LogoutRecords::bounded(usize::MAX, 100);
        let record = logout("s", START, 900);
        assert!(committed(&mut records, "0", &record));
        let before = records.savepoint();
        records.add("another", &LogoutEntry::new("0", &record));
        records.rollback_to(before);
        assert!(!committed(&mut records, "0", &record), "a replay");
    }

    #[test]
    fn jtis_are_forgotten_with_their_tokens_and_targets_with_their_records() {
        let mut records = LogoutRecords::bounded(usize::MAX, 2);
        for number in 0..4 {
            assert!(committed(&mut records, &number.to_string(), &logout("s", START, 900)));
        }
        records.remove_expired(UnixTime(START + 119));
        assert!(!committed(&mut records, "0", &logout("t", START, 900)));
        records.remove_expired(UnixTime(START + 120));
        assert!(committed(&mut records, "0", &logout("t", START + 120, 900)));
        assert!(records.newest("i", None, "s").is_some());
        records.remove_expired(UnixTime(START + 900));
        assert_eq!((records.newest("i", None, "s"), records.newest("i", None, "t").is_some()), (None, true));
    }
}
