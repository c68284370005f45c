//! `[sign_in]`: from its settings to the rules of sign-in.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use claimgate::oidc::password::PasswordPolicy;
use claimgate::oidc::sign_in::{LinkByUsername, SignInPolicy};
use claimgate::oidc::sync::SyncPolicy;

use super::checked::Provider;
use super::raw;
use super::section::{Faulty, Section};

/// Begins the remark on links.
const LINKED: &str = "a user added by hand is linked to the first person with the same name in";

/// The shortest and the longest session.
const LIFETIMES: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(90 * 24 * 60 * 60);

/// Resolves the table; every fault in it is recorded.
pub(super) fn resolve(
    section: &Section<'_>,
    raw: &raw::SignIn,
) -> Result<(SignInPolicy, PasswordPolicy, Option<Duration>), Faulty> {
    let password = password(section, raw);
    let session_lifetime = Duration::from_secs(raw.session_lifetime.0);
    if !LIFETIMES.contains(&session_lifetime) {
        return Err(section.fault("session_lifetime", "must be from 60 seconds to 90 days, such as \"12h\""));
    }
    let idle_time = raw.idle_time.as_ref().map(|idle| Duration::from_secs(idle.0));
    if idle_time.is_some_and(|idle| idle < *LIFETIMES.start() || idle >= session_lifetime) {
        let reason = "must be 60 seconds or more, and shorter than session_lifetime, such as \"30m\"";
        return Err(section.fault("idle_time", reason));
    }
    let sync = SyncPolicy {
        profile: raw.sync_profile,
        teams: raw.sync_teams,
        keep_hand_given_teams: raw.keep_hand_given_teams,
        absent_empties: raw.absent_empties,
        absent_groups: raw.absent_groups,
    };
    let sign_in = SignInPolicy {
        create_users: raw.create_users,
        allow_admins: raw.allow_admins,
        link_by_username: match raw.link_by_username {
            None => LinkByUsername::Vouched,
            Some(true) => LinkByUsername::Always,
            Some(false) => LinkByUsername::Never,
        },
        sync,
        session_lifetime,
    };
    Ok((sign_in, password?, idle_time))
}

fn password(section: &Section<'_>, raw: &raw::SignIn) -> Result<PasswordPolicy, Faulty> {
    if !raw.allow_admins && !raw.password_fallback {
        let reason = "no admin could sign in at all: allow it, or set `allow_admins = true`";
        return Err(section.fault("password_fallback", reason));
    }
    Ok(PasswordPolicy { fallback: raw.password_fallback, regular_users: raw.password_fallback_regular })
}

/// Checks that administrators whom groups make may sign in at all.
pub(super) fn check_admins(
    section: &Section<'_>,
    sign_in: &SignInPolicy,
    providers: &[Provider],
) -> Result<(), Faulty> {
    if sign_in.allow_admins || !providers.iter().any(|provider| provider.mapping.decides_administrators()) {
        return Ok(());
    }
    let message = "is false, and `admin_groups` makes administrators who sign in through a provider";
    Err(section.fault("allow_admins", (message, "write `allow_admins = true`, or remove `admin_groups`")))
}

/// Says which users added by hand a sign-in is linked to.
pub(super) fn note_links(section: &Section<'_>, link: LinkByUsername, providers: &[Provider]) {
    let sources = || providers.iter().flat_map(|provider| provider.mapping.name_sources());
    let paths = |linked: bool| {
        let chosen = sources().filter(|(_, source)| link.check(*source).is_ok() == linked);
        let paths: BTreeSet<String> = chosen.map(|(path, _)| format!("`{path}`")).collect();
        paths.into_iter().collect::<Vec<_>>().join(", ")
    };
    let text = match link {
        LinkByUsername::Never => "no user added by hand is linked to a person of the same name".to_owned(),
        LinkByUsername::Always => format!(
            "a user added by hand is linked to the first person with the same name in {}; wherever people \
             choose that name themselves, they choose the user",
            paths(true)
        ),
        LinkByUsername::Vouched => match (paths(true).as_str(), paths(false).as_str()) {
            ("", never) => format!(
                "no user added by hand is linked: people may be able to choose {never}. \
                 If they cannot, write `link_by_username = true`"
            ),
            (linked, "") => format!("{LINKED} {linked}{}", verified(linked)),
            (linked, never) => format!(
                "{LINKED} {linked}{}, but not with {never}, which people may be able to choose",
                verified(linked)
            ),
        },
    };
    section.note("link_by_username", text);
}

/// Returns the condition on an address.
fn verified(paths: &str) -> &'static str {
    if paths.contains("email") { " (an address only where the provider calls it verified)" } else { "" }
}
