//! Where the administration over HTTP answers: `admin_url`, `admin_from` and
//! `danger_admin_beside_applications` of `[server]`.

use claimgate::oidc::endpoint::Endpoint;
use ipnet::IpNet;
use url::Url;

use super::checked::{Administration, PublicUrl};
use super::section::{Faulty, Section};

/// The networks that are answered unless the file names others: loopback, and those that the internet does
/// not reach (RFC 1918, RFC 4193).
pub(super) const PRIVATE: [&str; 6] =
    ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/// Resolves the settings. `url` is `public_url`.
pub(super) fn resolve(
    section: &Section<'_>,
    url: &PublicUrl,
    cookie_domain: Option<&str>,
    from: Vec<IpNet>,
    own: Option<&str>,
    danger_beside_applications: bool,
) -> Result<Administration, Faulty> {
    let origin = own.map(|own| origin(section, url, own)).transpose()?;
    let beside_applications = !url.path.is_empty() || cookie_domain.is_some();
    let answers = origin.is_some() || !beside_applications || danger_beside_applications;
    Ok(Administration { from, origin, answers })
}

/// Returns the origin that `admin_url` names: a host that no application shares.
fn origin(section: &Section<'_>, public: &PublicUrl, own: &str) -> Result<String, Faulty> {
    let fault = |reason: String| section.fault("admin_url", reason);
    let endpoint =
        Endpoint::parse(own, false).map_err(|reason| fault(format!("`{own}` is not accepted: {reason}")))?;
    let url = Url::parse(endpoint.as_str()).map_err(|error| fault(error.to_string()))?;
    if url.path() != "/" || url.query().is_some() {
        return Err(fault("must have no path: the path of public_url is added to it".to_owned()));
    }
    let public = Url::parse(&public.origin).ok();
    // Cookies do not tell ports apart.
    if public.is_some_and(|public| public.host_str() == url.host_str()) {
        return Err(fault(
            "must have another host than public_url: cookies do not tell ports apart".to_owned(),
        ));
    }
    Ok(url.origin().ascii_serialization())
}
