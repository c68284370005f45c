//! The authorization request (Core §3.1.2.1) and its response at the callback (§3.1.2.5).

use std::collections::HashMap;
use std::mem;
use std::time::Duration;

use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::discovery::ProviderMetadata;
use super::endpoint;
use super::pending::{Pending, PendingSignIn};
use super::records::Position;
use super::seal::Sealer;
use super::{Random, random_token};
use crate::base64url;
use crate::text;
use crate::time::UnixTime;

/// Longest time between the authorization request and its callback: long enough for a second factor.
pub const SIGN_IN_LIFETIME: Duration = Duration::from_secs(15 * 60);

/// Most bytes of a posted authorization response that [`CallbackParameters::seal`] takes: sealed, it fits into the
/// address of a redirect, and the answer's head into the 4 KiB that proxies allow.
pub const MAX_POSTED: usize = 2_048;

/// The purpose that a posted response is sealed for.
const POSTED: &str = "posted authorization response";

/// How the provider returns its response through the browser.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseMode {
    /// In the query of the callback, as is usual for codes: `response_mode` is not sent.
    #[default]
    Query,
    /// In a form that the browser posts to the callback (OAuth 2.0 Form Post Response Mode 1.0). The post comes from the
    /// provider's site, so that it has no `SameSite=Lax` cookie: [`CallbackParameters::seal`] says how its parameters
    /// meet the cookie of the sign-in.
    FormPost,
}

/// Optional parameters of an authorization request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizationOptions {
    /// Scopes beside `openid`.
    pub scopes: Vec<String>,
    /// `prompt`; omitted if `None`.
    pub prompt: Option<String>,
    /// `max_age`, in whole seconds; `auth_time` is then checked.
    pub max_age: Option<Duration>,
    /// Claims to request as essential in the ID token (Core §5.5).
    pub essential_claims: Vec<String>,
    /// The longest time since the person authenticated, in whole seconds, whatever `max_age` is: it is sent as `max_age`
    /// too, and `auth_time` is checked for clocks that are at most 60 seconds apart, whatever the leeway of the policy.
    pub authenticated_within: Option<Duration>,
    /// The authentication context class references of which the ID token must have one (`acr_values`, Core §3.1.2.1);
    /// none: `acr` is neither requested nor compared.
    pub acr_values: Vec<String>,
    /// Whether the person must authenticate anew for this sign-in: `prompt=login` and `max_age=0` are sent in
    /// place of the other settings, and `auth_time` must not be earlier than the request.
    pub fresh: bool,
    /// How the provider returns its response.
    pub response_mode: ResponseMode,
    /// Further parameters, by name: `acr_values`, `login_hint`, or what the provider has of its own. One that the
    /// request has already is left out. What the provider makes of them is not checked: a demand is a rule on claims.
    pub additional: Vec<(String, String)>,
}

impl AuthorizationOptions {
    /// Returns `prompt` and `max_age` of the request.
    fn reauthentication(&self) -> (Option<&str>, Option<Duration>) {
        if self.fresh {
            return (Some("login"), Some(Duration::ZERO));
        }
        let ages = [self.max_age, self.authenticated_within].into_iter().flatten();
        (self.prompt.as_deref(), ages.min())
    }
}

/// An authorization request to build.
#[derive(Clone, Copy, Debug)]
pub struct AuthorizationRequest<'r> {
    /// The provider's identifier in the configuration.
    pub provider: &'r str,
    /// The provider's metadata.
    pub metadata: &'r ProviderMetadata,
    /// The relying party's `client_id`.
    pub client_id: &'r str,
    /// The callback URL.
    pub redirect_uri: &'r str,
    /// Optional parameters.
    pub options: &'r AuthorizationOptions,
    /// The URL to open after the sign-in.
    pub return_to: &'r str,
}

/// A sign-in that was begun: the redirect for the browser and the state that it must bring back.
#[non_exhaustive]
pub struct AuthorizationRedirect {
    /// The URL of the authorization request.
    pub url: String,
    /// The state of the sign-in, for the browser's cookie.
    pub pending: PendingSignIn,
}

