//! Sign-in, first half: the authorization request (Core §3.1.2.1) and the callback (§3.1.2.5).

use std::collections::HashMap;

use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use subtle::ConstantTimeEq;

use super::discovery::Metadata;
use super::{Random, random_token};
use crate::base64url;
use crate::identity::is_unsafe;
use crate::time::UnixTime;

/// Seconds between the authorization request and its callback: long enough for a second factor.
pub const LOGIN_LIFETIME: u64 = 15 * 60;

/// What to ask the provider for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoginOptions {
    /// Scopes beside `openid`.
    pub scopes: Vec<String>,
    /// `prompt`; left out where none is given.
    pub prompt: Option<String>,
    /// `max_age`, in seconds; `auth_time` is then checked.
    pub max_age: Option<u64>,
    /// Claims to ask for as essential in the ID token (Core §5.5).
    pub essential_claims: Vec<String>,
}

/// A sign-in under way. It belongs into the browser that began it, sealed: whoever has it can
/// finish the sign-in.
#[derive(Serialize, Deserialize)]
pub struct PendingLogin {
    provider: String,
    state: String,
    nonce: String,
    code_verifier: String,
    return_to: String,
    started_ms: i64,
    max_age: Option<u64>,
}

/// A callback that belongs to a sign-in that this browser began.
pub struct CodeGrant {
    pub(super) code: String,
    pub(super) nonce: String,
    pub(super) code_verifier: String,
    pub(super) max_age: Option<u64>,
    /// Where the person wanted to go.
    pub return_to: String,
    /// When the sign-in began, in milliseconds since 1970, by our own clock.
    pub started_ms: i64,
}

/// Why a callback is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallbackError {
    /// No sign-in is under way in this browser, or its `state` is another one.
    #[error("this sign-in was not begun in this browser, or not lately")]
    State,
    /// It took longer than [`LOGIN_LIFETIME`].
    #[error("the sign-in took too long; begin again")]
    TooLate,
    /// It has been used before.
    #[error("this sign-in was already used; begin again")]
    Used,
    /// A parameter stands twice (RFC 6749 §3.1), or is missing.
    #[error("the provider's answer lacks a usable `{parameter}`")]
    Parameter {
        /// The parameter.
        parameter: &'static str,
    },
    /// `iss` names another provider (RFC 9207 §2.4).
    #[error("the answer comes from another provider than the one asked")]
    Issuer,
    /// The provider refused (Core §3.1.2.6).
    #[error("the provider refused: {error}{}", description.as_ref().map(|text| format!(": {text}")).unwrap_or_default())]
    Provider {
        /// Its `error` code.
        error: String,
        /// Its `error_description`.
        description: Option<String>,
    },
}

impl CallbackError {
    /// The stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            CallbackError::State => "callback.state",
            CallbackError::TooLate => "callback.too_late",
            CallbackError::Used => "callback.used",
            CallbackError::Parameter { .. } => "callback.parameter",
            CallbackError::Issuer => "callback.issuer",
            CallbackError::Provider { .. } => "callback.provider_error",
        }
    }
}

/// Who is asked, for whom, and where everybody goes.
#[derive(Clone, Copy, Debug)]
pub struct Login<'l> {
    /// The provider's name here.
    pub provider: &'l str,
    /// What is known about it.
    pub metadata: &'l Metadata,
    /// Our `client_id` there.
    pub client_id: &'l str,
    /// Where the provider sends the browser back to.
    pub redirect_uri: &'l str,
    /// What to ask for.
    pub options: &'l LoginOptions,
    /// Where the person wants to go.
    pub return_to: &'l str,
}

