//! The checks of a policy, in their order.

use std::time::Duration;

use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::claims::access_token::is_access_token;
use crate::claims::kind::is_untyped;
use crate::claims::registered::{Known, Presence};
#[cfg(feature = "path")]
use crate::claims::requirement::Requirement;
use crate::claims::{Claims, ClaimsError, TenantIssuers, TokenKind};
use crate::jws::Header;
use crate::text;
use crate::time::UnixTime;

/// The greatest difference accepted between the clocks of issuer and verifier, unless a policy sets another.
pub(super) const DEFAULT_LEEWAY: Duration = Duration::from_secs(60);

/// The greatest difference that a policy may accept: "no more than a few minutes" (RFC 7519 §4.1.4). An expired token is
/// accepted for as long.
pub(super) const MAX_LEEWAY: Duration = Duration::from_secs(5 * 60);

/// The maximum age of a security event token, since its `iat`. Transmitters send events again that were not acknowledged,
/// also after days; the `jti` of each is remembered for as long.
pub const SECURITY_EVENT_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// A claim that must be present: one that every scan locates, or another by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Required {
    Known(Known),
    Other(String),
}

/// The rules of a policy, whatever the type of its kind.
#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) kind: TokenKind,
    /// The accepted issuer and its further names.
    pub(super) issuer: Option<String>,
    pub(super) issuer_aliases: Vec<String>,
    /// The issuers of tenants, in place of those two; if they are named, they are the aliases, too.
    pub(super) tenants: Option<TenantIssuers>,
    pub(super) audiences: Vec<String>,
    /// Whether a plain JWT may have an `aud` although no audience is named.
    pub(super) any_audience: bool,
    pub(super) trusted_audiences: Vec<String>,
    pub(super) authorized_party: Option<String>,
    pub(super) trusted_parties: Vec<String>,
    pub(super) subjects: Vec<String>,
    pub(super) token_ids: Vec<String>,
    pub(super) nonces: Vec<String>,
    pub(super) types: Vec<String>,
    /// In seconds.
    pub(super) leeway: u64,
    /// Whether the leeway may be longer than [`MAX_LEEWAY`].
    pub(super) any_leeway: bool,
    /// In seconds.
    pub(super) max_token_age: Option<u64>,
    pub(super) required: Vec<Required>,
    #[cfg(feature = "path")]
    pub(super) requirements: Vec<Requirement>,
    /// Whether an access token's header may leave its kind open.
    pub(super) allow_untyped: bool,
    pub(super) check_expiry: bool,
    pub(super) check_not_before: bool,
    pub(super) check_issued_at: bool,
}

impl Rules {
    /// Returns the rules of a kind, which name no issuer and no audience yet.
    pub(super) fn new(kind: TokenKind) -> Self {
        Self {
            kind,
            issuer: None,
            issuer_aliases: Vec::new(),
            tenants: None,
            audiences: Vec::new(),
            any_audience: false,
            trusted_audiences: Vec::new(),
            authorized_party: None,
            trusted_parties: Vec::new(),
            subjects: Vec::new(),
            token_ids: Vec::new(),
            nonces: Vec::new(),
            types: Vec::new(),
            leeway: DEFAULT_LEEWAY.as_secs(),
            any_leeway: false,
            // RFC 8417 §2.2 advises against `exp`: nothing else ends a security event token's validity.
            max_token_age: (kind == TokenKind::SecurityEvent).then_some(SECURITY_EVENT_AGE.as_secs()),
            required: required(kind, expiry(kind)),
            #[cfg(feature = "path")]
            requirements: Vec::new(),
            allow_untyped: false,
            check_expiry: true,
            check_not_before: true,
            check_issued_at: true,
        }
    }

    /// Returns the names of the accepted issuer.
    pub(super) fn issuers(&self) -> impl Iterator<Item = &String> {
        self.issuer.iter().chain(&self.issuer_aliases)
    }

    pub(super) fn validate(
        &self,
        header: &Header,
        claims: &Claims,
        nonce: Option<&str>,
        now: UnixTime,
    ) -> Result<(), ClaimsError> {
        self.check_kind(header, claims)?;
        for required in &self.required {
            match required {
                Required::Known(known) => require(claims.presence(*known), known.name())?,
                Required::Other(name) => require(Presence::of(claims.get(name)), name)?,
            }
        }
        self.check_issuer(claims)?;
        self.check_audience(claims)?;
        self.check_authorized_party(claims)?;
        if !self.subjects.is_empty() && !is_one_of(&self.subjects, claims.subject()) {
            return Err(absent_or(claims, Known::Subject, ClaimsError::Subject));
        }
        if !self.token_ids.is_empty() && !is_one_of(&self.token_ids, claims.token_id()) {
            return Err(absent_or(claims, Known::TokenId, ClaimsError::TokenId));
        }
        if !self.nonces.is_empty() {
            check_nonce(claims, self.nonces.iter().map(String::as_str))?;
        }
        if let Some(nonce) = nonce {
            check_nonce(claims, [nonce])?;
        }
        match self.kind {
            // Back-Channel Logout §2.1: the session that a logout token can name. If present, it
            // must be a string.
            TokenKind::IdToken => drop(string(claims, Known::SessionId)?),
            TokenKind::LogoutToken => check_logout(claims)?,
            TokenKind::SecurityEvent => check_events(claims)?,
            TokenKind::Jwt | TokenKind::AccessToken => {}
        }
        #[cfg(feature = "path")]
        for requirement in &self.requirements {
            requirement.check(claims)?;
        }
        self.check_times(claims, now)
    }

