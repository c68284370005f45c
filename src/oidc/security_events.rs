//! Security event tokens (RFC 8417) that are pushed to a receiver (RFC 8935): those of CAEP and RISC after which an
//! account's sessions must not go on end them, and are recorded, as a back-channel logout is.
//!
//! An account is identified as a sign-in identifies it: by issuer and subject. An email address or a phone number
//! identifies none: it may be another person's tomorrow.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//!
//! use claimgate::Verifier;
//! use claimgate::claims::SecurityEvent;
//! use claimgate::oidc::backchannel;
//! use claimgate::oidc::records::LogoutRecords;
//! use claimgate::oidc::security_events::{self, Reading, SecurityEventError};
//!
//! /// Takes a pushed token: 202 for `Ok`; else 400 with [`SecurityEventError::err`] (RFC 8935 §2.4).
//! fn receive(
//!     verifier: &Verifier<SecurityEvent>,
//!     body: &str,
//!     records: &mut dyn LogoutRecords,
//! ) -> Result<(), SecurityEventError> {
//!     let now = SystemTime::now();
//!     let token = verifier.verify(body, now)?;
//!     let is_issuer = |issuer: &str| issuer == "https://idp.example.com";
//!     if let Reading::Logout { logout, event } = security_events::read(token, is_issuer, Duration::from_secs(60), now) {
//!         println!("{event}: {:?}", backchannel::apply_all(records, &[*logout])?);
//!     }
//!     Ok(())
//! }
//! assert_eq!(SecurityEventError::Request.err(), "invalid_request");
//! ```

use std::time::Duration;

use serde_json::{Map, Value};

use super::backchannel::{Announced, ValidatedLogout};
use super::records::{LogoutTarget, Position, StoreError};
use crate::Error;
use crate::claims::{ClaimsError, SECURITY_EVENT_AGE, SecurityEvent};
use crate::jws::JwsError;
use crate::text::for_display;
use crate::verifier::ValidatedToken;

/// The media type of a security event token (RFC 8417 §7.1), which a push has (RFC 8935 §2).
pub const MEDIA_TYPE: &str = "application/secevent+jwt";

const CAEP_SESSION_REVOKED: &str = "https://schemas.openid.net/secevent/caep/event-type/session-revoked";
const RISC: &str = "https://schemas.openid.net/secevent/risc/event-type/";
const SSF: &str = "https://schemas.openid.net/secevent/ssf/event-type/";

/// Why a pushed security event token is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SecurityEventError {
    /// The body is not of the [media type](MEDIA_TYPE), or no text.
    #[error("the request is not a security event token with the content type `{MEDIA_TYPE}`")]
    Request,
    /// The transmitter did not send the secret that was agreed on.
    #[error("the request does not have the secret of the transmitter")]
    Authentication,
    /// The token is not valid.
    #[error("the security event token is refused: {0}")]
    Token(Error),
    /// The store failed: no session was ended, and the transmitter may try again.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Error> for SecurityEventError {
    fn from(error: Error) -> Self {
        SecurityEventError::Token(error)
    }
}

crate::code::coded!(SecurityEventError);

impl SecurityEventError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            SecurityEventError::Request => "security_event.request",
            SecurityEventError::Authentication => "security_event.authentication",
            SecurityEventError::Token(error) => error.code(),
            SecurityEventError::Store(error) => error.code(),
        }
    }

    /// Returns the error code of the answer to the transmitter (RFC 8935 §2.4).
    #[must_use]
    pub fn err(&self) -> &'static str {
        match self {
            SecurityEventError::Authentication => "authentication_failed",
            SecurityEventError::Token(Error::Jws(JwsError::Key(_) | JwsError::Signature(_))) => "invalid_key",
            SecurityEventError::Token(Error::Claims(error)) => match error {
                ClaimsError::Issuer | ClaimsError::Tenant => "invalid_issuer",
                ClaimsError::Audience => "invalid_audience",
                ClaimsError::Missing { claim } if claim == "iss" => "invalid_issuer",
                ClaimsError::Missing { claim } if claim == "aud" => "invalid_audience",
                _ => "invalid_request",
            },
            _ => "invalid_request",
        }
    }
}