crate::text::redacted_debug!(AuthorizationRedirect, pending);

/// An authorization response that belongs to a sign-in which this browser began.
///
/// ```
/// use claimgate::oidc::authorization::AuthorizationResponse;
///
/// fn log(response: &AuthorizationResponse) {
///     let again = if response.is_fresh() { "again " } else { "" };
///     println!("signed in {again}since {:?}, on to {}", response.begun(), response.return_to);
/// }
/// ```
pub struct AuthorizationResponse {
    pub(super) code: Zeroizing<String>,
    pub(super) nonce: Zeroizing<String>,
    pub(super) code_verifier: Zeroizing<String>,
    pub(super) max_age: Option<Duration>,
    pub(super) authenticated_within: Option<Duration>,
    pub(super) acr_values: Vec<String>,
    pub(super) fresh: bool,
    /// The URL to open after the sign-in.
    pub return_to: String,
    /// When the sign-in began, by the relying party's clock.
    pub(super) started: UnixTime,
    begun: Position,
}

crate::text::redacted_debug!(AuthorizationResponse, return_to);

impl AuthorizationResponse {
    /// Reports whether the person had to authenticate anew for this sign-in; see [`AuthorizationOptions::fresh`].
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Returns the position at which the sign-in began; see [`PendingSignIn::begun_at`].
    #[must_use]
    pub fn begun(&self) -> Position {
        self.begun
    }
}

/// Why a callback is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackError {
    /// No sign-in is in progress in this browser, or its `state` differs.
    #[error("this sign-in was not begun in this browser, or has expired")]
    State,
    /// More than [`SIGN_IN_LIFETIME`] has passed.
    #[error("the sign-in took too long; begin again")]
    TooLate,
    /// The `state` has been used before.
    #[error("this sign-in was already used; begin again")]
    Used,
    /// A parameter is repeated (RFC 6749 §3.1) or missing.
    #[error("the provider's answer lacks a usable `{parameter}`")]
    Parameter {
        /// The parameter.
        parameter: &'static str,
    },
    /// `iss` names another provider (RFC 9207 §2.4).
    #[error("the answer comes from another provider than the one asked")]
    Issuer,
    /// `iss` is missing, although the provider's metadata announces it (RFC 9207 §2.4).
    #[error(
        "the answer does not say which provider it comes from (`iss`), although the provider announces it"
    )]
    NoIssuer,
    /// The provider refused (Core §3.1.2.6).
    #[error("the provider refused: {error}{}", description.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Provider {
        /// Its `error` code.
        error: String,
        /// Its `error_description`.
        description: Option<String>,
    },
}

crate::code::coded!(CallbackError);

impl CallbackError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            CallbackError::State => "callback.state",
            CallbackError::TooLate => "callback.too_late",
            CallbackError::Used => "callback.used",
            CallbackError::Parameter { .. } => "callback.parameter",
            CallbackError::Issuer => "callback.issuer",
            CallbackError::NoIssuer => "callback.no_issuer",
            CallbackError::Provider { .. } => "callback.provider_error",
        }
    }
}

