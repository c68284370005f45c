//! A sign-in over PostgreSQL whose groups make the user one of another kind.

use super::{AdminRecords, Event};
use crate::system;
use claimgate::oidc::accounts::{self, AccountError, Administrator, UserChanges};
use claimgate::oidc::records::{Lookup, StoreError, view};
use claimgate::oidc::session::NewSession;
use claimgate::oidc::sign_in::{self, Account, Person, SignInError, SignInPolicy};

/// Decides a sign-in within a transaction. If its groups make the user one of another kind, changes the kind, which ends
/// the sessions of before, links the person, so that no other gets the user, and records both as an event.
pub(super) fn change_kind(
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
