//! The sign-in flow: the typed steps of `oidc`, with the calls to the provider between them.

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue};
use tracing::{debug, info, warn};

use super::administration;
use super::app::App;
use super::events;
use super::problem::Problem;
use super::provider::Provider;
use super::refreshes;
use super::request_log::{self, Fields};
use super::sign_in_link::SignInLink;
use super::token_log;
use crate::store::NewRefresh;
use crate::system;
use claimgate::access::Authentication;
use claimgate::identity::GroupsState;
use claimgate::identity::IdentityError;
use claimgate::oidc::authorization::{
    self, AuthorizationRequest, AuthorizationResponse, CallbackError, CallbackParameters, CallbackProvider,
};
use claimgate::oidc::discovery::ProviderMetadata;
use claimgate::oidc::facts::KeptClaims;
use claimgate::oidc::id_token::{self, IdTokenError, ValidatedIdToken};
use claimgate::oidc::pending::PendingSignIn;
use claimgate::oidc::records::Position;
use claimgate::oidc::session::{NewSession, SessionId};
use claimgate::oidc::sign_in::{Person, SignInError, SignedIn};
use claimgate::oidc::sync::Change;
use claimgate::oidc::token::TokenResponse;
use claimgate::oidc::user::User;
use claimgate::oidc::userinfo::{self, SignInClaims};
use claimgate::oidc::{MAX_RESPONSE, token};
use claimgate::time::UnixTime;
use claimgate_remote::Fetch;

/// Begins a sign-in. Returns the address to send the browser to, and the cookies to set.
pub(crate) async fn begin(
    app: &App,
    provider: &Arc<Provider>,
    link: &SignInLink,
    headers: &HeaderMap,
) -> Result<(String, Vec<HeaderValue>), Problem> {
    if link.administration {
        administration::check_host(app, headers)?;
    }
    let metadata = provider.remote.metadata().await?;
    let config = &provider.config;
    let redirect_uri = app.redirect_uri(provider, headers);
    let mut options = Cow::Borrowed(&config.authorization);
    if link.another_account {
        options.to_mut().prompt = Some("login".to_owned());
    }
    if link.administration {
        options.to_mut().fresh = true;
    }
    if !link.authentication.is_empty() {
        let Authentication { max_age, acr } = link.authentication.clone();
        let options = options.to_mut();
        // A provider that may ask nothing cannot meet the demand.
        options.prompt.take_if(|prompt| prompt == "none");
        (options.authenticated_within, options.acr_values) = (max_age, acr);
    }
    let request = AuthorizationRequest {
        provider: &config.id,
        metadata: &metadata,
        client_id: &config.client.id,
        redirect_uri: &redirect_uri,
        options: &options,
        return_to: &link.return_to,
    };
    let redirect = authorization::begin(&request, system::position(), &mut system::random);
    let pending = redirect.pending.begun_at(app.store.position());
    let sealed = pending.seal(app.store.key().sealer(), &mut system::random);
    let mut cookies = app.cookies.end_old_sign_ins(headers, sealed.len());
    cookies.push(app.cookies.begin_sign_in(pending.state(), &sealed));
    Ok((redirect.url, cookies))
}

/// Returns the pending sign-in of this browser that the `state` in the callback's query names.
pub(crate) fn pending(
    app: &App,
    parameters: &CallbackParameters,
    headers: &HeaderMap,
) -> Result<PendingSignIn, CallbackError> {
    let state = parameters.state().ok_or(CallbackError::State)?;
    let sealed = app.cookies.sign_in(headers, state).ok_or(CallbackError::State)?;
    PendingSignIn::open(app.store.key().sealer(), &sealed).ok_or(CallbackError::State)
}

/// A completed sign-in: where the browser goes, and the cookies to set.
pub(crate) struct Completed {
    pub(crate) return_to: String,
    pub(crate) cookies: Vec<HeaderValue>,
}

