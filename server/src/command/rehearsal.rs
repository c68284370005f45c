//! What a sign-in would change: decided by the sign-in's own rules; nothing is written.

use std::path::Path;

use claimgate::claims::Claims;
use claimgate::identity::Identity;
use claimgate::oidc::records::{self, Lookup};
use claimgate::oidc::sign_in::{self, Account};

use super::database::{open, transact};
use crate::command::output::Failure;
use claimgate_config::{Config, Provider};

/// Returns what a sign-in with these claims would do to the database, one change per line.
pub(crate) fn rehearse(
    config: &Config,
    provider: &Provider,
    claims: &Claims,
    identity: &Identity,
    file: &Path,
) -> Result<Vec<String>, Failure> {
    let store = open(file)?;
    let issuer = provider.issuer.clone();
    let subject = claims.subject().unwrap_or_default().to_owned();
    let username = identity.username.clone();
    let view = transact(&store, move |records| {
        let person = Lookup { issuer: &issuer, subject: &subject, sid: None, username: &username };
        records::view(records, &person)
    })?;
    let fields: Vec<&str> = provider.mapping.profile_fields().collect();
    let plan = match sign_in::decide_account(view, identity, &fields, &config.sign_in) {
        Err(error) => return Ok(vec![format!("be refused: {error} [{}]", error.code())]),
        Ok(plan) => plan,
    };
    let user = plan.account.username();
    let mut lines = match plan.account {
        Account::New { .. } => vec![format!("create the user {user:?}")],
        Account::Unlinked(..) => vec![format!("link this person to the user {user:?}")],
        Account::Linked(..) => Vec::new(),
    };
    lines.extend(plan.changes.iter().map(ToString::to_string));
    if lines.is_empty() {
        lines.push(format!("change nothing of {user:?}"));
    }
    Ok(lines)
}
