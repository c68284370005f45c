//! Sign-ins: the view that they are decided by, and the write that holds while the view does.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio_postgres::types::ToSql;

use super::error::PostgresError;
use super::events::to_parameter;
use super::logouts::tag;
use super::node::PgStore;
use super::records::read_origin;
use super::refreshes::milliseconds;
use super::rows::{read_user, to_json};
use crate::store::events::Event;
use crate::store::grants::SealedGrant;
use crate::store::key::id_token_purpose;
use crate::system;
use claimgate::identity::{Normalisation, normal_username};
use claimgate::oidc::authorization::SIGN_IN_LIFETIME;
use claimgate::oidc::facts::SessionFacts;
use claimgate::oidc::password::{Authenticated, Candidate, Credentials, PasswordSignInError};
use claimgate::oidc::records::{
    Lookup, MAX_SESSIONS_OF_USER, NamedUser, Position, StoreError, Version, View,
};
use claimgate::oidc::session::{NewSession, OidcOrigin, Origin, SessionId};
use claimgate::oidc::sign_in::{self, Account, Person, Plan, SignInError, SignInPolicy, SignedIn};
use claimgate::oidc::user::{User, UserId, UserKind};
use claimgate::time::UnixTime;

/// Most attempts to write a sign-in: each further one means that the user or the person's logouts changed meanwhile.
const ATTEMPTS: usize = 3;

/// The parameters of the function `sign_in`.
struct Write<'p> {
    origin: Option<&'p OidcOrigin>,
    newest_logout: i64,
    user: Option<(i64, i64)>,
    link: bool,
    username: Option<&'p str>,
    /// The kind of a new user.
    kind: UserKind,
    profile: Option<String>,
    teams: Option<String>,
    session: NewSession,
    facts: &'p SessionFacts,
    lifetime: Duration,
    /// The event to record, as the parameter of `add_events`.
    event: Option<String>,
    grant: Option<&'p SealedGrant>,
}

impl PgStore {
    /// Completes a sign-in: view, decision, write, with its event; anew if the view did not hold. `fields` are the mapping's profile
    /// fields.
    ///
    /// # Errors
    /// A [`SignInError`]; nothing is changed then.
    pub async fn sign_in(
        &self,
        person: &Person,
        fields: &[&str],
        policy: &SignInPolicy,
        session: NewSession,
        (event, grant): (Option<Event>, Option<&SealedGrant>),
    ) -> Result<SignedIn, SignInError> {
        for _ in 0..ATTEMPTS {
            let view = self.view(&person.lookup()).await.map_err(StoreError::from)?;
            let plan = sign_in::decide(view, person, fields, policy, session)?;
            if plan.account.changed_kind().is_some() {
                // The change that `changes_kind` reported was made; it is undone since.
                continue;
            }
            match self.write_plan(plan, event.clone(), grant).await {
                Err(PostgresError::Stale) => {}
                result => return Ok(result.map_err(StoreError::from)?),
            }
        }
        Err(StoreError::from(PostgresError::Stale).into())
    }

    /// Reports whether a sign-in makes its user one of another kind. The function that writes a sign-in changes no kind:
    /// that is a transaction of its own, before it, which decides again.
    ///
    /// # Errors
    /// A [`SignInError`]; nothing is to be changed then.
    pub async fn changes_kind(
        &self,
        person: &Person,
        fields: &[&str],
        policy: &SignInPolicy,
        session: NewSession,
    ) -> Result<bool, SignInError> {
        if person.identity().is_admin.is_none() {
            return Ok(false);
        }
        let view = self.view(&person.lookup()).await.map_err(StoreError::from)?;
        let plan = sign_in::decide(view, person, fields, policy, session)?;
        Ok(plan.account.changed_kind().is_some())
    }

