//! Sign-ins through a provider, over either engine.

use std::sync::Arc;

use super::engine::Store;
use super::grants::NewRefresh;
use super::{AdminRecords, Event};
use crate::system;
use claimgate::oidc::accounts::{self, AccountError, Administrator, UserChanges};
use claimgate::oidc::records::{Lookup, StoreError, view};
use claimgate::oidc::session::NewSession;
use claimgate::oidc::sign_in::{self, Account, Person, SignInError, SignInPolicy, SignedIn};

impl Store {
    /// Completes a sign-in through a provider, and records it as an event if one is given: without user and subject.
    /// Keeps the grant for the refreshes of its session, if there is one.
    /// `fields` are the mapping's profile fields.
    ///
    /// # Errors
    /// A [`SignInError`]; nothing has changed then.
    pub async fn sign_in(
        &self,
        person: Person,
        fields: Vec<String>,
        policy: SignInPolicy,
        session: NewSession,
        event: Option<Event>,
        grant: Option<NewRefresh>,
    ) -> Result<SignedIn, SignInError> {
        let grant = grant.map(|grant| self.seal_new(session.id, grant)).transpose()?;
        match self {
            Store::Sqlite(store) => store.sign_in(person, fields, policy, session, event, grant).await,
            Store::Postgres(store) => {
                let (person, names) = (Arc::new(person), fields.clone());
                let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
                if store.node.changes_kind(&person, &fields, &policy, session).await? {
                    let (person, event) = (Arc::clone(&person), event.clone());
                    let work = move |records: &mut dyn AdminRecords| {
                        let names: Vec<&str> = names.iter().map(String::as_str).collect();
                        change_kind(records, &person, (&names, &policy, session), event.as_ref())
                    };
                    store.administration.administer(work).await?;
                }
                store.node.sign_in(&person, &fields, &policy, session, (event, grant.as_ref())).await
            }
        }
    }
}

/// Decides a sign-in within a transaction. If its groups make the user one of another kind, changes the kind, which ends
/// the sessions of before, links the person, so that no other gets the user, and records both as an event.
fn change_kind(
    records: &mut dyn AdminRecords,
    person: &Person,
    (fields, policy, session): (&[&str], &SignInPolicy, NewSession),
    event: Option<&Event>,
) -> Result<(), SignInError> {
    let plan = sign_in::decide(view(records, &person.lookup())?, person, fields, policy, session)?;
    let changed = plan.account.changed_kind();
    let (Account::Linked(user, _) | Account::Unlinked(user, _), Some((from, to))) =
        (&plan.account.account, changed)
    else {
        return Ok(());
    };
    let Lookup { issuer, subject, .. } = person.lookup();
    if matches!(plan.account.account, Account::Unlinked(..)) {
        records.link(issuer, subject, user.id)?;
    }
    let changes = UserChanges { kind: Some(to), ..UserChanges::default() };
    match accounts::change(records, Administrator::OPERATOR, user.id, changes, system::now()) {
        Ok(_) => {}
        Err(AccountError::Store(error)) => return Err(error.into()),
        Err(error) => return Err(StoreError { reason: error.to_string() }.into()),
    }
    match event {
        Some(event) => Ok(records.record_event(&event.of_kind(user, from, to))?),
        None => Ok(()),
    }
}
