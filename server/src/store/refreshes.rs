//! Sessions whose tokens are refreshed at the provider, over either engine: when the next refresh is due, and the grant for
//! it, sealed by the key of the store. A grant is deleted with its session, however that ends.
//!
//! Claiming a refresh moves its time: if the server stops meanwhile, it is due again then. Whatever is written of a refresh
//! is written only while the session lives and still has the grant that was claimed, so that a logout, and another node,
//! win.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::engine::Store;
use super::events::Event;
use super::grants::{ClaimedRow, NewRefresh, RefreshRecords, SealedGrant};
use super::listing::AdminRecords;
use super::records::SqliteRecords;
use crate::system;
use claimgate::oidc::accounts::{self, AccountError, Administrator, UserChanges};
use claimgate::oidc::records::{Lookup, StoreError};
use claimgate::oidc::refresh::StoredGrant;
use claimgate::oidc::session::SessionId;
use claimgate::oidc::session_refresh::{self, RefreshPlan, RefreshedPerson};
use claimgate::oidc::sign_in::{SignInError, SignInPolicy};
use claimgate::oidc::user::{User, UserId};

/// A refresh that is due, claimed for [`CLAIMED_FOR`](super::CLAIMED_FOR).
#[derive(Debug)]
pub struct DueRefresh {
    /// The session.
    pub session: SessionId,
    /// The grant; `None` if it cannot be read: the key of the store is another since.
    pub grant: Option<StoredGrant>,
    /// The grant as the store has it.
    sealed: String,
}

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
                Ok(store.node.schedule_refresh(due.session, &due.sealed, after).await.map(drop)?)
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
        let (issuer, subject) = (grant.original().issuer(), grant.original().subject().to_owned());
        if let Store::Postgres(store) = self {
            // Most refreshes change nothing: that takes no transaction of many statements.
            let live = store.node.peek(due.session).await;
            let live = live.map_err(|error| StoreError { reason: error.to_string() })?;
            let Some(live) = live else { return Ok(Refreshed::Gone) };
            let lookup = Lookup { issuer, subject: &subject, sid: None, username: "" };
            let linked = store.node.view(&lookup).await?.by_link.map(|(user, _)| user);
            match decide(linked, live.user.id, &judgement) {
                Ok(plan) if !plan.changes_anything(&live.facts.claims) => {
                    let kept = store.node.schedule_refresh(due.session, &due.sealed, next).await?;
                    return Ok(if kept { Refreshed::Kept(Box::new(plan)) } else { Refreshed::Gone });
                }
                _ => {}
            }
        }
        let (session, sealed) = (due.session, due.sealed.clone());
        let work = move |records: &mut dyn AdminRecords| {
            let Some(owner) = owner_of(records, session, &sealed)? else { return Ok(Refreshed::Gone) };
            // Its name may be another than when the refresh was claimed.
            let Some(issuer) = records.issuer_of(session)? else { return Ok(Refreshed::Gone) };
            let linked = records.user_by_link(&issuer, &subject)?;
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
    let before = records.kept_claims(session)?;
    let kept = plan.kept.after(&before);
    if kept != before {
        records.keep_claims(session, &kept)?;
    }
    records.schedule_refresh(session, next)?;
    Ok(Refreshed::Kept(Box::new(plan)))
}
