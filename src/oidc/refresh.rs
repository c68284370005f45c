//! The refresh request, which exchanges a refresh token for new tokens (RFC 6749 §6, Core §12).
//!
//! ```
//! use claimgate::Verifier;
//! use claimgate::claims::IdToken;
//! use claimgate::oidc::client::{Client, Secret};
//! use claimgate::oidc::discovery::ProviderMetadata;
//! use claimgate::oidc::refresh::{self, OriginalIdToken, StoredGrant};
//! use claimgate::oidc::token::{TokenError, TokenRequest, Tokens};
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
//!
//! /// The same with the ID token that some providers send again; `original` was kept with the refresh token.
//! fn renew_session(
//!     response: &Response,
//!     (request, tokens): (&TokenRequest, &Tokens),
//!     (verifier, original): (&Verifier<IdToken>, &OriginalIdToken),
//!     now: UnixTime,
//! ) -> Result<Tokens, Box<dyn std::error::Error>> {
//!     let refreshed = refresh::read_with_id_token(response, &request.secrets, tokens)?;
//!     // `refresh::validate_async(…).await` where a key waits for something beyond this process.
//!     match refresh::validate(verifier, &refreshed, original, now) {
//!         Ok(Some(id_token)) => println!("{:?}", OriginalIdToken::of(&id_token)),
//!         Ok(None) => {}
//!         Err(error) => {
//!             eprintln!("{error} [{}]: {:?}", error.code(), refreshed.unverified_id_token());
//!             return Err(error.into());
//!         }
//!     }
//!     Ok(refreshed.tokens().clone())
//! }
//!
//! /// Returns what to keep, sealed, once the provider has replaced the refresh token.
//! fn rotate(grant: &StoredGrant, tokens: &Tokens, seal: impl Fn(&str) -> Vec<u8>) -> Option<Vec<u8>> {
//!     grant.rotated(tokens)?.to_text().map(|text| seal(&text))
//! }
//!
//! /// Opens a grant that was kept under an issuer which has another name now.
//! fn open(text: &str, issuer: &str) -> Option<(StoredGrant, OriginalIdToken)> {
//!     let grant = StoredGrant::from_text(text)?;
//!     println!("{} at {}", grant.original().subject(), grant.original().issuer());
//!     let original = grant.original().clone().of_issuer(issuer);
//!     Some((grant.of_issuer(issuer), original))
//! }
//!
//! /// Presents the refresh token with an assertion that a key service signs.
//! # #[cfg(feature = "client-assertion")]
//! async fn request(
//!     refresh_token: &Secret,
//!     (client, metadata): (&Client, &ProviderMetadata),
//!     (now, random): (UnixTime, Random<'_>),
//! ) -> Result<TokenRequest, TokenError> {
//!     refresh::request_async(refresh_token, client, metadata, now, random).await
//! }
//! ```

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::client::{Client, Secret};
use super::discovery::ProviderMetadata;
use super::facts::OF_THE_AUTHENTICATION;
use super::id_token::{IdTokenError, ValidatedIdToken, check_access_token_hash};
use super::token::{self, Grant, Secrets, TokenError, TokenRequest, Tokens};
use super::{Random, Response};
use crate::claims::{Claims, IdToken};
use crate::time::UnixTime;
use crate::verifier::ValidatedToken;
use crate::{Error, Verifier};

/// Builds the refresh request. It blocks for as long as the client's own `Signer` does, if it has one; `request_async`
/// awaits it.
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
    Grant::refresh(refresh_token).request(client, metadata, now.into(), random)
}

/// Does the same as [`request`] without blocking the thread where the client's own [`Signer`](crate::sign::Signer)
/// waits for something beyond this process, as [`token::request_async`] does.
///
/// # Errors
/// [`TokenError::Assertion`].
#[cfg(feature = "client-assertion")]
pub fn request_async<'a, T: Into<UnixTime>>(
    refresh_token: &'a Secret,
    client: &'a Client,
    metadata: &'a ProviderMetadata,
    now: T,
    random: Random<'_>,
) -> impl Future<Output = Result<TokenRequest, TokenError>> + Send + use<'a, T> {
    Grant::refresh(refresh_token).request_async(client, metadata, now.into(), random)
}

/// Parses the response (Core §12.2). A refresh token or a scope that it does not name stays as it was `before`; a new
/// refresh token replaces the old one, which is then not to be used again (RFC 6749 §6). An ID token in it is not
/// read: the person stays the one who signed in. [`read_with_id_token`] keeps it.
///
/// # Errors
/// A [`TokenError`], with the secrets redacted from its text: [`TokenError::Refused`] with `invalid_grant` if the
/// refresh token is used up, has expired or was revoked; [`TokenError::NoAccessToken`].
pub fn read(response: &Response, secrets: &Secrets, before: &Tokens) -> Result<Tokens, TokenError> {
    read_tokens(&mut token::parse(response, secrets, "access_token")?, before)
}

