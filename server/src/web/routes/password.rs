//! `POST /login/password`: the other door.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Form;
use axum::extract::rejection::FormRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use tracing::info;
use zeroize::Zeroizing;

use crate::system;
use crate::web::respond::Problem;
use crate::web::{App, Server, cross_site, respond, return_to};
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

pub(super) async fn post(
    State(server): State<Server>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    form: Result<Form<Parameters>, FormRejection>,
) -> Response {
    let app = server.app();
    let result = match form {
        Ok(Form(form)) => {
            let again = return_to::check(&app.server, &form.return_to).unwrap_or_default();
            sign_in(&app, peer, &headers, form).await.map_err(|problem| (problem, Some(again)))
        }
        Err(FormRejection::BytesRejection(rejection)) => Err((Problem::from(rejection), None)),
        Err(_) => Err((Problem::BadRequest("the form lacks username or password"), None)),
    };
    app.metrics().by_password(result.as_ref().err().map_or("ok", |(problem, _)| problem.code()));
    match result {
        Ok((destination, secret)) => {
            let cookie = app.cookies.open_session(&secret, app.config.sign_in.session_lifetime);
            respond::with_cookies(respond::go(&destination), [cookie])
        }
        Err((problem @ (Problem::WrongPassword | Problem::TooMany), Some(return_to))) => {
            problem.doors(&app, &return_to)
        }
        Err((problem, _)) => problem.page(&app),
    }
}

async fn sign_in(
    app: &Arc<App>,
    peer: SocketAddr,
    headers: &HeaderMap,
    form: Parameters,
) -> Result<(String, String), Problem> {
    cross_site::refuse(headers, &app.server.public_url)?;
    if !app.lasting.limiter.allow(&form.username, app.client_address(peer, headers)) {
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
    let fits = app.lasting.passwords.check(form.password, hash.flatten()).await;
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
    let destination = return_to::check(&app.server, &form.return_to).unwrap_or_else(|| app.path("/"));
    Ok((destination, secret))
}
