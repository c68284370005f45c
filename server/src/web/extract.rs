//! Extractors whose rejection is a [`Problem`], in the order in which a handler names them: who asks,
//! from where, then the parts of the request.

use std::convert::Infallible;
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::rejection::{ExtensionRejection, FormRejection, JsonRejection};
use axum::extract::{self, ConnectInfo, FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use serde::de::{DeserializeOwned, value};

use super::app::{App, Server};
use super::problem::{AdminError, Problem};
use super::{admin_client, administration, cross_site, request_log};
use crate::store::{AdminRecords, Event};
use claimgate::oidc::accounts::{AccountError, Administrator};
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::User;
use claimgate::text::for_display;
use claimgate_config::AdminClient;

/// The [`App`] of a request. All extractors of one request get the same one, whatever is reloaded
/// meanwhile.
pub(super) struct Current(pub(super) Arc<App>);

impl FromRequestParts<Server> for Current {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Infallible> {
        let app = parts.extensions.get_or_insert_with(|| server.app());
        Ok(Self(Arc::clone(app)))
    }
}

/// The mark of a route whose requests a page sends by itself, at an interval: these are no uses of the session.
#[derive(Clone, Copy)]
pub(super) struct Unattended;

/// The user of the request's live session. That is a use of the session, unless the route is [`Unattended`].
///
/// Rejection: [`Problem::SignedOut`] or [`Problem::Unsure`].
pub(super) struct CurrentUser(pub(super) User);

impl FromRequestParts<Server> for CurrentUser {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Problem> {
        let Ok(Current(app)) = Current::from_request_parts(parts, server).await;
        let user = match parts.extensions.get() {
            Some(Unattended) => app.peek(&parts.headers).await?,
            None => app.user(&parts.headers).await?,
        };
        user.map(Self).ok_or(Problem::SignedOut)
    }
}

/// The user of the request's live session, who is an administrator, where the administration answers.
///
/// Rejection: those of [`administration::check_place`], [`Problem::CrossSite`], [`Problem::SignedOut`] or
/// [`Problem::Forbidden`].
pub(super) struct SignedInAdmin {
    pub(super) user: User,
    /// The sign-in session.
    pub(super) session: SessionId,
}

impl FromRequestParts<Server> for SignedInAdmin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Problem> {
        let Ok(Current(app)) = Current::from_request_parts(parts, server).await;
        check_place(&app, parts, server).await?;
        cross_site::check(&parts.headers, app.origin(&parts.headers))?;
        let session = app.session_id(&parts.headers).ok_or(Problem::SignedOut)?;
        let CurrentUser(user) = CurrentUser::from_request_parts(parts, server).await?;
        request_log::note_user(&user.username);
        if user.kind.is_admin() { Ok(Self { user, session }) } else { Err(Problem::Forbidden) }
    }
}

/// Checks that the administration answers a request; see [`administration::check_place`].
async fn check_place(app: &App, parts: &mut Parts, server: &Server) -> Result<(), AdminError> {
    let ConnectInfo(peer) = ConnectInfo::<SocketAddr>::from_request_parts(parts, server)
        .await
        .map_err(|_| AdminError::Network)?;
    let is_in_network = app.is_within(&app.server.administration.from, peer, &parts.headers);
    administration::check_place(app, is_in_network, &parts.headers)
}

/// The party that administers: an administrator with a session of the administration, or a program with a bearer token,
/// which decides alone where it is sent.
///
/// Rejection: those of [`SignedInAdmin`] or [`AdminError::Session`]; those of [`admin_client::of`].
pub(super) enum Admin {
    /// An administrator: the sign-in session, and its user.
    Session(SessionId, User),
    /// A program.
    Program(AdminClient),
}