fn read_tokens(object: &mut Map<String, Value>, before: &Tokens) -> Result<Tokens, TokenError> {
    let found = token::take(object, "access_token");
    let access_token = found.map_err(|found| TokenError::NoAccessToken { found })?;
    let new = Tokens::of(object);
    Ok(Tokens {
        access_token: Some(Secret::new(access_token)),
        refresh_token: new.refresh_token.or_else(|| before.refresh_token.clone()),
        expires_in: new.expires_in,
        scope: new.scope.or_else(|| before.scope.clone()),
    })
}

/// The tokens of a refresh, with the ID token that came with them. Not printable. The ID token is out of reach until it
/// is validated.
pub struct Refreshed {
    id_token: Option<Zeroizing<String>>,
    tokens: Tokens,
}

crate::text::redacted_debug!(Refreshed);

impl Refreshed {
    /// Returns the access token and what came with it.
    #[must_use]
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// Returns the ID token as received, **unverified**: for a log that says so. `None` if the provider sent none, which it
    /// need not (Core §12.2).
    #[must_use]
    pub fn unverified_id_token(&self) -> Option<&str> {
        self.id_token.as_ref().map(|token| token.as_str())
    }
}

/// Parses the response as [`read`] does, and keeps an ID token in it. The next step is [`validate`].
///
/// # Errors
/// Those of [`read`].
pub fn read_with_id_token(
    response: &Response,
    secrets: &Secrets,
    before: &Tokens,
) -> Result<Refreshed, TokenError> {
    let mut object = token::parse(response, secrets, "access_token")?;
    let id_token = token::take(&mut object, "id_token").ok().map(Zeroizing::new);
    Ok(Refreshed { id_token, tokens: read_tokens(&mut object, before)? })
}

/// What the ID token of a refresh is compared with: that of the sign-in. To be kept with the refresh token, and as secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct OriginalIdToken {
    issuer: String,
    subject: String,
    issued_at: i64,
    nonce: Option<String>,
    /// The claims that say how the person authenticated.
    #[serde(default)]
    authentication: Map<String, Value>,
}

crate::text::redacted_debug!(OriginalIdToken, issuer, subject, issued_at);

impl OriginalIdToken {
    /// Returns that of a sign-in.
    #[must_use]
    pub fn of(id_token: &ValidatedIdToken) -> Self {
        let token = id_token.token();
        Self {
            issuer: token.issuer().to_owned(),
            subject: token.subject().to_owned(),
            issued_at: token.issued_at().seconds().0,
            nonce: nonce_of(token.claims()).map(str::to_owned),
            authentication: OF_THE_AUTHENTICATION
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), token.claims().get(name)?.clone())))
                .collect(),
        }
    }

    /// Returns `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Returns `sub`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Takes the new name of an issuer that was renamed since the sign-in.
    #[must_use]
    pub fn of_issuer(self, issuer: &str) -> Self {
        Self { issuer: issuer.to_owned(), ..self }
    }

    /// Puts the claims that say how the person authenticated in place of a refresh's own: a refresh is no authentication
    /// (Core §12.2).
    pub(super) fn restore_authentication(&self, claims: &mut Map<String, Value>) {
        OF_THE_AUTHENTICATION.iter().for_each(|name| drop(claims.remove(*name)));
        claims.extend(self.authentication.clone());
    }

    /// Checks that a token is about the same person at the same provider, was not issued before, and has the same nonce if
    /// it has one (Core §12.2). The client is the same by the policy of the verifier. `auth_time` is not compared: what is
    /// known of the sign-in stays what it was.
    fn check(&self, token: &ValidatedToken<IdToken>, leeway: u64) -> Result<(), IdTokenError> {
        let is_same_nonce = match (nonce_of(token.claims()), &self.nonce) {
            (None, _) => !token.claims().as_object().contains_key("nonce"),
            (Some(_), None) => false,
            (Some(nonce), Some(own)) => nonce.as_bytes().ct_eq(own.as_bytes()).into(),
        };
        let earliest = UnixTime(self.issued_at).saturating_sub(leeway);
        let claim = match () {
            () if token.issuer() != self.issuer => "iss",
            () if token.subject() != self.subject => "sub",
            () if token.issued_at().seconds() < earliest => "iat",
            () if !is_same_nonce => "nonce",
            () => return Ok(()),
        };
        Err(IdTokenError::Refreshed { claim })
    }
}

fn nonce_of(claims: &Claims) -> Option<&str> {
    claims.get("nonce").and_then(Value::as_str)
}

/// Validates the ID token of a refresh (Core §12.2); `None` if there is none. `verifier` has the policy
/// `Policy::id_token(issuer, client_id)` of the provider.
///
/// # Errors
/// [`IdTokenError::Token`]: the token is not valid; [`IdTokenError::Refreshed`]: it does not belong to the sign-in;
/// [`IdTokenError::AccessTokenHash`].
pub fn validate(
    verifier: &Verifier<IdToken>,
    refreshed: &Refreshed,
    original: &OriginalIdToken,
    now: impl Into<UnixTime>,
) -> Result<Option<ValidatedIdToken>, IdTokenError> {
    let Some(raw) = &refreshed.id_token else { return Ok(None) };
    let token = verifier.verify(raw, now.into());
    check(token, refreshed, raw, (original, verifier.policy().leeway_seconds())).map(Some)
}

