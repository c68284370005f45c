//! Whom a rule admits.

use std::fmt;

use super::AccessError;
use super::caller::{Caller, Verdict};
use super::spec::{Allow, ConditionSpec, RuleSpec};
use crate::claims::{ClaimDemand, ClaimSpec};
use crate::identity::SettingPath;
use crate::oidc::user::UserKind;

/// Whom a rule admits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Everybody, signed in or not.
    Anyone,
    /// Signed-in users who meet one of the conditions; without a condition, every signed-in user.
    SignedIn(Vec<Condition>),
    /// No one.
    NoOne,
}

/// A condition on a user. Empty lists require nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    teams: Vec<String>,
    all_teams: Vec<String>,
    users: Vec<String>,
    kinds: Vec<UserKind>,
    clients: Vec<String>,
    claims: Vec<ClaimDemand>,
}

/// What a user lacks who is refused by a rule: a text for the log, and the teams for the refused user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    text: String,
    teams: Option<MissingTeams>,
}

/// The teams that a refused user can ask for: a member is admitted.
///
/// ```
/// use claimgate::access::{Caller, Denial, MissingTeams, Rule};
/// use claimgate::time::UnixTime;
///
/// fn advice(rule: &Rule, caller: &Caller<'_>, now: UnixTime) -> Option<String> {
///     let Err(Denial::Missing(missing)) = rule.check(caller, now) else { return None };
///     missing.teams().map(|teams| match teams {
///         MissingTeams::AllOf(all) => format!("ask for all of {}", all.join(", ")),
///         teams => format!("ask for one of {}", teams.names().join(", ")),
///     })
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingTeams {
    /// Each of them is enough.
    OneOf(Vec<String>),
    /// All of them are needed.
    AllOf(Vec<String>),
}

impl MissingTeams {
    /// Returns those of conditions; `None` if one of these demands something other than teams.
    fn of(conditions: &[Condition]) -> Option<Self> {
        let is_on_teams = |condition: &Condition| {
            let Condition { teams, all_teams, users, kinds, clients, claims } = condition;
            users.is_empty()
                && kinds.is_empty()
                && clients.is_empty()
                && claims.is_empty()
                && (teams.is_empty() || all_teams.is_empty())
        };
        if !conditions.iter().all(is_on_teams) {
            return None;
        }
        match conditions {
            [Condition { all_teams, .. }] if all_teams.len() > 1 => Some(Self::AllOf(all_teams.clone())),
            _ if conditions.iter().any(|condition| condition.all_teams.len() > 1) => None,
            _ => {
                let names = conditions
                    .iter()
                    .flat_map(|condition| condition.teams.iter().chain(&condition.all_teams));
                let mut one_of: Vec<String> = Vec::new();
                for name in names {
                    if !one_of.contains(name) {
                        one_of.push(name.clone());
                    }
                }
                Some(Self::OneOf(one_of))
            }
        }
    }

    /// Returns the names of the teams.
    #[must_use]
    pub fn names(&self) -> &[String] {
        match self {
            MissingTeams::OneOf(names) | MissingTeams::AllOf(names) => names,
        }
    }
}

impl Missing {
    /// Returns a demand on claims that is not met.
    pub(super) fn of_claim(demand: &ClaimDemand) -> Self {
        Self { text: format!("those with {demand}"), teams: None }
    }

    fn other(text: &str) -> Self {
        Self { text: text.to_owned(), teams: None }
    }

