//! Which team rules of a mapping have matched no group at any sign-in.

use std::collections::{BTreeMap, BTreeSet};

use claimgate::identity::Explanation;
use parking_lot::Mutex;

/// The use of the team rules of one provider, since the start or the last reload.
#[derive(Debug, Default)]
pub(crate) struct RuleUse(Mutex<Counted>);

/// Sign-ins, and what they left unmatched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// The number of sign-ins.
    pub(crate) sign_ins: u64,
    /// The rules that matched at none of them, by their numbers from 1, as text; no more than an explanation lists.
    pub(crate) unmatched: BTreeMap<usize, String>,
}

impl RuleUse {
    /// Reports whether every rule has matched, so that no explanation can change anything.
    pub(crate) fn is_complete(&self) -> bool {
        let counted = self.0.lock();
        counted.sign_ins > 0 && counted.unmatched.is_empty()
    }

    /// Counts a sign-in. One whose username was refused says nothing of the rules.
    pub(crate) fn record(&self, explanation: &Explanation) {
        if explanation.identity.is_none() {
            return;
        }
        let mut counted = self.0.lock();
        if counted.sign_ins == 0 {
            let unmatched = explanation.unfired.iter().map(|rule| (rule.rule, rule.text.clone()));
            counted.unmatched = unmatched.collect();
        } else {
            let unfired: BTreeSet<usize> = explanation.unfired.iter().map(|rule| rule.rule).collect();
            counted.unmatched.retain(|rule, _| unfired.contains(rule));
        }
        counted.sign_ins += 1;
    }

    /// Returns what was counted.
    pub(crate) fn counted(&self) -> Counted {
        self.0.lock().clone()
    }
}

#[cfg(test)]
mod tests {
    use claimgate::identity::{GroupSpec, Mapping, MappingSpec, TeamSpec};
    use claimgate::limits::Limits;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_rule_that_has_matched_once_is_no_longer_counted() {
        let rule = |group: &str| TeamSpec {
            group: Some(group.to_owned()),
            team: Some("Team".to_owned()),
            ..TeamSpec::default()
        };
        let spec = MappingSpec {
            groups: vec![GroupSpec::Path("groups".to_owned())],
            team: vec![rule("staff"), rule("guests")],
            ..MappingSpec::default()
        };
        let mapping = Mapping::compile(&spec, &Limits::DEFAULT).expect("it compiles");
        let rules = RuleUse::default();
        let sign_in = |claims: Value| rules.record(&mapping.explain(&claims));
        let unmatched = || rules.counted().unmatched.into_keys().collect::<Vec<_>>();

        sign_in(json!({"groups": ["staff"]}));
        assert_eq!((rules.counted(), rules.is_complete()), (Counted::default(), false), "no username");
        sign_in(json!({"sub": "ada", "groups": ["others"]}));
        assert_eq!((rules.counted().sign_ins, unmatched()), (1, vec![1, 2]));
        sign_in(json!({"sub": "bob", "groups": ["staff"]}));
        assert_eq!((unmatched(), rules.is_complete()), (vec![2], false));
        sign_in(json!({"sub": "ada", "groups": ["guests"]}));
        assert_eq!((rules.counted().sign_ins, unmatched(), rules.is_complete()), (3, vec![], true));
    }
}
