//! Applications and rules as they are written.

use serde::{Deserialize, Serialize};

use crate::claims::ClaimSpec;
use crate::time::Seconds;

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
    /// The headers by which the application learns who sends a request; absent: those of the file, or of
    /// [`Preset::Claimgate`].
    pub headers: Option<HeadersSpec>,
    /// The `aud` of the assertions that the application gets; absent: its name.
    pub assertion_audience: Option<String>,
    /// The longest time since the person authenticated, for rules that do not say it themselves, but for those that
    /// admit everybody.
    pub max_age: Option<Seconds>,
    /// The authentication context class references (`acr`) of which the sign-in must have one, likewise.
    pub acr: Option<Vec<String>>,
    /// What the claims of every caller must meet, but for rules that admit everybody.
    #[serde(default)]
    pub claim: Vec<ClaimSpec>,
    /// The rules, of which the first that fits a request decides. A request that none fits is refused.
    #[serde(default)]
    pub rule: Vec<RuleSpec>,
}

/// The headers by which an application learns who sends a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadersSpec {
    /// Names that applications expect; absent: [`Preset::Claimgate`].
    pub preset: Option<Preset>,
    /// How the values are written.
    #[serde(default)]
    pub encoding: Encoding,
    /// Further headers.
    #[serde(default)]
    pub header: Vec<HeaderSpec>,
}

/// A header: its name, and what is in it: either `value` or `claim`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderSpec {
    /// The name: letters, digits and `-`.
    pub name: String,
    /// What is in it, of what is known here.
    pub value: Option<Content>,
    /// The path of a claim of the sign-in, or of the bearer token: the header has its texts, numbers and truth values.
    pub claim: Option<String>,
    /// How the value is written; absent: as the table says.
    pub encoding: Option<Encoding>,
    /// What stands between teams, or between the values of a claim: `,`, `;`, `|` or a space; absent: `,`.
    pub separator: Option<String>,
}

/// Headers under the names that applications know from another program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Preset {
    /// `X-Auth-User`, `X-Auth-Email`, `X-Auth-Teams`, `X-Auth-Name`.
    #[default]
    Claimgate,
    /// `Remote-User`, `Remote-Groups`, `Remote-Name`, `Remote-Email`.
    Authelia,
    /// `X-Forwarded-User`, `X-Forwarded-Email`, `X-Forwarded-Groups`, `X-Forwarded-Preferred-Username`.
    Oauth2Proxy,
    /// `X-WEBAUTH-USER`, `X-WEBAUTH-NAME`, `X-WEBAUTH-EMAIL`, `X-WEBAUTH-GROUPS`.
    Grafana,
    /// No headers but those that are written.
    None,
}

/// What is in a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// The username.
    Username,
    /// The email address.
    Email,
    /// The display name.
    Name,
    /// The teams, in alphabetical order.
    Teams,
    /// The kind of the user.
    Kind,
    /// The permanent identifier of the user: a number that no other user gets.
    Id,
    /// The client that the bearer token was issued to.
    Client,
    /// A signed statement of all this, for applications that do not trust the network.
    Assertion,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Percent-encoded: `%`, separators within names, and all but visible ASCII and inner spaces.
    #[default]
    Percent,
    /// As UTF-8, without white space at its ends. A value with a control character is empty; a team that holds one, or
    /// the separator, or begins or ends with white space, is left out.
    Raw,
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
    /// The longest time since the person authenticated; absent: that of the application.
    pub max_age: Option<Seconds>,
    /// The authentication context class references (`acr`) of which the sign-in must have one; absent: those of the
    /// application.
    pub acr: Option<Vec<String>>,
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
    /// Callers whose claims meet all of these: those of the sign-in, or of the bearer token.
    #[serde(default)]
    pub claim: Vec<ClaimSpec>,
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
    /// Callers whose claims meet all of these: those of the sign-in, or of the bearer token.
    #[serde(default)]
    pub claim: Vec<ClaimSpec>,
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
