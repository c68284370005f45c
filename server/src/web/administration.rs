//! The administration's own session: short, opened by a fresh proof of who the administrator is.
//!
//! The sign-in session alone administers nothing: an application behind forward-auth may come to know its
//! cookie, and a script on the same host can send requests with it. The session of the administration is a
//! second cookie, which browsers send to the administration alone. Its value is sealed and names the sign-in
//! session and the state of the account: it ends with either.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use serde::{Deserialize, Serialize};

use super::app::App;
use super::problem::{AdminError, Problem};
use crate::system;
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::User;
use claimgate::time::UnixTime;

/// How long a session of the administration lasts.
pub(crate) const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// The purpose that the cookie's value is sealed for.
const PURPOSE: &str = "administration";

/// The content of the cookie.
#[derive(Serialize, Deserialize)]
struct Grant {
    /// The sign-in session.
    session: [u8; 16],
    /// The fingerprint of the account when the session was opened.
    account: [u8; 16],
    /// When it ends, in seconds since 1970.
    ends: i64,
}

/// Checks that the administration answers a request: by the configuration, the host that is asked, and the network that
/// the client is in.
///
/// # Errors
/// [`AdminError::Off`], [`AdminError::Host`] or [`AdminError::Network`].
pub(crate) fn check_place(app: &App, is_in_network: bool, headers: &HeaderMap) -> Result<(), AdminError> {
    check_host(app, headers)?;
    if is_in_network { Ok(()) } else { Err(AdminError::Network) }
}

/// Checks that the administration answers at the host that a request asks. A session of it is opened there alone:
/// at a host of applications their scripts may take part in the sign-in that opens it.
///
/// # Errors
/// [`AdminError::Off`] or [`AdminError::Host`].
pub(crate) fn check_host(app: &App, headers: &HeaderMap) -> Result<(), AdminError> {
    let settings = &app.server.administration;
    if !settings.answers {
        return Err(AdminError::Off);
    }
    match settings.origin.as_deref() {
        Some(own) if own != app.origin(headers) => Err(AdminError::Host),
        _ => Ok(()),
    }
}

/// Reports whether an administrator may sign in with a password at the host that a request asks: where applications
/// share the host of `public_url`, whose scripts can imitate the form, at that of `admin_url` alone.
pub(crate) fn takes_passwords(app: &App, headers: &HeaderMap) -> bool {
    let is_shared = !app.server.public_url.path.is_empty();
    let own = app.server.administration.origin.as_deref().filter(|_| is_shared);
    own.is_none_or(|own| own == app.origin(headers))
}

/// Opens the administration's session beside a sign-in session. Returns its cookies, and when it ends.
pub(crate) fn open(app: &App, session: SessionId, user: &User) -> ([HeaderValue; 2], UnixTime) {
    let ends = system::now().saturating_add(LIFETIME.as_secs());
    let grant = Grant { session: session.0, account: account(user), ends: ends.0 };
    let text = serde_json::to_string(&grant).expect("texts and numbers are JSON");
    (app.cookies.open_administration(&app.store.key().seal(PURPOSE, &text), LIFETIME), ends)
}

/// Checks that a request has a session of the administration, opened beside this sign-in session, and that
/// the account has not changed since. Returns when it ends.
///
/// # Errors
/// [`AdminError::Session`].
pub(crate) fn check(
    app: &App,
    headers: &HeaderMap,
    session: SessionId,
    user: &User,
) -> Result<UnixTime, Problem> {
    let (account, now) = (account(user), system::now());
    let grants = app.cookies.administration(headers).filter_map(|sealed| {
        let opened = app.store.key().open(PURPOSE, &sealed);
        opened.and_then(|text| serde_json::from_str::<Grant>(&text).ok())
    });
    let mut fitting =
        grants.filter(|grant| grant.session == session.0 && grant.account == account && now.0 < grant.ends);
    fitting.next().map(|grant| UnixTime(grant.ends)).ok_or(AdminError::Session.into())
}

/// Returns the fingerprint of an account: every change of it gives another one. A changed password ends the
/// sign-in session.
fn account(user: &User) -> [u8; 16] {
    let text = serde_json::to_string(user).expect("a user is JSON");
    Fingerprint::of(&text).0
}