    /// Reads the view of a person.
    ///
    /// # Errors
    /// [`PostgresError`].
    pub async fn view(&self, person: &Lookup<'_>) -> Result<View, PostgresError> {
        let sql = "WITH i AS (SELECT (SELECT id FROM issuers WHERE name = $1) AS number),
            named AS (
                SELECT l.issued_at, l.seq FROM i JOIN logouts l ON l.issuer = i.number AND l.sid_tag = $3
                UNION ALL
                SELECT l.issued_at, l.seq FROM i JOIN logouts l ON l.issuer = i.number AND l.subject_tag = $2
                WHERE l.sid_tag IS NULL OR $3::bytea IS NULL
            )
            SELECT a.id, a.username, a.kind, a.active, a.profile, a.teams, a.version,
                b.id, b.username, b.kind, b.active, b.profile, b.teams, b.version,
                EXISTS (SELECT FROM links WHERE user_id = b.id),
                (SELECT max(issued_at) FROM named), (SELECT max(seq) FROM named)
            FROM i LEFT JOIN links k ON k.issuer = i.number AND k.subject_tag = $2
                LEFT JOIN users a ON a.id = k.user_id
                LEFT JOIN users b ON b.username = $4";
        let (subject, sid) = (tag(person.subject), person.sid.map(tag));
        let rows = self.read(sql, &[&person.issuer, &subject, &sid, &person.username]).await?;
        let row = rows.first().ok_or_else(|| PostgresError::Unreadable("a view has no row".to_owned()))?;
        let by_link = match read_user(row, 0)? {
            Some(user) => Some((user, Version(row.try_get(6)?))),
            None => None,
        };
        let by_name = match read_user(row, 7)? {
            Some(user) => {
                Some(NamedUser { user, version: Version(row.try_get(13)?), is_linked: row.try_get(14)? })
            }
            None => None,
        };
        let newest: (Option<i64>, Option<i64>) = (row.try_get(15)?, row.try_get(16)?);
        let newest_logout = newest.0.zip(newest.1).map(|(iat, seq)| (UnixTime(iat), Position(seq)));
        Ok(View { by_link, by_name, newest_logout })
    }

    /// Returns the user that a subject is linked to.
    ///
    /// # Errors
    /// [`PostgresError`]; [`PostgresError::NoLease`] if the answer may be old.
    pub async fn user_of_subject(&self, issuer: &str, subject: &str) -> Result<Option<User>, PostgresError> {
        let sql = "SELECT u.id, u.username, u.kind, u.active, u.profile, u.teams
            FROM issuers i JOIN links k ON k.issuer = i.id AND k.subject_tag = $2 JOIN users u ON u.id = k.user_id
            WHERE i.name = $1";
        let lease_until = self.lease_until();
        let rows = self.read(sql, &[&issuer, &tag(subject)]).await?;
        // A primary that was replaced goes on answering reads.
        if system::boot_time() >= lease_until {
            return Err(PostgresError::NoLease);
        }
        rows.first().map_or(Ok(None), |row| read_user(row, 0))
    }

    /// Writes a plan if its view still holds, and the event and the grant of the sign-in.
    ///
    /// # Errors
    /// [`PostgresError::Stale`] if it does not; another [`PostgresError`].
    pub async fn write_plan(
        &self,
        plan: Plan,
        event: Option<Event>,
        grant: Option<&SealedGrant>,
    ) -> Result<SignedIn, PostgresError> {
        let (user, link, username, kind, profile, teams) = match &plan.account.account {
            Account::Linked(user, version) => {
                (Some((user.id.0, version.0)), false, None, user.kind, &user.profile, &user.teams)
            }
            Account::Unlinked(user, version) => {
                (Some((user.id.0, version.0)), true, None, user.kind, &user.profile, &user.teams)
            }
            Account::New { username, kind, profile, teams } => {
                (None, true, Some(username.as_str()), *kind, profile, teams)
            }
        };
        let event = event.map(|event| event.of_plan(&plan));
        let is_changed = user.is_none() || !plan.account.changes.is_empty();
        let write = Write {
            origin: Some(&plan.origin),
            newest_logout: plan.newest_logout.map_or(-1, |(_, position)| position.0),
            user,
            link,
            username,
            kind,
            profile: is_changed.then(|| to_json(profile)).transpose()?,
            teams: is_changed.then(|| to_json(teams)).transpose()?,
            session: plan.session,
            facts: &plan.facts,
            lifetime: plan.lifetime,
            event: event.map(|event| to_parameter(&[event])),
            grant,
        };
        let id = self.write_sign_in(&write).await?;
        Ok(plan.account.into_signed_in(id))
    }

