//! A username and a password, checked within the limits on attempts.

use std::net::IpAddr;

use zeroize::Zeroizing;

use super::app::App;
use super::page::MAX_USERNAME;
use super::password::MIN_PASSWORD;
use super::problem::Problem;
use super::request_log;
use claimgate::identity::normal_username;
use claimgate::oidc::password::Authenticated;
use claimgate::oidc::user::User;

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
    note_tried_name(app, username);
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

/// Checks the password of a user who is signed in. One of another user, who has the name by now, proves nothing.
///
/// # Errors
/// Those of [`authenticate`].
pub(crate) async fn confirm(
    app: &App,
    address: IpAddr,
    user: &User,
    password: Zeroizing<String>,
) -> Result<(), Problem> {
    let authenticated = authenticate(app, address, &user.username, password).await?;
    if authenticated.user().id == user.id { Ok(()) } else { Err(Problem::WrongPassword) }
}

/// Reports whether a page may repeat a username that was tried: it is shorter than every password, or an email
/// address. Another one may be a password that was typed into the wrong field.
pub(crate) fn may_repeat(name: &str) -> bool {
    let is_word =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "._+-".contains(c));
    let is_address =
        |(local, domain): (&str, &str)| is_word(local) && is_word(domain) && domain.contains('.');
    match name.chars().count() {
        0..MIN_PASSWORD => true,
        length => length <= MAX_USERNAME && name.split_once('@').is_some_and(is_address),
    }
}

/// Notes a username that was tried, in the form in which usernames are kept: events of the person are found by it. A long
/// one of no user may be a password that was typed into the wrong field; a password has at least [`MIN_PASSWORD`] characters.
fn note_tried_name(app: &App, name: &str) {
    let length = name.chars().count();
    match length {
        0..MIN_PASSWORD => {
            let normal = normal_username(name, app.config.normalise);
            request_log::note_user(normal.as_deref().unwrap_or(name));
        }
        _ => request_log::note_user(&format!("(a name of {length} characters)")),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use claimgate::oidc::accounts::{self, AccountError, Administrator, NewUser};
    use claimgate::oidc::user::UserKind;
    use claimgate::time::UnixTime;

    use super::*;
    use crate::store::SqliteStore;
    use crate::web::app::tests::server;
    use crate::web::password::hash;

    #[tokio::test]
    async fn the_password_of_another_user_who_has_the_name_by_now_proves_nothing() {
        const PASSWORD: &str = "correct horse battery staple";
        let store = SqliteStore::in_memory().expect("a store");
        let (app, now) = (server(&store).app(), UnixTime(1_800_000_000));
        let normalise = app.config.normalise;
        let add = async |name: &'static str| {
            let by = Administrator::OPERATOR;
            let mut new = NewUser::new(by, name, normalise, UserKind::SuperAdmin).expect("a name");
            new.password_hash = Some(hash(PASSWORD).expect("long enough"));
            let added = store.administer(move |records| accounts::add(records, by, new, now));
            added.await.expect("added")
        };
        let confirms = async |user: &User| {
            let password = Zeroizing::new(PASSWORD.to_owned());
            confirm(&app, Ipv4Addr::LOCALHOST.into(), user, password).await.is_ok()
        };
        let ada = add("ada").await;
        assert!(confirms(&ada).await);
        let id = ada.id;
        let rename = store.administer(move |records| {
            accounts::rename(records, Administrator::OPERATOR, id, ("lovelace", normalise), now)
        });
        rename.await.map(drop).map_err(|error: AccountError| error.to_string()).expect("renamed");
        add("ada").await;
        assert!(!confirms(&ada).await);
    }

    #[test]
    fn what_may_be_a_password_is_not_repeated() {
        for name in ["", "root", "eleven char", "ada.lovelace@example.com", "jürgen+crm@mail.example.org"] {
            assert!(may_repeat(name), "{name}");
        }
        let long = format!("{}@example.com", "a".repeat(255));
        for name in [
            "twelve chars",
            "correct horse battery staple",
            "ada@lovelace",
            "p@ss w0rd.long",
            "a@b@c.example",
            &long,
        ] {
            assert!(!may_repeat(name), "{name}");
        }
    }
}
