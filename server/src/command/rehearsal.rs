//! What a sign-in would change in the database of a configuration file.

use std::path::Path;

use claimgate::claims::Claims;
use claimgate::identity::Identity;
use claimgate::oidc::records::{self, Lookup};

use super::database::{look, open};
use crate::command::output::Failure;
use crate::web::rehearsal;
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
    let issuer = provider.issuer_named(claims.issuer()).to_owned();
    let subject = claims.subject().unwrap_or_default().to_owned();
    let username = identity.username.clone();
    let view = look(&store, move |records| {
        let person = Lookup { issuer: &issuer, subject: &subject, sid: None, username: &username };
        records::view(records, &person)
    })?;
    Ok(rehearsal::changes(config, provider, view, identity))
}
