//! One refresh of a session: the provider is asked for new tokens, and what they say of the person is judged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{debug, warn};

use super::app::App;
use super::provider::Provider;
use super::token_log;
use crate::store::{DueRefresh, Event, EventKind, Judgement};
use crate::system;
use claimgate::oidc::discovery::ProviderMetadata;
use claimgate::oidc::id_token::{IdTokenError, ValidatedIdToken};
use claimgate::oidc::refresh::{self, OriginalIdToken, Refreshed, StoredGrant};
use claimgate::oidc::session_refresh::{RefreshedClaims, RefreshedPerson};
use claimgate::oidc::token::TokenError;
use claimgate::oidc::userinfo::{self, SignInClaims, UserInfoError};
use claimgate::oidc::{MAX_RESPONSE, Request, Response};
use claimgate_remote::Fetch;

/// Pauses before the further attempts to write a refresh token that the provider has replaced: the one before it may be of
/// no use any more.
const WRITE_AGAIN: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(10)];

/// Why a refresh brings nothing.
pub(super) enum Failure {
    /// The provider does not answer now.
    Unreachable(String),
    /// The answer is of no use, which is no fault of the session's: a matter of settings, here or there.
    Refused(&'static str, String),
    /// The provider, or what it says, ends the session. With a stable code.
    Ends(&'static str),
    /// The session has ended, or another server has refreshed it.
    Gone,
    /// The store failed.
    Store(String),
}

/// Asks the provider for new tokens. A refresh token that it replaced is in the store before anything else is done with
/// the answer.
pub(super) async fn ask(
    app: &App,
    provider: &Arc<Provider>,
    due: &mut DueRefresh,
) -> Result<Judgement, Failure> {
    let Some(grant) = due.grant.clone() else {
        return Err(Failure::Ends("the refresh token cannot be read"));
    };
    let original = grant.original();
    if !provider.config.accepts_issuer(original.issuer()) {
        let reason =
            "the session is of another issuer than the provider's: its refresh token is not sent there";
        return Err(Failure::Refused("issuer", reason.to_owned()));
    }
    let metadata = provider.remote.metadata().await.map_err(|error| unreachable(&error))?;
    let refreshed = redeem(provider, &metadata, &grant).await?;
    if let Some(rotated) = grant.rotated(refreshed.tokens()) {
        keep(app, due, rotated).await?;
    }
    let claims = match validate(app, provider, &refreshed, original).await? {
        Some(id_token) => of_id_token(provider, &metadata, id_token, original).await?,
        None => of_userinfo(provider, &metadata, &refreshed, original).await?,
    };
    judge(app, provider, &claims, original)
}

fn unreachable(reason: &dyn std::fmt::Display) -> Failure {
    Failure::Unreachable(reason.to_string())
}

/// Calls the provider. An answer that says that it cannot answer now is none.
async fn call(provider: &Provider, request: Request) -> Result<Response, Failure> {
    let response = provider.client.fetch(request, MAX_RESPONSE).await.map_err(|error| unreachable(&error))?;
    match response.status().as_u16() {
        // A timeout, too many requests, and faults of the provider.
        status @ (408 | 429 | 500..) => Err(Failure::Unreachable(format!("it answered with {status}"))),
        _ => Ok(response),
    }
}

/// Redeems the refresh token at the token endpoint.
async fn redeem(
    provider: &Provider,
    metadata: &ProviderMetadata,
    grant: &StoredGrant,
) -> Result<Refreshed, Failure> {
    let client = &provider.config.client;
    let request =
        refresh::request_async(grant.refresh_token(), client, metadata, system::now(), &mut system::random)
            .await
            .map_err(|error| match error.unavailable() {
                Some(_) => unreachable(&error),
                None => Failure::Refused(error.code(), error.to_string()),
            })?;
    let response = call(provider, request.http).await?;
    refresh::read_with_id_token(&response, &request.secrets, &grant.tokens()).map_err(|error| {
        let ends = &provider.config.refresh.end_errors;
        let is_end = matches!(&error, TokenError::Refused { error, .. } if ends.contains(error));
        if error.ends_grant() || is_end {
            debug!(provider = provider.config.id, %error, "refresh");
            return Failure::Ends(error.code());
        }
        Failure::Refused(error.code(), error.to_string())
    })
}

/// Keeps the grant with the new refresh token.
async fn keep(app: &App, due: &mut DueRefresh, grant: StoredGrant) -> Result<(), Failure> {
    if grant.to_text().is_none() {
        return Err(Failure::Refused("length", "the new refresh token is too long to keep".to_owned()));
    }
    let mut pauses = WRITE_AGAIN.into_iter();
    loop {
        match app.store.rotate_grant(due, grant.clone()).await {
            Ok(true) => return Ok(()),
            Ok(false) => return Err(Failure::Gone),
            Err(error) => {
                let Some(pause) = pauses.next() else { return Err(Failure::Store(error.to_string())) };
                tokio::time::sleep(pause).await;
            }
        }
    }
}

/// Validates the ID token, if there is one; counts and logs the result.
async fn validate(
    app: &App,
    provider: &Arc<Provider>,
    refreshed: &Refreshed,
    original: &OriginalIdToken,
) -> Result<Option<ValidatedIdToken>, Failure> {
    let Some(token) = refreshed.unverified_id_token() else { return Ok(None) };
    let validated = provider
        .remote
        .verify(
            token,
            || refresh::validate_async(&provider.id_tokens, refreshed, original, system::now()),
            |error| match error {
                IdTokenError::Token(error) => Some(error),
                _ => None,
            },
        )
        .await
        .map_err(|error| unreachable(&error))?;
    match validated {
        Ok(id_token) => {
            if let Some(id_token) = &id_token {
                app.metrics().verified(Ok(id_token.token().header().algorithm()));
                token_log::accepted("ID token of a refresh", id_token.token().header(), id_token.claims());
            }
            Ok(id_token)
        }
        Err(error) => {
            app.metrics().verified(Err(error.code()));
            let reason = if let IdTokenError::Token(reason) = &error { Some(reason) } else { None };
            token_log::refused("ID token of a refresh", token, error.code(), reason);
            Err(match error {
                IdTokenError::Refreshed { claim: "iss" | "sub" } => Failure::Ends(error.code()),
                error => Failure::Refused(error.code(), error.to_string()),
            })
        }
    }
}

/// Returns the claims of the new ID token and, if configured, of UserInfo.
async fn of_id_token(
    provider: &Provider,
    metadata: &ProviderMetadata,
    id_token: ValidatedIdToken,
    original: &OriginalIdToken,
) -> Result<RefreshedClaims, Failure> {
    let request = if provider.config.userinfo { userinfo::request(metadata, &id_token) } else { None };
    let claims = match request {
        Some(request) => {
            let response = call(provider, request).await?;
            let (keys, client_id) = (provider.remote.jws(), &provider.config.client.id);
            userinfo::merge(id_token, &response, keys, client_id, system::now()).map_err(userinfo_failure)?
        }
        None => SignInClaims::of_id_token(id_token),
    };
    Ok(RefreshedClaims::whole(claims, original))
}

/// Returns the claims of UserInfo alone, if it is configured.
async fn of_userinfo(
    provider: &Provider,
    metadata: &ProviderMetadata,
    refreshed: &Refreshed,
    original: &OriginalIdToken,
) -> Result<RefreshedClaims, Failure> {
    let tokens = refreshed.tokens();
    let request = if provider.config.userinfo { userinfo::request_by(metadata, tokens) } else { None };
    let Some(request) = request else { return Ok(RefreshedClaims::none(original)) };
    let response = call(provider, request).await?;
    let by = (provider.remote.jws(), provider.config.client.id.as_str());
    let known = RefreshedClaims::of_userinfo(&response, original, tokens, by, system::now())
        .map_err(userinfo_failure)?;
    Ok(if provider.config.refresh.userinfo_is_complete { known.into_whole() } else { known })
}

fn userinfo_failure(error: UserInfoError) -> Failure {
    match error {
        UserInfoError::Subject { .. } => Failure::Ends(error.code()),
        error => Failure::Refused(error.code(), error.to_string()),
    }
}

/// Checks the demands on claims, and maps them.
fn judge(
    app: &App,
    provider: &Provider,
    claims: &RefreshedClaims,
    original: &OriginalIdToken,
) -> Result<Judgement, Failure> {
    let config = &provider.config;
    match claims.is_whole() {
        true => config.check_demands(claims.as_value()),
        false => config.check_known_demands(claims.as_value()),
    }
    .map_err(|error| Failure::Ends(error.code()))?;
    let identified = RefreshedPerson::identify(claims, &config.mapping, &app.config.kept_claims);
    let (person, left_out) = identified.map_err(|error| Failure::Ends(error.code()))?;
    for path in left_out {
        if let Some(sessions) = app.process.refreshes.at(&config.id).lines.count("claim", Instant::now()) {
            let (provider, claim) = (&config.id, path.as_str());
            warn!(
                provider,
                claim, sessions, "a claim is too long to keep: rules that look at it refuse the person"
            );
        }
    }
    let fields = config.mapping.profile_fields().map(str::to_owned).collect();
    let event = event(app, provider).map(|event| event.subject(original.subject()));
    Ok(Judgement { person, fields, policy: app.config.sign_in, event })
}

/// Returns the event of a session that ends; `None` if events are not recorded.
pub(super) fn event(app: &App, provider: &Provider) -> Option<Event> {
    app.config.events.enabled.then(|| Event::new(EventKind::Logout, "refresh").provider(&provider.config.id))
}
