//! Several issuers, each with keys that fetch themselves.

use std::collections::HashMap;

use crate::error::{SetupError, VerifyError};
use crate::issuer::RemoteVerifier;
use claimgate::Error;
use claimgate::claims::{ClaimsError, Kind};
use claimgate::jws::BuildError;
use claimgate::verifier::{IssuerError, ValidatedToken, unverified_issuer};

/// Verifiers of several issuers. A token is verified by the verifier of the issuer that it names, so that no issuer
/// can sign for another (RFC 8725 §3.8). The counterpart of [`Issuers`](claimgate::verifier::Issuers).
///
/// ```no_run
/// use claimgate::claims::Policy;
/// use claimgate_remote::{Issuer, RemoteIssuers};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let [staff, guests] = ["https://staff.example.com", "https://guests.example.com"]
///     .map(|issuer| Issuer::discover(issuer).algorithms(["RS256"]).policy(Policy::access_token(issuer, "crm")).spawn());
/// let issuers = RemoteIssuers::new([staff?, guests?])?;
/// let token = issuers.verify("a.bearer.token").await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct RemoteIssuers<K: Kind>(HashMap<String, RemoteVerifier<K>>);

impl<K: Kind> RemoteIssuers<K> {
    /// Combines verifiers of different issuers.
    ///
    /// # Errors
    /// [`SetupError::Build`]: [`BuildError::NoIssuer`] if there is no verifier, [`BuildError::SharedIssuer`] if two
    /// verifiers accept the same issuer.
    pub fn new(verifiers: impl IntoIterator<Item = RemoteVerifier<K>>) -> Result<Self, SetupError> {
        let mut by_name = HashMap::new();
        for verifier in verifiers {
            for name in verifier.verifier().policy().issuers() {
                if by_name.insert(name.to_owned(), verifier.clone()).is_some() {
                    return Err(BuildError::SharedIssuer { issuer: name.to_owned() }.into());
                }
            }
        }
        if by_name.is_empty() { Err(BuildError::NoIssuer.into()) } else { Ok(Self(by_name)) }
    }

    /// Returns the verifier of the issuer that an **unverified** token names.
    ///
    /// ```
    /// use claimgate::claims::AccessToken;
    /// use claimgate_remote::RemoteIssuers;
    ///
    /// /// Returns the name under which the token is counted before it is verified.
    /// fn counted_as<'i>(issuers: &'i RemoteIssuers<AccessToken>, token: &str) -> &'i str {
    ///     issuers.select(token).map_or("unknown", |verifier| verifier.issuer())
    /// }
    /// ```
    ///
    /// # Errors
    /// [`ClaimsError::Issuer`] if no verifier accepts that issuer, [`ClaimsError::Missing`] if the token names none;
    /// an [`Error::Jws`] if it is no compact JWS.
    pub fn select(&self, token: &str) -> Result<&RemoteVerifier<K>, Error> {
        let issuer = unverified_issuer(token).map_err(|error| match error {
            IssuerError::Token(error) => error,
            IssuerError::Missing => ClaimsError::Missing { claim: "iss".to_owned() }.into(),
            _ => ClaimsError::Issuer.into(),
        })?;
        self.0.get(&issuer).ok_or(ClaimsError::Issuer.into())
    }

    /// Verifies a token. Waits for a fetch of keys if no known key of its issuer verifies it.
    ///
    /// # Errors
    /// A [`VerifyError`]; also as [`select`](Self::select).
    pub async fn verify(&self, token: &str) -> Result<ValidatedToken<K>, VerifyError> {
        self.select(token)?.verify(token).await
    }
}

impl<K: Kind> From<RemoteVerifier<K>> for RemoteIssuers<K> {
    fn from(verifier: RemoteVerifier<K>) -> Self {
        let names: Vec<String> = verifier.verifier().policy().issuers().map(str::to_owned).collect();
        Self(names.into_iter().map(|name| (name, verifier.clone())).collect())
    }
}
