//! The refresh request, which exchanges a refresh token for new tokens (RFC 6749 §6, Core §12).
//!
//! ```
//! use claimgate::oidc::client::Client;
//! use claimgate::oidc::discovery::ProviderMetadata;
//! use claimgate::oidc::refresh;
//! use claimgate::oidc::token::{TokenError, Tokens};
//! use claimgate::oidc::{Random, Request, Response};
//! use claimgate::time::UnixTime;
//!
//! fn renew(
//!     tokens: &Tokens,
//!     (client, metadata): (&Client, &ProviderMetadata),
//!     (now, random): (UnixTime, Random<'_>),
//!     send: impl Fn(Request) -> Response,
//! ) -> Result<Option<Tokens>, TokenError> {
//!     let Some(refresh_token) = tokens.refresh_token() else { return Ok(None) };
//!     let request = refresh::request(refresh_token, client, metadata, now, random)?;
//!     refresh::read(&send(request.http), &request.secrets, tokens).map(Some)
//! }
//! ```

use super::client::{Client, Secret};
use super::discovery::ProviderMetadata;
use super::token::{self, Secrets, TokenError, TokenRequest, Tokens};
use super::{Random, Response};
use crate::time::UnixTime;

/// Builds the refresh request. It blocks for as long as the client's own `Signer` does, if it has one.
///
/// # Errors
/// `TokenError::Assertion`, with the feature `client-assertion`.
pub fn request(
    refresh_token: &Secret,
    client: &Client,
    metadata: &ProviderMetadata,
    now: impl Into<UnixTime>,
    random: Random<'_>,
) -> Result<TokenRequest, TokenError> {
    let refresh_token = refresh_token.expose();
    let grant = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
    token::post(&grant, &[refresh_token], client, metadata, now.into(), random)
}

/// Parses the response (Core §12.2). A refresh token or a scope that it does not name stays as it was `before`; a new
/// refresh token replaces the old one, which is then not to be used again (RFC 6749 §6). An ID token in it is not
/// read: the person stays the one who signed in.
///
/// # Errors
/// A [`TokenError`], with the secrets redacted from its text: [`TokenError::Refused`] with `invalid_grant` if the
/// refresh token is used up, has expired or was revoked; [`TokenError::NoAccessToken`].
pub fn read(response: &Response, secrets: &Secrets, before: &Tokens) -> Result<Tokens, TokenError> {
    let mut object = token::parse(response, secrets, "access_token")?;
    let found = token::take(&mut object, "access_token");
    let access_token = found.map_err(|found| TokenError::NoAccessToken { found })?;
    let new = Tokens::of(&mut object);
    Ok(Tokens {
        access_token: Some(Secret::new(access_token)),
        refresh_token: new.refresh_token.or_else(|| before.refresh_token.clone()),
        expires_in: new.expires_in,
        scope: new.scope.or_else(|| before.scope.clone()),
    })
}