/// Begins a sign-in: the address to send the browser to, and what it must bring back.
#[must_use]
pub fn begin(login: &Login<'_>, now_ms: i64, random: Random<'_>) -> (String, PendingLogin) {
    let Login { provider, metadata, client_id, redirect_uri, options, return_to } = *login;
    let pending = PendingLogin {
        provider: provider.to_owned(),
        state: random_token(random),
        nonce: random_token(random),
        code_verifier: random_token(random),
        return_to: return_to.to_owned(),
        started_ms: now_ms,
        max_age: options.max_age,
    };
    let scope = std::iter::once("openid").chain(options.scopes.iter().map(String::as_str));
    let scope = scope.collect::<Vec<_>>().join(" ");
    // RFC 7636 §4.2, S256.
    let challenge = base64url::encode(digest(&SHA256, pending.code_verifier.as_bytes()).as_ref());
    let max_age = options.max_age.map(|seconds| seconds.to_string());
    let claims = essential(&options.essential_claims).filter(|_| metadata.claims_parameter);
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
    if let Some(prompt) = &options.prompt {
        parameters.push(("prompt", prompt));
    }
    if let Some(seconds) = &max_age {
        parameters.push(("max_age", seconds));
    }
    if let Some(claims) = &claims {
        parameters.push(("claims", claims));
    }
    (metadata.authorization_endpoint.with_query(parameters), pending)
}

fn essential(claims: &[String]) -> Option<String> {
    if claims.is_empty() {
        return None;
    }
    let members: Map<String, Value> =
        claims.iter().map(|claim| (claim.clone(), json!({"essential": true}))).collect();
    Some(json!({ "id_token": members }).to_string())
}

impl PendingLogin {
    /// The provider that was asked.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The `state` that the callback must bring.
    #[must_use]
    pub fn state(&self) -> &str {
        &self.state
    }

    /// Where the person wants to go.
    #[must_use]
    pub fn return_to(&self) -> &str {
        &self.return_to
    }

    /// Accepts the callback's parameters. `use_state` is told the `state` once it is known to be
    /// this sign-in's, and says whether this is its first use.
    ///
    /// # Errors
    /// A [`CallbackError`].
    pub fn accept(
        self,
        provider: &str,
        issuer: &str,
        metadata: &Metadata,
        query: &str,
        now: UnixTime,
        use_state: impl FnOnce(&str) -> bool,
    ) -> Result<CodeGrant, CallbackError> {
        let parameters = Parameters::read(query)?;
        let state = parameters.value("state").ok_or(CallbackError::State)?;
        if self.provider != provider || !bool::from(state.as_bytes().ct_eq(self.state.as_bytes())) {
            return Err(CallbackError::State);
        }
        if now.0.saturating_sub(self.started_ms.div_euclid(1000)) > LOGIN_LIFETIME.cast_signed() {
            return Err(CallbackError::TooLate);
        }
        // RFC 9207 §2.4: compared where it is sent, missed where the provider promised it.
        match parameters.value("iss") {
            Some(sender) if sender != issuer => return Err(CallbackError::Issuer),
            None if metadata.iss_in_callback => return Err(CallbackError::Issuer),
            _ => {}
        }
        if !use_state(&self.state) {
            return Err(CallbackError::Used);
        }
        if let Some(error) = parameters.value("error") {
            return Err(CallbackError::Provider {
                error: shown(error),
                description: parameters.value("error_description").map(shown),
            });
        }
        let code = parameters.value("code").filter(|code| !code.is_empty());
        Ok(CodeGrant {
            code: code.ok_or(CallbackError::Parameter { parameter: "code" })?.to_owned(),
            nonce: self.nonce,
            code_verifier: self.code_verifier,
            max_age: self.max_age,
            return_to: self.return_to,
            started_ms: self.started_ms,
        })
    }
}

/// A provider's text for people: cut to a bearable length, without control characters.
pub(crate) fn shown(text: &str) -> String {
    text.chars().filter(|character| !is_unsafe(*character)).take(300).collect()
}

struct Parameters(HashMap<String, String>);

impl Parameters {
    fn read(query: &str) -> Result<Self, CallbackError> {
        let mut parameters = HashMap::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let known = ["state", "code", "iss", "error", "error_description"];
            let Some(name) = known.into_iter().find(|known| *known == name) else { continue };
            if parameters.insert(name.to_owned(), value.into_owned()).is_some() {
                return Err(CallbackError::Parameter { parameter: name });
            }
        }
        Ok(Self(parameters))
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}
