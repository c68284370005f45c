//! Sessions whose tokens are refreshed at the provider, over either engine: when the next refresh is due, and the grant for
//! it, sealed by the key of the store. A grant is deleted with its session, however that ends.
//!
//! Claiming a refresh moves its time: if the server stops meanwhile, it is due again then. Whatever is written of a refresh
//! is written only while the session lives and still has the grant that was claimed, so that a logout, and another node,
//! win.

use std::sync::Arc;
use std::time::Duration;

use rusqlite::params;
use zeroize::Zeroizing;

use super::engine::Store;
use super::events::Event;
use super::listing::AdminRecords;
use super::records::SqliteRecords;
use super::session_index::Effect;
use crate::system;
use claimgate::oidc::accounts::{self, AccountError, Administrator, UserChanges};
use claimgate::oidc::facts::KeptClaims;
use claimgate::oidc::records::{Lookup, StoreError};
use claimgate::oidc::refresh::StoredGrant;
use claimgate::oidc::session::SessionId;
use claimgate::oidc::session_refresh::{self, RefreshPlan, RefreshedPerson};
use claimgate::oidc::sign_in::{SignInError, SignInPolicy};
use claimgate::oidc::user::{User, UserId};

/// The table of SQLite.
pub(super) const TABLE: &str = "
    -- Grants by session, sealed. `due` is the time of the next refresh.
    CREATE TABLE refresh (
        session BLOB PRIMARY KEY,
        provider TEXT NOT NULL,
        sealed TEXT NOT NULL,
        due INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX refresh_due ON refresh (provider, due);
    CREATE TRIGGER refresh_of_ended AFTER DELETE ON session BEGIN
        DELETE FROM refresh WHERE session = OLD.id;
    END;
";

/// How long a refresh stays claimed: longer than the calls to the provider and the writes take together. A server that
/// takes longer has stopped.
pub const CLAIMED_FOR: Duration = Duration::from_secs(120);

/// A grant to keep with a session that a sign-in opens.
#[derive(Clone, Debug)]
pub struct NewRefresh {
    /// The provider, by its id in the configuration.
    pub provider: String,
    /// The grant.
    pub grant: StoredGrant,
    /// The time until the first refresh.
    pub after: Duration,
}

/// The same, sealed.
#[derive(Clone, Debug)]
pub struct SealedGrant {
    pub(super) provider: String,
    pub(super) sealed: String,
    pub(super) after: Duration,
}

/// A refresh that is due, claimed for [`CLAIMED_FOR`].
#[derive(Debug)]
pub struct DueRefresh {
    /// The session.
    pub session: SessionId,
    /// The grant; `None` if it cannot be read: the key of the store is another since.
    pub grant: Option<StoredGrant>,
    /// The grant as the store has it.
    sealed: String,
}

/// A row of a claimed refresh: session, sealed grant, and the present name of the issuer.
pub(super) type ClaimedRow = (SessionId, String, String);

/// What a refresh says, to be compared with what the store holds.
#[derive(Debug)]
pub struct Judgement {
    /// The person.
    pub person: RefreshedPerson,
    /// The mapping's profile fields.
    pub fields: Vec<String>,
    /// The policy of sign-ins.
    pub policy: SignInPolicy,
    /// The event of the session's end, without user and reason; none if events are not recorded.
    pub event: Option<Event>,
}

/// What has become of a session.
#[derive(Debug)]
pub enum Refreshed {
    /// It goes on, with these changes.
    Kept(Box<RefreshPlan>),
    /// It has ended, for this reason: the code of an error, or [`KIND_CHANGED`].
    Ended {
        /// The user's name.
        username: String,
        /// The reason.
        reason: &'static str,
    },
    /// It had ended before, or another node has refreshed it.
    Gone,
}

/// The reason of an end by a change of the user's kind.
pub const KIND_CHANGED: &str = "the groups changed the kind of the user";

/// What a refresh reads and writes of a session, within one transaction.
pub trait RefreshRecords {
    /// Reports whether a session has this sealed grant.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn has_grant(&mut self, session: SessionId, sealed: &str) -> Result<bool, StoreError>;

    /// Sets the time until the next refresh.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn schedule_refresh(&mut self, session: SessionId, after: Duration) -> Result<(), StoreError>;

    /// Returns the values of claims that a session keeps.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn kept_claims(&mut self, session: SessionId) -> Result<KeptClaims, StoreError>;

    /// Has a session keep these values of claims. That is no use of the session.
    ///
    /// # Errors
    /// [`StoreError`]: the database failed.
    fn keep_claims(&mut self, session: SessionId, claims: &KeptClaims) -> Result<(), StoreError>;
}

/// Returns the purpose for which the grant of a session is sealed: it opens in its own row only.
fn purpose(session: SessionId) -> String {
    format!("refresh token of {session}")
}

fn too_long() -> StoreError {
    StoreError { reason: "a grant is too long to keep".to_owned() }
}

impl Store {
    /// Seals the grant of a session that is to be opened.
    pub(super) fn seal_new(&self, session: SessionId, new: NewRefresh) -> Result<SealedGrant, StoreError> {
        let NewRefresh { provider, grant, after } = new;
        Ok(SealedGrant { provider, sealed: self.seal_grant(session, &grant)?, after })
    }

    fn seal_grant(&self, session: SessionId, grant: &StoredGrant) -> Result<String, StoreError> {
        let text = grant.to_text().ok_or_else(too_long)?;
        Ok(self.key().seal(&purpose(session), &text))
    }

    /// Claims at most `most` refreshes at a provider that are due, the longest due first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim_refreshes(&self, provider: &str, most: u32) -> Result<Vec<DueRefresh>, StoreError> {
        let rows = match self {
            Store::Sqlite(store) => {
                let provider = provider.to_owned();
                store.transact(move |records| records.claim_refreshes(&provider, most)).await?
            }
            Store::Postgres(store) => store.node.claim_refreshes(provider, most).await?,
        };
        let open = |(session, sealed, issuer): ClaimedRow| {
            let text: Option<Zeroizing<String>> = self.key().open(&purpose(session), &sealed);
            let grant = text.and_then(|text| StoredGrant::from_text(&text));
            DueRefresh { session, grant: grant.map(|grant| grant.of_issuer(&issuer)), sealed }
        };
        Ok(rows.into_iter().map(open).collect())
    }

    /// Keeps a grant in place of the one that was claimed. Returns `false` if the session has ended, or has another.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rotate_grant(&self, due: &mut DueRefresh, grant: StoredGrant) -> Result<bool, StoreError> {
        let sealed = self.seal_grant(due.session, &grant)?;
        let (session, old, new) = (due.session, due.sealed.clone(), sealed.clone());
        let done = match self {
            Store::Sqlite(store) => {
                store.transact(move |records| records.rotate_grant(session, &old, &new)).await?
            }
            Store::Postgres(store) => store.node.rotate_grant(session, &old, &new).await?,
        };
        if done {
            (due.sealed, due.grant) = (sealed, Some(grant));
        }
        Ok(done)
    }

    /// Sets the time until the next refresh, if the session still has the grant that was claimed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn put_off_refresh(&self, due: &DueRefresh, after: Duration) -> Result<(), StoreError> {
        match self {
            Store::Sqlite(store) => {
                let (session, sealed) = (due.session, due.sealed.clone());
                let work = move |records: &mut SqliteRecords<'_>| match records.has_grant(session, &sealed)? {
                    true => records.schedule_refresh(session, after),
                    false => Ok(()),
                };
                store.transact(work).await
            }
            Store::Postgres(store) => {
                Ok(store.node.schedule_refresh(due.session, &due.sealed, after).await?)
            }
        }
    }

    /// Brings the user and the session to what a refresh says, or ends the session. The next refresh is due after `next`.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed then.
    pub async fn complete_refresh(
        &self,
        due: &DueRefresh,
        judgement: Arc<Judgement>,
        next: Duration,
    ) -> Result<Refreshed, StoreError> {
        let Some(grant) = &due.grant else { return Ok(Refreshed::Gone) };
        let person = (grant.original().issuer().to_owned(), grant.original().subject().to_owned());
        if let Store::Postgres(store) = self {
            // Most refreshes change nothing: that takes no transaction of many statements.
            let live = store.node.peek(due.session).await;
            let live = live.map_err(|error| StoreError { reason: error.to_string() })?;
            let Some(live) = live else { return Ok(Refreshed::Gone) };
            let lookup = Lookup { issuer: &person.0, subject: &person.1, sid: None, username: "" };
            let linked = store.node.view(&lookup).await?.by_link.map(|(user, _)| user);
            match decide(linked, live.user.id, &judgement) {
                Ok(plan) if !plan.changes_anything(&live.facts.claims) => {
                    store.node.schedule_refresh(due.session, &due.sealed, next).await?;
                    return Ok(Refreshed::Kept(Box::new(plan)));
                }
                _ => {}
            }
        }
        let (session, sealed) = (due.session, due.sealed.clone());
        let work = move |records: &mut dyn AdminRecords| {
            let Some(owner) = owner_of(records, session, &sealed)? else { return Ok(Refreshed::Gone) };
            let linked = records.user_by_link(&person.0, &person.1)?;
            match decide(linked, owner.id, &judgement) {
                Ok(plan) => write(records, session, plan, (next, judgement.event.as_ref())),
                Err(error) => end(records, session, owner, (error.code(), judgement.event.as_ref())),
            }
        };
        self.administer(work).await
    }

    /// Ends a session for what the provider answered, and records that as an event.
    ///
    /// # Errors
    /// [`StoreError`]; nothing has changed then.
    pub async fn end_refreshed(
        &self,
        due: &DueRefresh,
        reason: &'static str,
        event: Option<Event>,
    ) -> Result<Refreshed, StoreError> {
        let (session, sealed) = (due.session, due.sealed.clone());
        let work = move |records: &mut dyn AdminRecords| match owner_of(records, session, &sealed)? {
            Some(owner) => end(records, session, owner, (reason, event.as_ref())),
            None => Ok(Refreshed::Gone),
        };
        self.administer(work).await
    }

    /// Deletes the grants of all providers but these. Returns their number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_grants_but(&self, providers: Vec<String>) -> Result<usize, StoreError> {
        match self {
            Store::Sqlite(store) => {
                store.transact(move |records| records.forget_grants_but(&providers)).await
            }
            Store::Postgres(store) => Ok(store.node.forget_grants_but(&providers).await?),
        }
    }
}

