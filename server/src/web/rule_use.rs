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
            // Both lists of an explanation can be cut: that a rule is not in one of them does not say that it matched.
            let fired: BTreeSet<usize> = explanation.fired.iter().map(|rule| rule.rule).collect();
            let unfired: BTreeSet<usize> = explanation.unfired.iter().map(|rule| rule.rule).collect();
            let has_matched =
                |rule| fired.contains(&rule) || unfired.range(rule..).next().is_some_and(|next| *next > rule);
            counted.unmatched.retain(|rule, _| !has_matched(*rule));
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

    #[test]
    fn a_rule_that_an_explanation_does_not_list_has_not_matched() {
        let rule = |number: usize| TeamSpec {
            group: Some(format!("group {number}")),
            team: Some("Team".to_owned()),
            ..TeamSpec::default()
        };
        let spec = MappingSpec {
            groups: vec![GroupSpec::Path("groups".to_owned())],
            team: (1..=210).map(rule).collect(),
            ..MappingSpec::default()
        };
        let mapping = Mapping::compile(&spec, &Limits::DEFAULT).expect("it compiles");
        let rules = RuleUse::default();
        let sign_in =
            |groups: &[String]| rules.record(&mapping.explain(&json!({"sub": "ada", "groups": groups})));
        // All but the last ten rules are listed after the first; of the second's, others move up.
        let first: Vec<String> = (1..=5).map(|number| format!("group {number}")).collect();
        sign_in(&first);
        let listed = rules.counted().unmatched;
        assert_eq!((listed.len(), listed.contains_key(&205), listed.contains_key(&206)), (200, true, false));
        sign_in(&[]);
        assert_eq!(rules.counted().unmatched, listed, "no group matched");
        sign_in(&["group 205".to_owned(), "group 7".to_owned()]);
        let left = rules.counted().unmatched;
        assert_eq!((left.len(), left.contains_key(&205), left.contains_key(&7)), (198, false, false));
    }
}
