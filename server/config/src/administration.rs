//! Where the administration over HTTP answers, and what it may change: `admin_url`, `admin_from`,
//! `danger_admin_beside_applications` and `admin_edit_configuration` of `[server]`; and `admin_recent_sign_ins`.

use claimgate::oidc::endpoint::Endpoint;
use ipnet::IpNet;
use url::Url;

use super::checked::{Administration, PublicUrl};
use super::section::{Faulty, PUBLIC_SCHEME, Section};

/// The networks that are answered unless the file names others: loopback, and those that the internet does
/// not reach (RFC 1918, RFC 4193).
pub(super) const PRIVATE: [&str; 6] =
    ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"];

/// The settings that are true or false.
#[derive(Clone, Copy)]
pub(super) struct Switches {
    pub(super) danger_beside_applications: bool,
    pub(super) edit_configuration: bool,
    pub(super) recent_sign_ins: bool,
}

/// Resolves the settings. `url` is `public_url`.
pub(super) fn resolve(
    section: &Section<'_>,
    url: &PublicUrl,
    cookie_domain: Option<&str>,
    from: Vec<IpNet>,
    own: Option<&str>,
    switches: Switches,
) -> Result<Administration, Faulty> {
    let origin = own.map(|own| origin(section, url, own)).transpose()?;
    if !url.path.is_empty() {
        note_passwords(section, origin.is_some());
    }
    let beside_applications = !url.path.is_empty() || cookie_domain.is_some();
    let is_apart = origin.is_some() || !beside_applications;
    let Switches { danger_beside_applications, edit_configuration, recent_sign_ins } = switches;
    if edit_configuration && !is_apart {
        let message = "is true where applications share the host or the cookie: their scripts could choose who signs in";
        let remedy = "write `admin_url`, on a host that the administration shares with no application";
        return Err(section.fault("admin_edit_configuration", (message, remedy)));
    }
    let answers = is_apart || danger_beside_applications;
    Ok(Administration {
        from,
        origin,
        answers,
        edits_configuration: edit_configuration,
        keeps_sign_ins: recent_sign_ins,
    })
}

/// Says what becomes of passwords where applications share the host.
fn note_passwords(section: &Section<'_>, has_own_host: bool) {
    let shared = "has a path: scripts of applications on the host can imitate the sign-in page, and learn what is typed there";
    section.note(
        "public_url",
        match has_own_host {
            true => format!("{shared}; administrators' passwords are accepted at `admin_url` alone"),
            false => format!(
                "{shared}, administrators' passwords too; `admin_url` on a host of its own is where they are accepted then"
            ),
        },
    );
}

/// Returns the origin that `admin_url` names: a host that no application shares.
fn origin(section: &Section<'_>, public: &PublicUrl, own: &str) -> Result<String, Faulty> {
    let fault = |reason: String| section.fault("admin_url", reason);
    let endpoint = Endpoint::parse(own, false)
        .map_err(|reason| section.endpoint_fault("admin_url", own, reason, PUBLIC_SCHEME))?;
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
