//! Rules on a token's claims: for a plain JWT, an ID token (OpenID Connect Core §3.1.3.7), a logout
//! token (Back-Channel Logout §2.6), an access token (RFC 9068 §4) or a security event token (RFC 8417 §2). The policies
//! of the last four kinds reject tokens of each other's kind, and none but their own policies accept a logout token or a
//! security event token.

use std::marker::PhantomData;
use std::time::Duration;

use crate::claims::registered::Known;
#[cfg(feature = "path")]
use crate::claims::requirement::{ClaimRule, Requirement};
use crate::claims::rules::{DEFAULT_LEEWAY, MAX_LEEWAY, Required, Rules, required};
use crate::claims::{
    AccessKind, AccessToken, AnyKind, Claims, ClaimsError, IdToken, Jwt, Kind, LogoutToken, SecurityEvent,
    TenantIssuers, TokenKind, UnboundKind,
};
use crate::jws::{BuildError, Header};
#[cfg(feature = "path")]
use crate::path::ClaimPath;
use crate::time::UnixTime;

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
///
/// ```
/// use std::time::Duration;
///
/// use claimgate::claims::{Policy, TokenKind};
///
/// let hour = Duration::from_secs(60 * 60);
/// let id_token = Policy::id_token("https://idp.example.com", "crm")
///     .issuer_alias("idp.example.com") // another name of the same issuer, with the same keys
///     .trusted_audience("portal")      // may stand in `aud` beside `crm`
///     .trusted_party("crm-app")        // may stand in `azp`
///     .leeway(Duration::from_secs(10))
///     .max_token_age(hour);
/// assert_eq!((id_token.kind(), id_token.issuers().count()), (TokenKind::IdToken, 2));
///
/// let logout_token = Policy::logout_token("https://idp.example.com", "crm").danger_without_expiry();
/// assert!(logout_token.check().is_ok());
///
/// let plain = Policy::jwt()
///     .issuer("https://idp.example.com")
///     .audience("crm")
///     .typ("acme+jwt")
///     .authorized_party("robot")
///     .subject("robot-1")
///     .token_id("7")
///     .nonce("n")
///     .require(["email"]);
/// let any = Policy::jwt().any_audience().require_only(["sub"]);
/// // A token that another part of the program has checked the times of:
/// let untimed = plain.danger_ignore_expiry().danger_ignore_not_before().danger_ignore_issued_at();
///
/// // A kind chosen at run time; without issuer and audience it would not build.
/// assert!(Policy::of_kind(TokenKind::AccessToken).check().is_err());
/// ```
#[derive(Clone, Debug)]
pub struct Policy<K: Kind> {
    rules: Rules,
    kind: PhantomData<K>,
}

impl Policy<Jwt> {
    /// The greatest difference accepted between the clocks of issuer and verifier, unless
    /// [`leeway`](Policy::leeway) sets another.
    pub const DEFAULT_LEEWAY: Duration = DEFAULT_LEEWAY;

    /// The longest [`leeway`](Policy::leeway), 5 minutes: RFC 7519 §4.1.4 allows "no more than a few minutes". A longer one
    /// is an error when a verifier is built.
    pub const MAX_LEEWAY: Duration = MAX_LEEWAY;

    /// Returns the rules for a plain JWT: `exp` is required, and a token that has an `aud` is rejected until
    /// [`audience`](Self::audience) names an accepted one.
    #[must_use]
    pub fn jwt() -> Self {
        Self::new(TokenKind::Jwt)
    }
}

/// The maximum age of a logout token, since its `iat`.
pub const LOGOUT_TOKEN_AGE: Duration = Duration::from_secs(24 * 60 * 60);

impl Policy<IdToken> {
    /// Returns the rules for an ID token from this issuer for this client (OpenID Connect Core
    /// §3.1.3.7).
    #[must_use]
    pub fn id_token(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        Self::new(TokenKind::IdToken).bound_to(issuer).audience(client_id)
    }
}

impl Policy<LogoutToken> {
    /// Returns the rules for a logout token from this issuer for this client (Back-Channel Logout §2.6). A token
    /// older than [`LOGOUT_TOKEN_AGE`] is refused whatever its `exp`: its `jti` is remembered no longer.
    #[must_use]
    pub fn logout_token(issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        let policy = Self::new(TokenKind::LogoutToken).bound_to(issuer).audience(client_id);
        policy.max_token_age(LOGOUT_TOKEN_AGE)
    }
}

