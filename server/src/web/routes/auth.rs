//! `/auth` and `/auth/redirect`: forward-auth. A proxy asks whether a request is allowed, and gets the
//! identity of the user.

use axum::extract::RawQuery;
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::Response;

use crate::system;
use crate::web::app::App;
use crate::web::cookie;
use crate::web::events;
use crate::web::extract::Current;
use crate::web::identity;
use crate::web::page::View;
use crate::web::problem::{AccessReason, AccessRefusal, Problem};
use crate::web::requested::{self, Decided, FORWARDED_URI, Requested, front_page_of};
use crate::web::respond;
use crate::web::sender::{self, Sender};
use crate::web::sign_in_link::SignInLink;
use crate::web::texts::Language;
use claimgate::access::{Caller, Denial, MissingTeams, Who};

/// `/auth`: 200 and the identity; 401 without a session; 503 if the store does not say whether the session is live; 403 if a
/// rule does not admit the request, or if the user is in none of the teams named in the query.
pub(super) async fn decide(
    Current(app): Current,
    RawQuery(query): RawQuery,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = wanted_teams(query.as_deref())?;
    admit(&app, &wanted, &Requested { method: &method, uri: &uri, headers: &headers }).await
}

/// `/auth/redirect`: the same for proxies that return our response to the browser, which is redirected
/// to sign in.
pub(super) async fn redirect(
    Current(app): Current,
    RawQuery(query): RawQuery,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    let requested = Requested { method: &method, uri: &uri, headers: &headers };
    match wanted_teams(query.as_deref()) {
        Ok(wanted) => admit_or_redirect(&app, &wanted, &requested).await,
        Err(problem) => problem.json(),
    }
}

/// `/auth/redirect/…`: the same for a proxy that appends the requested path. The query is then the
/// application's own and names no teams.
pub(super) async fn redirect_appended(
    Current(app): Current,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    admit_or_redirect(&app, &[], &Requested { method: &method, uri: &uri, headers: &headers }).await
}

/// Returns the teams that a query names. An unknown parameter is refused: `?teams=` or `?Team=` would
/// otherwise admit every user.
fn wanted_teams(query: Option<&str>) -> Result<Vec<String>, Problem> {
    url::form_urlencoded::parse(query.unwrap_or_default().as_bytes())
        .map(|(name, team)| match &*name {
            "team" => Ok(team.into_owned()),
            _ => Err(Problem::Parameter(claimgate::text::for_display(&name))),
        })
        .collect()
}

async fn admit_or_redirect(app: &App, wanted: &[String], requested: &Requested<'_>) -> Response {
    let problem = match admit(app, wanted, requested).await {
        Ok(response) => return response,
        Err(problem) if accepts_page(requested.headers) => problem,
        Err(problem) => return problem.json(),
    };
    let address = requested.address(app);
    let view = View::new(app, Language::of(requested.headers));
    let link = match &problem {
        Problem::SignedOut | Problem::NoToken => Some(SignInLink::returning_to(&address)),
        // The sign-in checks the addresses that it returns to.
        Problem::Access(refusal) => refusal.reason.authentication().map(|wanted| SignInLink {
            again: true,
            authentication: wanted.clone(),
            ..SignInLink::returning_to(&address)
        }),
        _ => None,
    };
    match (link, problem) {
        (Some(link), _) if requested.is_safe() => {
            respond::see_other(&app.server.public_url.join(&format!("/login?{}", link.query())))
        }
        // The body of the request would be lost on the way through the sign-in.
        (Some(mut link), problem) => {
            front_page_of(&address).clone_into(&mut link.return_to);
            problem.sign_in_again_page(&view, &link)
        }
        (None, Problem::Access(mut refusal)) => {
            refusal.is_page = true;
            Problem::Access(refusal).application_page(&view, &address)
        }
        (None, problem) => problem.application_page(&view, &address),
    }
}

/// Admits a request, or notes that it was refused.
async fn admit(app: &App, wanted: &[String], requested: &Requested<'_>) -> Result<Response, Problem> {
    let admitted = judge(app, wanted, requested).await;
    admitted.inspect_err(|problem| events::not_admitted(app, problem, || requested.address(app)))
}