/// Completes a sign-in from the callback's query.
pub(crate) async fn complete(
    app: &Arc<App>,
    provider: &Arc<Provider>,
    pending: PendingSignIn,
    parameters: &CallbackParameters,
    headers: &HeaderMap,
) -> Result<Completed, Problem> {
    let config = &provider.config;
    let state = pending.state().to_owned();
    let metadata = provider.remote.metadata().await?;
    let now = system::now();
    let used = &app.process.used_states;
    let issuer = config.issuer_named(parameters.issuer());
    let asked = CallbackProvider { id: &config.id, issuer, metadata: &metadata };
    let authorization = pending.accept(&asked, parameters, now, |state| used.consume(state, now))?;
    if !app.store.use_state(&state).await? {
        return Err(CallbackError::Used.into());
    }
    let redirect_uri = app.redirect_uri(provider, headers);
    let tokens = redeem(provider, &redirect_uri, &metadata, &authorization).await?;
    let id_token = validate(app, provider, &tokens, &authorization).await?;
    let grant = refreshes::grant_of(app, provider, &id_token);
    let claims = claims(provider, &metadata, id_token).await?;

    let unmet = config.check_demands(claims.as_value()).err();
    let unmet = unmet.map(|error| (token_log::demanded(claims.as_value(), &error), error));
    let (person, explanation) = identify(app, provider, claims, authorization.begun());
    if let Ok(person) = &person {
        request_log::note_user(person.username());
    }
    if let Some((found, error)) = unmet {
        found.iter().for_each(|found| request_log::note_found(found));
        return Err(Problem::Demand(error));
    }
    let person = person?;
    let secret = app.store.new_secret();
    let session = SessionId::of_secret(&secret);
    let new = NewSession { id: session, replaces: app.session_id(headers) };
    let signed_in = record(app, provider, person, (new, grant)).await?;
    if let (Some(explanations), Some(explanation)) = (&app.process.explanations, explanation) {
        explanations.lock().insert(session, explanation);
    }
    log(provider, &signed_in, session);
    app.metrics().groups(&config.id, &signed_in.groups_state);
    let mut cookies = vec![
        app.cookies.open_session(&secret, app.config.sign_in.session_lifetime),
        app.cookies.end_sign_in(&state),
    ];
    let is_admin = authorization.is_fresh() && signed_in.user.kind.is_admin();
    if is_admin && administration::check_host(app, headers).is_ok() {
        cookies.extend(open_administration(app, session, &signed_in.user).await?.0);
    }
    Ok(Completed { return_to: authorization.return_to, cookies })
}

/// Opens a session of the administration beside a sign-in session, once that is recorded. Returns its cookies, and when it
/// ends.
///
/// # Errors
/// [`Problem::Store`].
pub(crate) async fn open_administration(
    app: &App,
    session: SessionId,
    user: &User,
) -> Result<([HeaderValue; 2], UnixTime), Problem> {
    events::administration_opened(app, &user.username).await?;
    let opened = administration::open(app, session, user);
    let Fields { client, host, .. } = request_log::fields();
    info!(client, user = user.username, %session, host, "administration session opened");
    Ok(opened)
}

/// Redeems the code at the token endpoint.
async fn redeem(
    provider: &Provider,
    redirect_uri: &str,
    metadata: &ProviderMetadata,
    authorization: &AuthorizationResponse,
) -> Result<TokenResponse, Problem> {
    let client = &provider.config.client;
    let random = &mut system::random;
    let request =
        token::request_async(authorization, client, metadata, redirect_uri, system::now(), random).await?;
    let response = provider.client.fetch(request.http, MAX_RESPONSE).await?;
    Ok(token::read(&response, &request.secrets)?)
}

/// Validates the ID token; counts and logs the result.
async fn validate(
    app: &App,
    provider: &Arc<Provider>,
    tokens: &TokenResponse,
    authorization: &AuthorizationResponse,
) -> Result<ValidatedIdToken, Problem> {
    let validated = provider
        .remote
        .verify(
            tokens.unverified_id_token(),
            || id_token::validate_async(&provider.id_tokens, tokens, authorization, system::now()),
            |error| match error {
                IdTokenError::Token(error) => Some(error),
                _ => None,
            },
        )
        .await?;
    match &validated {
        Ok(id_token) => {
            app.metrics().verified(Ok(id_token.token().header().algorithm()));
            token_log::accepted("ID token", id_token.token().header(), id_token.claims());
            let has_sid = id_token.claims().session_id().is_some_and(|sid| !sid.is_empty());
            if provider.config.frontchannel_logout && !has_sid {
                warn!(
                    provider = provider.config.id,
                    "the ID token has no `sid`: a front-channel logout cannot end the session, which lasts until it ends by \
                     itself, or by hand"
                );
            }
        }
        Err(error) => {
            app.metrics().verified(Err(error.code()));
            let reason = if let IdTokenError::Token(reason) = error { Some(reason) } else { None };
            token_log::refused("ID token", tokens.unverified_id_token(), error.code(), reason);
        }
    }
    Ok(validated?)
}