    async fn write_sign_in(&self, write: &Write<'_>) -> Result<UserId, PostgresError> {
        let sql = "SELECT sign_in($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21),
            add_events($22), limit_session($15, $23), keep_grant($15, $24, $25, $26)";
        let origin = write.origin;
        let issuer = origin.map(|origin| origin.issuer.as_str());
        let subject = origin.map(|origin| origin.subject.as_str());
        let sid = origin.and_then(|origin| origin.sid.as_deref());
        let (subject_tag, sid_tag) = (subject.map(tag), sid.map(tag));
        let issued_at = origin.map(|origin| origin.issued_at.0);
        let (user, version) = (write.user.map(|user| user.0), write.user.map(|user| user.1));
        let NewSession { id, replaces } = write.session;
        let id_token = origin.and_then(|origin| origin.id_token.as_ref());
        let sealed = id_token.map(|token| self.key().seal(&id_token_purpose(id), token));
        let replaces = replaces.map(|id| id.0.to_vec());
        let lifetime = i64::try_from(write.lifetime.as_secs()).unwrap_or(i64::MAX);
        let most = i32::try_from(MAX_SESSIONS_OF_USER).unwrap_or(i32::MAX);
        let kind = write.kind.name();
        let session = &id.0[..];
        let since = write.facts.authenticated.map(|time| system::now().0.saturating_sub(time.0));
        let claims = write.facts.claims.as_json();
        let idle = self.idle_seconds();
        let provider = write.grant.map(|grant| grant.provider.as_str());
        let sealed_grant = write.grant.map(|grant| grant.sealed.as_str());
        let due = write.grant.map(|grant| milliseconds(grant.after));
        let parameters: [&(dyn ToSql + Sync); 26] = [
            &issuer,
            &subject,
            &subject_tag,
            &sid,
            &sid_tag,
            &issued_at,
            &write.newest_logout,
            &user,
            &version,
            &write.link,
            &write.username,
            &kind,
            &write.profile,
            &write.teams,
            &session,
            &replaces,
            &sealed,
            &lifetime,
            &most,
            &since,
            &claims,
            &write.event,
            &idle,
            &provider,
            &sealed_grant,
            &due,
        ];
        let rows = self.write(sql, &parameters).await?;
        let row =
            rows.first().ok_or_else(|| PostgresError::Unreadable("a sign-in has no result".to_owned()))?;
        Ok(UserId(row.try_get(0)?))
    }

    /// Looks up the user who signs in with a password: under the username exactly as it was written, or else in its
    /// normal form.
    ///
    /// # Errors
    /// [`PasswordSignInError::Store`].
    pub async fn candidate(&self, username: &str) -> Result<Candidate, PasswordSignInError> {
        // PostgreSQL refuses the character in every text; no user has it in a name.
        if username.contains('\0') {
            return Ok(Candidate::new(None));
        }
        let normal =
            normal_username(username, Normalisation::Default).unwrap_or_else(|_| username.to_owned());
        let found = self.credentials(username, &normal).await.map_err(StoreError::from)?;
        Ok(Candidate::new(found))
    }

