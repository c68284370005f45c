//! `POST /login/password`: sign-in with a password.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use tracing::info;
use zeroize::Zeroizing;

use crate::web::app::App;
use crate::web::extract::{Body, ClientAddress, Current, Form, SameOrigin};
use crate::web::page::View;
use crate::web::problem::Problem;
use crate::web::request_log::{self, Fields};
use crate::web::texts::Language;
use crate::web::{administration, events, password_check, respond};
use claimgate::oidc::facts::KeptClaims;
use claimgate::oidc::session::{NewSession, SessionId};

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
    language: Language,
    headers: HeaderMap,
    same_origin: Result<SameOrigin, Problem>,
    form: Result<Form<Parameters>, Problem>,
) -> Response {
    let view = View::new(&app, language);
    let (username, return_to, result) = match same_origin.and(form) {
        Ok(Form(Parameters { username, password, return_to })) => {
            let return_to = app.destination(&return_to);
            let result = sign_in(&app, address, &headers, &username, password).await;
            (username, return_to, result)
        }
        Err(problem) => (String::new(), String::new(), Err(problem)),
    };
    app.metrics().password_sign_in(result.as_ref().err().map_or("ok", Problem::code));
    if let Err(problem) = &result {
        events::refused(&app, problem);
    }
    match result {
        Ok(secret) => {
            let cookie = app.cookies.open_session(&secret, app.config.sign_in.session_lifetime);
            respond::with_cookies(respond::see_other(&return_to), [cookie])
        }
        Err(problem @ (Problem::WrongPassword | Problem::TooManyPasswords)) => {
            problem.sign_in_page(&view, &return_to, &username)
        }
        Err(problem) => problem.page(&view),
    }
}

async fn sign_in(
    app: &Arc<App>,
    address: IpAddr,
    headers: &HeaderMap,
    username: &str,
    password: Zeroizing<String>,
) -> Result<Zeroizing<String>, Problem> {
    let authenticated = password_check::authenticate(app, address, username, password).await?;
    if authenticated.user().kind.is_admin() && !administration::takes_passwords(app, headers) {
        request_log::note_found("an administrator's password at a host of applications: use `admin_url`");
        return Err(Problem::WrongPassword);
    }
    let username = authenticated.user().username.clone();

    let secret = app.store.new_secret();
    let id = SessionId::of_secret(&secret);
    let session = NewSession { id, replaces: app.session_id(headers) };
    let lifetime = app.config.sign_in.session_lifetime;
    let authenticated = authenticated.keep(KeptClaims::of_nothing(&app.config.kept_claims));
    app.store.open_session(authenticated, session, lifetime, events::sign_in(app, "password")).await?;
    let Fields { client, host, .. } = request_log::fields();
    info!(client, user = username, session = %id, host, "signed in by password");
    Ok(secret)
}