impl FromRequestParts<Server> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Problem> {
        let Ok(Current(app)) = Current::from_request_parts(parts, server).await;
        check_place(&app, parts, server).await?;
        if let Some(program) = admin_client::of(&app, &parts.method, &parts.headers).await? {
            return Ok(Self::Program(program));
        }
        let SignedInAdmin { user, session } = SignedInAdmin::from_request_parts(parts, server).await?;
        administration::check(&app, &parts.headers, session, &user)?;
        Ok(Self::Session(session, user))
    }
}

impl Admin {
    /// Returns the username of the administrator, for the log.
    pub(super) fn username(&self) -> Option<&str> {
        match self {
            Self::Session(_, user) => Some(&user.username),
            Self::Program(_) => None,
        }
    }

    /// Returns the client of the program, for the log.
    pub(super) fn program(&self) -> Option<&str> {
        match self {
            Self::Session(..) => None,
            Self::Program(program) => Some(&program.client),
        }
    }

    /// Returns the rights at the time of the request; [`change`](Self::change) asks again.
    ///
    /// # Errors
    /// [`AccountError::Forbidden`].
    pub(super) fn rights(&self) -> Result<Administrator, AccountError> {
        match self {
            Self::Session(_, user) => Administrator::from_user(user),
            Self::Program(_) => Ok(Administrator::PROGRAM),
        }
    }

    /// Makes a change and records its event in one transaction, with the rights that the administrator has when it is
    /// made.
    ///
    /// # Errors
    /// The change's [`AccountError`], as a problem.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        app: &App,
        change: impl FnOnce(&mut dyn AdminRecords, Administrator) -> Result<(T, Event), AccountError>
        + Send
        + 'static,
    ) -> Result<T, Problem> {
        let records_events = app.config.events.enabled;
        let session = match self {
            Self::Session(session, _) => Some(*session),
            Self::Program(_) => None,
        };
        let changed = app.store.administer(move |records| {
            let by = match session {
                Some(session) => Administrator::of_session(records, session)?,
                None => Administrator::PROGRAM,
            };
            let (result, event) = change(records, by)?;
            if records_events {
                records.record_event(&event)?;
            }
            Ok::<T, AccountError>(result)
        });
        Ok(changed.await?)
    }
}

/// Reports whether a body is a form by its `Content-Type`.
pub(super) fn is_form(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    media_type.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

/// Proof that no page of another origin caused the request; see [`cross_site`].
///
/// Rejection: [`Problem::CrossSite`].
pub(super) struct SameOrigin;

impl FromRequestParts<Server> for SameOrigin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, Problem> {
        let Ok(Current(app)) = Current::from_request_parts(parts, server).await;
        cross_site::check(&parts.headers, app.origin(&parts.headers)).map(|()| Self)
    }
}

/// The client's address, behind the proxies that the configuration trusts. All extractors of one request get
/// the same one.
#[derive(Clone, Copy)]
pub(super) struct ClientAddress(pub(super) IpAddr);

impl FromRequestParts<Server> for ClientAddress {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(parts: &mut Parts, server: &Server) -> Result<Self, ExtensionRejection> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(*known);
        }
        let Ok(Current(app)) = Current::from_request_parts(parts, server).await;
        let ConnectInfo(peer) = ConnectInfo::<SocketAddr>::from_request_parts(parts, server).await?;
        let address = Self(app.client_address(peer, &parts.headers));
        parts.extensions.insert(address);
        Ok(address)
    }
}

/// The parameters in the path.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = extract::Path::from_request_parts(parts, state).await;
        path.map(|extract::Path(value)| Self(value))
            .map_err(|_| Problem::BadRequest("a part of the address cannot be read"))
    }
}

/// The parameters in the query.
pub(super) struct Query<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = extract::Query::from_request_parts(parts, state).await;
        query.map(|extract::Query(value)| Self(value)).map_err(|rejection| {
            match member::<value::Error>(&rejection) {
                Some(name) => Problem::Member { name, expected: "correct this parameter of the address" },
                None => Problem::BadRequest("a parameter of the address cannot be read"),
            }
        })
    }
}