/// Begins a sign-in at a time of the relying party's clock: a `SystemTime`, or a [`UnixTime`].
///
/// [`PendingSignIn`] has an example of the way to the callback.
#[must_use]
pub fn begin(
    request: &AuthorizationRequest<'_>,
    now: impl Into<Position>,
    random: Random<'_>,
) -> AuthorizationRedirect {
    let AuthorizationRequest { provider, metadata, client_id, redirect_uri, options, return_to } = *request;
    let now: Position = now.into();
    let pending = Pending {
        provider: provider.to_owned(),
        state: random_token(random),
        nonce: random_token(random),
        code_verifier: random_token(random),
        return_to: return_to.to_owned(),
        started: now.unix_time().0,
        begun: now.0,
        max_age: options.max_age.map(|age| age.as_secs()),
        authenticated_within: options.authenticated_within.map(|age| age.as_secs()),
        acr_values: options.acr_values.clone(),
        fresh: options.fresh,
    };
    let scope = std::iter::once("openid").chain(options.scopes.iter().map(String::as_str));
    let scope = scope.collect::<Vec<_>>().join(" ");
    // RFC 7636 §4.2, S256.
    let challenge = base64url::encode(digest(&SHA256, pending.code_verifier.as_bytes()).as_ref());
    let (prompt, max_age) = options.reauthentication();
    let max_age = max_age.map(|age| age.as_secs().to_string());
    let acr_values = options.acr_values.join(" ");
    let claims = claims_parameter(&options.essential_claims).filter(|_| metadata.claims_parameter);
    let mut parameters = vec![
        ("response_type", "code"),
        ("client_id", client_id),
        ("redirect_uri", redirect_uri),
        ("scope", &scope),
        ("state", &pending.state),
        ("nonce", &pending.nonce),
        ("code_challenge", &challenge),
        ("code_challenge_method", "S256"),
    ];
    let optional = [
        ("prompt", prompt),
        ("max_age", max_age.as_deref()),
        ("acr_values", Some(acr_values.as_str()).filter(|classes| !classes.is_empty())),
        ("claims", claims.as_deref()),
        ("response_mode", (options.response_mode == ResponseMode::FormPost).then_some("form_post")),
    ];
    parameters.extend(optional.into_iter().filter_map(|(name, value)| Some((name, value?))));
    let own = parameters.len();
    for (name, value) in &options.additional {
        if !parameters[..own].iter().any(|(known, _)| known == name) {
            parameters.push((name, value));
        }
    }
    let url = metadata.authorization_endpoint.with_query(parameters);
    AuthorizationRedirect { url, pending: PendingSignIn(pending) }
}

/// Returns the `claims` parameter that requests these claims as essential (Core §5.5).
fn claims_parameter(essential: &[String]) -> Option<String> {
    if essential.is_empty() {
        return None;
    }
    let members: Map<String, Value> =
        essential.iter().map(|claim| (claim.clone(), json!({"essential": true}))).collect();
    Some(json!({ "id_token": members }).to_string())
}

/// The provider that a callback URL belongs to.
#[derive(Clone, Copy, Debug)]
pub struct CallbackProvider<'p> {
    /// The provider's identifier in the configuration.
    pub id: &'p str,
    /// The provider's issuer.
    pub issuer: &'p str,
    /// The provider's metadata.
    pub metadata: &'p ProviderMetadata,
}

impl PendingSignIn {
    /// Accepts the callback's parameters. `use_state` is called with the `state` once it is known to be
    /// this sign-in's, and reports whether this is its first use.
    ///
    /// # Errors
    /// A [`CallbackError`].
    pub fn accept(
        mut self,
        provider: &CallbackProvider<'_>,
        parameters: &CallbackParameters,
        now: impl Into<UnixTime>,
        use_state: impl FnOnce(&str) -> bool,
    ) -> Result<AuthorizationResponse, CallbackError> {
        if let Some(parameter) = parameters.repeated {
            return Err(CallbackError::Parameter { parameter });
        }
        let state = parameters.state().ok_or(CallbackError::State)?;
        if self.provider() != provider.id || !bool::from(state.as_bytes().ct_eq(self.state().as_bytes())) {
            return Err(CallbackError::State);
        }
        let now: UnixTime = now.into();
        if now > self.started().saturating_add(SIGN_IN_LIFETIME.as_secs()) {
            return Err(CallbackError::TooLate);
        }
        // RFC 9207 §2.4: compared where it is sent, required where the provider announced it.
        match parameters.value("iss") {
            Some(sender) if sender != provider.issuer => return Err(CallbackError::Issuer),
            None if provider.metadata.iss_in_callback => return Err(CallbackError::NoIssuer),
            _ => {}
        }
        if !use_state(self.state()) {
            return Err(CallbackError::Used);
        }
        if let Some(error) = parameters.value("error") {
            return Err(CallbackError::Provider {
                error: text::for_display(error),
                description: parameters.value("error_description").map(text::for_display),
            });
        }
        let code = parameters.value("code").filter(|code| !code.is_empty());
        let code = code.ok_or(CallbackError::Parameter { parameter: "code" })?;
        let (max_age, started) = (self.max_age(), self.started());
        let pending = &mut self.0;
        Ok(AuthorizationResponse {
            code: Zeroizing::new(code.to_owned()),
            nonce: Zeroizing::new(mem::take(&mut pending.nonce)),
            code_verifier: Zeroizing::new(mem::take(&mut pending.code_verifier)),
            max_age,
            authenticated_within: pending.authenticated_within.map(Duration::from_secs),
            acr_values: mem::take(&mut pending.acr_values),
            fresh: pending.fresh,
            return_to: mem::take(&mut pending.return_to),
            started,
            begun: Position(pending.begun),
        })
    }
}