    fn check_kind(&self, header: &Header, claims: &Claims) -> Result<(), ClaimsError> {
        let listed = self.types.is_empty() || self.types.iter().any(|typ| header.typ_is(typ));
        let is_of_kind = self.kind.accepts_type(header)
            || self.allow_untyped && is_untyped(header) && is_access_token(claims);
        let accepted = is_of_kind && listed;
        // Logout tokens of older providers have `typ` JWT or none: only the event identifies them.
        let is_logout = || claims.logout_event().is_some();
        let wrong_event = match self.kind {
            TokenKind::LogoutToken => false,
            TokenKind::Jwt | TokenKind::SecurityEvent => is_logout(),
            // RFC 8417 §4.5 and §4.6: an event grants nothing, also if its token says `JWT` or nothing.
            TokenKind::IdToken | TokenKind::AccessToken => claims.has_events(),
        };
        if accepted && !wrong_event { Ok(()) } else { Err(ClaimsError::Kind) }
    }

    /// Checks `iss`. Without a named issuer, only a plain JWT is accepted.
    fn check_issuer(&self, claims: &Claims) -> Result<(), ClaimsError> {
        if let Some(tenants) = &self.tenants {
            return tenants.check(claims);
        }
        let unnamed = self.issuer.is_none() && self.issuer_aliases.is_empty();
        let accepted = match claims.issuer() {
            _ if unnamed => self.kind == TokenKind::Jwt,
            Some(issuer) => self.issuers().any(|own| own == issuer),
            None => false,
        };
        if accepted { Ok(()) } else { Err(absent_or(claims, Known::Issuer, ClaimsError::Issuer)) }
    }

    /// Checks `aud`. Without a named audience, a token that has one is for another recipient (RFC 7519 §4.1.3). An ID
    /// or logout token must name no audience that is neither accepted nor trusted (OpenID Connect Core §3.1.3.7, item
    /// 3; Back-Channel Logout §2.6); in other tokens one match is enough.
    fn check_audience(&self, claims: &Claims) -> Result<(), ClaimsError> {
        if self.audiences.is_empty() {
            let absent = || claims.presence(Known::Audience) == Presence::Absent;
            let accepted = self.kind == TokenKind::Jwt && (self.any_audience || absent());
            return if accepted { Ok(()) } else { Err(ClaimsError::Audience) };
        }
        if let Presence::Text(only) = claims.presence(Known::Audience)
            && is_one_of(&self.audiences, Some(only))
        {
            return Ok(());
        }
        let all_count = matches!(self.kind, TokenKind::IdToken | TokenKind::LogoutToken);
        let (mut accepted, mut untrusted) = (false, None);
        claims.audience().for_each(|name| {
            if is_one_of(&self.audiences, Some(name)) {
                accepted = true;
            } else if all_count && !is_one_of(&self.trusted_audiences, Some(name)) {
                untrusted.get_or_insert(name);
            }
        });
        match untrusted {
            _ if !accepted => Err(absent_or(claims, Known::Audience, ClaimsError::Audience)),
            Some(name) => Err(ClaimsError::UntrustedAudience { audience: text::name(name) }),
            None => Ok(()),
        }
    }

    /// Checks `azp` (OpenID Connect Core §3.1.3.7, items 4 and 5): optional, and if present an accepted audience
    /// or a trusted party.
    fn check_authorized_party(&self, claims: &Claims) -> Result<(), ClaimsError> {
        let party = string(claims, Known::AuthorizedParty)?;
        if let Some(expected) = &self.authorized_party {
            return if party == Some(expected) {
                Ok(())
            } else {
                Err(absent_or(claims, Known::AuthorizedParty, another_party(party)))
            };
        }
        if self.kind != TokenKind::IdToken || self.audiences.is_empty() {
            return Ok(());
        }
        if party.is_none() || is_one_of(&self.audiences, party) || is_one_of(&self.trusted_parties, party) {
            return Ok(());
        }
        Err(another_party(party))
    }