fn decide(linked: Option<User>, owner: UserId, judgement: &Judgement) -> Result<RefreshPlan, SignInError> {
    let fields: Vec<&str> = judgement.fields.iter().map(String::as_str).collect();
    session_refresh::decide(linked, owner, &judgement.person, &fields, &judgement.policy)
}

/// Returns the user of a session that lives and has this grant.
fn owner_of(
    records: &mut dyn AdminRecords,
    session: SessionId,
    sealed: &str,
) -> Result<Option<User>, StoreError> {
    if records.has_grant(session, sealed)? { records.session_owner(session) } else { Ok(None) }
}

fn end(
    records: &mut dyn AdminRecords,
    session: SessionId,
    owner: User,
    (reason, event): (&'static str, Option<&Event>),
) -> Result<Refreshed, StoreError> {
    records.end_session(session)?;
    if let Some(event) = event {
        records.record_event(&event.clone().user(&owner.username).user_id(owner.id).detail(reason))?;
    }
    Ok(Refreshed::Ended { username: owner.username, reason })
}

fn write(
    records: &mut dyn AdminRecords,
    session: SessionId,
    plan: RefreshPlan,
    (next, event): (Duration, Option<&Event>),
) -> Result<Refreshed, StoreError> {
    if let Some((from, to)) = plan.changed_kind() {
        // That ends all sessions of the user, who was admitted as what the user was. The next sign-in does the rest.
        let changes = UserChanges { kind: Some(to), ..UserChanges::default() };
        match accounts::change(records, Administrator::OPERATOR, plan.user.id, changes, system::now()) {
            Ok(_) => {}
            Err(AccountError::Store(error)) => return Err(error),
            Err(error) => return Err(StoreError { reason: error.to_string() }),
        }
        if let Some(event) = event {
            records.record_event(&event.of_kind(&plan.user, from, to))?;
        }
        return end(records, session, plan.user, (KIND_CHANGED, event));
    }
    if !plan.changes.is_empty() {
        records.update_user(&plan.user, system::now())?;
    }
    if let Some(kept) = &plan.kept
        && *kept != records.kept_claims(session)?
    {
        records.keep_claims(session, kept)?;
    }
    records.schedule_refresh(session, next)?;
    Ok(Refreshed::Kept(Box::new(plan)))
}

/// Returns the time so long from now, in seconds. A part of a second counts as one.
fn seconds_from_now(after: Duration) -> i64 {
    let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
    system::now().saturating_add(seconds).0
}

impl RefreshRecords for SqliteRecords<'_> {
    fn has_grant(&mut self, session: SessionId, sealed: &str) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM refresh JOIN session ON session.id = refresh.session
            WHERE refresh.session = ?1 AND sealed = ?2 AND expires > ?3 AND NOT is_ended(session.id)";
        let found = self.query_first(sql, params![session.0, sealed, system::now().0], |_| Ok(()))?;
        Ok(found.is_some())
    }

    fn schedule_refresh(&mut self, session: SessionId, after: Duration) -> Result<(), StoreError> {
        let sql = "UPDATE refresh SET due = ?2 WHERE session = ?1";
        self.execute(sql, params![session.0, seconds_from_now(after)]).map(drop)
    }

    fn kept_claims(&mut self, session: SessionId) -> Result<KeptClaims, StoreError> {
        let sql = "SELECT claims FROM session WHERE id = ?1";
        let found = self.query_first(sql, params![session.0], |row| row.get(0))?;
        Ok(KeptClaims::from_json(found.flatten()))
    }

    fn keep_claims(&mut self, session: SessionId, claims: &KeptClaims) -> Result<(), StoreError> {
        let sql = "UPDATE session SET claims = ?2 WHERE id = ?1";
        self.execute(sql, params![session.0, claims.as_json()])?;
        self.effects.push(Effect::KeptClaims { id: session, claims: claims.clone() });
        Ok(())
    }
}