/// Judges a request: its rule decides, if there are applications, and the teams that the proxy wants. `?team=a&team=b`:
/// one of them is enough.
async fn judge(app: &App, wanted: &[String], requested: &Requested<'_>) -> Result<Response, Problem> {
    let headers = requested.headers;
    let unknown = Sender::default();
    let decided = requested.decided(app).map_err(|reason| refusal(app, requested, reason, None, &unknown))?;
    // A sign-in would change nothing.
    if let Some(decided) = decided.filter(|decided| *decided.rule.who() == Who::NoOne)
        && let Err(Denial::Missing(missing)) = decided.rule.check(&Caller::default(), system::now())
    {
        return Err(refusal(app, requested, AccessReason::Rule(missing), Some(decided), &unknown));
    }
    let is_open = wanted.is_empty() && decided.is_some_and(|decided| *decided.rule.who() == Who::Anyone);
    let sender = sender_of(app, headers, decided, is_open).await?;
    if !is_open {
        let Some(caller) = sender.caller() else {
            let accepts_tokens = decided.is_some_and(|decided| decided.accepts_tokens());
            return Err(if accepts_tokens { Problem::NoToken } else { Problem::SignedOut });
        };
        let denial = decided.and_then(|decided| decided.rule.check(&caller, system::now()).err());
        if let (Some(decided), Some(Denial::Missing(missing))) = (decided, &denial) {
            let reason = AccessReason::Rule(missing.clone());
            return Err(refusal(app, requested, reason, Some(decided), &sender));
        }
        let is_in = |team: &String| caller.user.is_some_and(|user| user.teams.contains_key(team));
        if !wanted.is_empty() && !wanted.iter().any(is_in) {
            return Err(refusal(
                app,
                requested,
                AccessReason::Team(MissingTeams::OneOf(wanted.to_vec())),
                decided,
                &sender,
            ));
        }
        if let Some(Denial::Authentication(insufficient)) = denial {
            let reason = AccessReason::Authentication(insufficient);
            return Err(refusal(app, requested, reason, decided, &sender));
        }
    }
    // nginx and Caddy resolve the dots of an address before they compare it: they take this one for another of Claimgate's, at
    // which clients may ask.
    if requested::has_dot_segment(requested.uri.path()) {
        return Err(Problem::BadRequest("the path has a segment of dots, such as `..`"));
    }
    let identity = identity_of(app, decided, sender.caller().unwrap_or_default()).await?;
    let identity =
        identity.map_err(|bytes| refusal(app, requested, AccessReason::Headers(bytes), decided, &sender))?;
    let mut response = respond::identity(identity);
    // Proxies write `X-Forwarded-Uri` for a subrequest, and remove it from what a client sends: no script of a page
    // reads the cookies that are kept from scripts.
    if app.server.application_cookies && headers.contains_key(FORWARDED_URI) {
        response.headers_mut().extend(cookie::of_application(headers).map(|cookies| (COOKIE, cookies)));
    }
    Ok(response)
}

/// Returns what a request is sent by. `is_open`: nothing depends on it.
///
/// # Errors
/// A [`Problem`] if the token is not accepted, or if it or the session cannot be judged now.
async fn sender_of(
    app: &App,
    headers: &HeaderMap,
    decided: Option<Decided<'_>>,
    is_open: bool,
) -> Result<Sender, Problem> {
    match decided.filter(|_| !is_open) {
        Some(decided) => sender::of(app, headers, decided.application).await,
        // As for other rules, a session beside a bearer token counts for nothing. No one is known by a token that nothing is
        // asked of: it may be the application's own.
        None if decided.is_some_and(|decided| decided.accepts_tokens())
            && sender::bearer_token(headers).is_some() =>
        {
            Ok(Sender::default())
        }
        None => match app.session(headers).await {
            // Nothing depends on the user.
            Err(_) if is_open => Ok(Sender::default()),
            session => Ok(Sender::of_session(session?)),
        },
    }
}

/// Returns the headers of an application for the sender of a request, or their length if it is too great.
///
/// # Errors
/// [`Problem::Store`]: an assertion cannot be signed now.
async fn identity_of(
    app: &App,
    decided: Option<Decided<'_>>,
    caller: Caller<'_>,
) -> Result<Result<HeaderMap, usize>, Problem> {
    let Some(Decided { application, .. }) = decided else {
        return Ok(identity::headers(&app.config.headers, caller, ""));
    };
    let assertion = match application.gets_assertions() {
        true => {
            let issuer = app.server.public_url.join("");
            let parties = (issuer.as_str(), application.assertion_audience());
            app.process.assertions.sign(&app.store, parties, caller, system::now()).await?
        }
        false => String::new(),
    };
    Ok(identity::headers(application.headers(), caller, &assertion))
}

fn refusal(
    app: &App,
    requested: &Requested<'_>,
    reason: AccessReason,
    decided: Option<Decided<'_>>,
    sender: &Sender,
) -> Problem {
    let address = requested.address(app);
    // The query is the application's own, and may hold secrets.
    let application = address.split(['?', '#']).next().unwrap_or_default().to_owned();
    let rule = match &reason {
        AccessReason::NoRule(name) | AccessReason::Ambiguous(name, _) => Some(name.clone()),
        AccessReason::Rule(_) | AccessReason::Authentication(_) => decided
            .map(|Decided { application, rule }| format!("{}, rule {}", application.name(), rule.number())),
        AccessReason::Team(_) | AccessReason::NoApplication | AccessReason::Headers(_) => None,
    };
    Problem::Access(Box::new(AccessRefusal {
        reason,
        user: sender.user.as_ref().map(|user| user.username.clone()),
        token_client: sender.caller().and_then(|caller| caller.client).map(str::to_owned),
        is_bearer: sender.token.is_some(),
        rule,
        application,
        is_page: false,
    }))
}

/// Reports whether the client can be shown a page: a browser that navigates. Programs, and the images and
/// script calls of a page, get a status alone: each would begin a sign-in.
fn accepts_page(headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_program = headers.contains_key("x-requested-with")
        || headers.contains_key("authorization")
        || header("upgrade").is_some_and(|protocol| protocol.eq_ignore_ascii_case("websocket"));
    match header("sec-fetch-mode") {
        _ if is_program => false,
        Some(mode) => mode == "navigate",
        None => header("accept").is_some_and(|accept| accept.contains("text/html")),
    }
}
