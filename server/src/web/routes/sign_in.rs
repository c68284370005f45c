//! `GET /login`, `GET /login/password` and `GET /login/{provider}`: the sign-in page, and the redirect to a provider.

use std::sync::Arc;

use axum::extract::RawQuery;
use axum::http::HeaderMap;
use axum::response::Response;

use crate::web::extract::{Current, Path};
use crate::web::page::{self, PasswordForm, View};
use crate::web::problem::Problem;
use crate::web::provider::Provider;
use crate::web::sign_in_link::SignInLink;
use crate::web::texts::Language;
use crate::web::{request_log, respond, sign_in};

/// Shows the ways to sign in. A provider that is the only way for regular users is redirected to: administrators find
/// the form for their passwords at `/login/password`.
pub(super) async fn choose(
    Current(app): Current,
    RawQuery(query): RawQuery,
    language: Language,
    headers: HeaderMap,
) -> Response {
    let view = View::new(&app, language);
    let link = SignInLink::of_query(&app, query.as_deref());
    if !link.another_account && !link.administration && !link.again {
        match app.user(&headers).await {
            Ok(Some(_)) => return respond::see_other(&link.return_to),
            Ok(None) => {}
            Err(unsure) => return Problem::from(unsure).page(&view),
        }
    }
    match app.providers.as_slice() {
        [only] if !(app.config.password.fallback && app.config.password.regular_users) => {
            to_provider(&view, only, &link, &headers).await
        }
        _ => respond::html(&view, page::sign_in(&view, &link, &PasswordForm::default(), None)),
    }
}

/// Shows the sign-in page with the form for passwords.
pub(super) async fn password_form(
    Current(app): Current,
    RawQuery(query): RawQuery,
    language: Language,
) -> Response {
    let view = View::new(&app, language);
    if !app.config.password.fallback {
        return Problem::NotFound.page(&view);
    }
    let link = SignInLink::of_query(&app, query.as_deref());
    let form = PasswordForm { is_open: true, ..PasswordForm::default() };
    respond::html(&view, page::sign_in(&view, &link, &form, None))
}

/// Redirects to the named provider.
pub(super) async fn begin(
    Current(app): Current,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    language: Language,
    headers: HeaderMap,
) -> Response {
    let view = View::new(&app, language);
    match app.provider(&name) {
        Ok(provider) => {
            let link = SignInLink::of_query(&app, query.as_deref());
            to_provider(&view, provider, &link, &headers).await
        }
        Err(problem) => problem.page(&view),
    }
}

async fn to_provider(
    view: &View<'_>,
    provider: &Arc<Provider>,
    link: &SignInLink,
    headers: &HeaderMap,
) -> Response {
    request_log::note_provider(&provider.config.id);
    match sign_in::begin(view.app, provider, link, headers).await {
        Ok((address, cookies)) => respond::with_cookies(respond::see_other(&address), cookies),
        Err(problem) => problem.page_returning(view, &link.return_to),
    }
}