    pub(super) fn check_times(&self, claims: &Claims, now: UnixTime) -> Result<(), ClaimsError> {
        let earliest = now.saturating_sub(self.leeway);
        let latest = now.saturating_add(self.leeway);
        // RFC 7519 §4.1.4: a token is not accepted "on or after" its expiration time.
        if let Some(at) = claims.expires_at().filter(|at| self.check_expiry && !at.is_after(earliest)) {
            return Err(ClaimsError::Expired { at, now });
        }
        if let Some(at) = claims.not_before().filter(|at| self.check_not_before && at.is_after(latest)) {
            return Err(ClaimsError::NotYetValid { at, now });
        }
        if let Some(at) = claims.issued_at().filter(|at| self.check_issued_at && at.is_after(latest)) {
            return Err(ClaimsError::IssuedInFuture { at, now });
        }
        if let Some(max_token_age) = self.max_token_age {
            let at = claims.issued_at().ok_or_else(|| ClaimsError::Missing { claim: "iat".to_owned() })?;
            if at.seconds() < earliest.saturating_sub(max_token_age) {
                return Err(ClaimsError::TooOld { at, now });
            }
        }
        Ok(())
    }
}

/// Returns `exp`, if tokens of a kind have one.
pub(super) fn expiry(kind: TokenKind) -> Option<Required> {
    (kind != TokenKind::SecurityEvent).then_some(Required::Known(Known::ExpiresAt))
}

/// Returns the claims that a kind of token requires, and further ones, each once.
pub(super) fn required(kind: TokenKind, further: impl IntoIterator<Item = Required>) -> Vec<Required> {
    let mut all: Vec<Required> = kind.required().iter().copied().map(Required::Known).collect();
    for claim in further {
        if !all.contains(&claim) {
            all.push(claim);
        }
    }
    all
}

fn another_party(party: Option<&str>) -> ClaimsError {
    ClaimsError::AuthorizedParty { party: text::name(party.unwrap_or_default()) }
}

/// Reports whether a claim is one of the accepted values.
fn is_one_of(accepted: &[String], claim: Option<&str>) -> bool {
    claim.is_some_and(|claim| accepted.iter().any(|own| own == claim))
}

fn check_nonce<'n>(claims: &Claims, accepted: impl IntoIterator<Item = &'n str>) -> Result<(), ClaimsError> {
    let is_equal = |nonce: &str, own: &str| bool::from(nonce.as_bytes().ct_eq(own.as_bytes()));
    match string(claims, Known::Nonce)? {
        // All are compared, so that the time does not show which one is near.
        Some(nonce) if accepted.into_iter().fold(false, |found, own| found | is_equal(nonce, own)) => Ok(()),
        _ => Err(absent_or(claims, Known::Nonce, ClaimsError::Nonce)),
    }
}

/// Checks the rules of logout tokens alone (Back-Channel Logout §2.4 and §2.6).
fn check_logout(claims: &Claims) -> Result<(), ClaimsError> {
    if claims.logout_event() != Some(true) {
        return Err(ClaimsError::Events);
    }
    if claims.presence(Known::Nonce) != Presence::Absent {
        return Err(ClaimsError::NoncePresent);
    }
    let session = string(claims, Known::SessionId)?;
    let is_named = |name: Option<&str>| name.is_some_and(|name| !name.is_empty());
    if is_named(session) || is_named(claims.subject()) {
        Ok(())
    } else {
        Err(ClaimsError::NoSubjectOrSession)
    }
}

/// Checks the rules of security event tokens alone (RFC 8417 §2.2): one or more events, each an object.
fn check_events(claims: &Claims) -> Result<(), ClaimsError> {
    let events = claims.get("events");
    require(Presence::of(events), "events")?;
    match events.and_then(Value::as_object) {
        Some(events) if events.values().all(Value::is_object) => Ok(()),
        _ => Err(ClaimsError::SecurityEvents),
    }
}

/// Rejects a claim that is absent, `null` or empty.
fn require(presence: Presence<'_>, claim: &str) -> Result<(), ClaimsError> {
    match presence {
        Presence::Absent | Presence::Null => Err(ClaimsError::Missing { claim: claim.to_owned() }),
        Presence::Text("") | Presence::Empty => Err(ClaimsError::Empty { claim: claim.to_owned() }),
        Presence::Text(_) | Presence::Other => Ok(()),
    }
}

/// Returns a claim that is a string or absent; rejects any other type.
fn string(claims: &Claims, known: Known) -> Result<Option<&str>, ClaimsError> {
    match claims.presence(known) {
        Presence::Absent => Ok(None),
        Presence::Text(text) => Ok(Some(text)),
        _ => {
            let value = claims.get(known.name()).unwrap_or(&Value::Null);
            Err(ClaimsError::not_text(known.name(), value))
        }
    }
}

/// Returns the error for a claim without the expected value: [`ClaimsError::Missing`] if the claim is
/// absent, else `mismatch`.
fn absent_or(claims: &Claims, known: Known, mismatch: ClaimsError) -> ClaimsError {
    match claims.presence(known) {
        Presence::Absent => ClaimsError::Missing { claim: known.name().to_owned() },
        _ => mismatch,
    }
}
