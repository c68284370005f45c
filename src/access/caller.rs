//! The sender of a request, and what is known of the authentication behind it.

use serde_json::Value;

use crate::claims::{ClaimDemand, Claims};
use crate::limits::Limits;
use crate::oidc::facts::SessionFacts;
use crate::oidc::user::User;
use crate::path::ClaimPath;
use crate::time::UnixTime;

/// The claim that names the authentication context class (Core §2).
pub(super) const ACR: &str = "acr";

/// What a request is sent by: a signed-in user, or a program with a bearer token, which may act for a user; a stranger
/// by default.
///
/// ```
/// use claimgate::access::Caller;
/// use claimgate::claims::Claims;
/// use claimgate::oidc::facts::SessionFacts;
/// use claimgate::oidc::user::User;
///
/// fn by_cookie<'c>(user: &'c User, facts: &'c SessionFacts) -> Caller<'c> {
///     Caller::of_session(user, facts)
/// }
///
/// /// `user` is the one whose account the token's subject is, if there is one.
/// fn by_token<'c>(user: Option<&'c User>, claims: &'c Claims) -> Caller<'c> {
///     Caller::of_token(user, claims)
/// }
///
/// /// A rehearsal: who would be admitted after a sign-in with these claims.
/// fn rehearsed<'c>(user: &'c User, claims: &'c Claims) -> Caller<'c> {
///     Caller::of_sign_in(user, claims)
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller<'c> {
    /// The user.
    pub user: Option<&'c User>,
    /// The client that the bearer token was issued to.
    pub client: Option<&'c str>,
    evidence: Evidence<'c>,
}

/// What conditions on claims and on the authentication are compared with.
#[derive(Clone, Copy, Debug, Default)]
enum Evidence<'c> {
    /// Nothing is known.
    #[default]
    None,
    /// What a session keeps of its sign-in.
    Session(&'c SessionFacts),
    /// The claims of a bearer token, or those of a sign-in.
    Claims(&'c Claims),
}

/// Whether a caller meets a condition on claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Met,
    Unmet,
    /// The session does not keep the claim: it is older than the condition.
    NotKept,
}

impl<'c> Caller<'c> {
    /// Returns the sender of a request with the cookie of a session.
    #[must_use]
    pub fn of_session(user: &'c User, facts: &'c SessionFacts) -> Self {
        Self { user: Some(user), client: None, evidence: Evidence::Session(facts) }
    }

    /// Returns the sender of a verified bearer token: the user that its subject is linked to, if any, and the client
    /// that it was issued to (`client_id` of RFC 9068 §2.2, or else `azp`).
    #[must_use]
    pub fn of_token(user: Option<&'c User>, claims: &'c Claims) -> Self {
        let client = ["client_id", "azp"].iter().find_map(|name| claims.get(name)?.as_str());
        Self { user, client, evidence: Evidence::Claims(claims) }
    }

    /// Returns a user who signed in just now, with these claims.
    #[must_use]
    pub fn of_sign_in(user: &'c User, claims: &'c Claims) -> Self {
        Self { user: Some(user), client: None, evidence: Evidence::Claims(claims) }
    }

    /// Returns when the person authenticated, as far as it is known.
    pub(super) fn authenticated(&self) -> Option<UnixTime> {
        match self.evidence {
            Evidence::None => None,
            Evidence::Session(facts) => facts.authenticated,
            Evidence::Claims(claims) => SessionFacts::of_id_token(claims).authenticated,
        }
    }

    /// Reports whether the authentication context class (`acr`) is one of these.
    pub(super) fn has_context(&self, wanted: &[String]) -> bool {
        let is_wanted = |acr: &Value| acr.as_str().is_some_and(|acr| wanted.iter().any(|own| own == acr));
        match self.evidence {
            Evidence::None => false,
            Evidence::Session(facts) => facts.claims.values(ACR).is_some_and(|acr| acr.iter().any(is_wanted)),
            Evidence::Claims(claims) => claims.get(ACR).is_some_and(is_wanted),
        }
    }

    /// Returns what a claim says as texts: its texts, numbers and truth values, or those in its list. Empty where the
    /// claim is not there, or the session does not keep it.
    pub(super) fn texts(&self, path: &ClaimPath) -> Vec<String> {
        match self.evidence {
            Evidence::None => Vec::new(),
            Evidence::Session(facts) => {
                let values = facts.claims.values(path.as_str()).unwrap_or_default();
                values.iter().flat_map(elements).filter_map(text_of).collect()
            }
            Evidence::Claims(claims) => {
                let values = path.select(claims.as_value(), &Limits::DEFAULT).unwrap_or_default();
                values.into_iter().flat_map(elements).filter_map(text_of).collect()
            }
        }
    }

    /// Compares the claims with a demand.
    pub(super) fn meets(&self, demand: &ClaimDemand) -> Verdict {
        let met = match self.evidence {
            Evidence::None => return Verdict::NotKept,
            Evidence::Session(facts) => match facts.claims.values(demand.path().as_str()) {
                Some(values) => demand.check_selected(&values),
                None => return Verdict::NotKept,
            },
            Evidence::Claims(claims) => demand.check(claims.as_value()),
        };
        if met.is_ok() { Verdict::Met } else { Verdict::Unmet }
    }
}

/// Returns the elements of a list, or a value that is none by itself.
fn elements(value: &Value) -> &[Value] {
    if let Value::Array(list) = value { list } else { std::slice::from_ref(value) }
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns a user of whose authentication nothing is known.
impl<'c> From<&'c User> for Caller<'c> {
    fn from(user: &'c User) -> Self {
        Self { user: Some(user), ..Self::default() }
    }
}