/// The parameters of a callback's query, or of a form that was posted to it.
///
/// ```
/// use claimgate::oidc::authorization::CallbackParameters;
/// use claimgate::oidc::seal::Sealer;
///
/// let answer = CallbackParameters::parse("state=s&code=c&iss=https%3A%2F%2Fidp.example.com");
/// assert_eq!((answer.state(), answer.issuer()), (Some("s"), Some("https://idp.example.com")));
/// assert_eq!(CallbackParameters::parse("state=s&error=access_denied").error(), Some("access_denied"));
///
/// // A posted answer comes without cookies: it is sealed into the address of a redirect, which has them.
/// let sealer = Sealer::new(&[7; 32]).expect("a key of the right length"); // random, in a program
/// let sealed = answer.seal(&sealer, &mut |bytes| bytes.fill(1)).expect("not too long"); // random, in a program
/// let opened = CallbackParameters::open(&sealer, &sealed).expect("its own");
/// assert_eq!(opened.state(), Some("s"));
/// ```
pub struct CallbackParameters {
    values: HashMap<&'static str, String>,
    /// A parameter that occurs more than once.
    repeated: Option<&'static str>,
}

crate::text::redacted_debug!(CallbackParameters, repeated);

impl CallbackParameters {
    const NAMES: [&'static str; 5] = ["state", "code", "iss", "error", "error_description"];

    /// Parses a query or a form; [`PendingSignIn::accept`] rejects repeated parameters.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let mut parameters = Self { values: HashMap::new(), repeated: None };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let Some(name) = Self::NAMES.into_iter().find(|known| *known == name) else { continue };
            if parameters.values.contains_key(name) {
                parameters.repeated.get_or_insert(name);
            } else {
                parameters.values.insert(name, value.into_owned());
            }
        }
        parameters
    }

    /// Seals the parameters of a posted response ([`ResponseMode::FormPost`]) for the query of a redirect to the
    /// callback: the `GET` that follows has the cookie of the sign-in, and no code can be read in its address. Only
    /// [`open`](Self::open) reads them, and only [`PendingSignIn::accept`] uses them, in the browser that began the
    /// sign-in. Returns `None` for more than [`MAX_POSTED`] bytes; an `error_description` that is too long is left out.
    #[must_use]
    pub fn seal(&self, sealer: &Sealer, random: Random<'_>) -> Option<String> {
        let with = |left_out: &str| {
            let values = Self::NAMES.iter().filter(|name| **name != left_out);
            let values = values.filter_map(|name| self.value(name).map(|value| (*name, value)));
            // Repeated parameters stay repeated.
            let repeated = self.repeated.map(|name| (name, ""));
            Zeroizing::new(endpoint::form(values.chain(repeated)))
        };
        let texts = ["", "error_description"].map(with);
        let text = texts.iter().find(|text| text.len() <= MAX_POSTED)?;
        Some(sealer.seal(POSTED, text, random))
    }

    /// Opens the parameters of a posted response; `None` for what [`seal`](Self::seal) did not make by this key.
    #[must_use]
    pub fn open(sealer: &Sealer, sealed: &str) -> Option<Self> {
        sealer.open(POSTED, sealed).map(|text| Self::parse(&text))
    }

    /// Returns the first `state`, which finds the [`PendingSignIn`] of the browser.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.value("state")
    }

    /// Returns the first `iss`: unverified until [`PendingSignIn::accept`] has compared it.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.value("iss")
    }

    /// Returns the first `error`: unverified until [`PendingSignIn::accept`] returns it.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.value("error")
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }
}
