//! How names are searched for: on SQLite and on PostgreSQL, in one transaction.

use claimgate::identity::{Normalisation, normal_username};
use claimgate::oidc::facts::SessionFacts;
use claimgate::oidc::records::StoreError;
use claimgate::oidc::session::{Origin, Session, SessionId};
use claimgate::oidc::user::UserKind;
use claimgate::time::UnixTime;
use claimgate_server::store::AdminRecords;

const NOW: UnixTime = UnixTime(1_800_000_000);

/// Checks that users and sessions are found whatever the case, and however a name or what is looked for is composed.
pub(crate) fn check(records: &mut dyn AdminRecords) -> Result<(), StoreError> {
    // As `normalise = "none"` keeps them.
    let names = ["Ada", "RENE\u{301} Dupont", "rene", "ΟΔΥΣΣΕΥΣ", "Łukasz_%", "STRAẞE", "K\u{131}z"];
    let names = names.map(|name| normal_username(name, Normalisation::None).unwrap());
    for (number, name) in (1..).zip(&names) {
        let user = records.create_user(name, UserKind::Regular, NOW)?.id;
        records.open_session(&Session {
            id: SessionId([number; 16]),
            user,
            origin: Origin::Password,
            facts: SessionFacts::default(),
            created: NOW,
            expires: NOW.saturating_add(3600),
        })?;
    }
    let [ada, rene, plain, odysseus, lukasz, strasse, _] = &names;
    for (sought, wanted) in [
        ("ada", vec![ada]),
        ("ADA", vec![ada]),
        ("dA", vec![ada]),
        ("ren\u{e9}", vec![rene]),
        ("RENE\u{301}", vec![rene]),
        ("É D", vec![rene]),
        ("RENE", vec![plain]),
        ("υσς", vec![odysseus]),
        ("ΥΣΣ", vec![odysseus]),
        ("łUK", vec![lukasz]),
        ("_%", vec![lukasz]),
        ("straße", vec![strasse]),
        ("kI", vec![]),
        ("k\u{131}", vec![&names[6]]),
        ("nobody", vec![]),
    ] {
        let users: Vec<_> =
            records.search_users(sought, "", 10)?.into_iter().map(|listed| listed.user.username).collect();
        assert_eq!(users.iter().collect::<Vec<_>>(), wanted, "users: {sought}");
        let sessions = records.search_sessions(sought, 0, 10, NOW)?;
        let sessions: Vec<_> = sessions.iter().map(|session| &session.username).collect();
        assert_eq!(sessions, wanted, "sessions: {sought}");
    }
    assert_eq!(records.search_users("", "", 10)?.len(), names.len());
    assert_eq!(records.search_sessions("", 0, 10, NOW)?.len(), names.len());
    Ok(())
}
