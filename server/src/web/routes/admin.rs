//! `POST /api/v1/admin/session`: opens the administration's own session by a fresh password.

use std::net::IpAddr;

use axum::http::HeaderValue;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use crate::web::app::App;
use crate::web::extract::{Body, ClientAddress, Current, Json, SignedInAdmin};
use crate::web::problem::Problem;
use crate::web::{events, password_check, respond, sign_in};
use claimgate::time::UnixTime;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proof {
    password: Zeroizing<String>,
}

impl Body for Proof {
    const EXPECTED: &'static str = "send {\"password\": …} as JSON";
}

/// Opens the session, beside the sign-in session of the request. Answers with the time of its end.
pub(super) async fn open_session(
    Current(app): Current,
    ClientAddress(address): ClientAddress,
    admin: SignedInAdmin,
    Json(proof): Json<Proof>,
) -> Result<Response, Problem> {
    let (cookies, ends) = open(&app, address, &admin, proof.password).await?;
    Ok(respond::with_cookies(respond::document(json!({"ends": ends.0})), cookies))
}

/// Opens the session of an administrator who proves a password. Returns its cookies, and when it ends.
///
/// # Errors
/// Those of [`password_check::confirm`]; [`Problem::Store`].
pub(super) async fn open(
    app: &App,
    address: IpAddr,
    admin: &SignedInAdmin,
    password: Zeroizing<String>,
) -> Result<([HeaderValue; 2], UnixTime), Problem> {
    // A password that is changed from here on ends the sign-in session, and with it this one.
    let checked = password_check::confirm(app, address, &admin.user, password).await;
    checked.inspect_err(|problem| events::refused(app, problem))?;
    sign_in::open_administration(app, admin.session, &admin.user).await
}
