//! Administration: the port of the rules over one transaction, and what the other nodes read of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use claimgate::identity::Normalisation;
use claimgate::oidc::accounts::{self, AccountError, Administrator, NewUser, UserChanges};
use claimgate::oidc::facts::SessionFacts;
use claimgate::oidc::records::{LogoutRecord, LogoutTarget, Position, Records, RenamedIssuer, StoreError};
use claimgate::oidc::session::{OidcOrigin, Origin, Session, SessionId};
use claimgate::oidc::user::{User, UserKind};
use claimgate::time::UnixTime;
use claimgate_server::store::postgres::{Administration, Notice, Server};
use claimgate_server::store::{AdminRecords, ListedSession};
use tokio::runtime::Runtime;

use super::contract;
use super::engine::{Engine, connect, runtime, with_database};
use super::search_contract;

const NOW: UnixTime = UnixTime(1_800_000_000);

/// A database of its own, from outside the runtime.
struct PostgresDatabase {
    runtime: Arc<Runtime>,
    administration: Administration,
}

impl contract::Database for PostgresDatabase {
    fn transact<T: Send + 'static, E: From<StoreError> + Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn Records) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.runtime.block_on(self.administration.administer(move |records| work(records)))
    }
}

#[test]
fn the_store_over_postgresql_keeps_the_contract_of_the_rules() {
    let Some(engine) = Engine::shared() else { return };
    let runtime = Arc::new(runtime());
    contract::check(|| {
        let open = async { Administration::open(engine.server(&engine.new_database().await)).await.unwrap() };
        PostgresDatabase { administration: runtime.block_on(open), runtime: Arc::clone(&runtime) }
    });
}

#[test]
fn names_are_found_whatever_their_case_and_composition() {
    with_database(async |server| {
        let administration = Administration::open(server).await.unwrap();
        administration.administer(search_contract::check).await.unwrap();
    });
}

/// Two super-admins who switch each other off at once: the one whose change comes second stays.
#[test]
fn of_two_super_admins_who_switch_each_other_off_one_stays() {
    with_database(async |server| {
        let nodes = [
            Administration::open(server.clone()).await.unwrap(),
            Administration::open(server).await.unwrap(),
        ];
        let mut ids = Vec::new();
        for name in ["root", "spare"] {
            let by = Administrator::OPERATOR;
            let mut new = NewUser::new(by, name, Normalisation::Default, UserKind::SuperAdmin).unwrap();
            new.password_hash = Some("hash".to_owned());
            let added = nodes[0].administer(move |records| accounts::add(records, by, new, NOW)).await;
            ids.push(added.unwrap().id);
        }
        let switch_off = |id| {
            let changes = UserChanges { active: Some(false), ..UserChanges::default() };
            move |records: &mut dyn AdminRecords| {
                accounts::change(records, Administrator::OPERATOR, id, changes, NOW)
            }
        };
        let (one, other) =
            tokio::join!(nodes[0].administer(switch_off(ids[0])), nodes[1].administer(switch_off(ids[1])));
        let refusals =
            [&one, &other].into_iter().filter(|result| **result == Err(AccountError::LastSuperAdmin));
        assert_eq!(refusals.count(), 1, "{one:?} {other:?}");
        assert!(one.is_ok() || other.is_ok());
    });
}

async fn add(administration: &Administration, name: &str) -> Result<User, AccountError> {
    let new = NewUser::new(Administrator::OPERATOR, name, Normalisation::Default, UserKind::Regular).unwrap();
    administration.administer(|records| accounts::add(records, Administrator::OPERATOR, new, NOW)).await
}

fn session(id: u8, user: &User) -> Session {
    let expires = NOW.saturating_add(60);
    let facts = SessionFacts::default();
    Session { id: SessionId([id; 16]), user: user.id, origin: Origin::Password, facts, created: NOW, expires }
}