    async fn credentials(&self, username: &str, normal: &str) -> Result<Option<Credentials>, PostgresError> {
        let sql = "SELECT id, username, kind, active, profile, teams, version, password FROM users
            WHERE username IN ($1, $2) ORDER BY username = $1 DESC LIMIT 1";
        let rows = self.read(sql, &[&username, &normal]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (version, hash) = (Version(row.try_get(6)?), row.try_get(7)?);
        Ok(read_user(row, 0)?.map(|user| Credentials { user, version, hash }))
    }

    /// Opens the session of a user who proved a password, unless the user has changed meanwhile.
    ///
    /// # Errors
    /// [`PasswordSignInError`].
    pub async fn open_session(
        &self,
        authenticated: &Authenticated,
        session: NewSession,
        lifetime: Duration,
        event: Option<Event>,
    ) -> Result<(), PasswordSignInError> {
        let event = event.map(|event| event.user(&authenticated.user().username));
        let event = event.map(|event| to_parameter(&[event]));
        let mut version = authenticated.version();
        let facts = authenticated.facts(system::now());
        for _ in 0..ATTEMPTS {
            let write = Write {
                origin: None,
                newest_logout: -1,
                user: Some((authenticated.user().id.0, version.0)),
                link: false,
                username: None,
                kind: UserKind::Regular,
                profile: None,
                teams: None,
                session,
                facts: &facts,
                lifetime,
                event: event.clone(),
                grant: None,
            };
            match self.write_sign_in(&write).await {
                Err(PostgresError::Stale) => {}
                result => return Ok(result.map(drop).map_err(StoreError::from)?),
            }
            // A change of a team, for example, is no reason to refuse.
            let username = &authenticated.user().username;
            let held = self.credentials(username, username).await.map_err(StoreError::from)?;
            let held = held.ok_or(PasswordSignInError::Refused)?;
            authenticated.confirm(&held)?;
            version = held.version;
        }
        Err(StoreError::from(PostgresError::Stale).into())
    }

    /// Counts an attempt on the password of a username, over all nodes: `burst` are allowed at once, and one more
    /// after each
    /// `interval`. Returns whether it is allowed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn allow_attempt(
        &self,
        username: &str,
        (burst, interval): (NonZeroU32, Duration),
    ) -> Result<bool, StoreError> {
        let burst = i32::try_from(burst.get()).unwrap_or(i32::MAX);
        let sql = "SELECT allow_attempt($1, $2, $3)";
        let rows = self.write(sql, &[&tag(username), &burst, &interval.as_secs_f64()]).await?;
        Ok(is_true(&rows)?)
    }

    /// Marks the `state` of a sign-in as used, over all nodes. Returns `false` if it was used before.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn use_state(&self, state: &str) -> Result<bool, StoreError> {
        let sql = "WITH used AS (
                INSERT INTO used_states (tag, until) VALUES ($1, now() + $2::bigint * interval '1 second')
                ON CONFLICT (tag) DO NOTHING RETURNING tag
            ) SELECT EXISTS (SELECT FROM used)";
        let kept = i64::try_from(SIGN_IN_LIFETIME.as_secs()).unwrap_or(i64::MAX) + 1;
        let rows = self.write(sql, &[&tag(state), &kept]).await?;
        Ok(is_true(&rows)?)
    }

    /// Ends a session. Returns its origin, or `None` if it does not exist.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn end_session(&self, id: SessionId) -> Result<Option<Origin>, StoreError> {
        let ended = self.end_and_read(id).await?;
        self.forget(id);
        Ok(ended)
    }

    async fn end_and_read(&self, id: SessionId) -> Result<Option<Origin>, PostgresError> {
        let sql = "SELECT issuer, subject, sid, issued_at, id_token FROM end_session($1)";
        let rows = self.write(sql, &[&&id.0[..]]).await?;
        Ok(rows.first().map(|row| read_origin(row, id, self.key())))
    }
}

fn is_true(rows: &[tokio_postgres::Row]) -> Result<bool, PostgresError> {
    Ok(rows.first().map(|row| row.try_get(0)).transpose()?.unwrap_or(false))
}
