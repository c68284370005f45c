//! A rule: the requests that it fits, and whom it admits.

use super::AccessError;
use super::authentication::Authentication;
use super::caller::{ACR, Caller, Verdict};
use super::path::Reading;
use super::pattern::PathPattern;
use super::spec::{ApplicationSpec, RuleSpec};
use super::who::{Missing, Who, judge_claims};
use crate::claims::ClaimDemand;
use crate::identity::SettingPath;
use crate::path::ClaimPath;
use crate::time::UnixTime;

/// A rule.
///
/// ```
/// use claimgate::access::{Caller, Denial, Rule};
/// use claimgate::time::UnixTime;
///
/// fn status(rule: &Rule, caller: &Caller<'_>, now: UnixTime) -> u16 {
///     println!("rule {} for {:?}, {:?}", rule.number(), rule.who(), rule.authentication().is_empty());
///     match rule.check(caller, now) {
///         Ok(()) => 200,
///         Err(Denial::Missing(_)) => 403,
///         Err(Denial::Authentication(_)) => 401, // a new sign-in may help
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Rule {
    number: usize,
    /// Empty: every path.
    paths: Vec<PathPattern>,
    /// Empty: every method.
    methods: Vec<String>,
    who: Who,
    authentication: Authentication,
    /// The application's.
    claims: Vec<ClaimDemand>,
}

/// Why a rule does not admit a caller that is known.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The caller lacks what the rule demands.
    #[error("the rule admits {0}")]
    Missing(Missing),
    /// The caller may be admitted after a new sign-in.
    #[error(transparent)]
    Authentication(Insufficient),
}

/// What is wrong with the authentication of a caller, or with what its session keeps of it (RFC 9470 §3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rule demands {wanted}: {reason}")]
pub struct Insufficient {
    /// What is wrong.
    pub reason: String,
    /// What a new sign-in is to ask for.
    pub wanted: Authentication,
}

impl Rule {
    /// Compiles a rule of an application, with its number from 1 and its path. `claims` are the application's demands.
    ///
    /// # Errors
    /// An [`AccessError`] of the first setting that is not usable.
    pub(super) fn compile(
        spec: &RuleSpec,
        application: &ApplicationSpec,
        (number, setting): (usize, &SettingPath),
        claims: &[ClaimDemand],
    ) -> Result<Self, AccessError> {
        let paths = spec
            .paths
            .iter()
            .flatten()
            .enumerate()
            .map(|(index, text)| PathPattern::compile(text, &setting.name("paths").index(index)));
        let methods = spec.methods.iter().flatten().enumerate().map(|(index, name)| {
            let setting = setting.name("methods").index(index);
            if is_method(name) {
                return Ok(name.clone());
            }
            let meant = Some(name.trim().to_ascii_uppercase()).filter(|name| is_method(name));
            let remedy = match meant {
                Some(meant) => format!("methods are compared to the letter: write `{meant}`"),
                None => "write one such as `GET`".to_owned(),
            };
            Err(AccessError::with_remedy(setting, format!("`{name}` is no method"), remedy))
        });
        let (paths, methods) = (paths.collect::<Result<_, _>>()?, methods.collect::<Result<_, _>>()?);
        let who = Who::compile(spec, setting)?;
        let own = Authentication::compile(spec.max_age, spec.acr.as_deref(), setting)?;
        let (authentication, claims) = match who {
            Who::Anyone | Who::NoOne if !own.is_empty() => {
                let reason = "is of no use in a rule that looks at no user";
                let name = if own.max_age.is_some() { "max_age" } else { "acr" };
                return Err(AccessError::with_remedy(setting.name(name), reason, "remove it"));
            }
            Who::Anyone | Who::NoOne => (own, Vec::new()),
            Who::SignedIn(_) => {
                let max_age = spec.max_age.or(application.max_age);
                let acr = spec.acr.as_ref().or(application.acr.as_ref());
                let authentication = Authentication::compile(max_age, acr.map(Vec::as_slice), setting)?;
                (authentication, claims.to_vec())
            }
        };
        let rule = Self { number, paths, methods, who, authentication, claims };
        for (name, list) in [("paths", spec.paths.as_ref()), ("methods", spec.methods.as_ref())] {
            if list.is_some_and(Vec::is_empty) {
                let reason = "is empty, so the rule would fit no request";
                return Err(AccessError::with_remedy(setting.name(name), reason, "remove it to fit all"));
            }
        }
        Ok(rule)
    }

