//! The issuers of a provider with tenants: names that differ in the tenant's id alone.

use serde_json::Value;

use super::registered::{Known, Presence};
use super::{Claims, ClaimsError};

/// The issuers of a provider that has one for each tenant, all with the same keys, as Entra ID has:
/// `https://login.microsoftonline.com/{tenantid}/v2.0`.
///
/// A token is accepted if its `tid` is the id of an accepted tenant and its `iss` is the template with that id. Its subject
/// is one of the concrete issuer: the same `sub` of two tenants is two persons.
///
/// ```
/// use claimgate::claims::{Policy, TenantIssuers};
/// let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
/// let tenant = "6f1c0c3e-2b34-4da1-9baa-8bc8c9d6a490";
/// let issuers = TenantIssuers::of(template, [tenant])?;
/// assert!(issuers.accepts(&template.replace("{tenantid}", tenant)) && !issuers.accepts(template));
/// let policy = Policy::id_token(template, "crm").tenants(&issuers);
/// # Ok::<(), claimgate::claims::TenantError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantIssuers {
    before: String,
    after: String,
    /// The ids of the accepted tenants; `None`: any.
    tenants: Option<Vec<String>>,
}

/// Why no issuers are made of a template and tenants.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TenantError {
    /// The template does not hold `{tenantid}` exactly once, as a whole part of the path.
    #[error("`{{tenantid}}` must be one whole part of the issuer's path")]
    Template,
    /// A tenant's id is not a GUID in lower case.
    #[error(
        "`{0}` is not the id of a tenant: 32 digits and letters a-f in lower case, in groups of 8-4-4-4-12"
    )]
    Tenant(String),
    /// No tenant is named.
    #[error("at least one tenant must be named")]
    NoTenant,
}

impl TenantIssuers {
    /// The part of the template that stands for the tenant's id.
    pub const PLACEHOLDER: &str = "{tenantid}";

    /// Returns the issuers of these tenants, each given by its id.
    ///
    /// # Errors
    /// A [`TenantError`].
    pub fn of<T: Into<String>>(
        template: &str,
        tenants: impl IntoIterator<Item = T>,
    ) -> Result<Self, TenantError> {
        let tenants: Vec<String> = tenants.into_iter().map(Into::into).collect();
        match tenants.iter().find(|tenant| !is_tenant_id(tenant)) {
            Some(tenant) => Err(TenantError::Tenant(tenant.clone())),
            None if tenants.is_empty() => Err(TenantError::NoTenant),
            None => Self::parse(template, Some(tenants)),
        }
    }

    /// **Danger.** Returns the issuers of all tenants: the tokens of every organization at the provider are accepted, and
    /// any person can make one.
    ///
    /// ```
    /// use claimgate::claims::TenantIssuers;
    ///
    /// let any = TenantIssuers::danger_any("https://login.microsoftonline.com/{tenantid}/v2.0")?;
    /// assert!(any.accepts("https://login.microsoftonline.com/6f1c0c3e-2b34-4da1-9baa-8bc8c9d6a490/v2.0"));
    /// # Ok::<(), claimgate::claims::TenantError>(())
    /// ```
    ///
    /// # Errors
    /// [`TenantError::Template`].
    pub fn danger_any(template: &str) -> Result<Self, TenantError> {
        Self::parse(template, None)
    }

    fn parse(template: &str, tenants: Option<Vec<String>>) -> Result<Self, TenantError> {
        let (before, after) = template.split_once(Self::PLACEHOLDER).ok_or(TenantError::Template)?;
        let is_whole = before.ends_with('/') && (after.is_empty() || after.starts_with('/'));
        let has_host =
            before.split_once("://").is_some_and(|(_, rest)| rest.find('/').is_some_and(|at| at > 0));
        if !is_whole || !has_host || before.contains(['{', '}']) || after.contains(['{', '}']) {
            return Err(TenantError::Template);
        }
        Ok(Self { before: before.to_owned(), after: after.to_owned(), tenants })
    }

    /// Reports whether an issuer is that of an accepted tenant.
    #[must_use]
    pub fn accepts(&self, issuer: &str) -> bool {
        self.tenant(issuer).is_some_and(|tenant| self.is_accepted(tenant))
    }

    /// Returns the issuers of the tenants that are named; none if any tenant is accepted.
    pub fn issuers(&self) -> impl Iterator<Item = String> {
        let tenants = self.tenants.iter().flatten();
        tenants.map(|tenant| format!("{}{tenant}{}", self.before, self.after))
    }

    /// Returns the part of an issuer that stands in the place of the tenant's id.
    fn tenant<'i>(&self, issuer: &'i str) -> Option<&'i str> {
        issuer.strip_prefix(self.before.as_str())?.strip_suffix(self.after.as_str())
    }

    fn is_accepted(&self, tenant: &str) -> bool {
        match &self.tenants {
            Some(tenants) => tenants.iter().any(|own| own == tenant),
            None => is_tenant_id(tenant),
        }
    }

    /// Checks that `iss` is that of an accepted tenant, and that `tid` is the id of the same one.
    pub(super) fn check(&self, claims: &Claims) -> Result<(), ClaimsError> {
        let absent = |claim: &str| ClaimsError::Missing { claim: claim.to_owned() };
        let issuer = match claims.presence(Known::Issuer) {
            Presence::Absent => return Err(absent("iss")),
            _ => claims.issuer().ok_or(ClaimsError::Issuer)?,
        };
        let tenant =
            self.tenant(issuer).filter(|tenant| self.is_accepted(tenant)).ok_or(ClaimsError::Issuer)?;
        match claims.get("tid") {
            Some(Value::String(tid)) if tid == tenant => Ok(()),
            Some(Value::String(_)) => Err(ClaimsError::Tenant),
            Some(other) => Err(ClaimsError::not_text("tid", other)),
            None => Err(absent("tid")),
        }
    }
}

/// Reports whether a text is the id of a tenant: a GUID in lower case.
fn is_tenant_id(text: &str) -> bool {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let groups: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12] && groups.iter().all(|group| group.bytes().all(is_hex))
}