/// What an event means for sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// The session that the subject names ends, or all of the account.
    Session,
    /// All sessions of the account end.
    Account,
}

/// Returns the effect of an event; `None` if sessions go on.
fn effect(event: &str) -> Option<Effect> {
    if event == CAEP_SESSION_REVOKED {
        return Some(Effect::Session);
    }
    match event.strip_prefix(RISC)? {
        "account-disabled" | "account-purged" | "credential-compromise" | "sessions-revoked" => {
            Some(Effect::Account)
        }
        _ => None,
    }
}

/// What a security event token asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Reading {
    /// Sessions end, and the logout is recorded.
    Logout {
        /// The logout, to be applied with [`apply_all`](super::backchannel::apply_all).
        logout: Box<ValidatedLogout>,
        /// The last segment of the event's URI, such as `session-revoked`.
        event: String,
    },
    /// An event that ends sessions, whose subject is no account or session of this provider.
    UnknownSubject {
        /// The last segment of the event's URI.
        event: String,
        /// The subject's `format`, or `-`; escaped and cut for display.
        format: String,
    },
    /// The transmitter asks whether the stream works (SSF 1.0 §8.1.4).
    Verification,
    /// The transmitter changes the state of the stream (SSF 1.0 §8.1.5).
    StreamUpdated {
        /// `enabled`, `paused` or `disabled`; escaped and cut for display.
        status: String,
    },
    /// Events after which sessions go on.
    Other,
}

/// Reads what a validated token asks for. `is_issuer` reports whether an issuer is the one that sessions are of, which
/// may be another than the transmitter. `leeway`, in whole seconds, is that of the verifier.
///
/// The subject is `sub_id` (RFC 9493), else the `subject` of the event, else `sub`. Formats:
///
/// - `iss_sub`: the account, if `is_issuer` accepts `iss`, and the transmitter is that issuer or none (one tenant does not
///   end the sessions of another);
/// - `opaque`, if the transmitter is the issuer: the `sid` of a session in `session-revoked`, else the `sub` of an account;
/// - `complex`: the account of `user`, and in `session-revoked` its session with the `sid` of `session`. Other members,
///   which would narrow the event, are not known here: the sessions of the account end on all devices;
/// - `aliases`: the first that identifies an account.
#[must_use]
pub fn read(
    token: ValidatedToken<SecurityEvent>,
    is_issuer: impl Fn(&str) -> bool,
    leeway: Duration,
    arrived: impl Into<Position>,
) -> Reading {
    let events = token.events();
    let ending = events.iter().filter_map(|(uri, event)| Some((uri, event.as_object()?, effect(uri)?)));
    // Of several, one after which no session goes on.
    let ending = ending.max_by_key(|(.., effect)| *effect == Effect::Account);
    let Some((uri, event, effect)) = ending else { return without_effect(events) };
    let name = uri.rsplit('/').next().unwrap_or_default().to_owned();
    let subject = token.claims().get("sub_id").or_else(|| event.get("subject"));
    let transmitter = Some(token.issuer()).filter(|issuer| is_issuer(issuer));
    let subjects = Subjects { is_issuer: &is_issuer, transmitter, effect };
    let found = match subject {
        Some(subject) => subjects.identify(subject),
        None => {
            transmitter.zip(text(token.claims().subject())).map(|(issuer, sub)| Named::account(issuer, sub))
        }
    };
    let Some(Named { issuer, target }) = found else {
        let format = subject.and_then(|subject| subject.get("format")).and_then(Value::as_str);
        return Reading::UnknownSubject { event: name, format: for_display(format.unwrap_or("-")) };
    };
    let announced = Announced {
        issuer,
        target,
        issued_at: token.issued_at().seconds(),
        jti: format!("security-event {} {}", token.issuer(), token.token_id()),
        // A replay is acknowledged (RFC 8935 §2.2) and not sent again: an event taken for one by mistake is lost.
        is_repeatable: true,
        longest: SECURITY_EVENT_AGE,
    };
    let logout = announced.validated(token.of_any_kind(), leeway.as_secs(), arrived.into());
    Reading::Logout { logout: Box::new(logout), event: name }
}

