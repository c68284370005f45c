//! Programs that use the administration: each by a bearer token that was issued to a client of the configuration.

use axum::http::{HeaderMap, Method};

use super::app::App;
use super::presented::{self, Purpose};
use super::problem::Problem;
use super::sender;
use claimgate::access::Caller;
use claimgate_config::AdminClient;

/// Returns the client of the configuration that a request is sent by; `None` without a bearer token, and where the file
/// has no such client. The token is verified as those of applications are, for an audience of the administration and no
/// other. Its `sub` must be that of the client itself (RFC 9068 §2.2, RFC 9700 §4.15): people get tokens by the same
/// client whose `client_id` and `aud` are alike, and a person who never signed in here, or was removed, has no link.
/// `auth_time`, `acr`, `amr` and `sid` prove neither: some providers write them into the tokens of programs, others leave
/// them out of those of people.
///
/// # Errors
/// [`Problem::BearerToken`]; [`Problem::AdminClient`] of a client that may not do this; a [`Problem`] if the token cannot
/// be judged now.
pub(crate) async fn of(
    app: &App,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Option<AdminClient>, Problem> {
    let clients = &app.config.admin_clients;
    let Some(token) = sender::bearer_token(headers).filter(|_| !clients.is_empty()) else { return Ok(None) };
    let judgement = presented::judge(app, token?, Purpose::Administration).await?;
    let (provider, token) = judgement.map_err(Problem::BearerToken)?;
    let claims = token.claims();
    let name = Caller::of_token(None, claims).client.unwrap_or_default();
    let person = match claims.subject() {
        Some(subject) => {
            let issuer = provider.config.issuer_named(token.claims().issuer());
            app.store.user_of_subject(issuer, subject).await?
        }
        None => None,
    };
    let is_own = |client: &&AdminClient| {
        client.provider == provider.config.id
            && client.client == name
            && claims.subject() == Some(client.subject.as_str())
            && presented::is_for_alone(claims, &client.audience)
    };
    // A person to whom the provider gave the name of a client signs in under it, too.
    let client = clients.iter().find(is_own).filter(|_| person.is_none());
    match client {
        Some(client) if !client.read_only || method.is_safe() => Ok(Some(client.clone())),
        _ => Err(Problem::AdminClient(name.to_owned())),
    }
}
