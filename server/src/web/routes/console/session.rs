//! `/admin/session`: opens the session of the administration by a fresh password, and ends it.

use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::super::admin;
use crate::web::app::App;
use crate::web::console::entry;
use crate::web::console::session::{Console, english, policy};
use crate::web::extract::{Body, ClientAddress, Current, Form, SignedInAdmin};
use crate::web::problem::Problem;
use crate::web::respond;
use claimgate::oidc::user::User;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proof {
    password: Zeroizing<String>,
    #[serde(default)]
    return_to: String,
}

impl Body for Proof {
    const EXPECTED: &'static str = "send password and return_to as a form";
}

/// Opens the session, beside the sign-in session of the request, and leads to the page that was asked for.
pub(super) async fn open(
    Current(app): Current,
    ClientAddress(address): ClientAddress,
    headers: HeaderMap,
    admin: Result<SignedInAdmin, Problem>,
    form: Result<Form<Proof>, Problem>,
) -> Response {
    // The way in once more, with what is wrong.
    let again = |user: Option<&User>, return_to: &str, problem: &Problem| {
        let page =
            problem.render(&english(&app), |_, notice| entry::sign_in(&app, user, return_to, Some(notice)));
        respond::with_policy(page, &policy(&app, &headers))
    };
    let start = app.path("/admin");
    let (admin, form) = match (admin, form) {
        (Ok(admin), Ok(Form(form))) => (admin, form),
        (Ok(admin), Err(problem)) => return again(Some(&admin.user), &start, &problem),
        (Err(problem @ Problem::SignedOut), _) => return again(None, &start, &problem),
        (Err(problem), _) => return problem.page(&english(&app)),
    };
    let return_to = console_address(&app, &form.return_to);
    match admin::open(&app, address, &admin, form.password).await {
        Ok((cookies, _)) => respond::with_cookies(respond::see_other(&return_to), cookies),
        Err(problem) => again(Some(&admin.user), &return_to, &problem),
    }
}

/// Deletes the cookies of the session.
pub(super) async fn end(console: Console) -> Response {
    let app = &console.app;
    respond::with_cookies(respond::see_other(&app.path("/")), app.cookies.close_administration())
}

/// Returns an address of the console: the one asked for if it is one.
fn console_address(app: &App, asked: &str) -> String {
    let (own, asked) = (app.path("/admin"), app.destination(asked));
    let below = asked.strip_prefix(&own);
    if below.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?'])) { asked } else { own }
}
