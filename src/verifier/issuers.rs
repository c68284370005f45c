//! Several issuers, each with its own keys.

use std::collections::{HashMap, HashSet};

use super::{ValidatedToken, Verifier};
use crate::claims::{ClaimsError, Kind};
use crate::error::Error;
use crate::jws::{BuildError, CompactJws, JwsError};
use crate::limits::Limits;
use crate::time::UnixTime;

/// Verifiers of several issuers. A token is verified by the verifier of the issuer that it names, with that
/// issuer's algorithms, keys and policy alone, so that no issuer can sign for another (RFC 8725 §3.8).
///
/// ```
/// use claimgate::{Verifier, claims::Policy, key::KeySet, verifier::Issuers};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let [ours, theirs] = [("https://a.example", "the secret of a, which has 32 bytes"),
///                       ("https://b.example", "the secret of b, which has 32 bytes")]
///     .map(|(issuer, secret)| {
///         Verifier::builder()
///             .algorithms(["HS256"])
///             .keys(KeySet::from_secret(secret.as_bytes()))
///             .policy(Policy::access_token(issuer, "crm"))
///             .build()
///     });
/// let issuers = Issuers::new([ours?, theirs?])?;
/// assert!(issuers.of("https://a.example").is_some());
/// # Ok(()) }
/// ```
///
/// One key set for two issuers is no verifier:
///
/// ```compile_fail,E0599
/// use claimgate::claims::Policy;
/// let policy = Policy::access_token("https://a.example", "crm").issuer("https://b.example");
/// ```
#[derive(Debug)]
pub struct Issuers<K: Kind> {
    verifiers: Vec<Verifier<K>>,
    /// Indices of `verifiers` by the names of their issuers.
    by_name: HashMap<String, usize>,
    /// The largest of each limit of the verifiers. Each applies its own.
    limits: Limits,
}

impl<K: Kind> Issuers<K> {
    /// Combines verifiers of different issuers.
    ///
    /// # Errors
    /// [`BuildError::NoIssuer`] if there is no verifier, or one whose policy names no issuer;
    /// [`BuildError::SharedIssuer`] if two verifiers name the same one; [`BuildError::SharedKeys`] if two are made of
    /// clones of one [`JwsVerifier`](crate::jws::JwsVerifier).
    pub fn new(verifiers: impl IntoIterator<Item = Verifier<K>>) -> Result<Self, BuildError> {
        let verifiers: Vec<_> = verifiers.into_iter().collect();
        let (mut by_name, mut keys) = (HashMap::new(), HashSet::new());
        for (index, verifier) in verifiers.iter().enumerate() {
            let mut names = verifier.policy().issuers().peekable();
            let issuer = *names.peek().ok_or(BuildError::NoIssuer)?;
            for name in names {
                if by_name.insert(name.to_owned(), index).is_some_and(|other| other != index) {
                    return Err(BuildError::SharedIssuer { issuer: name.to_owned() });
                }
            }
            if !keys.insert(verifier.jws().keys_id()) {
                return Err(BuildError::SharedKeys { issuer: issuer.to_owned() });
            }
        }
        let limits = verifiers.iter().map(|verifier| *verifier.jws().limits());
        let limits = limits.reduce(Limits::max).ok_or(BuildError::NoIssuer)?;
        Ok(Self { verifiers, by_name, limits })
    }

    /// Returns the verifier of an issuer, to replace its keys.
    #[must_use]
    pub fn of(&self, issuer: &str) -> Option<&Verifier<K>> {
        self.by_name.get(issuer).map(|index| &self.verifiers[*index])
    }

    /// Verifies one token at the time `now`.
    ///
    /// # Errors
    /// [`ClaimsError::Issuer`] if no verifier is that of the token's issuer, [`ClaimsError::Missing`] if the token
    /// names none; else as [`Verifier::verify`].
    pub fn verify(&self, token: &str, now: impl Into<UnixTime>) -> Result<ValidatedToken<K>, Error> {
        self.verifiers[self.select(token)?].verify(token, now)
    }

