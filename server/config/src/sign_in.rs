//! `[sign_in]`: from its settings to the rules of sign-in.

use claimgate::oidc::password::PasswordPolicy;
use claimgate::oidc::sign_in::SignInPolicy;
use claimgate::oidc::sync::SyncPolicy;

use super::raw;
use super::section::{Faulty, Section};

/// The shortest and the longest session, in seconds.
const LIFETIMES: std::ops::RangeInclusive<u64> = 60..=90 * 24 * 60 * 60;

/// Resolves the table; every fault in it is recorded.
pub(super) fn resolve(
    section: &Section<'_>,
    raw: &raw::SignIn,
) -> Result<(SignInPolicy, PasswordPolicy), Faulty> {
    let password = password(section, raw);
    let session_lifetime = raw.session_lifetime.0;
    if !LIFETIMES.contains(&session_lifetime) {
        return Err(section.fault("session_lifetime", "must be from 60 seconds to 90 days, such as \"12h\""));
    }
    let sync = SyncPolicy {
        profile: raw.sync_profile,
        teams: raw.sync_teams,
        keep_hand_given_teams: raw.keep_hand_given_teams,
        absent_empties: raw.absent_empties,
    };
    let sign_in = SignInPolicy {
        create_users: raw.create_users,
        allow_admins: raw.allow_admins,
        link_by_username: raw.link_by_username,
        sync,
        session_lifetime,
    };
    Ok((sign_in, password?))
}

fn password(section: &Section<'_>, raw: &raw::SignIn) -> Result<PasswordPolicy, Faulty> {
    if !raw.allow_admins && !raw.password_fallback {
        let reason = "no admin could sign in at all: allow it, or set `allow_admins = true`";
        return Err(section.fault("password_fallback", reason));
    }
    Ok(PasswordPolicy { fallback: raw.password_fallback, regular_users: raw.password_fallback_regular })
}