/// Returns the steps of the feed: the first bytes of the sessions that ended, and the users.
async fn steps(server: &Server) -> Vec<(Vec<u8>, Vec<i64>)> {
    let mut connection = connect(server).await.unwrap();
    let rows = connection.client().query("SELECT ended, users FROM steps ORDER BY seq", &[]).await.unwrap();
    let first = |ended: Vec<Vec<u8>>| ended.iter().map(|id| id[0]).collect();
    rows.iter().map(|row| (first(row.get(0)), row.get(1))).collect()
}

#[test]
fn each_change_is_one_step_of_the_feed_and_an_undone_one_is_none() {
    with_database(async |server| {
        let administration = Administration::open(server.clone()).await.unwrap();
        let ada = add(&administration, "ada").await.unwrap();
        let id = ada.id;
        let opened = session(7, &ada);
        let open = administration.administer(move |records| records.open_session(&opened));
        open.await.unwrap();
        let undone = administration.administer(move |records| -> Result<(), StoreError> {
            records.end_sessions_of(id)?;
            records.set_password(id, "hash", NOW)?;
            Err(StoreError { reason: "on purpose".to_owned() })
        });
        assert_eq!(undone.await.unwrap_err().reason, "on purpose");
        let changes = UserChanges { active: Some(false), ..UserChanges::default() };
        let change = administration
            .administer(move |records| accounts::change(records, Administrator::OPERATOR, id, changes, NOW));
        assert_eq!(change.await.unwrap().ended, 1);
        assert_eq!(steps(&server).await, [(vec![], vec![id.0]), (vec![], vec![]), (vec![7], vec![id.0])]);

        // The position of the undone change was given to the one after it: the feed has no gap.
        let mut connection = connect(&server).await.unwrap();
        let row = connection.client().query_one("SELECT seq FROM ord", &[]).await.unwrap();
        assert_eq!(row.get::<_, i64>(0), 3);
    });
}

/// Returns the version of the one user.
async fn version(server: &Server) -> i64 {
    let mut connection = connect(server).await.unwrap();
    connection.client().query_one("SELECT version FROM users", &[]).await.unwrap().get(0)
}

#[test]
fn every_change_of_a_user_of_its_password_or_of_its_links_gives_a_new_version() {
    with_database(async |server| {
        type Change = fn(&mut dyn Records, User) -> Result<(), StoreError>;
        let changes: [(&str, Change); 6] = [
            ("activity", |records, user| records.update_user(&User { active: false, ..user }, NOW)),
            ("password", |records, user| records.set_password(user.id, "hash", NOW)),
            ("link", |records, user| records.link("i", "s", user.id)),
            ("issuer renamed", |records, _| records.rename_issuer("i", "j").map(drop)),
            ("unlinked", |records, user| records.unlink(user.id, None).map(drop)),
            ("linked and provider unlinked", |records, user| {
                records.link("i", "s", user.id)?;
                records.unlink_issuer("i").map(drop)
            }),
        ];
        let administration = Administration::open(server.clone()).await.unwrap();
        let user = add(&administration, "ada").await.unwrap();
        let mut before = version(&server).await;
        for (what, change) in changes {
            let user = user.clone();
            administration.administer(move |records| change(records, user)).await.unwrap();
            let after = version(&server).await;
            assert!(after > before, "{what}");
            before = after;
        }
    });
}

#[test]
fn two_nodes_that_add_one_user_at_a_time_add_it_once() {
    with_database(async |server| {
        let nodes = [Administration::open(server.clone()).await, Administration::open(server.clone()).await];
        let [one, other] = nodes.map(Result::unwrap);
        let (one, other) = tokio::join!(add(&one, "ada"), add(&other, "ada"));
        let errors: Vec<_> = [one, other].into_iter().filter_map(Result::err).collect();
        assert_eq!(errors, [AccountError::Taken], "by the rule, not by an error of the database");
    });
}