impl SqliteRecords<'_> {
    /// Keeps the grant of a session that the same transaction has opened.
    pub(super) fn keep_grant(&mut self, session: SessionId, grant: &SealedGrant) -> Result<(), StoreError> {
        let SealedGrant { provider, sealed, after } = grant;
        let sql = "INSERT INTO refresh (session, provider, sealed, due) VALUES (?1, ?2, ?3, ?4)";
        self.execute(sql, params![session.0, provider, sealed, seconds_from_now(*after)]).map(drop)
    }

    fn claim_refreshes(&mut self, provider: &str, most: u32) -> Result<Vec<ClaimedRow>, StoreError> {
        let sql = "SELECT refresh.session, sealed, issuer FROM refresh JOIN session ON session.id = refresh.session
            WHERE provider = ?1 AND due <= ?2 AND expires > ?2 AND NOT is_ended(session.id) ORDER BY due LIMIT ?3";
        let read = |row: &rusqlite::Row<'_>| Ok((SessionId(row.get(0)?), row.get(1)?, row.get(2)?));
        let due = self.query_all("refresh", sql, params![provider, system::now().0, most], read)?;
        for (session, ..) in &due {
            self.schedule_refresh(*session, CLAIMED_FOR)?;
        }
        Ok(due)
    }

    fn rotate_grant(&mut self, session: SessionId, old: &str, new: &str) -> Result<bool, StoreError> {
        let sql =
            "UPDATE refresh SET sealed = ?3 WHERE session = ?1 AND sealed = ?2 AND NOT is_ended(session)";
        Ok(self.execute(sql, params![session.0, old, new])? == 1)
    }

    fn forget_grants_but(&mut self, providers: &[String]) -> Result<usize, StoreError> {
        let names = serde_json::to_string(providers);
        let names = names.map_err(|error| StoreError { reason: error.to_string() })?;
        self.execute("DELETE FROM refresh WHERE provider NOT IN (SELECT value FROM json_each(?1))", [names])
    }
}
