//! One logout as it is kept: of fixed size, with fingerprints in place of texts.
//!
//! The issuer is not part of the targets' fingerprints: it stands beside the entry, so that an issuer can be renamed.
//! A `jti` does not follow a renaming, because a token of the former name is refused for its `iss`; its fingerprint
//! holds the issuer.

use std::hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState};

use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::oidc::records::{LogoutRecord, LogoutTarget, Position};
use claimgate::time::UnixTime;

/// Bytes of an entry: the kind of its targets, three fingerprints, two times, two durations.
pub(super) const ENTRY_LEN: usize = 1 + 3 * 16 + 2 * 8 + 2 * 4;

/// A kind of target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum TargetKind {
    /// All sessions of a `sub`.
    Subject,
    /// The session of a `sid`.
    Session,
    /// The sessions of a `sub` that have no `sid`.
    SubjectWithoutSession,
}

/// The sessions that an entry ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Targets {
    /// The entry keeps a `jti` alone.
    None,
    Subject(Fingerprint),
    Session(Fingerprint),
    SessionOf {
        session: Fingerprint,
        subject: Fingerprint,
    },
}

/// A logout of one issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LogoutEntry {
    /// The issuer's `jti`: its [`jti_fingerprint`].
    pub(super) jti: Fingerprint,
    targets: Targets,
    /// The token's `iat`.
    pub(super) issued_at: UnixTime,
    /// When it was received.
    pub(super) received: Position,
    /// The end of the token's validity, until when its `jti` is refused.
    pub(super) token_until: UnixTime,
    /// The end of the entry.
    pub(super) until: UnixTime,
}

impl LogoutEntry {
    /// Returns the entry of a logout.
    pub(super) fn new(jti: &str, record: &LogoutRecord) -> Self {
        Self::of_fingerprint(jti_fingerprint(&record.issuer, jti), record)
    }

    /// Returns the entry of a logout whose `jti` is known by its fingerprint.
    pub(super) fn of_fingerprint(jti: Fingerprint, record: &LogoutRecord) -> Self {
        let targets = match &record.target {
            LogoutTarget::Subject(subject) => Targets::Subject(Fingerprint::of(subject)),
            LogoutTarget::Session { sid, subject: None } => Targets::Session(Fingerprint::of(sid)),
            LogoutTarget::Session { sid, subject: Some(subject) } => {
                Targets::SessionOf { session: Fingerprint::of(sid), subject: Fingerprint::of(subject) }
            }
        };
        let LogoutRecord { issued_at, received, token_until, until, .. } = *record;
        Self { jti, targets, issued_at, received, token_until, until }
    }

    /// Returns an entry that keeps a `jti` alone.
    pub(super) fn of_jti(jti: Fingerprint, until: UnixTime) -> Self {
        let received = Position(i64::MIN);
        Self { jti, targets: Targets::None, issued_at: until, received, token_until: until, until }
    }

    /// Reports whether the entry ends sessions.
    pub(super) fn has_targets(&self) -> bool {
        self.targets != Targets::None
    }

    /// Returns the targets, each with its kind.
    pub(super) fn targets(&self) -> impl Iterator<Item = (TargetKind, Fingerprint)> + use<> {
        let (first, second) = match self.targets {
            Targets::None => (None, None),
            Targets::Subject(subject) => (Some((TargetKind::Subject, subject)), None),
            Targets::Session(session) => (Some((TargetKind::Session, session)), None),
            Targets::SessionOf { session, subject } => {
                (Some((TargetKind::Session, session)), Some((TargetKind::SubjectWithoutSession, subject)))
            }
        };
        first.into_iter().chain(second)
    }

    /// Returns for how long the entry is kept, in seconds from its `iat`.
    pub(super) fn lifetime(&self) -> u32 {
        self.after_issue(self.until)
    }

    fn after_issue(&self, time: UnixTime) -> u32 {
        u32::try_from(time.0.saturating_sub(self.issued_at.0).max(0)).unwrap_or(u32::MAX)
    }

    /// Returns the bytes of the entry.
    pub(super) fn to_bytes(self) -> [u8; ENTRY_LEN] {
        const ABSENT: Fingerprint = Fingerprint([0; 16]);
        let (kind, first, second) = match self.targets {
            Targets::None => (0, ABSENT, ABSENT),
            Targets::Subject(subject) => (1, subject, ABSENT),
            Targets::Session(session) => (2, session, ABSENT),
            Targets::SessionOf { session, subject } => (3, session, subject),
        };
        let mut bytes = [0; ENTRY_LEN];
        bytes[0] = kind;
        bytes[1..17].copy_from_slice(&self.jti.0);
        bytes[17..33].copy_from_slice(&first.0);
        bytes[33..49].copy_from_slice(&second.0);
        bytes[49..57].copy_from_slice(&self.issued_at.0.to_le_bytes());
        bytes[57..65].copy_from_slice(&self.received.0.to_le_bytes());
        bytes[65..69].copy_from_slice(&self.after_issue(self.token_until).to_le_bytes());
        bytes[69..73].copy_from_slice(&self.after_issue(self.until).to_le_bytes());
        bytes
    }