#[test]
fn lists_show_users_teams_sessions_and_links() {
    with_database(async |server| {
        let administration = Administration::open(server.clone()).await.unwrap();
        let (ada, grace) =
            (add(&administration, "ada").await.unwrap(), add(&administration, "grace").await.unwrap());
        let of_ada = session(7, &ada);
        let changes = UserChanges { teams: Some(["Chess".to_owned()].into()), ..UserChanges::default() };
        let (users, teams, sessions, links, after, (found, counts)) = administration
            .administer(move |records| -> Result<_, AccountError> {
                records.open_session(&of_ada)?;
                records.link("i", "s", ada.id)?;
                for id in [ada.id, grace.id] {
                    accounts::change(records, Administrator::OPERATOR, id, changes.clone(), NOW)?;
                }
                Ok((
                    records.list_users("", 10)?,
                    records.list_teams()?,
                    records.list_sessions(Some(ada.id), 10, NOW)?,
                    records.list_links(ada.id)?,
                    records.list_users("ada", 10)?,
                    (records.search_users("rac", "", 10)?, records.count_people(NOW)?),
                ))
            })
            .await
            .unwrap();
        let searched = administration
            .administer(|records| -> Result<_, StoreError> {
                let found = |listed: Vec<ListedSession>| listed.into_iter().map(|session| session.id);
                let all: Vec<_> = found(records.list_sessions(None, 10, NOW)?).collect();
                let mut pages: Vec<_> = found(records.search_sessions("", 0, 1, NOW)?).collect();
                pages.extend(found(records.search_sessions("", 1, 10, NOW)?));
                let by_name = records.search_sessions("ad", 0, 10, NOW)?;
                let nothing = records.search_sessions("rac", 0, 10, NOW)?;
                Ok((all, pages, by_name.len() == 1 && nothing.is_empty()))
            })
            .await
            .unwrap();
        assert_eq!(searched.0, searched.1);
        assert!(searched.2);
        let row = |user: &claimgate_server::store::ListedUser| {
            (user.user.username.clone(), user.has_password, user.links, user.sessions)
        };
        let names: Vec<_> = users.iter().map(row).collect();
        assert_eq!(names, [("ada".to_owned(), false, 1, 1), ("grace".to_owned(), false, 0, 0)]);
        assert_eq!(after.iter().map(row).collect::<Vec<_>>(), names[1..]);
        assert_eq!(found.iter().map(row).collect::<Vec<_>>(), names[1..]);
        assert_eq!((counts.users, counts.inactive, counts.sessions), (2, 0, 1));
        assert_eq!((teams.len(), teams[0].team.as_str(), teams[0].members), (1, "Chess", 2));
        assert_eq!((links.len(), links[0].issuer.as_str(), links[0].subject.as_str()), (1, "i", "s"));
        assert_eq!(sessions.len(), 1);
        assert_eq!((sessions[0].username.as_str(), sessions[0].expires - sessions[0].created), ("ada", 60));
        assert_eq!(sessions[0].id, SessionId([7; 16]).to_string());
    });
}

#[test]
fn a_row_that_cannot_be_read_does_not_hide_the_others() {
    with_database(async |server| {
        let administration = Administration::open(server.clone()).await.unwrap();
        for name in ["ada", "grace", "hedy", "joan"] {
            let user = add(&administration, name).await.unwrap();
            let session = session(u8::try_from(user.id.0).unwrap(), &user);
            administration.administer(move |records| records.open_session(&session)).await.unwrap();
        }
        let changes = UserChanges { teams: Some(["Chess".to_owned()].into()), ..UserChanges::default() };
        administration
            .administer(move |records| {
                let joan = records.user_by_name("joan")?.unwrap();
                accounts::change(records, Administrator::OPERATOR, joan.id, changes, NOW)
            })
            .await
            .unwrap();
        let damage = r"UPDATE users SET kind = 'unheard of', teams = '[1]' WHERE username = 'ada';
            UPDATE users SET teams = '{' WHERE username = 'grace';
            UPDATE sessions SET id = '\x01' WHERE user_id = (SELECT id FROM users WHERE username = 'ada');
            UPDATE sessions SET expires = 'infinity' WHERE user_id = (SELECT id FROM users WHERE username = 'grace')";
        connect(&server).await.unwrap().client().batch_execute(damage).await.unwrap();
        let (users, teams, sessions) = administration
            .administer(|records| -> Result<_, StoreError> {
                Ok((
                    records.list_users("", 10)?,
                    records.list_teams()?,
                    records.list_sessions(None, 10, NOW)?,
                ))
            })
            .await
            .unwrap();
        assert_eq!(users.iter().map(|user| &*user.user.username).collect::<Vec<_>>(), ["hedy", "joan"]);
        assert_eq!(teams.iter().map(|team| (&*team.team, team.members)).collect::<Vec<_>>(), [("Chess", 1)]);
        assert_eq!(sessions.iter().map(|session| &*session.username).collect::<Vec<_>>(), ["joan", "hedy"]);
    });
}

