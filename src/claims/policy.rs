//! Rules on a token's claims: for a plain JWT, an ID token (OpenID Connect Core §3.1.3.7), a logout
//! token (Back-Channel Logout §2.6) or an access token (RFC 9068 §4). The policies of the last three
//! kinds reject tokens of each other's kind, and none but a logout token's policy accepts a logout token.

use std::marker::PhantomData;

use serde_json::Value;
use subtle::ConstantTimeEq;

use crate::claims::registered::{Known, Presence};
use crate::claims::{AccessToken, AnyKind, Claims, ClaimsError, IdToken, Jwt, Kind, LogoutToken, TokenKind};
use crate::jws::Header;
use crate::text;
use crate::time::UnixTime;

/// A claim that must be present: one that every scan locates, or another by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Required {
    Known(Known),
    Other(String),
}

/// The rules that the claims of a token of kind `K` must satisfy. A claim that no rule names is not
/// compared, but `exp`, `nbf` and `iat` are checked wherever they are present.
///
/// The kind's own rules cannot be removed: a `Policy<IdToken>` always names an issuer and an
/// audience, and always requires the claims of [`TokenKind::IdToken`].
///
/// ```compile_fail,E0599
/// use claimgate::claims::{IdToken, Policy};
/// let policy = Policy::<IdToken>::of_kind(claimgate::claims::TokenKind::IdToken);
/// ```
#[derive(Clone, Debug)]
pub struct Policy<K: Kind> {
    rules: Rules,
    kind: PhantomData<K>,
}

#[derive(Clone, Debug)]
struct Rules {
    kind: TokenKind,
    issuers: Vec<String>,
    audiences: Vec<String>,
    trusted_audiences: Vec<String>,
    authorized_party: Option<String>,
    trusted_parties: Vec<String>,
    subjects: Vec<String>,
    token_ids: Vec<String>,
    nonces: Vec<String>,
    types: Vec<String>,
    leeway: u64,
    max_token_age: Option<u64>,
    required: Vec<Required>,
    check_expiry: bool,
    check_not_before: bool,
    check_issued_at: bool,
}

impl Policy<Jwt> {
    /// The greatest difference accepted between the clocks of issuer and verifier, in seconds,
    /// unless [`leeway`](Policy::leeway) sets another.
    pub const DEFAULT_LEEWAY: u64 = 60;

    /// Returns the rules for a plain JWT: `exp` is required.
    #[must_use]
    pub fn jwt() -> Self {
        Self::new(TokenKind::Jwt)
    }
}

impl Policy<IdToken> {
    /// Returns the rules for an ID token from this issuer for this client (OpenID Connect Core
    /// §3.1.3.7).
    #[must_use]
    pub fn id_token(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self::new(TokenKind::IdToken).issuer(issuer).audience(client_id)
    }
}

impl Policy<LogoutToken> {
    /// Returns the rules for a logout token from this issuer for this client (Back-Channel Logout
    /// §2.6).
    #[must_use]
    pub fn logout_token(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self::new(TokenKind::LogoutToken).issuer(issuer).audience(client_id)
    }
}

impl Policy<AccessToken> {
    /// Returns the rules for an access token from this issuer for this resource (RFC 9068 §4).
    #[must_use]
    pub fn access_token(issuer: impl Into<String>, resource: impl Into<String>) -> Self {
        Self::new(TokenKind::AccessToken).issuer(issuer).audience(resource)
    }
}

impl Policy<AnyKind> {
    /// Returns the rules of a kind chosen at run time. The kind's claims are required, but no
    /// issuer and no audience is compared until [`issuer`](Self::issuer) and
    /// [`audience`](Self::audience) name one.
    #[must_use]
    pub fn of_kind(kind: TokenKind) -> Self {
        Self::new(kind)
    }
}

impl<K: Kind> Policy<K> {
    fn new(kind: TokenKind) -> Self {
        let rules = Rules {
            kind,
            issuers: Vec::new(),
            audiences: Vec::new(),
            trusted_audiences: Vec::new(),
            authorized_party: None,
            trusted_parties: Vec::new(),
            subjects: Vec::new(),
            token_ids: Vec::new(),
            nonces: Vec::new(),
            types: Vec::new(),
            leeway: Policy::DEFAULT_LEEWAY,
            max_token_age: None,
            required: required(kind, [Required::Known(Known::ExpiresAt)]),
            check_expiry: true,
            check_not_before: true,
            check_issued_at: true,
        };
        Self { rules, kind: PhantomData }
    }