impl Policy<AccessToken> {
    /// Returns the rules for an access token from this issuer for this resource (RFC 9068 §4).
    #[must_use]
    pub fn access_token(issuer: impl Into<String>, resource: impl Into<String>) -> Self {
        Self::new(TokenKind::AccessToken).bound_to(issuer).audience(resource)
    }
}

impl Policy<SecurityEvent> {
    /// Returns the rules for a security event token from this transmitter for this receiver (RFC 8417). One match in
    /// `aud` is enough: a transmitter may name all receivers of a stream. A token older than
    /// [`SECURITY_EVENT_AGE`](super::SECURITY_EVENT_AGE) is refused.
    ///
    /// ```
    /// use claimgate::claims::Policy;
    /// let policy = Policy::security_event("https://idp.example.com", "crm");
    /// ```
    #[must_use]
    pub fn security_event(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self::new(TokenKind::SecurityEvent).bound_to(issuer).audience(audience)
    }
}

impl Policy<AnyKind> {
    /// Returns the rules of a kind chosen at run time. All kinds but [`TokenKind::Jwt`] need an
    /// [`issuer`](Self::issuer) and an [`audience`](Self::audience), and accept no token without.
    #[must_use]
    pub fn of_kind(kind: TokenKind) -> Self {
        Self::new(kind)
    }
}

impl<K: AccessKind> Policy<K> {
    /// Accepts, beside `at+jwt`, access tokens whose `typ` is `JWT` or absent, as Keycloak, Entra ID and Okta send
    /// them. So that no ID, logout or refresh token passes for one (RFC 8725 §3.12), such a token must have
    ///
    /// - a claim that states its kind, if it has one: `typ` `Bearer` or `DPoP` (Keycloak), or `token_use` `access`
    ///   (Amazon Cognito);
    /// - else `scope`, `scp`, `client_id`, `cid`, `azpacr` or `appidacr`, and no `nonce`, `at_hash` or `c_hash`;
    /// - and no logout event.
    ///
    /// The audience should be that of the resource alone, never a client's id: an ID token is for the client.
    ///
    /// ```
    /// use claimgate::claims::Policy;
    /// let policy = Policy::access_token("https://idp.example.com", "https://api.example.com").allow_untyped();
    /// ```
    #[must_use]
    pub fn allow_untyped(mut self) -> Self {
        self.rules.allow_untyped = self.rules.kind == TokenKind::AccessToken;
        self
    }
}

impl<K: UnboundKind> Policy<K> {
    /// Sets the accepted issuer, in place of one that was set before. `iss` is compared exactly. The policies of
    /// other kinds are made with their issuer.
    #[must_use]
    pub fn issuer(self, issuer: impl Into<String>) -> Self {
        self.bound_to(issuer)
    }

    /// Accepts a plain JWT for any audience, as long as no [`audience`](Self::audience) is named. Without this, a
    /// token that has an `aud` is rejected then: it may be meant for another recipient (RFC 7519 §4.1.3).
    #[must_use]
    pub fn any_audience(mut self) -> Self {
        self.rules.any_audience = true;
        self
    }
}

impl<K: Kind> Policy<K> {
    fn new(kind: TokenKind) -> Self {
        Self { rules: Rules::new(kind), kind: PhantomData }
    }

    fn bound_to(mut self, issuer: impl Into<String>) -> Self {
        self.rules.issuer = Some(issuer.into());
        self
    }

    /// Rejects a policy that would accept the tokens of any issuer or for any audience, one with an empty name, such
    /// as that of a variable which is not set, and one that accepts tokens long after they expired.
    ///
    /// # Errors
    /// [`BuildError::NoIssuer`] and [`BuildError::NoAudience`]; a policy of [`TokenKind::Jwt`] needs neither, but no name
    /// may be empty. [`BuildError::Leeway`].
    pub fn check(&self) -> Result<(), BuildError> {
        if self.rules.leeway > MAX_LEEWAY.as_secs() && !self.rules.any_leeway {
            Err(BuildError::Leeway { seconds: self.rules.leeway })
        } else if self.issuers().any(str::is_empty) {
            Err(BuildError::NoIssuer)
        } else if self.rules.audiences.iter().any(String::is_empty) {
            Err(BuildError::NoAudience)
        } else if self.rules.kind == TokenKind::Jwt {
            Ok(())
        } else if self.issuers().next().is_none() && self.rules.tenants.is_none() {
            Err(BuildError::NoIssuer)
        } else if self.rules.audiences.is_empty() {
            Err(BuildError::NoAudience)
        } else {
            Ok(())
        }
    }