#[test]
fn what_looks_takes_no_position_waits_for_no_lock_and_cannot_write() {
    with_database(async |server| {
        let administration = Administration::open(server.clone()).await.unwrap();
        add(&administration, "ada").await.unwrap();
        let mut connection = connect(&server).await.unwrap();
        let held = connection.client().transaction().await.unwrap();
        let before: i64 = held.query_one("SELECT seq FROM ord FOR UPDATE", &[]).await.unwrap().get(0);
        let users = administration.look(|records| records.list_users("", 10)).await.unwrap();
        assert_eq!(users.len(), 1);
        let administered = administration.administer(|records| records.list_users("", 10)).await.unwrap_err();
        assert!(administered.reason.contains("`claimgate doctor` names it"), "{administered}");
        drop(held);
        let written = administration.look(|records| records.leave_notice("user add", "grace")).await;
        assert!(written.is_err(), "{written:?}");
        let after: i64 = connection.client().query_one("SELECT seq FROM ord", &[]).await.unwrap().get(0);
        assert_eq!(before, after);
        assert_eq!(administration.take_notices().await.unwrap(), []);
    });
}

fn signed_in(id: u8, user: &User, issuer: &str, subject: &str, sid: Option<&str>, issued_at: i64) -> Session {
    let origin = OidcOrigin {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        sid: sid.map(str::to_owned),
        issued_at: UnixTime(issued_at),
        id_token: None,
    };
    Session { origin: Origin::Oidc(origin), ..session(id, user) }
}

#[test]
fn a_renamed_issuer_s_sessions_end_that_its_other_name_logged_out_and_each_logout_stays() {
    with_database(async |server| {
        let administration = Administration::open(server.clone()).await.unwrap();
        let ada = add(&administration, "ada").await.unwrap();
        let sid = |sid: &str, subject: Option<&str>| LogoutTarget::Session {
            sid: sid.to_owned(),
            subject: subject.map(str::to_owned),
        };
        let subject = |subject: &str| LogoutTarget::Subject(subject.to_owned());
        let sessions = [
            signed_in(1, &ada, "old", "ada", Some("2"), 9),
            signed_in(2, &ada, "old", "ada", Some("3"), 9),
            signed_in(3, &ada, "old", "grace", None, 5),
            signed_in(4, &ada, "old", "grace", None, 6),
            signed_in(5, &ada, "new", "hedy", Some("9"), 5),
            signed_in(6, &ada, "old", "joan", None, 5),
            signed_in(7, &ada, "old", "joan", Some("8"), 5),
        ];
        // Both issuers have used the jti `a`.
        let logouts = [
            ("a", "new", sid("2", None), 1),
            ("b", "new", subject("grace"), 5),
            ("a", "old", subject("hedy"), 5),
            ("c", "new", sid("1", Some("joan")), 5),
        ];
        let record = move |records: &mut dyn AdminRecords, jti: &str, issuer: &str, target, iat| {
            let until = UnixTime(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs().try_into().unwrap())
                .saturating_add(600);
            let (issuer, issued_at, received) = (issuer.to_owned(), UnixTime(iat), Position(0));
            let logout = LogoutRecord { issuer, target, issued_at, received, token_until: until, until };
            records.record_logout(jti, &logout)
        };
        let again = logouts.clone();
        let renamed = administration
            .administer(move |records| -> Result<_, StoreError> {
                sessions.iter().try_for_each(|session| records.open_session(session))?;
                for (jti, issuer, target, iat) in logouts {
                    assert!(record(records, jti, issuer, target, iat)?, "{jti} of {issuer} is new");
                }
                records.rename_issuer("old", "new")
            })
            .await
            .unwrap();
        assert_eq!(renamed, RenamedIssuer { links: 0, sessions: 6, logouts: 1 });
        let (live, newest, replayed) = administration
            .administer(move |records| -> Result<_, StoreError> {
                let mut live = Vec::new();
                for id in 1..=7 {
                    live.extend(records.session_owner(SessionId([id; 16]))?.map(|_| id));
                }
                let newest = ["old", "new"].map(|issuer| records.newest_logout(issuer, None, "hedy"));
                let mut replayed = Vec::new();
                for (jti, issuer, target, iat) in again {
                    replayed.push(!record(records, jti, issuer, target, iat)?);
                }
                Ok((live, newest, replayed))
            })
            .await
            .unwrap();
        assert_eq!(live, [2, 4, 7]);
        for newest in newest {
            assert_eq!(newest.unwrap().map(|(at, _)| at), Some(UnixTime(5)), "under both names");
        }
        assert_eq!(replayed, [true; 4]);
        let mut ended: Vec<u8> = steps(&server).await.into_iter().flat_map(|(ended, _)| ended).collect();
        ended.sort_unstable();
        assert_eq!(ended, [1, 3, 5, 6], "the other nodes read it");
    });
}