    /// Returns the teams that the user can ask for; `None` where the rule demands something else, too.
    #[must_use]
    pub fn teams(&self) -> Option<&MissingTeams> {
        self.teams.as_ref()
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Who {
    /// Compiles whom a rule admits. `setting` is the rule's path.
    ///
    /// # Errors
    /// An [`AccessError`] if nothing, or both `allow` and a condition, is written; of an empty condition and of an
    /// unknown kind.
    pub(super) fn compile(rule: &RuleSpec, setting: &SettingPath) -> Result<Self, AccessError> {
        let flat = ConditionSpec {
            teams: rule.teams.clone(),
            all_teams: rule.all_teams.clone(),
            users: rule.users.clone(),
            kinds: rule.kinds.clone(),
            clients: rule.clients.clone(),
            claim: rule.claim.clone(),
        };
        let has_condition = flat != ConditionSpec::default();
        match (rule.allow, has_condition, rule.any_of.as_slice()) {
            (Some(Allow::Anyone), false, []) => Ok(Who::Anyone),
            (Some(Allow::SignedIn), false, []) => Ok(Who::SignedIn(Vec::new())),
            (Some(Allow::NoOne), false, []) => Ok(Who::NoOne),
            (Some(_), ..) => Err(AccessError::with_remedy(
                setting.name("allow"),
                "stands beside a condition, and admits users whatever the condition says",
                "remove `allow`, or the condition",
            )),
            (None, false, []) => Err(AccessError::with_remedy(
                setting.clone(),
                "says nothing of who is admitted",
                "write `allow = \"signed_in\"`, or a condition such as `teams = [\"Administrators\"]`",
            )),
            (None, true, []) => Ok(Who::SignedIn(vec![Condition::compile(&flat, setting)?])),
            (None, true, _) => Err(AccessError::with_remedy(
                setting.name("any_of"),
                "stands beside a condition of the rule itself",
                "write each condition as an element of `any_of`",
            )),
            (None, false, alternatives) => {
                let condition =
                    |(index, spec)| Condition::compile(spec, &setting.name("any_of").index(index));
                alternatives.iter().enumerate().map(condition).collect::<Result<_, _>>().map(Who::SignedIn)
            }
        }
    }

    /// Decides on a caller that is known.
    ///
    /// # Errors
    /// What the caller is [`Missing`].
    pub(super) fn check(&self, caller: &Caller<'_>) -> Result<Verdict, Missing> {
        match self {
            Who::Anyone => Ok(Verdict::Met),
            Who::NoOne => Err(Missing::other("no one")),
            Who::SignedIn(conditions) if conditions.is_empty() => match caller.user {
                Some(_) => Ok(Verdict::Met),
                None => Err(Missing::other("a user who has signed in here")),
            },
            Who::SignedIn(conditions) => {
                let verdicts: Vec<Verdict> =
                    conditions.iter().map(|condition| condition.judge(caller)).collect();
                if let Some(verdict) =
                    [Verdict::Met, Verdict::NotKept].into_iter().find(|verdict| verdicts.contains(verdict))
                {
                    return Ok(verdict);
                }
                let wanted: Vec<String> = conditions.iter().map(ToString::to_string).collect();
                Err(Missing { text: wanted.join(", or "), teams: MissingTeams::of(conditions) })
            }
        }
    }

    /// Returns the demands on claims.
    pub(super) fn claims(&self) -> impl Iterator<Item = &ClaimDemand> {
        let conditions = if let Who::SignedIn(conditions) = self { conditions.as_slice() } else { &[] };
        conditions.iter().flat_map(|condition| &condition.claims)
    }

    /// Reports whether a condition is on clients.
    pub(super) fn names_clients(&self) -> bool {
        matches!(self, Who::SignedIn(conditions)
            if conditions.iter().any(|condition| !condition.clients.is_empty()))
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Anyone => f.write_str("everybody, without a sign-in too"),
            Who::NoOne => f.write_str("no one"),
            Who::SignedIn(conditions) if conditions.is_empty() => f.write_str("every signed-in user"),
            Who::SignedIn(conditions) => {
                for (index, condition) in conditions.iter().enumerate() {
                    write!(f, "{}{condition}", if index == 0 { "" } else { ", or " })?;
                }
                Ok(())
            }
        }
    }
}

impl Condition {
    fn compile(spec: &ConditionSpec, setting: &SettingPath) -> Result<Self, AccessError> {
        if *spec == ConditionSpec::default() {
            let reason = "is an empty condition, which every user meets";
            return Err(AccessError::with_remedy(setting.clone(), reason, "remove it, or write `allow`"));
        }
        let lists = [
            ("teams", &spec.teams),
            ("all_teams", &spec.all_teams),
            ("users", &spec.users),
            ("clients", &spec.clients),
        ];
        for (name, list) in lists {
            let has_blank = |text: &str| text.trim().is_empty() || text.trim() != text;
            if let Some((index, text)) = list.iter().enumerate().find(|(_, text)| has_blank(text)) {
                let setting = setting.name(name).index(index);
                let reason = "is empty, or begins or ends with white space, and is compared exactly";
                let remedy = match text.trim() {
                    "" => "remove it".to_owned(),
                    name => format!("write `{name}`"),
                };
                return Err(AccessError::with_remedy(setting, reason, remedy));
            }
        }
        let kind = |(index, name): (usize, &String)| {
            UserKind::from_name(name).ok_or_else(|| {
                let known: Vec<_> = UserKind::ALL.iter().map(|(name, _)| *name).collect();
                let reason = format!("`{name}` is no kind of user: {}", known.join(", "));
                AccessError::new(setting.name("kinds").index(index), reason)
            })
        };
        Ok(Self {
            teams: spec.teams.clone(),
            all_teams: spec.all_teams.clone(),
            users: spec.users.clone(),
            kinds: spec.kinds.iter().enumerate().map(kind).collect::<Result<_, _>>()?,
            clients: spec.clients.clone(),
            claims: compile_claims(&spec.claim, setting)?,
        })
    }

