//! Applications and rules as they are written.

use serde::{Deserialize, Serialize};

/// An application: its hosts and its rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplicationSpec {
    /// The name in the log and in explanations; the first host if it is absent.
    pub name: Option<String>,
    /// The hosts, without a port. `*.example.com` is every host below `example.com`.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// The `aud` of bearer tokens that the application accepts, of which a token must have one; none: it accepts no
    /// bearer tokens.
    #[serde(default)]
    pub bearer_audience: Vec<String>,
    /// The rules, of which the first that fits a request decides. A request that none fits is refused.
    #[serde(default)]
    pub rule: Vec<RuleSpec>,
}

/// A rule: the requests that it fits, and who is admitted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// The paths, such as `/status` or, with everything below, `/admin/*`; absent: every path.
    pub paths: Option<Vec<String>>,
    /// The methods; absent: every method. `GET` includes `HEAD`.
    pub methods: Option<Vec<String>>,
    /// Who is admitted where no condition is written.
    pub allow: Option<Allow>,
    /// Users in at least one of these teams.
    #[serde(default)]
    pub teams: Vec<String>,
    /// Users in all of these teams.
    #[serde(default)]
    pub all_teams: Vec<String>,
    /// Users with one of these usernames.
    #[serde(default)]
    pub users: Vec<String>,
    /// Users of one of these kinds.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Bearer tokens issued to one of these clients, for a user or not.
    #[serde(default)]
    pub clients: Vec<String>,
    /// Users who meet one of these conditions.
    #[serde(default)]
    pub any_of: Vec<ConditionSpec>,
}

/// A condition on a user. Everything written in it must hold. A [`RuleSpec`] has the same members of its own: a
/// structure that is flattened into another one has no names to compare unknown ones with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConditionSpec {
    /// Users in at least one of these teams.
    #[serde(default)]
    pub teams: Vec<String>,
    /// Users in all of these teams.
    #[serde(default)]
    pub all_teams: Vec<String>,
    /// Users with one of these usernames.
    #[serde(default)]
    pub users: Vec<String>,
    /// Users of one of these kinds.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Bearer tokens issued to one of these clients, for a user or not.
    #[serde(default)]
    pub clients: Vec<String>,
}

/// Who is admitted, whatever the user's name, kind and teams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allow {
    /// Everybody, without a sign-in too.
    Anyone,
    /// Every signed-in user.
    SignedIn,
    /// No one.
    NoOne,
}
