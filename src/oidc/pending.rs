//! A sign-in in progress, and its sealed form in the cookie of the browser that began it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::Random;
use super::records::Position;
use super::seal::Sealer;
use crate::time::UnixTime;

/// The purpose that a sign-in is sealed for: no value sealed for another opens as one.
const PURPOSE: &str = "sign-in";

/// A sign-in in progress. It belongs, sealed, in the browser that began it: its holder can finish the sign-in.
///
/// [`authorization::begin`](super::authorization::begin) makes one, the cookie holds it while the person is at the
/// provider, and [`accept`](Self::accept) compares it with the callback:
///
/// ```
/// use claimgate::oidc::authorization::{
///     self, AuthorizationOptions, AuthorizationRequest, CallbackError, CallbackParameters, CallbackProvider,
/// };
/// use claimgate::oidc::pending::PendingSignIn;
/// use claimgate::oidc::seal::{KEY_LEN, Sealer};
/// # use claimgate::oidc::{discovery, discovery::EndpointOverrides, Response};
///
/// # let document = r#"{"issuer": "https://idp.example.com", "jwks_uri": "https://idp.example.com/jwks",
/// #     "authorization_endpoint": "https://idp.example.com/auth",
/// #     "token_endpoint": "https://idp.example.com/token"}"#;
/// # let response = Response::new(document.into());
/// # let metadata = &discovery::read(&response, "https://idp.example.com", &EndpointOverrides::default(), false)?;
/// # let now = std::time::UNIX_EPOCH; // the system's time, in a program
/// # let mut next = 0;
/// # let random = &mut |bytes: &mut [u8]| { next += 1; bytes.fill(next) };
/// # let mut key = [0; KEY_LEN];
/// random(&mut key); // from the operating system
/// let sealer = Sealer::new(&key).expect("a key of the right length");
/// let request = AuthorizationRequest {
///     provider: "acme",
///     metadata,
///     client_id: "crm",
///     redirect_uri: "https://crm.example.com/callback",
///     options: &AuthorizationOptions::default(),
///     return_to: "/reports",
/// };
/// let redirect = authorization::begin(&request, now, random);
/// let cookie = redirect.pending.seal(&sealer, random);
///
/// // The callback, by the same browser.
/// let query = format!("code=c&state={}", redirect.pending.state());
/// let pending = PendingSignIn::open(&sealer, &cookie).ok_or(CallbackError::State)?;
/// let asked = CallbackProvider { id: "acme", issuer: "https://idp.example.com", metadata };
/// let is_first_use = |_state: &str| true; // by the memory of the program
/// let response = pending.accept(&asked, &CallbackParameters::parse(&query), now, is_first_use)?;
/// assert_eq!(response.return_to, "/reports");
///
/// let changed = format!("{}A", &cookie[..cookie.len() - 1]);
/// assert!(changed == cookie || PendingSignIn::open(&sealer, &changed).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct PendingSignIn(pub(super) Pending);

/// The content of a [`PendingSignIn`].
#[derive(Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) provider: String,
    pub(super) state: String,
    pub(super) nonce: String,
    pub(super) code_verifier: String,
    pub(super) return_to: String,
    /// When it began, in seconds since 1970.
    pub(super) started: i64,
    /// The position at which it began.
    pub(super) begun: i64,
    /// In seconds.
    pub(super) max_age: Option<u64>,
    /// In seconds. Absent from a cookie of an earlier version, as is the next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) authenticated_within: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) acr_values: Vec<String>,
    pub(super) fresh: bool,
}

impl Drop for Pending {
    fn drop(&mut self) {
        for secret in [&mut self.state, &mut self.nonce, &mut self.code_verifier] {
            secret.zeroize();
        }
    }
}

impl PendingSignIn {
    /// Returns the identifier of the provider that was asked.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.0.provider
    }

    /// Returns the `state` that the callback must bring.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.0.state
    }

    /// Returns the URL to open after the sign-in.
    #[must_use]
    pub fn return_to(&self) -> &str {
        &self.0.return_to
    }

    /// Sets the position at which the sign-in began, for a store whose positions are not those of the clock that
    /// began it: several servers on one database may have different clocks.
    ///
    /// ```
    /// use claimgate::oidc::authorization::AuthorizationRedirect;
    /// use claimgate::oidc::records::Position;
    /// use claimgate::oidc::seal::Sealer;
    ///
    /// /// Returns the cookie; `position` is the database's.
    /// fn cookie(redirect: AuthorizationRedirect, position: Position, sealer: &Sealer) -> String {
    ///     let pending = redirect.pending.begun_at(position);
    ///     pending.seal(sealer, &mut |bytes| bytes.fill(1)) // random, in a program
    /// }
    /// ```
    #[must_use]
    pub fn begun_at(mut self, position: Position) -> Self {
        self.0.begun = position.0;
        self
    }

    /// Seals the sign-in for a cookie: encrypted and authenticated, about 500 bytes of base64url and four thirds of
    /// [`return_to`](Self::return_to). The cookie should be `HttpOnly`, `SameSite=Lax`, `Secure` but on loopback, and
    /// end after [`SIGN_IN_LIFETIME`](super::authorization::SIGN_IN_LIFETIME).
    #[must_use]
    pub fn seal(&self, sealer: &Sealer, random: Random<'_>) -> String {
        let text = serde_json::to_string(&self.0).expect("texts and numbers are JSON");
        sealer.seal(PURPOSE, &Zeroizing::new(text), random)
    }

    /// Opens the value of a cookie. Returns `None` for what [`seal`](Self::seal) did not make by this key: the
    /// callback is then refused as [`CallbackError::State`](super::authorization::CallbackError::State). Whether the
    /// sign-in is too old, [`accept`](Self::accept) decides.
    #[must_use]
    pub fn open(sealer: &Sealer, sealed: &str) -> Option<Self> {
        let opened = sealer.open(PURPOSE, sealed)?;
        serde_json::from_str(&opened).ok().map(Self)
    }

    /// Returns when the sign-in began, by the relying party's clock.
    pub(super) fn started(&self) -> UnixTime {
        UnixTime(self.0.started)
    }

    /// Returns the `max_age` that was asked for.
    pub(super) fn max_age(&self) -> Option<Duration> {
        self.0.max_age.map(Duration::from_secs)
    }
}

impl std::fmt::Debug for PendingSignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = f.debug_struct("PendingSignIn");
        fields
            .field("provider", &self.0.provider)
            .field("return_to", &self.0.return_to)
            .finish_non_exhaustive()
    }
}
