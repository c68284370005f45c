//! What a token must say to be accepted. One policy, three presets, none of which takes another's
//! token: an ID token (OpenID Connect Core §3.1.3.7), a logout token (Back-Channel Logout §2.6), an
//! access token (RFC 9068 §4).

use subtle::ConstantTimeEq;

use crate::claims::registered::{Known, Presence};
use crate::claims::{Claims, ClaimsError};
use crate::jws::Header;
use crate::time::UnixTime;

/// The member of `events` that makes a token a logout token (Back-Channel Logout §2.4).
pub const BACKCHANNEL_LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// What a token is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A plain JWT: only what the policy names is checked.
    Jwt,
    /// An OpenID Connect ID token. Requires iss, sub, aud, exp, iat; `typ` absent or `JWT`; no
    /// logout event; `azp` must be an accepted audience, and is required beside several audiences.
    IdToken,
    /// A back-channel logout token. Requires iss, aud, iat, jti, the logout event, sub or sid, no
    /// nonce; `typ` absent, `JWT` or `logout+jwt`.
    LogoutToken,
    /// An OAuth 2.0 access token (RFC 9068). Requires `typ` `at+jwt`, iss, sub, aud, exp.
    AccessToken,
}

impl TokenKind {
    fn required(self) -> &'static [Known] {
        use Known::{Audience, ExpiresAt, IssuedAt, Issuer, Subject, TokenId};
        match self {
            TokenKind::Jwt => &[],
            TokenKind::IdToken => &[Issuer, Subject, Audience, ExpiresAt, IssuedAt],
            TokenKind::LogoutToken => &[Issuer, Audience, IssuedAt, TokenId],
            TokenKind::AccessToken => &[Issuer, Subject, Audience, ExpiresAt],
        }
    }

    fn accepts_type(self, header: &Header) -> bool {
        let plain = header.typ().is_none() || header.typ_is("JWT");
        match self {
            TokenKind::Jwt => true,
            TokenKind::IdToken => plain,
            TokenKind::LogoutToken => plain || header.typ_is("logout+jwt"),
            TokenKind::AccessToken => header.typ_is("at+jwt"),
        }
    }
}

/// A claim that must be there: one that is read anyway, or any other by its name.
#[derive(Clone, Debug)]
enum Required {
    Known(Known),
    Other(String),
}

/// The rules a claims set is held against. What is not named is not compared, but `exp`, `nbf` and
/// `iat` are checked wherever they are present.
#[derive(Clone, Debug)]
pub struct Policy {
    kind: TokenKind,
    issuers: Vec<String>,
    audiences: Vec<String>,
    authorized_party: Option<String>,
    subject: Option<String>,
    token_id: Option<String>,
    nonce: Option<String>,
    typ: Option<String>,
    leeway: u64,
    max_age: Option<u64>,
    required: Vec<Required>,
    check_expiry: bool,
    check_not_before: bool,
    check_issued_at: bool,
}

impl Policy {
    /// How far the clocks of issuer and verifier may be apart where nothing else is said, in seconds.
    pub const DEFAULT_LEEWAY: u64 = 60;

    /// The rules of a kind of token; `exp` is required.
    #[must_use]
    pub fn new(kind: TokenKind) -> Self {
        Self {
            kind,
            issuers: Vec::new(),
            audiences: Vec::new(),
            authorized_party: None,
            subject: None,
            token_id: None,
            nonce: None,
            typ: None,
            leeway: Self::DEFAULT_LEEWAY,
            max_age: None,
            required: vec![Required::Known(Known::ExpiresAt)],
            check_expiry: true,
            check_not_before: true,
            check_issued_at: true,
        }
    }

    /// An ID token from this issuer for this client.
    #[must_use]
    pub fn id_token(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self::new(TokenKind::IdToken).issuer(issuer).audience(client_id)
    }

    /// A logout token from this issuer for this client.
    #[must_use]
    pub fn logout_token(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self::new(TokenKind::LogoutToken).issuer(issuer).audience(client_id)
    }

    /// An access token from this issuer for this resource.
    #[must_use]
    pub fn access_token(issuer: impl Into<String>, resource: impl Into<String>) -> Self {
        Self::new(TokenKind::AccessToken).issuer(issuer).audience(resource)
    }

