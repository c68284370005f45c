//! The users of the relying party.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The permanent identifier of a user; never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub i64);

/// The kind of a user, which decides how it may sign in.
///
/// ```
/// use claimgate::oidc::user::UserKind;
///
/// let kind = UserKind::from_name("super-admin").expect("a kind");
/// assert!(kind.is_admin() && kind.name() == "super-admin");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserKind {
    /// An ordinary user.
    #[default]
    Regular,
    /// May administer.
    Admin,
    /// May administer admins; never signs in through a provider.
    SuperAdmin,
    /// A guest of another system; does not sign in.
    Portal,
    /// A program; does not sign in.
    Api,
    /// The system itself; does not sign in.
    System,
}

impl UserKind {
    /// Every kind, with its name.
    pub const ALL: [(&'static str, UserKind); 6] = [
        ("regular", UserKind::Regular),
        ("admin", UserKind::Admin),
        ("super-admin", UserKind::SuperAdmin),
        ("portal", UserKind::Portal),
        ("api", UserKind::Api),
        ("system", UserKind::System),
    ];

    /// Returns the kind with a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, kind)| kind)
    }

    /// Returns its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, kind)| *kind == self).map_or("regular", |(name, _)| name)
    }

    /// Reports whether it may use the administration interface.
    #[must_use]
    pub fn is_admin(self) -> bool {
        matches!(self, UserKind::Admin | UserKind::SuperAdmin)
    }
}

/// Profile fields by name.
pub type Profile = BTreeMap<String, String>;

/// Teams by name, each with its origin.
pub type Teams = BTreeMap<String, TeamSource>;

/// A user.
///
/// ```
/// use claimgate::oidc::user::{User, UserId, UserKind};
///
/// let user = User {
///     id: UserId(1),
///     username: "ada".to_owned(),
///     kind: UserKind::Admin,
///     active: true,
///     profile: [("email".to_owned(), "ada@example.com".to_owned())].into(),
///     teams: Default::default(),
/// };
/// assert_eq!((user.display_name().as_str(), user.email()), ("ada", Some("ada@example.com")));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// The permanent identifier.
    pub id: UserId,
    /// The username, unique.
    pub username: String,
    /// The kind.
    pub kind: UserKind,
    /// Whether the user may sign in.
    pub active: bool,
    /// Profile fields by name.
    pub profile: Profile,
    /// The teams, by name.
    pub teams: Teams,
}

/// The origin of a team membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TeamSource {
    /// The mapping of groups.
    Mapping,
    /// An administrator.
    Hand,
}

impl User {
    /// Returns the display name: `name`, else given and family name, else the username.
    #[must_use]
    pub fn display_name(&self) -> String {
        if let Some(name) = self.profile.get("name") {
            return name.clone();
        }
        let parts = ["given_name", "family_name"].map(|field| self.profile.get(field).map(String::as_str));
        let joined = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        if joined.is_empty() { self.username.clone() } else { joined }
    }

    /// Returns the email address, if known.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.profile.get("email").map(String::as_str)
    }
}
