//! Whose session a logout ended, for what is recorded of it.

use claimgate::oidc::backchannel::{Ended, Replayed};
use claimgate::oidc::records::LogoutTarget;
use claimgate::oidc::user::UserId;

/// The effect of a logout, with the user whom it concerns where its subject does not say so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedOut {
    /// What ended.
    pub ended: Ended,
    /// The user of a session that is named by its `sid` alone.
    pub owner: Option<UserId>,
}

impl LoggedOut {
    /// That of a logout which ends nothing.
    pub(super) const NOTHING: Self = Self { ended: Ended { sessions: 0, target: None }, owner: None };

    /// Returns the effect of a logout that ended this many sessions.
    pub(super) fn of_session(sessions: usize, target: LogoutTarget, owner: Option<UserId>) -> Self {
        let target = (sessions > 0).then_some(target);
        Self { ended: Ended { sessions, target }, owner }
    }

    /// Adds the owners to the results of logouts, each at the place of its own.
    pub(super) fn all(
        results: Vec<Result<Ended, Replayed>>,
        owners: Vec<Option<UserId>>,
    ) -> Vec<Result<Self, Replayed>> {
        let with_owner =
            |(result, owner): (Result<Ended, Replayed>, _)| result.map(|ended| Self { ended, owner });
        results.into_iter().zip(owners).map(with_owner).collect()
    }
}

/// Returns the `sid` of a logout that has no subject.
pub(super) fn sid_alone(target: &LogoutTarget) -> Option<&str> {
    match target {
        LogoutTarget::Session { sid, subject: None } => Some(sid),
        _ => None,
    }
}
