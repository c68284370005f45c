//! Sign-ins and logouts for the tests, by the rules of the relying party.

use std::collections::BTreeMap;
use std::time::Duration;

use claimgate::identity::{GroupsState, Identity, NameSource};
use claimgate::oidc::facts::SessionFacts;
use claimgate::oidc::records::{LogoutTarget, Lookup, Position, View};
use claimgate::oidc::session::{NewSession, OidcOrigin, SessionId};
use claimgate::oidc::sign_in::{self, LinkByUsername, Plan, SignInPolicy, SignedIn};
use claimgate::oidc::sync::SyncPolicy;
use claimgate::time::UnixTime;
use claimgate_server::store::postgres::{Logout, PgStore, PostgresError};

const LIFETIME: Duration = Duration::from_secs(3600);

pub(crate) const POLICY: SignInPolicy = SignInPolicy {
    create_users: true,
    allow_admins: false,
    link_by_username: LinkByUsername::Vouched,
    sync: SyncPolicy::CREATION,
    session_lifetime: LIFETIME,
};

/// A sign-in of a person, whose username is the subject.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) sid: Option<String>,
    pub(crate) issued_at: i64,
    pub(crate) begun: Position,
    pub(crate) session: NewSession,
    pub(crate) facts: SessionFacts,
}

impl Visit {
    /// A sign-in that begins now at a node.
    pub(crate) fn now(node: &PgStore, subject: &str, sid: Option<&str>) -> Self {
        Self {
            issuer: "i".to_owned(),
            subject: subject.to_owned(),
            sid: sid.map(str::to_owned),
            issued_at: 100,
            begun: node.position(),
            session: NewSession { id: new_id(), replaces: None },
            facts: SessionFacts::default(),
        }
    }

    pub(crate) fn lookup(&self) -> Lookup<'_> {
        let Self { issuer, subject, sid, .. } = self;
        Lookup { issuer, subject, sid: sid.as_deref(), username: subject }
    }

    /// Decides by a view of the store; `None` if a logout overtook the sign-in.
    pub(crate) async fn decide(&self, node: &PgStore) -> Result<Option<Plan>, PostgresError> {
        Ok(self.plan(node.view(&self.lookup()).await?))
    }

    pub(crate) fn plan(&self, view: View) -> Option<Plan> {
        let Self { issuer, subject, sid, .. } = self;
        let newest_logout = view.newest_logout;
        if newest_logout.is_some_and(|(iat, at)| self.issued_at <= iat.0 || self.begun <= at) {
            return None;
        }
        let identity = Identity {
            username: subject.clone(),
            name_source: NameSource::Subject,
            profile: BTreeMap::new(),
            groups: Vec::new(),
            groups_state: GroupsState::Received,
            is_admin: None,
            teams: Vec::new(),
        };
        let account = sign_in::decide_account(view, &identity, &[], &POLICY).unwrap();
        let origin = OidcOrigin {
            issuer: issuer.clone(),
            subject: subject.clone(),
            sid: sid.clone(),
            issued_at: UnixTime(self.issued_at),
            id_token: Some("a token".to_owned()),
        };
        let (session, facts) = (self.session, self.facts.clone());
        Some(Plan { account, origin, facts, session, lifetime: LIFETIME, newest_logout })
    }

    /// Signs in; `None` if a logout overtook the sign-in.
    pub(crate) async fn complete(&self, node: &PgStore) -> Result<Option<SignedIn>, PostgresError> {
        loop {
            let Some(plan) = self.decide(node).await? else { return Ok(None) };
            match node.write_plan(plan, None, None).await {
                Err(PostgresError::Stale) => {}
                result => return result.map(Some),
            }
        }
    }
}

pub(crate) fn new_id() -> SessionId {
    let mut id = [0; 16];
    getrandom::fill(&mut id).unwrap();
    SessionId(id)
}

pub(crate) fn logout(jti: &str, target: LogoutTarget) -> Logout {
    Logout {
        issuer: "i".to_owned(),
        jti: jti.to_owned(),
        target,
        issued_at: 100,
        issued_until: 100,
        retention: 600,
    }
}

pub(crate) fn of_sid(sid: &str) -> LogoutTarget {
    LogoutTarget::Session { sid: sid.to_owned(), subject: None }
}
