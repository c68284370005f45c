//! The changes of one process in the memory of another: applied one by one, they make what a start reads.

use claimgate::oidc::accounts::{self, Administrator};
use claimgate::oidc::records::{Records, StoreError};
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::{UserId, UserKind};
use claimgate_server::store::{PresentedToken, Revocation, SqliteStore};
use proptest::prelude::*;

use super::{NOW, open, session, who};

const NAMES: [&str; 3] = ["ada", "bob", "eve"];
const ISSUERS: [&str; 2] = ["i", "another"];

#[derive(Clone, Copy, Debug)]
enum Step {
    Open { name: usize, id: u8 },
    End { id: u8 },
    EndAll { name: usize },
    Switch { name: usize, active: bool },
    Link { name: usize, issuer: usize },
    Unlink { name: usize, issuer: usize },
    UnlinkIssuer { issuer: usize },
    RenameIssuer { from: usize },
    Rename { name: usize },
    Remove { name: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = 0..NAMES.len();
    let issuer = 0..ISSUERS.len();
    let step = prop_oneof![
        6 => (name.clone(), 0..9_u8).prop_map(|(name, id)| Step::Open { name, id }),
        2 => (0..9_u8).prop_map(|id| Step::End { id }),
        1 => name.clone().prop_map(|name| Step::EndAll { name }),
        3 => (name.clone(), any::<bool>()).prop_map(|(name, active)| Step::Switch { name, active }),
        3 => (name.clone(), issuer.clone()).prop_map(|(name, issuer)| Step::Link { name, issuer }),
        1 => (name.clone(), issuer.clone()).prop_map(|(name, issuer)| Step::Unlink { name, issuer }),
        1 => issuer.clone().prop_map(|issuer| Step::UnlinkIssuer { issuer }),
        1 => issuer.prop_map(|from| Step::RenameIssuer { from }),
        1 => name.clone().prop_map(|name| Step::Rename { name }),
        1 => name.prop_map(|name| Step::Remove { name }),
    ];
    proptest::collection::vec(step, 1..40)
}

/// Returns the user of a name, whom it adds if there is none.
fn user(records: &mut dyn Records, name: usize) -> Result<UserId, StoreError> {
    let name = NAMES[name];
    Ok(match records.user_by_name(name)? {
        Some(user) => user.id,
        None => records.create_user(name, UserKind::Regular, NOW)?.id,
    })
}

fn apply(records: &mut dyn Records, step: Step) -> Result<(), StoreError> {
    match step {
        Step::Open { name, id } => {
            let user = user(records, name)?;
            records.end_session(SessionId([id; 16]))?;
            records.open_session(&session(id, user, 60))
        }
        Step::End { id } => records.end_session(SessionId([id; 16])).map(drop),
        Step::EndAll { name } => {
            let user = user(records, name)?;
            records.end_sessions_of(user).map(drop)
        }
        Step::Switch { name, active } => {
            let id = user(records, name)?;
            let mut user = records.user(id)?.unwrap();
            user.active = active;
            records.update_user(&user, NOW)
        }
        Step::Link { name, issuer } => {
            let user = user(records, name)?;
            match records.user_by_link(ISSUERS[issuer], NAMES[name])? {
                None => records.link(ISSUERS[issuer], NAMES[name], user),
                Some(_) => Ok(()),
            }
        }
        Step::Unlink { name, issuer } => {
            let user = user(records, name)?;
            records.unlink(user, Some(ISSUERS[issuer])).map(drop)
        }
        Step::UnlinkIssuer { issuer } => records.unlink_issuer(ISSUERS[issuer]).map(drop),
        Step::RenameIssuer { from } => {
            let (from, to) = (ISSUERS[from], ISSUERS[1 - from]);
            // Links of two users to one subject are refused before this.
            match accounts::rename_issuer(records, Administrator::OPERATOR, from, to) {
                Err(accounts::AccountError::Store(error)) => Err(error),
                _ => Ok(()),
            }
        }
        Step::Rename { name } => {
            let id = user(records, name)?;
            let mut user = records.user(id)?.unwrap();
            let shown = user.profile.get("name").map_or(0, String::len);
            user.profile.insert("name".to_owned(), "x".repeat(shown + 1));
            records.update_user(&user, NOW)
        }
        Step::Remove { name } => {
            let user = user(records, name)?;
            records.remove_user(user)
        }
    }
}

/// Returns all that the memory of a store says.
fn seen(store: &SqliteStore) -> (Vec<Option<String>>, Vec<Option<Revocation>>, usize) {
    let sessions = (0..9).map(|id| {
        let user = store.session_user(SessionId([id; 16]), NOW)?;
        Some(format!("{} {:?}", user.username, user.profile))
    });
    let token =
        |issuer, subject| PresentedToken { issuer, subject: Some(subject), sid: None, issued_at: NOW };
    let links = ISSUERS.iter().flat_map(|issuer| NAMES.iter().map(move |name| token(issuer, name)));
    let links = links.map(|token| store.revocation(&token, 0).unwrap());
    (sessions.collect(), links.collect(), store.live_sessions())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn changes_that_are_followed_make_what_a_start_reads(steps in steps(), commands in any::<bool>()) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("claimgate.db");
        let server = SqliteStore::open_for_server(&file).unwrap();
        let command = if commands { SqliteStore::open_for_command(&file) } else { SqliteStore::open(&file) }.unwrap();
        for (number, step) in steps.into_iter().enumerate() {
            command.transact_blocking(move |records| apply(records, step)).unwrap();
            if number % 4 == 0 {
                // A transaction sees what was written before it.
                server.transact_blocking(|_| Ok::<(), StoreError>(())).unwrap();
            }
        }
        server.transact_blocking(|_| Ok::<(), StoreError>(())).unwrap();
        prop_assert_eq!(seen(&server), seen(&SqliteStore::open(&file).unwrap()));
    }
}

#[test]
fn a_server_deletes_the_changes_that_it_has_applied_and_a_start_those_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("claimgate.db");
    let command = SqliteStore::open_for_command(&file).unwrap();
    open(&command, "ada", 1, 60);
    let connection = rusqlite::Connection::open(&file).unwrap();
    let count =
        || -> i64 { connection.query_row("SELECT count(*) FROM change", [], |row| row.get(0)).unwrap() };
    assert!(count() > 0, "without a server they wait");
    let server = SqliteStore::open_for_server(&file).unwrap();
    assert_eq!((count(), who(&server, 1).as_deref()), (0, Some("ada")));
    open(&server, "ada", 2, 60);
    assert_eq!(count(), 0, "a server has no other to tell");
    open(&command, "ada", 3, 60);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while (count() > 0 || who(&server, 3).is_none()) && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!((count(), who(&server, 3).as_deref()), (0, Some("ada")));
}