    /// Checks that the rule, and each of its paths, decides for a request at all.
    ///
    /// # Errors
    /// An [`AccessError`] if those before it fit all its requests, or all of one of its paths.
    pub(super) fn check_reachable(&self, before: &[Rule], setting: &SettingPath) -> Result<(), AccessError> {
        let refuse_if_covered = |setting: SettingPath, path: Option<&PathPattern>| {
            let Some(rules) = self.covered_by(path, before) else { return Ok(()) };
            let (rules, remedy) = match rules.as_slice() {
                [rule] => (format!("rule {rule} fits"), "place it before that rule, or remove it"),
                rules => {
                    let rules: Vec<String> = rules.iter().map(ToString::to_string).collect();
                    (
                        format!("rules {} fit", rules.join(" and ")),
                        "place it before those rules, or remove it",
                    )
                }
            };
            let reason = format!("can never decide: {rules} all its requests");
            Err(AccessError::with_remedy(setting, reason, remedy))
        };
        refuse_if_covered(setting.clone(), None)?;
        let mut paths = self.paths.iter().enumerate();
        paths.try_for_each(|(index, path)| refuse_if_covered(setting.name("paths").index(index), Some(path)))
    }

    /// Returns the numbers of the rules before it that together fit all its requests for a path, or for every path; `None`
    /// if they do not.
    fn covered_by(&self, path: Option<&PathPattern>, before: &[Rule]) -> Option<Vec<usize>> {
        let every_method = [None];
        let own: Vec<Option<&String>> = self.methods.iter().map(Some).collect();
        let methods = if own.is_empty() { &every_method[..] } else { &own };
        let mut numbers = Vec::new();
        for method in methods {
            let covers = |rule: &&Rule| {
                (rule.methods.is_empty() || method.is_some_and(|method| rule.takes(method)))
                    && (rule.paths.is_empty() || rule.paths.iter().any(|own| own.covers(path)))
            };
            numbers.push(before.iter().find(covers)?.number);
        }
        numbers.sort_unstable();
        numbers.dedup();
        Some(numbers)
    }

    /// Returns its number among the application's rules, from 1.
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// Returns whom it admits.
    #[must_use]
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// Returns what it demands of the authentication.
    #[must_use]
    pub fn authentication(&self) -> &Authentication {
        &self.authentication
    }

    /// Returns the demands of its application on claims.
    #[must_use]
    pub fn claims(&self) -> &[ClaimDemand] {
        &self.claims
    }

    /// Returns all that it demands of a caller.
    pub(super) fn demands(&self) -> (&Who, &Authentication, &[ClaimDemand]) {
        (&self.who, &self.authentication, &self.claims)
    }

    /// Returns the paths of the claims that it looks at.
    pub(super) fn claim_paths(&self) -> impl Iterator<Item = ClaimPath> {
        let acr =
            (!self.authentication.acr.is_empty()).then(|| ClaimPath::parse(ACR).expect("a name is a path"));
        self.who.claims().chain(&self.claims).map(|demand| demand.path().clone()).chain(acr)
    }

    /// Decides on a caller that is known. The conditions on the user come first, then those on claims, then those on the
    /// authentication: no one is asked to authenticate again who would be refused afterwards.
    ///
    /// # Errors
    /// A [`Denial`].
    pub fn check(&self, caller: &Caller<'_>, now: UnixTime) -> Result<(), Denial> {
        let verdict = self.who.check(caller).map_err(Denial::Missing)?;
        let unmet = self.claims.iter().find(|demand| caller.meets(demand) == Verdict::Unmet);
        if let Some(demand) = unmet {
            return Err(Denial::Missing(Missing::of_claim(demand)));
        }
        let again = |reason: String| {
            Err(Denial::Authentication(Insufficient { reason, wanted: self.authentication.clone() }))
        };
        if verdict == Verdict::NotKept || judge_claims(&self.claims, caller) == Verdict::NotKept {
            return again("the session does not keep the claims that the rule looks at".to_owned());
        }
        self.authentication.check(caller, now).or_else(again)
    }

    /// Returns the patterns of its paths; none: every path.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(|path| path.text.as_str())
    }

    /// Returns its methods; none: every method.
    #[must_use]
    pub fn methods(&self) -> &[String] {
        &self.methods
    }

    /// Reports whether it fits a request. `reading`: of the path, if a rule of the application looks at it.
    pub(super) fn fits(&self, reading: Option<&Reading>, method: &str) -> bool {
        let fits_path = self.paths.is_empty()
            || reading.is_some_and(|reading| self.paths.iter().any(|path| path.matches(reading)));
        fits_path && (self.methods.is_empty() || self.takes(method))
    }

    fn takes(&self, method: &str) -> bool {
        let own = |name: &str| self.methods.iter().any(|own| own == name);
        own(method) || method == "HEAD" && own("GET")
    }
}

/// Reports whether a text is a method as rules name one.
fn is_method(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-')
}
