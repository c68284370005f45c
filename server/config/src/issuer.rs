//! The issuer of a provider: one name, or those of tenants.

use claimgate::claims::{TenantError, TenantIssuers};
use claimgate::oidc::endpoint::Endpoint;
use url::Url;

use super::raw;
use super::section::{Faulty, Section};

/// The tenant of personal accounts at Entra ID. Its keys are its own.
const PERSONAL: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

/// What takes the place of a tenant in the address of the metadata for all of them.
const ALL_TENANTS: &str = "organizations";

/// Most tenants of a provider.
const MAX_TENANTS: usize = 1_024;

/// The issuer as the server gets it.
pub(super) struct Issuer {
    /// The name; of several tenants, the template.
    pub(super) name: String,
    pub(super) tenants: Option<TenantIssuers>,
}

/// Resolves `issuer`, `tenants` and `danger_any_tenant`: refuses what no token could ever match.
pub(super) fn resolve(section: &Section<'_>, raw: &raw::Provider) -> Result<Issuer, Faulty> {
    let name = section.required("issuer", raw.issuer.clone(), "the `iss` of the provider's tokens")?;
    if let Some((before, _)) = name.split_once("/.well-known/") {
        let message =
            format!("`{name}` is the address of the discovery document; the issuer is what stands before it");
        let remedy =
            format!("write `{before}`, or `{before}/` if the document's own `issuer` ends with a slash");
        return Err(section.fault("issuer", (message, remedy)));
    }
    if let Some(own) = own_form(&name) {
        let message = format!("`{name}` is the `iss` of no token: the provider writes its own name `{own}`");
        return Err(section.fault("issuer", (message, format!("write `{own}`"))));
    }
    if name.contains(TenantIssuers::PLACEHOLDER) {
        let tenants = Some(tenants(section, raw, &name)?);
        return Ok(Issuer { name, tenants });
    }
    for (setting, is_written) in
        [("tenants", raw.tenants.is_some()), ("danger_any_tenant", raw.danger_any_tenant)]
    {
        if is_written {
            let reason = (
                "needs an issuer with `{tenantid}` in place of the tenant's id",
                "write `issuer = \"https://login.microsoftonline.com/{tenantid}/v2.0\"`",
            );
            return Err(section.fault(setting, reason));
        }
    }
    if stands_for_all(&name) {
        let message = format!("`{name}` stands for every tenant, and the `iss` of a token names one");
        let remedy =
            "write the tenant's id in its place, or `{tenantid}` with `tenants = [\"ID\", …]` for several";
        return Err(section.fault("issuer", (message, remedy)));
    }
    Ok(Issuer { name, tenants: None })
}

/// Resolves the tenants of an issuer with `{tenantid}`.
fn tenants(section: &Section<'_>, raw: &raw::Provider, template: &str) -> Result<TenantIssuers, Faulty> {
    let issuers = match (&raw.tenants, raw.danger_any_tenant) {
        (None, false) => {
            let message = format!("`{template}` stands for every tenant: say which are accepted");
            let remedy = "write `tenants = [\"ID\", …]` with the ids of the tenants, or one id in place of `{tenantid}`";
            return Err(section.fault("issuer", (message, remedy)));
        }
        (Some(_), true) => {
            let reason = "accepts every tenant, and `tenants` names some: write one of the two";
            return Err(section.fault("danger_any_tenant", reason));
        }
        (None, true) => TenantIssuers::danger_any(template),
        (Some(tenants), false) => {
            if tenants.len() > MAX_TENANTS {
                return Err(section.fault("tenants", format!("must name at most {MAX_TENANTS}")));
            }
            if let Some(index) = tenants.iter().position(|tenant| tenant.eq_ignore_ascii_case(PERSONAL)) {
                let message = "is the tenant of personal accounts, which has keys of its own";
                let remedy = "give it a [[provider]] of its own, with its id in the issuer";
                return Err(section.fault_in("tenants", index, (message, remedy)));
            }
            TenantIssuers::of(template, tenants.iter().map(|tenant| tenant.to_ascii_lowercase()))
        }
    };
    issuers.map_err(|error| match error {
        TenantError::Template => section.fault("issuer", error.to_string()),
        _ => section.fault("tenants", error.to_string()),
    })
}

/// Returns the name that a well-known provider has in its tokens, where an issuer is another address of it.
fn own_form(issuer: &str) -> Option<String> {
    let url = Url::parse(issuer).ok()?;
    let (host, bare) = (url.host_str()?, issuer.trim_end_matches('/'));
    let own = if is_entra(host) {
        let tenant = url.path_segments()?.next().filter(|tenant| !tenant.is_empty())?;
        // The parser of URLs writes the braces of `{tenantid}` in another way.
        let tenant = tenant.replace("%7B", "{").replace("%7D", "}");
        format!("https://{host}/{tenant}/v2.0")
    } else if host == "accounts.google.com" {
        format!("https://{host}")
    } else if host.ends_with(".auth0.com") {
        format!("{bare}/")
    } else {
        return None;
    };
    (own != issuer).then_some(own)
}

/// Reports whether a host is one of Entra ID's, at which the tokens of its present version are issued.
fn is_entra(host: &str) -> bool {
    host.starts_with("login.microsoftonline.") || host == "login.partner.microsoftonline.cn"
}

/// Reports whether an issuer is one of the names by which Entra ID means all tenants.
fn stands_for_all(issuer: &str) -> bool {
    let Ok(url) = Url::parse(issuer) else { return false };
    let of_all = ["common", "organizations", "consumers"];
    let tenant = url.path_segments().and_then(|mut segments| segments.next().map(str::to_owned));
    let is_entra = url.host_str().is_some_and(|host| host == "sts.windows.net" || is_entra(host));
    issuer.contains(['{', '}']) || is_entra && tenant.is_some_and(|tenant| of_all.contains(&&*tenant))
}

impl Issuer {
    /// Returns the endpoint that discovery begins at. Several tenants have their metadata in common.
    pub(super) fn discovery(&self, section: &Section<'_>, http: bool) -> Result<Option<Endpoint>, Faulty> {
        let address = self.name.replace(TenantIssuers::PLACEHOLDER, ALL_TENANTS);
        section.endpoint("issuer", Some(&address), http)
    }
}