    /// Accepts this issuer (beside those already named), compared exactly.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuers.push(issuer.into());
        self
    }

    /// Accepts this audience (beside those already named), compared exactly; one match is enough.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// Wants `azp` present and equal to this.
    #[must_use]
    pub fn authorized_party(mut self, party: impl Into<String>) -> Self {
        self.authorized_party = Some(party.into());
        self
    }

    /// Wants this `sub`.
    #[must_use]
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Wants this `jti`.
    #[must_use]
    pub fn token_id(mut self, id: impl Into<String>) -> Self {
        self.token_id = Some(id.into());
        self
    }

    /// Wants this `nonce`, compared in constant time.
    #[must_use]
    pub fn nonce(mut self, nonce: impl Into<String>) -> Self {
        self.nonce = Some(nonce.into());
        self
    }

    /// Wants this header `typ`, in place of what the kind of token accepts.
    #[must_use]
    pub fn typ(mut self, media_type: impl Into<String>) -> Self {
        self.typ = Some(media_type.into());
        self
    }

    /// How far the clocks may be apart, in seconds.
    #[must_use]
    pub fn leeway(mut self, seconds: u64) -> Self {
        self.leeway = seconds;
        self
    }

    /// The longest time since `iat`, in seconds (leeway comes on top). Makes `iat` required.
    #[must_use]
    pub fn max_age(mut self, seconds: u64) -> Self {
        self.max_age = Some(seconds);
        self
    }

    /// The claims that must be there and not empty, in place of the default, `exp`. What the kind
    /// of token requires stays required.
    #[must_use]
    pub fn require<C: Into<String>>(mut self, claims: impl IntoIterator<Item = C>) -> Self {
        let claims = claims.into_iter().map(Into::into);
        self.required =
            claims.map(|name| Known::of_name(&name).map_or(Required::Other(name), Required::Known)).collect();
        self
    }

    /// Does not compare `exp` with the time.
    #[must_use]
    pub fn ignore_expiry(mut self) -> Self {
        self.check_expiry = false;
        self
    }

    /// Does not compare `nbf` with the time.
    #[must_use]
    pub fn ignore_not_before(mut self) -> Self {
        self.check_not_before = false;
        self
    }

    /// Does not compare `iat` with the time ([`max_age`](Self::max_age) still does).
    #[must_use]
    pub fn ignore_issued_at(mut self) -> Self {
        self.check_issued_at = false;
        self
    }

    /// Holds a verified token's claims against the rules.
    ///
    /// # Errors
    /// The first [`ClaimsError`], in the order: kind, required claims, iss, aud, azp, sub, jti,
    /// nonce, events, times.
    pub fn validate(&self, header: &Header, claims: &Claims, now: UnixTime) -> Result<(), ClaimsError> {
        self.check_kind(header, claims)?;
        for known in self.kind.required() {
            require(claims.presence(*known), known.name())?;
        }
        for required in &self.required {
            match required {
                Required::Known(known) => require(claims.presence(*known), known.name())?,
                Required::Other(name) => require(Presence::of(claims.get(name)), name)?,
            }
        }
        if !self.issuers.is_empty() && !self.issuers.iter().any(|issuer| claims.issuer() == Some(issuer)) {
            return Err(absent_or(claims, Known::Issuer, ClaimsError::Issuer));
        }
        if !self.audiences.is_empty()
            && !claims.audience().any(|name| self.audiences.iter().any(|own| own == name))
        {
            return Err(absent_or(claims, Known::Audience, ClaimsError::Audience));
        }
        self.check_authorized_party(claims)?;
        if self.subject.as_deref().is_some_and(|subject| claims.subject() != Some(subject)) {
            return Err(absent_or(claims, Known::Subject, ClaimsError::Subject));
        }
        if self.token_id.as_deref().is_some_and(|id| claims.token_id() != Some(id)) {
            return Err(absent_or(claims, Known::TokenId, ClaimsError::TokenId));
        }
        self.check_nonce(claims)?;
        if self.kind == TokenKind::LogoutToken {
            check_logout(claims)?;
        }
        self.check_times(claims, now)
    }

    fn check_kind(&self, header: &Header, claims: &Claims) -> Result<(), ClaimsError> {
        let accepted = match &self.typ {
            Some(typ) => header.typ_is(typ),
            None => self.kind.accepts_type(header),
        };
        // A logout token of an old provider bears `typ` JWT or none: its event gives it away.
        let is_logout = claims.logout_event().is_some();
        let wrong_event = is_logout && matches!(self.kind, TokenKind::IdToken | TokenKind::AccessToken);
        if accepted && !wrong_event { Ok(()) } else { Err(ClaimsError::Kind) }
    }

    /// OpenID Connect Core §3.1.3.7, items 4 and 5.
    fn check_authorized_party(&self, claims: &Claims) -> Result<(), ClaimsError> {
        let party = text(claims, Known::AuthorizedParty)?;
        if let Some(expected) = &self.authorized_party {
            return if party == Some(expected) {
                Ok(())
            } else {
                Err(absent_or(claims, Known::AuthorizedParty, ClaimsError::AuthorizedParty))
            };
        }
        if self.kind != TokenKind::IdToken || self.audiences.is_empty() {
            return Ok(());
        }
        match party {
            Some(party) if self.audiences.iter().any(|own| own == party) => Ok(()),
            None if claims.audience().nth(1).is_none() => Ok(()),
            _ => Err(ClaimsError::AuthorizedParty),
        }
    }

    fn check_nonce(&self, claims: &Claims) -> Result<(), ClaimsError> {
        let Some(expected) = &self.nonce else { return Ok(()) };
        match text(claims, Known::Nonce)? {
            Some(nonce) if bool::from(nonce.as_bytes().ct_eq(expected.as_bytes())) => Ok(()),
            _ => Err(absent_or(claims, Known::Nonce, ClaimsError::Nonce)),
        }
    }

    fn check_times(&self, claims: &Claims, now: UnixTime) -> Result<(), ClaimsError> {
        let earliest = now.saturating_sub(self.leeway);
        let latest = now.saturating_add(self.leeway);
        // RFC 7519 §4.1.4: not "on or after" the time.
        if let Some(at) = claims.expires_at().filter(|at| self.check_expiry && !at.is_after(earliest)) {
            return Err(ClaimsError::Expired { at, now });
        }
        if let Some(at) = claims.not_before().filter(|at| self.check_not_before && at.is_after(latest)) {
            return Err(ClaimsError::NotYetValid { at, now });
        }
        if let Some(at) = claims.issued_at().filter(|at| self.check_issued_at && at.is_after(latest)) {
            return Err(ClaimsError::IssuedInFuture { at, now });
        }
        if let Some(max_age) = self.max_age {
            let at = claims.issued_at().ok_or_else(|| ClaimsError::Missing { claim: "iat".to_owned() })?;
            if at.seconds() < earliest.saturating_sub(max_age) {
                return Err(ClaimsError::TooOld { at, now });
            }
        }
        Ok(())
    }
}

