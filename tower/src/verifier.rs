//! The verifiers that a layer takes.

use std::pin::Pin;
use std::time::SystemTime;

use claimgate::Verifier;
use claimgate::claims::{AccessToken, Jwt, Kind};
use claimgate::verifier::{Issuers, ValidatedToken};
use claimgate_remote::{RemoteIssuers, RemoteVerifier};

use crate::principal::{Principal, Token};
use crate::refusal::Refusal;

/// A verification in progress.
type Verifying<'v> = Pin<Box<dyn Future<Output = Result<Principal, Refusal>> + Send + 'v>>;

mod sealed {
    use super::{Principal, ValidatedToken, Verifying};

    pub trait BearerKind: claimgate::claims::Kind {
        fn principal(token: ValidatedToken<Self>) -> Principal;
    }

    pub trait BearerVerifier: Send + Sync + 'static {
        fn verify_bearer<'v>(&'v self, token: &'v str) -> Verifying<'v>;
    }
}

pub(crate) use sealed::BearerVerifier as Verify;

/// A kind of token that grants access to its bearer: an access token, or a plain JWT.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no kind of token that grants access",
    note = "access tokens and plain JWTs grant access to their bearer; ID tokens and logout tokens do not"
)]
pub trait BearerKind: sealed::BearerKind {}

/// A verifier of tokens that grant access to their bearer: [`RemoteVerifier`] and [`RemoteIssuers`], whose keys fetch
/// themselves; [`Verifier`] and [`Issuers`], by the clock of the system.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no verifier of bearer tokens",
    note = "give a `RemoteVerifier`, `RemoteIssuers`, `Verifier` or `Issuers` of `AccessToken` or `Jwt`"
)]
pub trait BearerVerifier: sealed::BearerVerifier {}

impl<V: sealed::BearerVerifier> BearerVerifier for V {}
impl<K: sealed::BearerKind> BearerKind for K {}

impl sealed::BearerKind for AccessToken {
    fn principal(token: ValidatedToken<Self>) -> Principal {
        Principal::new(Token::Access(token))
    }
}

impl sealed::BearerKind for Jwt {
    fn principal(token: ValidatedToken<Self>) -> Principal {
        Principal::new(Token::Jwt(token))
    }
}

impl<K: Kind + sealed::BearerKind> sealed::BearerVerifier for RemoteVerifier<K> {
    fn verify_bearer<'v>(&'v self, token: &'v str) -> Verifying<'v> {
        Box::pin(async move { Ok(K::principal(self.verify(token).await?)) })
    }
}

impl<K: Kind + sealed::BearerKind> sealed::BearerVerifier for RemoteIssuers<K> {
    fn verify_bearer<'v>(&'v self, token: &'v str) -> Verifying<'v> {
        Box::pin(async move { Ok(K::principal(self.verify(token).await?)) })
    }
}

impl<K: Kind + sealed::BearerKind> sealed::BearerVerifier for Verifier<K> {
    fn verify_bearer<'v>(&'v self, token: &'v str) -> Verifying<'v> {
        Box::pin(async move { Ok(K::principal(self.verify_async(token, SystemTime::now()).await?)) })
    }
}

impl<K: Kind + sealed::BearerKind> sealed::BearerVerifier for Issuers<K> {
    fn verify_bearer<'v>(&'v self, token: &'v str) -> Verifying<'v> {
        Box::pin(async move { Ok(K::principal(self.verify_async(token, SystemTime::now()).await?)) })
    }
}