/// Returns the claims of a sign-in: those of the ID token and, if configured, of UserInfo.
async fn claims(
    provider: &Provider,
    metadata: &ProviderMetadata,
    id_token: ValidatedIdToken,
) -> Result<SignInClaims, Problem> {
    let request = if provider.config.userinfo { userinfo::request(metadata, &id_token) } else { None };
    let Some(request) = request else { return Ok(SignInClaims::of_id_token(id_token)) };
    let response = provider.client.fetch(request, MAX_RESPONSE).await?;
    let client_id = &provider.config.client.id;
    Ok(userinfo::merge(id_token, &response, provider.remote.jws(), client_id, system::now())?)
}

/// Maps the claims. Returns the explanation too if the debug log or the demonstration's front page shows it.
fn identify(
    app: &App,
    provider: &Provider,
    claims: SignInClaims,
    begun: Position,
) -> (Result<Person, SignInError>, Option<String>) {
    let mapping = &provider.config.mapping;
    // For the line of a refusal.
    let paths = mapping.name_sources().map(|(path, _)| path).collect::<Vec<_>>().join(", ");
    let names = token_log::names(claims.as_value());
    let (kept, left_out) = KeptClaims::of(claims.as_value(), &app.config.kept_claims);
    let (person, explanation) = identify_and_explain(app, provider, claims, begun);
    for path in left_out {
        let (provider, claim) = (&provider.config.id, path.as_str());
        let user = person.as_ref().ok().map(Person::username);
        warn!(provider, user, claim, "a claim is too long to keep: rules that look at it refuse the person");
    }
    if let Err(SignInError::Identity(IdentityError::NoUsername)) = &person {
        request_log::note_found(&format!("looked for {paths}; the claims are {names}"));
    }
    (person.map(|person| person.keep(kept)), explanation)
}

fn identify_and_explain(
    app: &App,
    provider: &Provider,
    claims: SignInClaims,
    begun: Position,
) -> (Result<Person, SignInError>, Option<String>) {
    let mapping = &provider.config.mapping;
    let is_shown = app.process.explanations.is_some() || tracing::enabled!(tracing::Level::DEBUG);
    let kept = app.server.administration.keeps_sign_ins.then(|| claims.as_value().clone());
    if !is_shown && kept.is_none() && provider.rules.is_complete() {
        return (Person::identify(claims, mapping, begun), None);
    }
    let (person, explanation) = Person::explain(claims, mapping, begun);
    provider.rules.record(&explanation);
    if let Some(claims) = kept {
        app.process.recent.record(&provider.config.id, &claims, &explanation, system::now());
    }
    if !is_shown {
        return (person, None);
    }
    let explanation = explanation.to_string();
    debug!(explanation, "mapping");
    (person, Some(explanation))
}

/// Records a sign-in, its event and its grant in one transaction.
async fn record(
    app: &Arc<App>,
    provider: &Arc<Provider>,
    person: Person,
    (session, grant): (NewSession, Option<NewRefresh>),
) -> Result<SignedIn, SignInError> {
    let fields = provider.config.mapping.profile_fields().map(str::to_owned).collect();
    let event = events::sign_in(app, "provider").map(|event| event.provider(&provider.config.id));
    let has_grant = grant.is_some();
    let signed_in = app.store.sign_in(person, fields, app.config.sign_in, session, event, grant).await?;
    if has_grant {
        refreshes::forget_late(app, provider).await;
    }
    Ok(signed_in)
}

fn log(provider: &Provider, signed_in: &SignedIn, session: SessionId) {
    let user = &signed_in.user.username;
    let Fields { client, host, .. } = request_log::fields();
    info!(
        client,
        provider = provider.config.id,
        user,
        %session,
        host,
        created = signed_in.created,
        linked = signed_in.linked,
        changes = signed_in.changes.len(),
        "signed in"
    );
    for change in &signed_in.changes {
        if let Change::SetKind { from, to } = change {
            let (provider, from, to) = (&provider.config.id, from.name(), to.name());
            info!(provider, user, from, to, "the groups of a sign-in changed the kind of a user");
        }
        debug!(user, %change, "sync");
    }
    let left = signed_in.changes.iter().filter(|change| matches!(change, Change::Leave { .. })).count();
    match &signed_in.groups_state {
        GroupsState::LeftOut { claim, marker } => {
            warn!(
                provider = provider.config.id,
                user,
                claim,
                marker,
                "the provider left groups out, as Entra ID does above 200: no team and no kind is taken away, and none \
                 is given for them; have it send fewer, such as those assigned to the application"
            );
        }
        GroupsState::Absent if left > 0 => {
            let provider = &provider.config.id;
            warn!(
                provider,
                user, left, "the claims hold no groups: the person left the teams that groups gave"
            );
        }
        _ => {}
    }
}