/// Returns the reading of events that end no session.
fn without_effect(events: &Map<String, Value>) -> Reading {
    let of_stream = |uri: &str| uri.strip_prefix(SSF).or_else(|| uri.strip_prefix(RISC)).map(str::to_owned);
    let found = events.iter().find_map(|(uri, event)| match of_stream(uri)?.as_str() {
        "verification" => Some(Reading::Verification),
        "stream-updated" => {
            let status = event.get("status").and_then(Value::as_str).unwrap_or("-");
            Some(Reading::StreamUpdated { status: for_display(status) })
        }
        _ => None,
    });
    found.unwrap_or(Reading::Other)
}

/// The sessions that a subject identifier names.
struct Named {
    issuer: String,
    target: LogoutTarget,
}

impl Named {
    fn account(issuer: &str, sub: &str) -> Self {
        Self { issuer: issuer.to_owned(), target: LogoutTarget::Subject(sub.to_owned()) }
    }

    fn session(issuer: &str, sid: &str, subject: Option<String>) -> Self {
        let target = LogoutTarget::Session { sid: sid.to_owned(), subject };
        Self { issuer: issuer.to_owned(), target }
    }
}

/// How subject identifiers (RFC 9493) name sessions.
struct Subjects<'s> {
    is_issuer: &'s dyn Fn(&str) -> bool,
    /// The transmitter, if sessions are of it.
    transmitter: Option<&'s str>,
    effect: Effect,
}

impl Subjects<'_> {
    /// Returns the sessions that a subject identifier names; `None` if it names none of this provider.
    fn identify(&self, subject: &Value) -> Option<Named> {
        match subject.get("format").and_then(Value::as_str) {
            Some("complex") => self.complex(subject),
            // Of the drafts of CAEP, whose complex subjects have no `format`.
            None if subject.get("user").or_else(|| subject.get("session")).is_some() => self.complex(subject),
            Some("aliases") => {
                let identifiers = subject.get("identifiers").and_then(Value::as_array)?;
                // An alias is no list of aliases (RFC 9493 §3.2.8).
                identifiers.iter().find_map(|alias| self.simple(alias))
            }
            _ => self.simple(subject),
        }
    }

    /// Returns what a simple identifier names.
    fn simple(&self, subject: &Value) -> Option<Named> {
        match (member(subject, "format")?, self.effect) {
            ("opaque", Effect::Session) => {
                Some(Named::session(self.transmitter?, member(subject, "id")?, None))
            }
            _ => self.account(subject),
        }
    }

    /// Returns the account that a simple identifier names.
    fn account(&self, subject: &Value) -> Option<Named> {
        match member(subject, "format")? {
            "iss_sub" => {
                let may_end = |issuer: &&str| match self.transmitter {
                    Some(transmitter) => *issuer == transmitter,
                    None => (self.is_issuer)(issuer),
                };
                let issuer = member(subject, "iss").filter(may_end)?;
                Some(Named::account(issuer, member(subject, "sub")?))
            }
            "opaque" => Some(Named::account(self.transmitter?, member(subject, "id")?)),
            _ => None,
        }
    }

    /// Returns what a complex identifier names.
    fn complex(&self, subject: &Value) -> Option<Named> {
        let account = subject.get("user").and_then(|user| self.account(user));
        let session = subject.get("session").filter(|session| member(session, "format") == Some("opaque"));
        let sid =
            session.filter(|_| self.effect == Effect::Session).and_then(|session| member(session, "id"));
        match (account, sid) {
            (Some(Named { issuer, target: LogoutTarget::Subject(sub) }), Some(sid)) => {
                Some(Named::session(&issuer, sid, Some(sub)))
            }
            (None, Some(sid)) => Some(Named::session(self.transmitter?, sid, None)),
            (account, _) => account,
        }
    }
}

/// Returns a member that is a text and not empty.
fn member<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    text(value.get(name).and_then(Value::as_str))
}

fn text(text: Option<&str>) -> Option<&str> {
    text.filter(|text| !text.is_empty())
}