    /// Decides on a caller. A condition that fails whatever the claims are is not met.
    fn judge(&self, caller: &Caller<'_>) -> Verdict {
        if !self.admits(caller) {
            return Verdict::Unmet;
        }
        judge_claims(&self.claims, caller)
    }

    fn admits(&self, caller: &Caller<'_>) -> bool {
        let is_client = self.clients.is_empty()
            || caller.client.is_some_and(|client| self.clients.iter().any(|own| own == client));
        let is_user = match caller.user {
            Some(user) => {
                let is_in = |team: &String| user.teams.contains_key(team);
                (self.teams.is_empty() || self.teams.iter().any(is_in))
                    && self.all_teams.iter().all(is_in)
                    && (self.users.is_empty() || self.users.contains(&user.username))
                    && (self.kinds.is_empty() || self.kinds.contains(&user.kind))
            }
            // A condition on the client or on claims alone.
            None => {
                [&self.teams, &self.all_teams, &self.users].into_iter().all(Vec::is_empty)
                    && self.kinds.is_empty()
            }
        };
        is_client && is_user
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one_of = |list: &[String]| list.join(" or ");
        let kinds: Vec<String> = self.kinds.iter().map(|kind| kind.name().to_owned()).collect();
        let parts = [
            ("the team ", one_of(&self.teams)),
            ("all of the teams ", self.all_teams.join(" and ")),
            ("the username ", one_of(&self.users)),
            ("the kind ", one_of(&kinds)),
            ("a token of the client ", one_of(&self.clients)),
        ];
        let written: Vec<String> = parts
            .iter()
            .filter(|(_, list)| !list.is_empty())
            .map(|(what, list)| format!("{what}{list}"))
            .chain(self.claims.iter().map(ToString::to_string))
            .collect();
        f.write_str(&written.join(" and "))
    }
}

/// Compiles demands on claims. `setting` is the table that has them.
///
/// # Errors
/// An [`AccessError`] of the first that is not usable.
pub(super) fn compile_claims(
    specs: &[ClaimSpec],
    setting: &SettingPath,
) -> Result<Vec<ClaimDemand>, AccessError> {
    let compile = |(index, spec): (usize, &ClaimSpec)| {
        spec.compile().map_err(|fault| {
            let setting = setting.name("claim").index(index).name(fault.setting);
            match fault.remedy {
                Some(remedy) => AccessError::with_remedy(setting, fault.reason, remedy),
                None => AccessError::new(setting, fault.reason),
            }
        })
    };
    specs.iter().enumerate().map(compile).collect()
}

/// Compares claims with demands, all of which must be met.
pub(super) fn judge_claims(demands: &[ClaimDemand], caller: &Caller<'_>) -> Verdict {
    let mut verdict = Verdict::Met;
    for demand in demands {
        match caller.meets(demand) {
            Verdict::Met => {}
            Verdict::Unmet => return Verdict::Unmet,
            Verdict::NotKept => verdict = Verdict::NotKept,
        }
    }
    verdict
}
