//! The sender of a request whose token was accepted, and what a handler takes of it.

use std::ops::Deref;
use std::sync::Arc;

use claimgate::claims::{AccessToken, Claims, Jwt};
use claimgate::identity::Identity;
use claimgate::jws::Header;
use claimgate::verifier::ValidatedToken;
use http::Extensions;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::refusal::Refusal;

/// The sender of a request whose token was accepted. A clone shares the contents.
///
/// ```
/// use claimgate_tower::{Principal, Refusal, Require};
///
/// fn admit(principal: &Principal) -> Result<(), Refusal> {
///     println!("{}", principal.header().algorithm());
///     println!("{:?} as {:?}", principal.claims().subject(), principal.identity().map(|known| &known.username));
///     if principal.scopes().any(|scope| scope == "admin") {
///         return Ok(());
///     }
///     // The guard of a route, applied by hand.
///     Require::scope("orders:read").admit(principal)
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Principal {
    token: Token,
    identity: Option<Arc<Identity>>,
}

#[derive(Clone, Debug)]
pub(crate) enum Token {
    Access(ValidatedToken<AccessToken>),
    Jwt(ValidatedToken<Jwt>),
}

impl Principal {
    pub(crate) fn new(token: Token) -> Self {
        Self { token, identity: None }
    }

    pub(crate) fn with_identity(self, identity: Identity) -> Self {
        Self { identity: Some(Arc::new(identity)), ..self }
    }

    /// Returns the claims of the token.
    #[must_use]
    pub fn claims(&self) -> &Claims {
        match &self.token {
            Token::Access(token) => token.claims(),
            Token::Jwt(token) => token.claims(),
        }
    }

    /// Returns the JOSE header of the token.
    #[must_use]
    pub fn header(&self) -> &Header {
        match &self.token {
            Token::Access(token) => token.header(),
            Token::Jwt(token) => token.header(),
        }
    }

    /// Returns the scopes: those of `scope` (RFC 9068 §2.2.3) and of `scp` (Entra ID, Okta), each a text of names
    /// separated by spaces or an array of names.
    pub fn scopes(&self) -> impl Iterator<Item = &str> {
        let claims = ["scope", "scp"].into_iter().filter_map(|name| self.claims().get(name));
        claims.flat_map(|claim| {
            let (text, names) = match claim {
                Value::String(text) => (text.as_str(), [].as_slice()),
                Value::Array(names) => ("", names.as_slice()),
                _ => ("", [].as_slice()),
            };
            let split = text.split(' ').filter(|name| !name.is_empty());
            split.chain(names.iter().filter_map(Value::as_str))
        })
    }

    /// Returns the identity, if the layer has a [mapping](crate::BearerLayer::mapping).
    #[must_use]
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_deref()
    }
}

/// The identity that the layer's [mapping](crate::BearerLayer::mapping) made of the claims.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedIdentity(pub Arc<Identity>);

impl Deref for MappedIdentity {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.0
    }
}

/// What can be taken of a [`Principal`]: any type that the claims deserialize to, the [`MappedIdentity`], and the
/// principal itself.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be taken of a verified token",
    note = "derive `serde::Deserialize` for a struct of claims, or take `MappedIdentity` or `Principal`"
)]
pub trait FromPrincipal: Sized {
    /// Takes the value.
    ///
    /// # Errors
    /// [`Refusal::Token`] with `claims.deserialize` for claims that do not fit; [`Refusal::Program`] for the identity
    /// of a layer without a mapping.
    fn from_principal(principal: &Principal) -> Result<Self, Refusal>;
}

impl<T: DeserializeOwned> FromPrincipal for T {
    fn from_principal(principal: &Principal) -> Result<Self, Refusal> {
        principal.claims().deserialize().map_err(|error| Refusal::Token(error.into()))
    }
}

impl FromPrincipal for Principal {
    fn from_principal(principal: &Principal) -> Result<Self, Refusal> {
        Ok(principal.clone())
    }
}

impl FromPrincipal for MappedIdentity {
    fn from_principal(principal: &Principal) -> Result<Self, Refusal> {
        let missing = "the identity is asked for, and the `BearerLayer` has no `mapping`";
        principal.identity.clone().map(Self).ok_or(Refusal::Program { missing })
    }
}

/// What a handler takes of an accepted token. With the feature `axum` an extractor, also as `Option<Verified<T>>`
/// behind an [optional](crate::BearerLayer::optional) layer; elsewhere see [`of`](Self::of).
///
/// What the claims do not deserialize to is no argument:
///
/// ```compile_fail,E0277
/// use axum::{Router, routing::get};
/// use claimgate_tower::Verified;
///
/// struct User; // without `#[derive(serde::Deserialize)]`
/// async fn me(_: Verified<User>) {}
/// let app: Router = Router::new().route("/me", get(me));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified<T>(pub T);

impl<T: FromPrincipal> Verified<T> {
    /// Takes the value from the extensions of a request that passed a [`BearerLayer`](crate::BearerLayer); for
    /// frameworks without extractors.
    ///
    /// In a method of tonic:
    ///
    /// ```
    /// # use claimgate_tower::Verified;
    /// # #[derive(serde::Deserialize)] struct User { sub: String }
    /// # let extensions = http::Extensions::new();
    /// let user = Verified::<User>::of(&extensions); // `request.extensions()`
    /// let refusal = user.err().unwrap();            // `tonic::Status::new(refusal.grpc_status().into(), …)`
    /// assert_eq!((refusal.code(), refusal.grpc_status()), ("bearer.program", 13));
    /// ```
    ///
    /// # Errors
    /// [`Refusal::Missing`] for a request without a token, as an [optional](crate::BearerLayer::optional) layer
    /// passes it on; [`Refusal::Program`] without a layer; also those of [`FromPrincipal`].
    pub fn of(extensions: &Extensions) -> Result<Self, Refusal> {
        Self::optional(extensions)?.ok_or(Refusal::Missing)
    }

    /// Does the same as [`of`](Self::of), and returns `None` for a request without a token.
    ///
    /// ```
    /// # use claimgate_tower::Verified;
    /// # #[derive(serde::Deserialize)] struct User { sub: String }
    /// fn greet(extensions: &http::Extensions) -> Result<String, claimgate_tower::Refusal> {
    ///     let user = Verified::<User>::optional(extensions)?;
    ///     Ok(user.map_or_else(|| "hello".to_owned(), |Verified(user)| format!("hello, {}", user.sub)))
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`of`](Self::of), except [`Refusal::Missing`].
    pub fn optional(extensions: &Extensions) -> Result<Option<Self>, Refusal> {
        let principal = Authentication::of(extensions)?.0.as_ref();
        principal.map(|principal| T::from_principal(principal).map(Self)).transpose()
    }
}

/// The decision of a layer on a request that it passes on; `None` if the request has no token.
#[derive(Clone, Debug)]
pub(crate) struct Authentication(pub(crate) Option<Principal>);

impl Authentication {
    /// Returns the decision of the layer that a request has passed.
    ///
    /// # Errors
    /// [`Refusal::Program`]: it passed none.
    pub(crate) fn of(extensions: &Extensions) -> Result<&Self, Refusal> {
        let missing = "there is no `BearerLayer` around the guard or the handler";
        extensions.get::<Self>().ok_or(Refusal::Program { missing })
    }
}
