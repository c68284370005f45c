//! `POST /api/v1/securityEvents/{provider}`: security event tokens pushed by a transmitter (RFC 8935 §2).

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::HeaderMap;
use axum::response::Response;
use tracing::{info, warn};

use crate::store::LoggedOut;
use crate::system;
use crate::web::admission::Permit;
use crate::web::app::App;
use crate::web::extract::{Current, Path};
use crate::web::limiter::Refusal;
use crate::web::logout_queue::QueuedToken;
use crate::web::problem::Problem;
use crate::web::provider::Provider;
use crate::web::request_log::{self, Fields};
use crate::web::transmitter::Transmitter;
use crate::web::{events, respond, token_log};
use claimgate::claims::SecurityEvent;
use claimgate::oidc::backchannel::{Ended, LogoutError, ValidatedLogout};
use claimgate::oidc::security_events::{self, Reading, SecurityEventError};
use claimgate::verifier::ValidatedToken;

/// The outcomes of accepted events, in the metrics.
const ENDED: &str = "ok";
const REPLAYED: &str = "replayed";
const UNKNOWN_SUBJECT: &str = "unknown_subject";
const VERIFICATION: &str = "verification";
const STREAM_UPDATED: &str = "stream_updated";
const OTHER: &str = "other";

pub(super) async fn post(
    Current(app): Current,
    Path(provider): Path<String>,
    Extension(permit): Extension<Permit>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let transmitter =
        app.provider(&provider).ok().and_then(|provider| Some((provider, provider.transmitter.as_ref()?)));
    let Some((provider, transmitter)) = transmitter else { return Problem::NotFound.json() };
    request_log::note_provider(&provider.config.id);
    let result = match body {
        Ok(body) => receive(&app, (provider, transmitter), permit, &headers, &body).await,
        Err(rejection) => Err(rejection.into()),
    };
    app.metrics().received_event(match &result {
        Ok(outcome) => outcome,
        Err(problem) => problem.code(),
    });
    result.map_or_else(|problem| problem.json(), |_| respond::accepted())
}

/// Verifies a token and does what it asks for. Returns the outcome.
async fn receive(
    app: &App,
    (provider, transmitter): (&Arc<Provider>, &Transmitter),
    permit: Permit,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<&'static str, Problem> {
    transmitter.check(headers)?;
    let token = std::str::from_utf8(body).map_err(|_| SecurityEventError::Request)?;
    let verified = verify(app, transmitter, token).await?;
    let leeway = Duration::from_secs(provider.config.leeway);
    let is_issuer = |issuer: &str| provider.config.accepts_issuer(issuer);
    let id = &provider.config.id;
    match security_events::read(verified, is_issuer, leeway, system::position()) {
        Reading::Logout { logout, event } => log_out(app, provider, permit, (*logout, &event)).await,
        Reading::UnknownSubject { event, format } => {
            if request_log::may_report(Refusal::Other) {
                warn!(
                    provider = id,
                    event, format, "a security event ends nothing: its subject is no account here"
                );
            }
            let without_effect = LoggedOut { ended: Ended { sessions: 0, target: None }, owner: None };
            let detail = format!("{event}: unknown subject ({format})");
            let issuer = &provider.config.issuer;
            events::logged_out(app, (provider, issuer), ("security_event", &detail), &without_effect);
            Ok(UNKNOWN_SUBJECT)
        }
        Reading::Verification => {
            info!(provider = id, "the transmitter has verified the stream of security events");
            Ok(VERIFICATION)
        }
        Reading::StreamUpdated { status } => {
            warn!(provider = id, status, "the transmitter has changed the stream of security events");
            Ok(STREAM_UPDATED)
        }
        _ => Ok(OTHER),
    }
}

/// Verifies a token, with keys fetched for it if need be.
async fn verify(
    app: &App,
    transmitter: &Transmitter,
    token: &str,
) -> Result<ValidatedToken<SecurityEvent>, Problem> {
    let verify = || transmitter.tokens.verify_async(token, system::now());
    let result = transmitter.remote.verify(token, verify, |error| Some(error)).await?;
    match result {
        Ok(verified) => {
            app.metrics().verified(Ok(verified.header().algorithm()));
            token_log::accepted("security event token", verified.header(), verified.claims());
            Ok(verified)
        }
        Err(error) => {
            app.metrics().verified(Err(error.code()));
            token_log::refused("security event token", token, error.code(), Some(&error));
            Err(SecurityEventError::Token(error).into())
        }
    }
}

/// Ends the sessions that an event names, in the batch of the logouts at hand. An event that was received before is
/// acknowledged again (RFC 8935 §2.2).
async fn log_out(
    app: &App,
    provider: &Arc<Provider>,
    permit: Permit,
    (logout, event): (ValidatedLogout, &str),
) -> Result<&'static str, Problem> {
    let issuer = logout.record().issuer.clone();
    match app.process.logouts.log_out(provider, QueuedToken::Read(Box::new(logout)), permit).await {
        Ok(logout) => {
            report(app, (provider, &issuer), event, &logout);
            Ok(ENDED)
        }
        Err(Problem::Logout(LogoutError::Replayed)) => Ok(REPLAYED),
        Err(Problem::Logout(LogoutError::Store(error))) => Err(SecurityEventError::Store(error).into()),
        Err(problem) => Err(problem),
    }
}

/// Notes an event, and logs whose sessions ended.
fn report(app: &App, (provider, issuer): (&Provider, &str), event: &str, logout: &LoggedOut) {
    let has_target = logout.ended.target.is_some();
    let detail = if has_target { event.to_owned() } else { format!("{event}: no session ended") };
    events::logged_out(app, (provider, issuer), ("security_event", &detail), logout);
    let Ended { sessions: ended, target: Some(target) } = &logout.ended else { return };
    let Fields { client, host, provider, .. } = request_log::fields();
    let (subject, sid) = events::names_of(target);
    info!(client, provider, subject, sid, ended, event, host, "logout by a security event");
}
