//! The claims of the last sign-ins, for administrators who try the mapping out: in memory alone, and only where the
//! configuration file asks for it.

use std::collections::VecDeque;

use claimgate::identity::Explanation;
use claimgate::time::UnixTime;
use parking_lot::Mutex;
use serde_json::Value;

/// Most sign-ins whose claims are kept.
const KEPT: usize = 20;
/// Longest claims of a sign-in that are kept, in bytes of JSON.
const LONGEST: usize = 32 * 1024;
/// What stands in the place of texts and numbers that the mapping does not read.
const REDACTED: &str = "(redacted)";
/// Claims that are kept as they are, beside those that the mapping reads: of whom and when they speak, and whether the
/// provider vouches for an address or has left groups out.
const WHOLE: [&str; 10] =
    ["iss", "sub", "aud", "exp", "iat", "nbf", "auth_time", "email_verified", "hasgroups", "_claim_names"];

/// A sign-in, whether or not the mapping refused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecentSignIn {
    /// Its number, from 1.
    pub(crate) number: u64,
    /// Its time.
    pub(crate) at: UnixTime,
    /// The id of the provider.
    pub(crate) provider: String,
    /// The username; none if the mapping refused the claims.
    pub(crate) user: Option<String>,
    /// The redacted claims, as JSON.
    pub(crate) claims: String,
}

/// The last sign-ins, the newest first.
#[derive(Debug, Default)]
pub(crate) struct RecentSignIns(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    recorded: u64,
    sign_ins: VecDeque<RecentSignIn>,
}

impl RecentSignIns {
    /// Keeps the claims of a sign-in, redacted; none that are too long.
    pub(crate) fn record(&self, provider: &str, claims: &Value, explanation: &Explanation, at: UnixTime) {
        let Ok(claims) = serde_json::to_string_pretty(&redacted(claims, explanation)) else { return };
        if claims.len() > LONGEST {
            return;
        }
        let user = explanation.identity.as_ref().map(|identity| identity.username.clone());
        let mut kept = self.0.lock();
        kept.recorded += 1;
        let number = kept.recorded;
        let sign_in = RecentSignIn { number, at, provider: provider.to_owned(), user, claims };
        kept.sign_ins.push_front(sign_in);
        kept.sign_ins.truncate(KEPT);
    }

    /// Returns the sign-ins.
    pub(crate) fn list(&self) -> Vec<RecentSignIn> {
        self.0.lock().sign_ins.iter().cloned().collect()
    }

    /// Returns the sign-in of a number, while it is kept.
    pub(crate) fn find(&self, number: u64) -> Option<RecentSignIn> {
        self.0.lock().sign_ins.iter().find(|sign_in| sign_in.number == number).cloned()
    }

    /// Forgets all.
    pub(crate) fn forget(&self) {
        self.0.lock().sign_ins.clear();
    }
}

/// Returns claims without the texts and numbers that the mapping does not read. Their names and their form stay.
fn redacted(claims: &Value, explanation: &Explanation) -> Value {
    let Value::Object(members) = claims else { return Value::Null };
    let traced = explanation.username.iter().chain(&explanation.groups).map(|trace| trace.path.as_str());
    let paths: Vec<&str> =
        traced.chain(explanation.profile.iter().map(|trace| trace.path.as_str())).collect();
    let member = |(name, value): (&String, &Value)| {
        let is_whole = WHOLE.contains(&name.as_str()) || paths.iter().any(|path| reads(path, name));
        (name.clone(), if is_whole { value.clone() } else { without_texts(value) })
    };
    Value::Object(members.iter().map(member).collect())
}

/// Reports whether a claim path begins at a claim: it is its name, or has the name as a segment.
fn reads(path: &str, claim: &str) -> bool {
    let is_segment = || {
        path.contains(&format!("['{claim}']"))
            || path.contains(&format!("[\"{claim}\"]"))
            || path.split(['.', '[', ']']).any(|segment| segment == claim)
    };
    path == claim || (path.starts_with('$') && is_segment())
}

fn without_texts(value: &Value) -> Value {
    match value {
        Value::Null | Value::Bool(_) => value.clone(),
        Value::Number(_) | Value::String(_) => Value::from(REDACTED),
        Value::Array(values) => Value::Array(values.iter().map(without_texts).collect()),
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| (name.clone(), without_texts(value));
            Value::Object(members.iter().map(member).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use claimgate::identity::{GroupSpec, Mapping, MappingSpec};
    use claimgate::limits::Limits;
    use serde_json::json;

    use super::*;

    fn mapping() -> Mapping {
        let spec = MappingSpec {
            groups: vec![
                GroupSpec::Path("$.realm_access.roles[*]".to_owned()),
                GroupSpec::Path("$['https://example.com/roles']".to_owned()),
            ],
            ..MappingSpec::default()
        };
        Mapping::compile(&spec, &Limits::DEFAULT).expect("it compiles")
    }

    #[test]
    fn what_the_mapping_does_not_read_is_redacted() {
        let claims = json!({
            "sub": "ada", "nonce": "n", "phone": 49, "address": {"city": "Paris", "home": true},
            "access": ["staff"], "realm_access": {"roles": ["crm-admin"]}, "https://example.com/roles": ["sales"],
        });
        let recent = RecentSignIns::default();
        recent.record("crm", &claims, &mapping().explain(&claims), UnixTime(7));
        let kept = recent.find(1).expect("it is kept");
        assert_eq!(
            (kept.user.as_deref(), kept.provider.as_str(), kept.at),
            (Some("ada"), "crm", UnixTime(7))
        );
        let expected = json!({
            "sub": "ada", "nonce": REDACTED, "phone": REDACTED, "address": {"city": REDACTED, "home": true},
            "access": [REDACTED], "realm_access": {"roles": ["crm-admin"]}, "https://example.com/roles": ["sales"],
        });
        assert_eq!(serde_json::from_str::<Value>(&kept.claims).expect("JSON"), expected);
    }

    #[test]
    fn the_newest_are_kept_and_none_that_are_too_long() {
        let recent = RecentSignIns::default();
        let record = |claims: &Value| recent.record("crm", claims, &mapping().explain(claims), UnixTime(0));
        for number in 0..=KEPT {
            record(&json!({"sub": format!("user-{number}")}));
        }
        record(&json!({"sub": "long", "realm_access": {"roles": ["x".repeat(LONGEST)]}}));
        record(&json!({"groups": []}));
        let list = recent.list();
        assert_eq!((list.len(), list[0].user.as_deref(), list[1].number), (KEPT, None, 21));
        assert!(recent.find(1).is_none() && recent.find(22).is_some());
        recent.forget();
        assert!(recent.list().is_empty());
    }
}