/// Back-Channel Logout §2.4 and §2.6, what goes beyond an ID token's rules.
fn check_logout(claims: &Claims) -> Result<(), ClaimsError> {
    if claims.logout_event() != Some(true) {
        return Err(ClaimsError::Events);
    }
    if claims.presence(Known::Nonce) != Presence::Absent {
        return Err(ClaimsError::NoncePresent);
    }
    let session = text(claims, Known::SessionId)?;
    let named = |name: Option<&str>| name.is_some_and(|name| !name.is_empty());
    if named(session) || named(claims.subject()) { Ok(()) } else { Err(ClaimsError::NobodyToLogOut) }
}

fn require(presence: Presence<'_>, claim: &str) -> Result<(), ClaimsError> {
    match presence {
        Presence::Absent | Presence::Null => Err(ClaimsError::Missing { claim: claim.to_owned() }),
        Presence::Text("") | Presence::Empty => Err(ClaimsError::Empty { claim: claim.to_owned() }),
        Presence::Text(_) | Presence::Other => Ok(()),
    }
}

fn text(claims: &Claims, known: Known) -> Result<Option<&str>, ClaimsError> {
    match claims.presence(known) {
        Presence::Absent => Ok(None),
        Presence::Text(text) => Ok(Some(text)),
        _ => Err(ClaimsError::WrongType { claim: known.name().to_owned() }),
    }
}

fn absent_or(claims: &Claims, known: Known, other: ClaimsError) -> ClaimsError {
    match claims.presence(known) {
        Presence::Absent => ClaimsError::Missing { claim: known.name().to_owned() },
        _ => other,
    }
}
