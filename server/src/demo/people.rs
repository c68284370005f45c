//! The three invented people who can sign in.

use serde_json::{Value, json};

pub(super) struct Person {
    pub(super) sub: &'static str,
    pub(super) username: &'static str,
    pub(super) given_name: &'static str,
    pub(super) family_name: &'static str,
    pub(super) groups: &'static [&'static str],
    pub(super) roles: &'static [&'static str],
    pub(super) about: &'static str,
}

pub(super) const PEOPLE: [Person; 3] = [
    Person {
        sub: "248289761001",
        username: "ada",
        given_name: "Ada",
        family_name: "Example",
        groups: &["/crm/sales"],
        roles: &["crm-admin"],
        about: "role crm-admin, group /crm/sales",
    },
    Person {
        sub: "248289761002",
        username: "grace",
        given_name: "Grace",
        family_name: "Example",
        groups: &["/crm/support", "/crm/lab"],
        roles: &[],
        about: "groups /crm/support and /crm/lab",
    },
    Person {
        sub: "248289761003",
        username: "linus",
        given_name: "Linus",
        family_name: "Example",
        groups: &["/other/kitchen"],
        roles: &["guest"],
        about: "no role or group that the mapping uses",
    },
];

impl Person {
    pub(super) fn claims(&self) -> Value {
        json!({
            "sub": self.sub,
            "preferred_username": self.username,
            "name": format!("{} {}", self.given_name, self.family_name),
            "given_name": self.given_name,
            "family_name": self.family_name,
            "email": format!("{}@example.com", self.username),
            "email_verified": true,
            "groups": self.groups,
            "realm_access": { "roles": self.roles },
        })
    }
}
