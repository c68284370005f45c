//! Why an account is not added or changed.

use super::records::StoreError;
use crate::identity::IdentityError;

/// Why an account is not added or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountError {
    /// The administrator may not make this change.
    #[error("you are not allowed to do this")]
    Forbidden,
    /// The username is not usable.
    #[error(transparent)]
    Username(IdentityError),
    /// A team or a field of the profile has a name or a text that a mapping gives none: blank (a text may be), too long,
    /// or with characters that are unsafe to show.
    #[error("{what} is empty or too long, or holds control or invisible characters")]
    Text {
        /// The team or the field.
        what: String,
    },
    /// Another user has this username.
    #[error("this username is taken")]
    Taken,
    /// Subjects of two issuers that become one are linked to different users.
    #[error("the same person is linked to two users, here {}: remove or unlink one of the two first", .usernames.join(", "))]
    LinkedApart {
        /// The users of the old issuer.
        usernames: Vec<String>,
    },
    /// The change would leave no super-admin who can sign in, and the administrator has not confirmed that; see
    /// [`Administrator::even_the_last_super_admin`](super::accounts::Administrator::even_the_last_super_admin).
    #[error(
        "this is the last super-admin who can sign in: without one, no one adds or changes super-admins over HTTP or in the console"
    )]
    LastSuperAdmin,
    /// The user or the session does not exist.
    #[error("not found")]
    NotFound,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

crate::code::coded!(AccountError);

impl AccountError {
    /// Returns the stable code of this error; see `docs/reference/errors.md`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            AccountError::Forbidden => "request.forbidden",
            AccountError::Username(_) | AccountError::Text { .. } => "request.malformed",
            AccountError::Taken => "request.taken",
            AccountError::LinkedApart { .. } => "request.linked_apart",
            AccountError::LastSuperAdmin => "request.last_super_admin",
            AccountError::NotFound => "request.not_found",
            AccountError::Store(error) => error.code(),
        }
    }
}
