//! `/me`: the page of the signed-in user, and the forms on it.

use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::system;
use crate::web::account_page::{self, Done};
use crate::web::extract::{Current, Path, SameOrigin};
use crate::web::own_sessions::OwnSessions;
use crate::web::page::View;
use crate::web::problem::Problem;
use crate::web::respond;
use crate::web::sign_in_link::SignInLink;
use crate::web::texts::Language;

/// Shows the page. Without a session the browser is led to sign in and back.
pub(super) async fn get(
    Current(app): Current,
    RawQuery(query): RawQuery,
    language: Language,
    headers: HeaderMap,
) -> Response {
    let view = View::new(&app, language);
    let done = match query.as_deref() {
        Some("ended=one") => Some(Done::EndedOne),
        Some("ended=others") => Some(Done::EndedOthers),
        _ => None,
    };
    match OwnSessions::of(&app, &headers).await {
        Ok(own) => respond::html(&view, account_page::account(&view, &own, done, system::now())),
        Err(problem) => refused(&view, &problem),
    }
}

/// Ends one session.
pub(super) async fn end(
    Current(app): Current,
    same_origin: Result<SameOrigin, Problem>,
    id: Result<Path<String>, Problem>,
    language: Language,
    headers: HeaderMap,
) -> Response {
    let ended = async {
        let (SameOrigin, Path(id)) = (same_origin?, id?);
        OwnSessions::of(&app, &headers).await?.end(&app, &id).await
    };
    match ended.await {
        Ok(true) => {
            let closed = app.cookies.close_session();
            respond::with_cookies(respond::see_other(&app.path("/logged-out")), [closed])
        }
        // Another page may have ended it.
        Ok(false) | Err(Problem::NotFound) => respond::see_other(&app.path("/me?ended=one")),
        Err(problem) => refused(&View::new(&app, language), &problem),
    }
}

/// Ends all sessions but the one of the request.
pub(super) async fn end_others(
    Current(app): Current,
    same_origin: Result<SameOrigin, Problem>,
    language: Language,
    headers: HeaderMap,
) -> Response {
    let ended = async {
        same_origin?;
        OwnSessions::of(&app, &headers).await?.end_others(&app).await
    };
    match ended.await {
        Ok(_) => respond::see_other(&app.path("/me?ended=others")),
        Err(problem) => refused(&View::new(&app, language), &problem),
    }
}

/// Leads to the sign-in without a session, and shows the page of any other problem.
fn refused(view: &View<'_>, problem: &Problem) -> Response {
    match problem {
        Problem::SignedOut => {
            let link = SignInLink::returning_to(&view.app.path("/me"));
            respond::see_other(&view.app.path(&format!("/login?{}", link.query())))
        }
        problem => problem.page(view),
    }
}