/// A type of bodies. The text of a parse error may quote the body, passwords included; clients get
/// this text in its place.
pub(super) trait Body: DeserializeOwned {
    /// The message for a body of another form: what to send.
    const EXPECTED: &'static str;
}

/// Returns the problem of a body of another form; `E` is its deserializer's error.
fn unreadable<T: Body, E: Error + 'static>(rejection: &(dyn Error + 'static)) -> Problem {
    match member::<E>(rejection) {
        Some(name) => Problem::Member { name, expected: T::EXPECTED },
        None => Problem::BadRequest(T::EXPECTED),
    }
}

/// Returns the member that was rejected, which has an unknown name or a value of another type: its path, never its
/// value.
fn member<E: Error + 'static>(rejection: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(rejection);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<serde_path_to_error::Error<E>>() {
            let path = for_display(&found.path().to_string());
            // The path of the body itself.
            return Some(path).filter(|path| path != ".");
        }
        cause = error.source();
    }
    None
}

/// A JSON body.
pub(super) struct Json<T>(pub(super) T);

impl<T: Body, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match extract::Json::from_request(request, state).await {
            Ok(extract::Json(value)) => Ok(Self(value)),
            Err(JsonRejection::BytesRejection(rejection)) => Err(rejection.into()),
            Err(rejection) => Err(unreadable::<T, serde_json::Error>(&rejection)),
        }
    }
}

/// A form in the body.
pub(super) struct Form<T>(pub(super) T);

impl<T: Body, S: Send + Sync> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match extract::Form::from_request(request, state).await {
            Ok(extract::Form(value)) => Ok(Self(value)),
            Err(FormRejection::BytesRejection(rejection)) => Err(rejection.into()),
            Err(rejection) => Err(unreadable::<T, value::Error>(&rejection)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "its names and types are what is tested")]
    struct Person {
        name: String,
        #[serde(default)]
        teams: Vec<String>,
    }

    impl Body for Person {
        const EXPECTED: &'static str = "send name and teams";
    }

    async fn refusal(body: &'static str) -> String {
        let request = Request::builder().header(CONTENT_TYPE, "application/json").body(body.into());
        let read = Json::<Person>::from_request(request.expect("a request"), &()).await;
        read.map(|Json(person)| person).expect_err(body).to_string()
    }

    #[tokio::test]
    async fn a_body_that_cannot_be_read_names_its_member_and_never_a_value() {
        for (body, said) in [
            (
                r#"{"name":"ada","pasword":"secret"}"#,
                "`pasword` is unknown or has a value of another type: send",
            ),
            (
                r#"{"name":"ada","teams":["x",1234]}"#,
                "`teams[1]` is unknown or has a value of another type: send",
            ),
            (r#"{"name":{"secret":1}}"#, "`name` is unknown or has a value of another type: send"),
            (r#"{"teams":[]}"#, "send name and teams"),
            ("[", "send name and teams"),
            ("1234", "send name and teams"),
        ] {
            let refusal = refusal(body).await;
            assert!(refusal.starts_with(said), "{refusal}");
            assert!(!refusal.contains("secret") && !refusal.contains("1234"), "{refusal}");
        }
    }

    #[tokio::test]
    async fn a_parameter_that_cannot_be_read_is_named() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        #[expect(dead_code, reason = "its names and types are what is tested")]
        struct Page {
            limit: Option<u32>,
        }
        for (query, said) in [("limit=many", "`limit` is unknown"), ("limit=1&limt=5", "`limt` is unknown")] {
            let request = Request::builder().uri(format!("/?{query}")).body(()).expect("a request");
            let read = Query::<Page>::from_request_parts(&mut request.into_parts().0, &()).await;
            let refusal = read.map(|Query(page)| page).expect_err(query).to_string();
            assert!(refusal.starts_with(said), "{refusal}");
        }
    }
}
