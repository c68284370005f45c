//! The sessions of the user who asks: seen and ended by the user.

use axum::http::HeaderMap;
use tracing::info;

use super::app::App;
use super::events;
use super::problem::Problem;
use super::request_log::{self, Fields};
use crate::store::ListedSession;
use claimgate::oidc::session::SessionId;
use claimgate::oidc::user::User;

/// A user who is signed in, and the user's live sessions, the newest first.
pub(crate) struct OwnSessions {
    pub(crate) user: User,
    /// The session of the request.
    current: SessionId,
    pub(crate) sessions: Vec<ListedSession>,
}

impl OwnSessions {
    /// Reads the sessions of the user whose session the request has.
    ///
    /// # Errors
    /// [`Problem::SignedOut`], [`Problem::Unsure`] or [`Problem::Store`].
    pub(crate) async fn of(app: &App, headers: &HeaderMap) -> Result<Self, Problem> {
        let current = app.session_id(headers).ok_or(Problem::SignedOut)?;
        let user = app.user(headers).await?.ok_or(Problem::SignedOut)?;
        request_log::note_user(&user.username);
        let sessions = app.store.sessions_of(user.id).await?;
        Ok(Self { user, current, sessions })
    }

    /// Reports whether a session is the one of the request.
    pub(crate) fn is_current(&self, session: &ListedSession) -> bool {
        session.id == self.current.to_string()
    }

    /// Ends one of the sessions, which may be the one of the request. Returns whether it is.
    ///
    /// # Errors
    /// [`Problem::NotFound`]: it is not one of the user's; [`Problem::Store`].
    pub(crate) async fn end(&self, app: &App, id: &str) -> Result<bool, Problem> {
        let found = self.sessions.iter().find(|session| session.id == id).ok_or(Problem::NotFound)?;
        self.end_listed(app, found).await?;
        Ok(self.is_current(found))
    }

    /// Ends all sessions but the one of the request. Returns their number.
    ///
    /// # Errors
    /// [`Problem::Store`]: some may have ended.
    pub(crate) async fn end_others(&self, app: &App) -> Result<usize, Problem> {
        let mut ended = 0;
        for session in self.sessions.iter().filter(|session| !self.is_current(session)) {
            self.end_listed(app, session).await?;
            ended += 1;
        }
        Ok(ended)
    }

    async fn end_listed(&self, app: &App, session: &ListedSession) -> Result<(), Problem> {
        let id = SessionId::from_hex(&session.id).ok_or(Problem::NotFound)?;
        if let Some(origin) = app.store.end_session(id).await? {
            let provider = session.issuer.as_deref().and_then(|issuer| app.provider_of_issuer(issuer));
            events::signed_out(
                app,
                &self.user.username,
                provider.map(|provider| &*provider.config.id),
                &origin,
            );
        }
        let Fields { client, host, .. } = request_log::fields();
        info!(client, user = self.user.username, session = %id, host, "session ended by its user");
        Ok(())
    }
}