    /// Verifies one token as [`verify`](Self::verify) does, without blocking the thread; see
    /// [`Verifier::verify_async`].
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn verify_async<'a>(
        &'a self,
        token: &'a str,
        now: impl Into<UnixTime>,
    ) -> impl Future<Output = Result<ValidatedToken<K>, Error>> + Send + 'a {
        let now = now.into();
        async move { self.verifiers[self.select(token)?].verify_async(token, now).await }
    }

    /// Verifies many tokens at the time `now`; see [`Verifier::verify_batch`].
    ///
    /// ```
    /// use std::time::SystemTime;
    ///
    /// use claimgate::{Error, claims::AccessToken, verifier::Issuers};
    ///
    /// async fn subjects(issuers: &Issuers<AccessToken>, tokens: &[&str]) -> Result<Vec<String>, Error> {
    ///     if let [token] = tokens {
    ///         let token = issuers.verify_async(token, SystemTime::now()).await?;
    ///         return Ok(vec![token.subject().to_owned()]);
    ///     }
    ///     let verified = issuers.verify_batch(tokens, SystemTime::now()).into_iter();
    ///     verified.map(|token| Ok(token?.subject().to_owned())).collect()
    /// }
    /// ```
    #[must_use]
    pub fn verify_batch(
        &self,
        tokens: &[&str],
        now: impl Into<UnixTime>,
    ) -> Vec<Result<ValidatedToken<K>, Error>> {
        let now = now.into();
        let mut groups: Vec<(Vec<usize>, Vec<&str>)> = vec![Default::default(); self.verifiers.len()];
        let mut results: Vec<Option<Result<ValidatedToken<K>, Error>>> = Vec::with_capacity(tokens.len());
        for (at, token) in tokens.iter().enumerate() {
            results.push(match self.select(token) {
                Ok(verifier) => {
                    let (places, group) = &mut groups[verifier];
                    places.push(at);
                    group.push(token);
                    None
                }
                Err(error) => Some(Err(error)),
            });
        }
        for (verifier, (places, group)) in self.verifiers.iter().zip(groups) {
            for (at, result) in places.into_iter().zip(verifier.verify_batch(&group, now)) {
                results[at] = Some(result);
            }
        }
        results.into_iter().map(|result| result.expect("each token has an error or is in a group")).collect()
    }

    fn select(&self, token: &str) -> Result<usize, Error> {
        let issuer = issuer_of(token, &self.limits).map_err(|error| match error {
            IssuerError::Token(error) => error,
            IssuerError::Missing => ClaimsError::Missing { claim: "iss".to_owned() }.into(),
            IssuerError::Unknown => ClaimsError::Issuer.into(),
        })?;
        Ok(*self.by_name.get(&issuer).ok_or(ClaimsError::Issuer)?)
    }
}

/// Why no verifier can be selected for a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssuerError {
    /// The token is not a compact JWS.
    #[error(transparent)]
    Token(#[from] Error),
    /// The token has no `iss` that is a string.
    #[error("the token names no issuer")]
    Missing,
    /// The token's `iss` is not the issuer of a configured provider.
    #[error("the token's issuer is not a configured provider")]
    Unknown,
}

crate::code::coded!(IssuerError);

impl IssuerError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            IssuerError::Token(error) => error.code(),
            IssuerError::Missing => "issuer.missing",
            IssuerError::Unknown => "issuer.unknown",
        }
    }
}

/// Returns the `iss` of an **unverified** token. It may select the keys to verify the token with, and
/// serves no other purpose.
///
/// ```
/// use claimgate::verifier::unverified_issuer;
///
/// let token = std::fs::read_to_string("vectors/demo/token.txt")?;
/// assert_eq!(unverified_issuer(token.trim())?, "https://idp.example.com/realms/acme");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`IssuerError::Token`] or [`IssuerError::Missing`].
pub fn unverified_issuer(token: &str) -> Result<String, IssuerError> {
    issuer_of(token, &Limits::DEFAULT)
}

fn issuer_of(token: &str, limits: &Limits) -> Result<String, IssuerError> {
    /// The one member of interest; the verification checks the rest.
    #[derive(serde::Deserialize)]
    struct Issued {
        iss: String,
    }
    let jws = CompactJws::parse(token, limits).map_err(|error| Error::from(JwsError::from(error)))?;
    let issued = serde_json::from_slice::<Issued>(&jws.unverified_payload());
    issued.map(|issued| issued.iss).map_err(|_| IssuerError::Missing)
}
