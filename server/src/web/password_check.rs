//! A username and a password, checked within the limits on attempts.

use std::net::IpAddr;

use zeroize::Zeroizing;

use super::app::App;
use super::password::MIN_PASSWORD;
use super::problem::Problem;
use super::request_log;
use claimgate::oidc::password::Authenticated;

/// Checks a password, and that its user may sign in with it.
///
/// # Errors
/// [`Problem::TooManyPasswords`], [`Problem::WrongPassword`], [`Problem::Store`], or that of a server under load.
pub(crate) async fn authenticate(
    app: &App,
    address: IpAddr,
    username: &str,
    password: Zeroizing<String>,
) -> Result<Authenticated, Problem> {
    note_tried_name(username);
    if !app.process.limiter.allow(&app.store, username, address).await? {
        return Err(Problem::TooManyPasswords);
    }
    let candidate = app.store.candidate(username.to_owned()).await?;
    if let Some(username) = candidate.username() {
        request_log::note_user(username);
    }
    let hash = candidate.hash().map(str::to_owned);
    let matches = app.process.passwords.verify(password, hash, address).await?;
    Ok(candidate.decide(matches, app.config.password)?)
}

/// Notes a username that was tried. A long one of no user may be a password that was typed into the wrong
/// field; a password has at least [`MIN_PASSWORD`] characters.
fn note_tried_name(name: &str) {
    let length = name.chars().count();
    match length {
        0..MIN_PASSWORD => request_log::note_user(name),
        _ => request_log::note_user(&format!("(a name of {length} characters)")),
    }
}