    /// Returns the kind of token that the policy accepts.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        self.rules.kind
    }

    /// Adds an accepted issuer. `iss` is compared exactly.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.rules.issuers.push(issuer.into());
        self
    }

    /// Adds an accepted audience. The names in `aud` are compared exactly, and one match is enough; ID and
    /// logout tokens must name no other audience, unless it is [trusted](Self::trusted_audience).
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.audiences.push(audience.into());
        self
    }

    /// Adds an audience that an ID or logout token may name beside an accepted one (OpenID Connect Core
    /// §3.1.3.7, item 3). A token for it alone is still rejected.
    #[must_use]
    pub fn trusted_audience(mut self, audience: impl Into<String>) -> Self {
        self.rules.trusted_audiences.push(audience.into());
        self
    }

    /// Adds a party that an ID token may have been issued to, beside the accepted audiences: the `azp` of
    /// another client of the same provider, such as an app that signs in for its server.
    #[must_use]
    pub fn trusted_party(mut self, party: impl Into<String>) -> Self {
        self.rules.trusted_parties.push(party.into());
        self
    }

    /// Requires `azp` to be present and equal to `party`.
    #[must_use]
    pub fn authorized_party(mut self, party: impl Into<String>) -> Self {
        self.rules.authorized_party = Some(party.into());
        self
    }

    /// Adds an accepted subject. Once there is one, `sub` must be one of them.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.rules.subjects.push(subject.into());
        self
    }

    /// Adds an accepted `jti`. Once there is one, `jti` must be one of them.
    #[must_use]
    pub fn token_id(mut self, id: impl Into<String>) -> Self {
        self.rules.token_ids.push(id.into());
        self
    }

    /// Adds an accepted `nonce`, compared in constant time. Once there is one, `nonce` must be one of them. For a
    /// nonce that differs from call to call see [`Verifier::verify_with_nonce`](crate::Verifier::verify_with_nonce).
    #[must_use]
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        self.rules.nonces.push(nonce.into());
        self
    }

    /// Adds an accepted media type. Once there is one, the header's `typ` must be one of them, in addition to
    /// the rule of the kind.
    #[must_use]
    pub fn typ(mut self, media_type: impl Into<String>) -> Self {
        self.rules.types.push(media_type.into());
        self
    }

    /// Sets the greatest difference accepted between the clocks of issuer and verifier, in seconds.
    #[must_use]
    pub fn leeway(mut self, seconds: u64) -> Self {
        self.rules.leeway = seconds;
        self
    }

    /// Limits the time since `iat`, in seconds (leeway is added), and requires `iat`. Not to be
    /// confused with OpenID Connect's `max_age`, which limits the time since `auth_time`.
    #[must_use]
    pub fn max_token_age(mut self, seconds: u64) -> Self {
        self.rules.max_token_age = Some(seconds);
        self
    }

    /// Requires these claims to be present and not empty, in place of the default, `exp`. The claims
    /// that the kind of token requires stay required, and so does `exp` of a logout token, unless
    /// [`danger_without_expiry`](Self::danger_without_expiry) follows.
    #[must_use]
    pub fn require<C: Into<String>>(mut self, claims: impl IntoIterator<Item = C>) -> Self {
        let named = claims.into_iter().map(Into::into);
        let named = named.map(|name| Known::of_name(&name).map_or(Required::Other(name), Required::Known));
        let expiry = (self.rules.kind == TokenKind::LogoutToken).then_some(Required::Known(Known::ExpiresAt));
        self.rules.required = required(self.rules.kind, named.chain(expiry));
        self
    }

    /// **Danger.** Accepts tokens without `exp`, for ever unless [`max_token_age`](Self::max_token_age) limits
    /// their age. For providers whose logout tokens have none. Kinds that require `exp` still do, and an `exp`
    /// that is present is checked.
    #[must_use]
    pub fn danger_without_expiry(mut self) -> Self {
        let expiry = Required::Known(Known::ExpiresAt);
        let others = std::mem::take(&mut self.rules.required).into_iter().filter(|claim| *claim != expiry);
        self.rules.required = required(self.rules.kind, others);
        self
    }

    /// Does not compare `exp` with the time.
    #[must_use]
    pub fn ignore_expiry(mut self) -> Self {
        self.rules.check_expiry = false;
        self
    }

    /// Does not compare `nbf` with the time.
    #[must_use]
    pub fn ignore_not_before(mut self) -> Self {
        self.rules.check_not_before = false;
        self
    }

    /// Does not compare `iat` with the time; [`max_token_age`](Self::max_token_age) still does.
    #[must_use]
    pub fn ignore_issued_at(mut self) -> Self {
        self.rules.check_issued_at = false;
        self
    }

    /// Validates the claims of a verified token.
    ///
    /// # Errors
    /// The first [`ClaimsError`], in the order: kind, required claims, iss, aud, azp, sub, jti,
    /// nonce, the kind's own rules, times.
    pub fn validate(&self, header: &Header, claims: &Claims, now: UnixTime) -> Result<(), ClaimsError> {
        self.rules.validate(header, claims, None, now)
    }

    /// Does the same as [`validate`](Self::validate), and requires the nonce of one sign-in.
    pub(crate) fn validate_with_nonce(
        &self,
        header: &Header,
        claims: &Claims,
        nonce: &str,
        now: UnixTime,
    ) -> Result<(), ClaimsError> {
        self.rules.validate(header, claims, Some(nonce), now)
    }
}

impl Rules {
    fn validate(
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
        if !self.issuers.is_empty() && !is_one_of(&self.issuers, claims.issuer()) {
            return Err(absent_or(claims, Known::Issuer, ClaimsError::Issuer));
        }
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
            TokenKind::Jwt | TokenKind::AccessToken => {}
        }
        self.check_times(claims, now)
    }

    fn check_kind(&self, header: &Header, claims: &Claims) -> Result<(), ClaimsError> {
        let listed = self.types.is_empty() || self.types.iter().any(|typ| header.typ_is(typ));
        let accepted = self.kind.accepts_type(header) && listed;
        // Logout tokens of older providers have `typ` JWT or none: only the event identifies them.
        let is_logout = claims.logout_event().is_some();
        let wrong_event = is_logout && self.kind != TokenKind::LogoutToken;
        if accepted && !wrong_event { Ok(()) } else { Err(ClaimsError::Kind) }
    }

    /// Checks `aud`. An ID or logout token must name no audience that is neither accepted nor trusted (OpenID
    /// Connect Core §3.1.3.7, item 3; Back-Channel Logout §2.6); in other tokens one match is enough.
    fn check_audience(&self, claims: &Claims) -> Result<(), ClaimsError> {
        if self.audiences.is_empty() {
            return Ok(());
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

    fn check_times(&self, claims: &Claims, now: UnixTime) -> Result<(), ClaimsError> {
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

/// Returns the claims that a kind of token requires, and further ones, each once.
fn required(kind: TokenKind, further: impl IntoIterator<Item = Required>) -> Vec<Required> {
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