    /// Returns the entry of its bytes, or `None` if its kind is unknown.
    pub(super) fn from_bytes(bytes: &[u8; ENTRY_LEN]) -> Option<Self> {
        let fingerprint = |from: usize| Fingerprint(std::array::from_fn(|index| bytes[from + index]));
        let long = |from: usize| i64::from_le_bytes(std::array::from_fn(|index| bytes[from + index]));
        let short = |from: usize| u32::from_le_bytes(std::array::from_fn(|index| bytes[from + index]));
        let (first, second) = (fingerprint(17), fingerprint(33));
        let targets = match bytes[0] {
            0 => Targets::None,
            1 => Targets::Subject(first),
            2 => Targets::Session(first),
            3 => Targets::SessionOf { session: first, subject: second },
            _ => return None,
        };
        let issued_at = UnixTime(long(49));
        let after = |seconds: u32| issued_at.saturating_add(seconds.into());
        Some(Self {
            jti: fingerprint(1),
            targets,
            issued_at,
            received: Position(long(57)),
            token_until: after(short(65)),
            until: after(short(69)),
        })
    }
}

/// Returns the fingerprint of an issuer's `jti`, which may be long and is never read again.
pub(super) fn jti_fingerprint(issuer: &str, jti: &str) -> Fingerprint {
    Fingerprint::of_parts(&[issuer.len().to_string().as_bytes(), b":", issuer.as_bytes(), jti.as_bytes()])
}

/// Makes the tags by which memory knows `jti`s and targets: 64 bits of SipHash under a key of the process. Without
/// the key no two values with the same tag can be made; by chance, one in 2^64 pairs has it, and then a logout counts
/// for the other target too, or as a replay.
#[derive(Default)]
pub(super) struct Tagger(RandomState);

impl Tagger {
    /// Returns the tag of a `jti`.
    pub(super) fn jti(&self, jti: Fingerprint) -> u64 {
        self.0.hash_one(u128::from_le_bytes(jti.0))
    }

    /// Returns the tag of a target.
    pub(super) fn target(&self, issuer: &str, kind: TargetKind, value: Fingerprint) -> u64 {
        self.of_issuer(issuer).target(kind, value)
    }

    /// Returns what makes the tags of the targets of one issuer.
    pub(super) fn of_issuer(&self, issuer: &str) -> TargetTagger {
        let mut hasher = self.0.build_hasher();
        issuer.hash(&mut hasher);
        TargetTagger(hasher)
    }
}

/// Makes the tags of the targets of one issuer, whose name is hashed once.
#[derive(Clone)]
pub(super) struct TargetTagger(DefaultHasher);

impl TargetTagger {
    /// Returns the tag of a target.
    pub(super) fn target(&self, kind: TargetKind, value: Fingerprint) -> u64 {
        let mut hasher = self.0.clone();
        (kind as u8, u128::from_le_bytes(value.0)).hash(&mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_read_as_it_was_written() {
        let target = |sid: Option<&str>, subject: Option<&str>| match (sid, subject) {
            (Some(sid), subject) => {
                LogoutTarget::Session { sid: sid.to_owned(), subject: subject.map(str::to_owned) }
            }
            (None, subject) => LogoutTarget::Subject(subject.unwrap_or_default().to_owned()),
        };
        for target in [target(Some("A"), Some("s")), target(Some("A"), None), target(None, Some("s"))] {
            let record = LogoutRecord {
                issuer: "i".to_owned(),
                target,
                issued_at: UnixTime(1_800_000_000),
                received: Position(1_800_000_000_123),
                token_until: UnixTime(1_800_000_120),
                until: UnixTime(1_800_000_900),
            };
            let entry = LogoutEntry::new("j", &record);
            assert_eq!(LogoutEntry::from_bytes(&entry.to_bytes()), Some(entry));
            assert_eq!(entry.lifetime(), 900);
        }
        let alone = LogoutEntry::of_jti(jti_fingerprint("i", "j"), UnixTime(1_800_000_000));
        assert_eq!(LogoutEntry::from_bytes(&alone.to_bytes()), Some(alone));
        let mut unknown = alone.to_bytes();
        unknown[0] = 4;
        assert_eq!(LogoutEntry::from_bytes(&unknown), None);
    }
}
