//! Who may see the console: administrators with a session of the administration, where the administration answers.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::Response;
use maud::{Markup, html};

use super::assets::{SCRIPT, STYLE};
use super::entry;
use super::frame::{self, Heading, Page, Viewer};
use crate::web::app::{App, Server};
use crate::web::extract::{Current, SignedInAdmin};
use crate::web::page::{Notice, View};
use crate::web::problem::{AdminError, Problem};
use crate::web::texts::Language;
use crate::web::{administration, cross_site, respond};
use claimgate::time::UnixTime;

/// An administrator with a session of the administration, who gets pages.
///
/// Rejection: the way in, or the page of a problem; neither shows anything of the server.
pub(crate) struct Console {
    pub(crate) app: Arc<App>,
    pub(crate) admin: SignedInAdmin,
    /// When the session of the administration ends.
    ends: UnixTime,
    policy: HeaderValue,
}

impl FromRequestParts<Server> for Console {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Response> {
        let Ok(Current(app)) = Current::from_request_parts(parts, server).await;
        match admitted(&app, parts, server).await {
            Ok((admin, ends)) => Ok(Self { policy: policy(&app, &parts.headers), app, admin, ends }),
            Err(problem) => Err(refuse(&app, parts, problem).await),
        }
    }
}

/// Returns the administrator of a request, and when the session of the administration ends. A program with a bearer
/// token gets no pages.
///
/// # Errors
/// Those of [`SignedInAdmin`], or [`AdminError::Session`].
async fn admitted(
    app: &App,
    parts: &mut Parts,
    server: &Server,
) -> Result<(SignedInAdmin, UnixTime), Problem> {
    let admin = SignedInAdmin::from_request_parts(parts, server).await?;
    let ends = administration::check(app, &parts.headers, admin.session, &admin.user)?;
    Ok((admin, ends))
}

impl Console {
    /// Returns a page with the navigation.
    pub(crate) fn page(&self, page: Page, heading: &Heading<'_>, body: &Markup) -> Response {
        let viewer = Viewer { username: &self.admin.user.username, ends: self.ends };
        self.respond(frame::page(&self.app, &viewer, page, heading, body))
    }

    /// Returns the page of a problem with the navigation, in the part that the request belongs to.
    pub(crate) fn problem(&self, page: Page, problem: &Problem) -> Response {
        let back = html! {
            div.actions { a.button.quiet href=(self.app.path(page.path())) { "Back to " (page.name()) } }
        };
        self.problem_with(page, problem, &back)
    }

    /// Returns the page of a problem with the navigation, and what to do about it.
    pub(crate) fn problem_with(&self, page: Page, problem: &Problem, body: &Markup) -> Response {
        let viewer = Viewer { username: &self.admin.user.username, ends: self.ends };
        let answer = problem.render(&english(&self.app), |title, notice| {
            let title =
                if matches!(problem, Problem::LastSuperAdmin) { "The last super-admin" } else { title };
            let own = match problem {
                Problem::Username(_)
                | Problem::Member { .. }
                | Problem::BadRequest(_)
                | Problem::LastSuperAdmin => sentence(&problem.to_string()),
                _ => notice.message.to_owned(),
            };
            let body = html! { (frame::notice(&Notice { message: &own, ..*notice })) (body) };
            frame::page(&self.app, &viewer, page, &Heading { title, lead: "" }, &body)
        });
        respond::with_policy(answer, &self.policy)
    }

    /// Returns a page on which a problem stands, with the problem's status.
    pub(crate) fn page_of(
        &self,
        problem: &Problem,
        (page, heading): (Page, &Heading<'_>),
        body: impl FnOnce(&Notice<'_>) -> Markup,
    ) -> Response {
        let viewer = Viewer { username: &self.admin.user.username, ends: self.ends };
        let rendered = problem.render(&english(&self.app), |_, notice| {
            frame::page(&self.app, &viewer, page, heading, &body(notice))
        });
        respond::with_policy(rendered, &self.policy)
    }

    /// Returns a part of a page.
    pub(crate) fn respond(&self, markup: Markup) -> Response {
        respond::with_policy(respond::html(&english(&self.app), markup), &self.policy)
    }
}

/// Returns whose pages these are. The console is in English.
pub(crate) fn english(app: &App) -> View<'_> {
    View::new(app, Language::English)
}

/// Answers a request without a session of the administration.
async fn refuse(app: &App, parts: &Parts, problem: Problem) -> Response {
    let is_page = cross_site::is_for_page(&parts.headers);
    let address = app.path(parts.uri.path_and_query().map_or("/admin", |path| path.as_str()));
    let markup = match problem {
        Problem::CrossSite if is_page && parts.method == Method::GET => entry::arrival(app, &address),
        Problem::SignedOut if is_page => entry::sign_in(app, None, &page_address(app, parts, &address), None),
        Problem::Admin(AdminError::Session) if is_page => match app.user(&parts.headers).await {
            Ok(user) => entry::sign_in(app, user.as_ref(), &page_address(app, parts, &address), None),
            Err(unsure) => return Problem::from(unsure).page(&english(app)),
        },
        Problem::Admin(closed) if is_page => return closed_to(app, parts, closed, &address).await,
        problem if is_page => return problem.page(&english(app)),
        problem => return problem.json(),
    };
    respond::with_policy(respond::way_in(markup), &policy(app, &parts.headers))
}

/// Answers where the administration is not open: an administrator who is signed in reads why, and where it is open.
async fn closed_to(app: &App, parts: &Parts, closed: AdminError, address: &str) -> Response {
    let problem = Problem::Admin(closed);
    let user = app.peek(&parts.headers).await.ok().flatten();
    if !user.is_some_and(|user| user.active && user.kind.is_admin()) {
        return problem.page(&english(app));
    }
    let own = app.server.administration.origin.as_deref().filter(|_| closed == AdminError::Host);
    let elsewhere = own.map(|own| format!("{own}{address}"));
    let page = problem.render(&english(app), |_, notice| {
        let notice = Notice { message: &sentence(&problem.description()), ..*notice };
        entry::closed(app, elsewhere.as_deref(), &notice)
    });
    respond::with_policy(page, &policy(app, &parts.headers))
}

/// Returns a text with a capital at the beginning and a full stop at the end.
fn sentence(text: &str) -> String {
    let text = frame::capital(text);
    if text.ends_with('.') { text } else { format!("{text}.") }
}

/// Returns the address to go to after the way in: that of the request if it is one of a page.
fn page_address(app: &App, parts: &Parts, address: &str) -> String {
    if parts.method == Method::GET { address.to_owned() } else { app.path("/admin") }
}

/// Returns the `Content-Security-Policy` of the console: its own style sheet and script alone, by their addresses, since
/// applications may share the host; requests to the console alone.
pub(crate) fn policy(app: &App, headers: &HeaderMap) -> HeaderValue {
    let origin = app.origin(headers);
    let address = |path: &str| format!("{origin}{}", app.path(path));
    let text = format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src {}; img-src data:; form-action {}; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types claimgate-console",
        address(&SCRIPT.path),
        address(&STYLE.path),
        address("/admin/"),
        address("/admin/"),
    );
    HeaderValue::from_str(&text).expect("origins and paths are visible ASCII")
}
