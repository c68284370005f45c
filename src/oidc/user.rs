//! Users as the relying party keeps them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Identifies a user for good; never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub i64);

/// What kind of user somebody is; it decides which doors are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserKind {
    /// An ordinary user.
    #[default]
    Regular,
    /// May administer.
    Admin,
    /// May administer admins; never signs in through OIDC.
    SuperAdmin,
    /// A guest of another system: neither door.
    Portal,
    /// A program: neither door.
    Api,
    /// The system itself: neither door.
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

    /// The kind of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, kind)| kind)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, kind)| *kind == self).map_or("regular", |(name, _)| name)
    }

    /// Whether it may use the administration interface.
    #[must_use]
    pub fn is_admin(self) -> bool {
        matches!(self, UserKind::Admin | UserKind::SuperAdmin)
    }
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct User {
    /// Who it is, for good.
    pub id: UserId,
    /// The name, unique.
    pub username: String,
    /// What kind of user it is.
    pub kind: UserKind,
    /// Whether any door is open.
    pub active: bool,
    /// Profile fields by name.
    pub profile: BTreeMap<String, String>,
    /// The teams, by name.
    pub teams: BTreeMap<String, TeamSource>,
}

/// Who put a user into a team.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TeamSource {
    /// The mapping of groups.
    Mapping,
    /// A person, by the administration interface.
    Hand,
}

impl User {
    /// The name for people: `name`, else given and family name, else the username.
    #[must_use]
    pub fn display_name(&self) -> String {
        if let Some(name) = self.profile.get("name") {
            return name.clone();
        }
        let parts = ["given_name", "family_name"].map(|field| self.profile.get(field).map(String::as_str));
        let joined = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
        if joined.is_empty() { self.username.clone() } else { joined }
    }

    /// The email address, where one is known.
    #[must_use]
    pub fn email(&self) -> Option<&str> {
        self.profile.get("email").map(String::as_str)
    }
}
