//! `POST /login/password`: sign-in with a password.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use tracing::info;
use zeroize::Zeroizing;

use crate::system;
use crate::web::app::App;
use crate::web::extract::{Body, ClientAddress, Current, Form, SameOrigin};
use crate::web::problem::Problem;
use crate::web::{respond, return_to};
use claimgate::oidc::random_token;
use claimgate::oidc::records::Records;
use claimgate::oidc::session::{Origin, Session, SessionId};

#[derive(Deserialize)]
pub(super) struct Parameters {
    username: String,
    password: Zeroizing<String>,
    #[serde(default)]
    return_to: String,
}

impl Body for Parameters {
    const EXPECTED: &'static str = "send username and password as a form";
}

pub(super) async fn post(
    Current(app): Current,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    same_origin: Result<SameOrigin, Problem>,
    form: Result<Form<Parameters>, Problem>,
) -> Response {
    let (return_to, result) = match same_origin.and(form) {
        Ok(Form(form)) => {
            let return_to = return_to::check(&app.server, &form.return_to).unwrap_or_else(|| app.path("/"));
            (return_to, sign_in(&app, address, &headers, form).await)
        }
        Err(problem) => (String::new(), Err(problem)),
    };
    app.metrics().password_sign_in(result.as_ref().err().map_or("ok", Problem::code));
    match result {
        Ok(secret) => {
            let cookie = app.cookies.open_session(&secret, app.config.sign_in.session_lifetime);
            respond::with_cookies(respond::see_other(&return_to), [cookie])
        }
        Err(problem @ (Problem::WrongPassword | Problem::TooMany)) => problem.sign_in_page(&app, &return_to),
        Err(problem) => problem.page(&app),
    }
}

async fn sign_in(
    app: &Arc<App>,
    address: IpAddr,
    headers: &HeaderMap,
    form: Parameters,
) -> Result<String, Problem> {
    if !app.process.limiter.allow(&form.username, address) {
        return Err(Problem::TooMany);
    }
    let name = form.username;
    let found = app.store.transact(move |records| -> Result<_, Problem> {
        let Some(user) = records.user_by_name(&name)? else { return Ok(None) };
        let hash = records.password(user.id)?;
        Ok(Some((user, hash)))
    });
    let (user, hash) = found.await?.unzip();
    // Compared in every case, so that all refusals take the same time and say the same.
    let fits = app.process.passwords.verify(form.password, hash.flatten()).await;
    let user = user.filter(|user| fits && app.config.password.admits(user)).ok_or(Problem::WrongPassword)?;

    let secret = random_token(&mut system::random);
    let now = system::now();
    let session = Session {
        id: SessionId::of_secret(&secret),
        user: user.id,
        origin: Origin::Password,
        created: now,
        expires: now.saturating_add(app.config.sign_in.session_lifetime),
    };
    let id = session.id;
    let replaces = app.session_id(headers);
    let policy = app.config.password;
    app.store
        .transact(move |records| -> Result<(), Problem> {
            // The user may have been deactivated while the password was compared.
            let still = records.user(session.user)?.is_some_and(|user| policy.admits(&user));
            if !still {
                return Err(Problem::WrongPassword);
            }
            if let Some(old) = replaces {
                records.end_session(old)?;
            }
            Ok(records.open_session(&session)?)
        })
        .await?;
    info!(user = user.username, session = %id, "signed in by password");
    Ok(secret)
}