/// Does the same as [`validate`], without blocking the thread where a key waits for something beyond this process.
///
/// # Errors
/// As [`validate`].
pub async fn validate_async(
    verifier: &Verifier<IdToken>,
    refreshed: &Refreshed,
    original: &OriginalIdToken,
    now: impl Into<UnixTime>,
) -> Result<Option<ValidatedIdToken>, IdTokenError> {
    let now: UnixTime = now.into();
    let Some(raw) = &refreshed.id_token else { return Ok(None) };
    let token = verifier.verify_async(raw, now).await;
    check(token, refreshed, raw, (original, verifier.policy().leeway_seconds())).map(Some)
}

fn check(
    token: Result<ValidatedToken<IdToken>, Error>,
    refreshed: &Refreshed,
    raw: &Zeroizing<String>,
    (original, leeway): (&OriginalIdToken, u64),
) -> Result<ValidatedIdToken, IdTokenError> {
    let token = token?;
    original.check(&token, leeway)?;
    check_access_token_hash(&token, refreshed.tokens.access_token().map(Secret::expose))?;
    Ok(ValidatedIdToken { token, raw: raw.clone(), tokens: refreshed.tokens.clone() })
}

/// Longest text of a [`StoredGrant`], in bytes: limits what a session takes on the disk. Refresh tokens have up to some
/// 2,000 characters.
pub const MAX_STORED_GRANT: usize = 16 * 1024;

/// What a store keeps of a sign-in whose tokens are to be refreshed: the refresh token, and what the answer is compared
/// with. A secret: as a text it is to be encrypted at rest. `Debug` prints no token.
#[derive(Clone, Debug)]
pub struct StoredGrant {
    refresh_token: Secret,
    original: OriginalIdToken,
}

#[derive(Serialize)]
struct WrittenGrant<'g> {
    refresh_token: &'g str,
    original: &'g OriginalIdToken,
}

#[derive(Deserialize)]
struct ReadGrant {
    refresh_token: String,
    original: OriginalIdToken,
}

impl StoredGrant {
    /// Returns that of a sign-in; `None` if the provider issued no refresh token.
    #[must_use]
    pub fn of(id_token: &ValidatedIdToken) -> Option<Self> {
        let refresh_token = id_token.tokens().refresh_token()?.clone();
        Some(Self { refresh_token, original: OriginalIdToken::of(id_token) })
    }

    /// Returns the refresh token.
    #[must_use]
    pub fn refresh_token(&self) -> &Secret {
        &self.refresh_token
    }

    /// Returns what an ID token is compared with.
    #[must_use]
    pub fn original(&self) -> &OriginalIdToken {
        &self.original
    }

    /// Takes the new name of an issuer that was renamed since the sign-in.
    #[must_use]
    pub fn of_issuer(self, issuer: &str) -> Self {
        Self { original: self.original.of_issuer(issuer), ..self }
    }

    /// Returns the grant as the answer to a refresh left it; `None` if it is the same: the provider sent no other refresh
    /// token (RFC 6749 §6).
    #[must_use]
    pub fn rotated(&self, tokens: &Tokens) -> Option<Self> {
        let new = tokens.refresh_token().filter(|new| new.expose() != self.refresh_token.expose())?;
        Some(Self { refresh_token: new.clone(), original: self.original.clone() })
    }

    /// Returns the tokens before the refresh, as [`read_with_id_token`] takes them.
    #[must_use]
    pub fn tokens(&self) -> Tokens {
        let refresh_token = Some(self.refresh_token.clone());
        Tokens { access_token: None, refresh_token, expires_in: None, scope: None }
    }

    /// Returns it as a text, to be sealed; `None` if that is longer than [`MAX_STORED_GRANT`].
    #[must_use]
    pub fn to_text(&self) -> Option<Zeroizing<String>> {
        // No text that grows: what was copied on the way would stay in memory.
        let mut text = Zeroizing::new(Vec::with_capacity(MAX_STORED_GRANT));
        let written = WrittenGrant { refresh_token: self.refresh_token.expose(), original: &self.original };
        serde_json::to_writer(Limited(&mut text), &written).ok()?;
        String::from_utf8(std::mem::take(&mut *text)).ok().map(Zeroizing::new)
    }

    /// Reads a text of [`to_text`](Self::to_text); `None` for another.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        let ReadGrant { refresh_token, original } = serde_json::from_str(text).ok()?;
        Some(Self { refresh_token: Secret::new(refresh_token), original })
    }
}

/// A text that does not grow beyond its capacity.
struct Limited<'t>(&'t mut Vec<u8>);

impl std::io::Write for Limited<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_STORED_GRANT {
            return Err(std::io::ErrorKind::WriteZero.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