    /// Accepts the issuers of tenants, in place of the accepted issuer and its aliases. `iss` and `tid` must name the
    /// same tenant, and one of them.
    ///
    /// ```
    /// use claimgate::claims::{Policy, TenantIssuers};
    ///
    /// let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
    /// let ours = TenantIssuers::of(template, ["6f1c0c3e-2b34-4da1-9baa-8bc8c9d6a490"])?;
    /// let policy = Policy::id_token(template, "crm").tenants(&ours);
    /// assert_eq!(policy.issuers().count(), 1);
    /// # Ok::<(), claimgate::claims::TenantError>(())
    /// ```
    #[must_use]
    pub fn tenants(mut self, tenants: &TenantIssuers) -> Self {
        self.rules.issuer = None;
        self.rules.issuer_aliases = tenants.issuers().collect();
        self.rules.tenants = Some(tenants.clone());
        self
    }

    /// Returns the names of the accepted issuer: first the [`issuer`](Self::issuer), then its aliases. Of
    /// [`tenants`](Self::tenants) they are the issuers of those that are named.
    pub fn issuers(&self) -> impl Iterator<Item = &str> {
        self.rules.issuers().map(String::as_str)
    }

    /// Returns the kind of token that the policy accepts.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        self.rules.kind
    }

    /// Adds another name of the accepted issuer, for an issuer that uses several with the same keys, as
    /// `accounts.google.com` does. A different issuer has keys of its own and belongs in a verifier of its own; see
    /// [`Issuers`](crate::verifier::Issuers).
    #[must_use]
    pub fn issuer_alias(mut self, alias: impl Into<String>) -> Self {
        self.rules.issuer_aliases.push(alias.into());
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

    /// Sets the greatest difference accepted between the clocks of issuer and verifier, at most
    /// [`MAX_LEEWAY`](Policy::MAX_LEEWAY); a fraction of a second is left out. An expired token is accepted for as long.
    /// [`check`](Self::check), and so every verifier that is built, refuses a longer one.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use claimgate::claims::Policy;
    ///
    /// assert!(Policy::jwt().leeway(Policy::MAX_LEEWAY).check().is_ok());
    /// let day = Policy::jwt().leeway(Duration::from_secs(24 * 60 * 60));
    /// assert_eq!(day.check().unwrap_err().code(), "build.leeway");
    /// ```
    #[must_use]
    pub fn leeway(mut self, leeway: Duration) -> Self {
        (self.rules.leeway, self.rules.any_leeway) = (leeway.as_secs(), false);
        self
    }

    /// Returns the leeway, in seconds.
    #[cfg(feature = "oidc")]
    pub(crate) fn leeway_seconds(&self) -> u64 {
        self.rules.leeway
    }

    /// Limits the time since `iat` (leeway is added; a fraction of a second is left out), and requires `iat`. Not to
    /// be confused with OpenID Connect's `max_age`, which limits the time since `auth_time`.
    #[must_use]
    pub fn max_token_age(mut self, age: Duration) -> Self {
        self.rules.max_token_age = Some(age.as_secs());
        self
    }

    /// Requires these claims, too, to be present and not empty.
    #[must_use]
    pub fn require<C: Into<String>>(mut self, claims: impl IntoIterator<Item = C>) -> Self {
        let before = std::mem::take(&mut self.rules.required);
        self.rules.required = required(self.rules.kind, before.into_iter().chain(named(claims)));
        self
    }

    /// Requires these claims to be present and not empty, in place of `exp` and of those that
    /// [`require`](Self::require) added. The claims that the kind of token requires stay required, and so does
    /// `exp` of a logout token, unless [`danger_without_expiry`](Self::danger_without_expiry) follows.
    #[must_use]
    pub fn require_only<C: Into<String>>(mut self, claims: impl IntoIterator<Item = C>) -> Self {
        let expiry = (self.rules.kind == TokenKind::LogoutToken).then_some(Required::Known(Known::ExpiresAt));
        self.rules.required = required(self.rules.kind, named(claims).chain(expiry));
        self
    }

    /// Demands a value of the claims that a path selects. Several demands must all be met.
    ///
    /// ```
    /// use claimgate::claims::{ClaimRule, Policy};
    /// use claimgate::path::ClaimPath;
    /// let policy = Policy::access_token("https://idp.example.com", "https://api.example.com")
    ///     .claim(ClaimPath::parse("tid")?, ClaimRule::one_of(["6f1c0c3e-tenant", "9b2d-tenant"]))
    ///     .claim(ClaimPath::parse("scope")?, ClaimRule::contains("crm.read"))
    ///     .claim(ClaimPath::parse("$.realm_access.roles")?, ClaimRule::contains("crm-admin"))
    ///     .claim(ClaimPath::parse("email")?, ClaimRule::matches(r"[^@]+@example\.com")?);
    /// # Ok::<(), claimgate::path::PathError>(())
    /// ```
    #[cfg(feature = "path")]
    #[must_use]
    pub fn claim(mut self, path: ClaimPath, rule: ClaimRule) -> Self {
        self.rules.requirements.push(Requirement { path, rule });
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

    /// **Danger.** Sets a leeway without a bound, in place of [`leeway`](Self::leeway): tokens are accepted for as long
    /// after they expired. For an issuer whose clock is wrong and cannot be set. What must outlive the tokens, such as the
    /// record of a logout, must be kept for as much longer.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use claimgate::claims::Policy;
    ///
    /// let policy = Policy::jwt().danger_leeway(Duration::from_secs(20 * 60));
    /// assert!(policy.check().is_ok());
    /// ```
    #[must_use]
    pub fn danger_leeway(mut self, leeway: Duration) -> Self {
        (self.rules.leeway, self.rules.any_leeway) = (leeway.as_secs(), true);
        self
    }

    /// **Danger.** Does not compare `exp` with the time: an expired token is accepted.
    #[must_use]
    pub fn danger_ignore_expiry(mut self) -> Self {
        self.rules.check_expiry = false;
        self
    }

    /// **Danger.** Does not compare `nbf` with the time.
    #[must_use]
    pub fn danger_ignore_not_before(mut self) -> Self {
        self.rules.check_not_before = false;
        self
    }

    /// **Danger.** Does not compare `iat` with the time: a token may come from the future. [`max_token_age`](Self::max_token_age) still does.
    #[must_use]
    pub fn danger_ignore_issued_at(mut self) -> Self {
        self.rules.check_issued_at = false;
        self
    }

    /// Validates the claims of a verified token.
    ///
    /// ```
    /// use claimgate::claims::{Claims, Policy};
    /// use claimgate::jws::Header;
    /// use claimgate::limits::Limits;
    /// use claimgate::time::UnixTime;
    ///
    /// // Of a token whose signature was verified: `VerifiedJws::header` and `payload`.
    /// let header = Header::parse(br#"{"alg": "RS256"}"#, &Limits::DEFAULT)?;
    /// let claims = Claims::parse(br#"{"sub": "ada", "exp": 1800000300}"#, &Limits::DEFAULT)?;
    /// assert!(Policy::jwt().validate(&header, &claims, UnixTime(1_800_000_000)).is_ok());
    /// let late = Policy::jwt().validate(&header, &claims, UnixTime(1_900_000_000));
    /// assert_eq!(late.unwrap_err().code(), "claims.expired");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The first [`ClaimsError`], in the order: kind, required claims, iss, aud, azp, sub, jti,
    /// nonce, the kind's own rules, the values of [`claim`](Self::claim), times.
    pub fn validate(
        &self,
        header: &Header,
        claims: &Claims,
        now: impl Into<UnixTime>,
    ) -> Result<(), ClaimsError> {
        self.rules.validate(header, claims, None, now.into())
    }

    /// Validates the times of claims that were validated before: nothing else about them can change.
    #[cfg(feature = "cache")]
    pub(crate) fn validate_again(&self, claims: &Claims, now: UnixTime) -> Result<(), ClaimsError> {
        self.rules.check_times(claims, now)
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

fn named<C: Into<String>>(claims: impl IntoIterator<Item = C>) -> impl Iterator<Item = Required> {
    let names = claims.into_iter().map(Into::into);
    names.map(|name| Known::of_name(&name).map_or(Required::Other(name), Required::Known))
}
