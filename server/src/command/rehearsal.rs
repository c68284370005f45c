//! What a sign-in would change: decided by the sign-in's own rules in a transaction that is rolled back.

use std::path::Path;

use claimgate::claims::Claims;
use claimgate::identity::Identity;
use claimgate::oidc::sign_in::{self, SignInError};

use super::database::{self, open};
use crate::command::output::Failure;
use crate::system;
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
    let identity = identity.clone();
    let policy = config.sign_in;
    let mapping = provider.mapping.clone();
    let rehearsed = database::rehearse(&store, move |records| {
        let fields: Vec<&str> = mapping.profile_fields().collect();
        let subject = (issuer.as_str(), subject.as_str());
        sign_in::receive(records, subject, &identity, &fields, &policy, system::now())
    });
    let signed_in = match rehearsed {
        Err(SignInError::Store(error)) => return Err(error.into()),
        Err(error) => return Ok(vec![format!("be refused: {error} [{}]", error.code())]),
        Ok(signed_in) => signed_in,
    };
    let user = &signed_in.user.username;
    let mut lines = match (signed_in.created, signed_in.linked) {
        (true, _) => vec![format!("create the user {user:?}")],
        (false, true) => vec![format!("link this person to the user {user:?}")],
        (false, false) => Vec::new(),
    };
    lines.extend(signed_in.changes.iter().map(ToString::to_string));
    if lines.is_empty() {
        lines.push(format!("change nothing of {user:?}"));
    }
    Ok(lines)
}
