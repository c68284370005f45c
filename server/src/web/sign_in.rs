//! The sign-in flow: the typed steps of `oidc`, with the calls between them.

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue};
use tracing::{debug, info};

use super::provider::Provider;
use super::respond::Problem;
use super::{App, token_log};
use crate::system;
use claimgate::oidc::authorization::{self, CallbackError, Login, PendingLogin};
use claimgate::oidc::id_token::{self, IdTokenError};
use claimgate::oidc::session::SessionId;
use claimgate::oidc::sign_in::{self, Person, SignInError, SignedIn};
use claimgate::oidc::userinfo::{self, SignInClaims};
use claimgate::oidc::{MAX_RESPONSE, random_token, token};

/// Begins a sign-in: where to send the browser, and the cookies to give it.
pub(crate) async fn begin(
    app: &App,
    provider: &Provider,
    return_to: &str,
    headers: &HeaderMap,
) -> Result<(String, Vec<HeaderValue>), Problem> {
    let metadata = provider.metadata().await?;
    let config = &provider.config;
    let redirect_uri = app.redirect_uri(provider);
    let login = Login {
        provider: &config.name,
        metadata: &metadata,
        client_id: &config.client.id,
        redirect_uri: &redirect_uri,
        options: &config.login,
        return_to,
    };
    let (address, pending) = authorization::begin(&login, system::now_ms(), &mut system::random);
    let text = serde_json::to_string(&pending).expect("texts and numbers are JSON");
    let sealed = app.lasting.sealer.seal("login", &text);
    let mut cookies = app.cookies.end_old_logins(headers, sealed.len());
    cookies.push(app.cookies.begin_login(pending.state(), &sealed));
    Ok((address, cookies))
}

/// Who was signed in, and what the browser needs.
pub(crate) struct Completed {
    pub(crate) return_to: String,
    pub(crate) cookies: Vec<HeaderValue>,
}

/// The sign-in that this browser has under way, by the `state` of the callback's query.
pub(crate) fn under_way(app: &App, query: &str, headers: &HeaderMap) -> Result<PendingLogin, Problem> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    let (_, state) = pairs.find(|(name, _)| name == "state").ok_or(CallbackError::State)?;
    let sealed = app.cookies.login(headers, &state).ok_or(CallbackError::State)?;
    let opened = app.lasting.sealer.open("login", &sealed).ok_or(CallbackError::State)?;
    Ok(serde_json::from_str(&opened).map_err(|_| CallbackError::State)?)
}

/// Completes a sign-in from the callback's query.
pub(crate) async fn complete(
    app: &Arc<App>,
    provider: &Arc<Provider>,
    pending: PendingLogin,
    query: &str,
    headers: &HeaderMap,
) -> Result<Completed, Problem> {
    let config = &provider.config;
    let state = pending.state().to_owned();
    let metadata = provider.metadata().await?;
    let now = system::now();
    let used = &app.lasting.used_states;
    let grant = pending
        .accept(&config.name, &config.issuer, &metadata, query, now, |state| used.first(state, now))?;

    let redirect_uri = app.redirect_uri(provider);
    let request = token::request(&grant, &config.client, &metadata, &redirect_uri, now, &mut system::random)?;
    let secrets = token::Secrets::of(&request, &config.client);
    let tokens = token::read(&provider.fetcher.send(request, MAX_RESPONSE).await?, &secrets)?;

    let validated = provider
        .verify(
            || id_token::validate(&provider.id_tokens, &tokens, &grant, config.leeway, system::now()),
            |error| match error {
                IdTokenError::Token(error) => Some(error),
                _ => None,
            },
        )
        .await;
    let counted = validated.as_ref().map(|token| token.token().header().algorithm());
    app.metrics().verified(counted.map_err(IdTokenError::code));
    let validated = validated.inspect_err(|error| {
        token_log::refused("ID token", tokens.unverified_id_token(), error.code());
    })?;
    token_log::accepted("ID token", validated.token().header(), validated.claims());

    let request = if config.userinfo { userinfo::request(&metadata, &validated) } else { None };
    let claims = match request {
        None => SignInClaims::of_id_token(validated),
        Some(request) => {
            let response = provider.fetcher.send(request, MAX_RESPONSE).await?;
            userinfo::merge(validated, &response, &provider.jws, system::now())?
        }
    };
    let explanation =
        app.lasting.explanations.as_ref().map(|_| config.mapping.explain(claims.as_value()).to_string());
    if tracing::enabled!(tracing::Level::DEBUG) {
        debug!(explanation = %config.mapping.explain(claims.as_value()), "mapping");
    }
    let person = Person::identify(claims, &config.mapping, grant.started_ms)?;

    let secret = random_token(&mut system::random);
    let session = SessionId::of_secret(&secret);
    let signed_in = record(app, provider, person, session, app.session_id(headers)).await?;
    if let (Some(explanations), Some(explanation)) = (&app.lasting.explanations, explanation) {
        explanations.lock().insert(session, explanation);
    }
    info!(
        provider = config.name,
        user = signed_in.user.username,
        %session,
        created = signed_in.created,
        linked = signed_in.linked,
        changes = signed_in.changes.len(),
        "signed in"
    );
    for change in &signed_in.changes {
        debug!(user = signed_in.user.username, %change, "sync");
    }
    Ok(Completed {
        return_to: grant.return_to,
        cookies: vec![
            app.cookies.open_session(&secret, app.config.sign_in.session_lifetime),
            app.cookies.end_login(&state),
        ],
    })
}

async fn record(
    app: &Arc<App>,
    provider: &Arc<Provider>,
    person: Person,
    session: SessionId,
    replaces: Option<SessionId>,
) -> Result<SignedIn, SignInError> {
    let policy = app.config.sign_in;
    let provider = Arc::clone(provider);
    app.store
        .transact(move |records| {
            let fields: Vec<&str> = provider.config.mapping.profile_fields().collect();
            sign_in::complete(records, &person, &fields, &policy, session, replaces, system::now())
        })
        .await
}