#[test]
fn a_notice_is_taken_once_and_forgotten_with_the_user_that_it_names() {
    with_database(async |server| {
        let administration = Administration::open(server.clone()).await.unwrap();
        let ada = add(&administration, "ada").await.unwrap();
        for about in ["grace", "Ada"] {
            let leave =
                administration.administer(move |records| records.leave_notice("user deactivate", about));
            leave.await.unwrap();
        }
        let remove = administration
            .administer(move |records| accounts::remove(records, Administrator::OPERATOR, ada.id, NOW));
        remove.await.unwrap();
        let notice = Notice { action: "user deactivate".to_owned(), about: "grace".to_owned() };
        assert_eq!(administration.take_notices().await, Ok(vec![notice]));
        assert_eq!(administration.take_notices().await, Ok(Vec::new()));
    });
}

#[test]
fn a_commit_that_no_standby_confirms_is_an_error_in_time() {
    // A server of its own: its setting concerns every database.
    let Some(engine) = Engine::start() else { return };
    runtime().block_on(async {
        let server = engine.server(&engine.new_database().await);
        let administration = Administration::open(server).await.unwrap();
        let client = engine.superuser("postgres").await;
        client.batch_execute("ALTER SYSTEM SET synchronous_standby_names = 'missing'").await.unwrap();
        client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while client.query_one("SHOW synchronous_standby_names", &[]).await.unwrap().get::<_, &str>(0)
            != "missing"
        {
            assert!(Instant::now() < deadline, "the setting is not read");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let error = add(&administration, "ada").await.unwrap_err();
        assert_eq!(error.code(), "store.failed");
        assert!(error.to_string().contains("no answer within"), "{error}");
    });
}

#[test]
fn what_one_server_keeps_under_a_name_the_others_read() {
    with_database(async |server| {
        let one = Administration::open(server.clone()).await.unwrap();
        let other = Administration::open(server).await.unwrap();
        let kept = async |of: &Administration| of.administer(|records| records.kept("a name")).await.unwrap();
        assert_eq!(kept(&one).await, None);
        for text in ["first", "second"] {
            one.administer(move |records| records.keep("a name", text)).await.unwrap();
            assert_eq!(kept(&other).await.as_deref(), Some(text));
        }
        // What fails has kept nothing.
        let failed = other.administer(|records| {
            records.keep("a name", "third")?;
            Err::<(), _>(StoreError { reason: "on purpose".to_owned() })
        });
        failed.await.unwrap_err();
        assert_eq!(kept(&one).await.as_deref(), Some("second"));
    });
}
