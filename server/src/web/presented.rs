//! Tokens that are presented: to `/api/v1/verify` by a service, to forward-auth and to the administration by a program.

use std::sync::Arc;
use std::time::Instant;

use tracing::{debug, info};

use super::app::App;
use super::problem::Problem;
use super::provider::Provider;
use super::token_log;
use crate::store::{PresentedToken, Revocation, RevocationError};
use crate::system;
use claimgate::access::Application;
use claimgate::claims::{AnyKind, Claims, NumericDate};
use claimgate::time::UnixTime;
use claimgate::verifier::{IssuerError, ValidatedToken, unverified_issuer};

/// What a token is presented for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose<'a> {
    /// A service asks about it.
    Service,
    /// A program requests an application.
    Application(&'a Application),
    /// A program uses the administration.
    Administration,
}

/// A token that is accepted, with its provider; or the code of the reason why it is not.
pub(crate) type Judgement = Result<(Arc<Provider>, ValidatedToken<AnyKind>), &'static str>;

/// Judges a token: signature, policy, and whether it was revoked. The reason of a refusal is counted in the log and the
/// metrics, and logged for each token at debug.
///
/// # Errors
/// [`Problem`]: the token cannot be judged now.
pub(crate) async fn judge(app: &App, token: &str, purpose: Purpose<'_>) -> Result<Judgement, Problem> {
    let provider = unverified_issuer(token)
        .and_then(|issuer| app.provider_of_issuer(&issuer).ok_or(IssuerError::Unknown));
    let provider = match provider {
        Ok(provider) => provider,
        Err(error) => {
            note_inactive(app, error.code());
            token_log::refused("presented token", token, error.code(), None);
            return Ok(Err(error.code()));
        }
    };
    let verifier = match purpose {
        Purpose::Service => &provider.presented,
        Purpose::Application(_) | Purpose::Administration => {
            provider.bearer.as_ref().unwrap_or(&provider.presented)
        }
    };
    let result = provider
        .remote
        .verify(token, || verifier.verify_async(token, system::now()), |error| Some(error))
        .await?;
    let accepted = match result {
        Ok(accepted) => accepted,
        Err(error) => {
            note_inactive(app, error.code());
            token_log::refused("presented token", token, error.code(), Some(&error));
            return Ok(Err(error.code()));
        }
    };
    // The verifier accepts the audiences of all applications, and those of the administration.
    if !is_meant_for(app, purpose, provider, accepted.claims()) {
        note_inactive(app, OTHER_AUDIENCE);
        debug!(code = OTHER_AUDIENCE, "a presented token is for another application");
        return Ok(Err(OTHER_AUDIENCE));
    }
    if let Some(reason) = revocation(app, provider, accepted.claims()).await? {
        note_inactive(app, reason.code());
        debug!(code = reason.code(), "a presented token is revoked");
        return Ok(Err(reason.code()));
    }
    app.metrics().verified(Ok(accepted.header().algorithm()));
    token_log::accepted("presented token", accepted.header(), accepted.claims());
    Ok(Ok((Arc::clone(provider), accepted)))
}

/// The code of a token for another audience.
const OTHER_AUDIENCE: &str = "claims.audience";

/// Reports whether a token is meant for the purpose that it is presented for.
fn is_meant_for(app: &App, purpose: Purpose<'_>, provider: &Provider, claims: &Claims) -> bool {
    match purpose {
        Purpose::Service => true,
        Purpose::Application(application) => application.accepts_audience(claims),
        Purpose::Administration => app
            .config
            .admin_clients
            .iter()
            .any(|client| client.provider == provider.config.id && is_for_alone(claims, &client.audience)),
    }
}

/// Reports whether a token has one audience and no other. An application that gets a token for itself and for the
/// administration could send it to the administration.
pub(super) fn is_for_alone(claims: &Claims, audience: &str) -> bool {
    let mut audiences = claims.audience().peekable();
    audiences.peek().is_some() && audiences.all(|one| one == audience)
}

/// Counts a token that is not accepted in the metrics and in the log.
fn note_inactive(app: &App, code: &'static str) {
    app.metrics().verified(Err(code));
    if let Some(tokens) = app.process.inactive_tokens.count(code, Instant::now()) {
        info!(code, tokens, "presented tokens were inactive");
    }
}

/// Returns why a verified token is not accepted any more. It is asked each time, also for cached tokens.
///
/// # Errors
/// A [`RevocationError`].
async fn revocation(
    app: &App,
    provider: &Provider,
    claims: &Claims,
) -> Result<Option<Revocation>, RevocationError> {
    let token = PresentedToken {
        issuer: provider.config.issuer_named(claims.issuer()),
        subject: claims.subject(),
        sid: claims.session_id().filter(|sid| !sid.is_empty()),
        // The policy requires it. Without one, the oldest time: every logout ends the token.
        issued_at: claims.issued_at().map_or(UnixTime(i64::MIN), NumericDate::seconds),
    };
    app.store.revocation(&token, provider.config.leeway).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use claimgate::limits::Limits;

    #[test]
    fn a_token_of_the_administration_has_no_other_audience() {
        for (claims, is_accepted) in [
            (r#"{"aud":"https://sso.example.com/api"}"#, true),
            (r#"{"aud":["https://sso.example.com/api"]}"#, true),
            (r#"{"aud":["https://sso.example.com/api","https://wiki.example.com"]}"#, false),
            (r#"{"aud":["https://wiki.example.com","https://sso.example.com/api"]}"#, false),
            (r#"{"sub":"s"}"#, false),
        ] {
            let claims = Claims::parse(claims.as_bytes(), &Limits::DEFAULT).expect("claims");
            assert_eq!(is_for_alone(&claims, "https://sso.example.com/api"), is_accepted, "{claims:?}");
        }
    }
}
