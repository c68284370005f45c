//! `claimgate explain --url`: which rule decides on a request to an application, and how.

use claimgate::access::{Caller, Denial, Request, Rule, Selection, Who};
use claimgate::claims::Claims;
use claimgate::oidc::user::User;
use claimgate::time::UnixTime;
use claimgate_config::Config;
use serde_json::{Value, json};
use url::Url;

use crate::command::output::{self, Failure, Format};

/// What a request is sent by.
#[derive(Default)]
pub(crate) struct Sender {
    pub(crate) user: Option<User>,
    /// The claims of its bearer token, if it has one in place of a session.
    pub(crate) token: Option<Claims>,
    /// The claims that the user signed in with, if they are known.
    pub(crate) claims: Option<Claims>,
}

impl Sender {
    fn caller(&self) -> Option<Caller<'_>> {
        match (&self.token, &self.user, &self.claims) {
            (Some(claims), user, _) => Some(Caller::of_token(user.as_ref(), claims)),
            (None, Some(user), Some(claims)) => Some(Caller::of_sign_in(user, claims)),
            (None, user, _) => user.as_ref().map(Caller::from),
        }
    }

    fn client(&self) -> Option<&str> {
        self.caller()?.client
    }
}

/// What forward-auth answers, as its log has it.
enum Decision {
    Admitted,
    /// The code of the refusal and its reason.
    Refused(&'static str, String),
}

/// Prints the rule that decides on a request and the decision.
///
/// # Errors
/// [`Failure::Usage`] for an address without a host; [`Failure::Refused`] if the request is not admitted.
pub(crate) fn run(
    config: &Config,
    (url, method): (&str, &str),
    sender: &Sender,
    now: UnixTime,
    format: Format,
) -> Result<(), Failure> {
    let usage = |reason: &str| Failure::Usage(format!("{url}: {reason}; write it as https://host/path"));
    let parsed = Url::parse(url).map_err(|error| usage(&error.to_string()))?;
    let host = parsed.host_str().ok_or_else(|| usage("has no host"))?;
    if !url.contains("://") {
        return Err(usage("has no `://`"));
    }
    let applications = &config.applications;
    if applications.is_empty() {
        let reason = "the configuration has no [[application]]: forward-auth admits every signed-in user, and those in \
            the proxy's ?team= where it is written";
        return Err(Failure::Usage(reason.to_owned()));
    }
    // As it is written: parsing removes `..`, of which the request would be refused.
    let selection = applications.select(&Request::new(host, path_of(url), method));
    let decision = decide(&selection, sender, now);
    let report = Report { selection, decision, sender };
    match format {
        Format::Json => output::document(&report.json(), format)?,
        Format::Text => output::write(output::escaped(&report.text()).as_bytes())?,
    }
    match report.decision {
        Decision::Admitted => Ok(()),
        Decision::Refused(code, message) => Err(Failure::Refused { code, message }),
    }
}

/// Returns path and query of an address as they are written.
fn path_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]);
    // Browsers keep the fragment.
    let path = path.split('#').next().unwrap_or_default();
    if path.starts_with('/') { path } else { "/" }
}

fn decide(selection: &Selection<'_>, sender: &Sender, now: UnixTime) -> Decision {
    let refused = |code, reason: &str| Decision::Refused(code, reason.to_owned());
    let (application, rule) = match selection {
        Selection::Rule { application, rule } => (application, rule),
        Selection::NoApplication => {
            return refused("access.no_application", "no [[application]] has this host");
        }
        Selection::NoRule(_) => return refused("access.no_rule", "no rule of the application fits"),
        Selection::Ambiguous { reason, .. } => return refused("access.ambiguous", &reason.to_string()),
    };
    match rule.who() {
        Who::Anyone => return Decision::Admitted,
        Who::NoOne => return refused("request.forbidden", "the rule admits no one"),
        Who::SignedIn(_) => {}
    }
    if let Some(claims) = &sender.token {
        if application.bearer_audience().is_empty() {
            return refused("request.signed_out", "the application accepts no bearer tokens");
        }
        if !application.accepts_audience(claims) {
            return refused("access.token", "the bearer token is for another audience [claims.audience]");
        }
    }
    if sender.user.as_ref().is_some_and(|user| !user.active) {
        return refused("request.signed_out", "the user is switched off");
    }
    let Some(caller) = sender.caller() else {
        return refused("request.signed_out", "the client is not signed in");
    };
    match rule.check(&caller, now) {
        Ok(()) => Decision::Admitted,
        Err(denial @ Denial::Missing(_)) => Decision::Refused("request.forbidden", denial.to_string()),
        Err(denial @ Denial::Authentication(_)) => {
            Decision::Refused("access.authentication", denial.to_string())
        }
    }
}

/// Returns what a rule demands beside the conditions on the user.
fn demands(rule: &Rule) -> Vec<String> {
    let authentication = Some(rule.authentication()).filter(|authentication| !authentication.is_empty());
    let claims = rule.claims().iter().map(ToString::to_string);
    claims.chain(authentication.map(ToString::to_string)).collect()
}

struct Report<'a> {
    selection: Selection<'a>,
    decision: Decision,
    sender: &'a Sender,
}

impl Report<'_> {
    fn application(&self) -> Option<&str> {
        match &self.selection {
            Selection::NoApplication => None,
            Selection::Rule { application, .. }
            | Selection::NoRule(application)
            | Selection::Ambiguous { application, .. } => Some(application.name()),
        }
    }

    fn rule(&self) -> Option<&Rule> {
        match &self.selection {
            Selection::Rule { rule, .. } => Some(rule),
            _ => None,
        }
    }

    fn json(&self) -> Value {
        let (admitted, code, reason) = match &self.decision {
            Decision::Admitted => (true, None, None),
            Decision::Refused(code, reason) => (false, Some(code), Some(reason)),
        };
        json!({
            "application": self.application(),
            "rule": self.rule().map(|rule| json!({
                "number": rule.number(),
                "paths": rule.paths().collect::<Vec<_>>(),
                "methods": rule.methods(),
                "admits": rule.who().to_string(),
                "demands": demands(rule),
            })),
            "user": self.sender.user.as_ref().map(|user| &user.username),
            "teams": self.sender.user.as_ref().map(|user| user.teams.keys().collect::<Vec<_>>()),
            "client": self.sender.client(),
            "admitted": admitted,
            "code": code,
            "reason": reason,
        })
    }

    fn text(&self) -> String {
        let mut text = format!("application  {}\n", self.application().unwrap_or("none has this host"));
        if let Some(rule) = self.rule() {
            let list =
                |list: Vec<&str>, all: &str| if list.is_empty() { all.to_owned() } else { list.join(", ") };
            let paths = list(rule.paths().collect(), "every path");
            let methods = list(rule.methods().iter().map(String::as_str).collect(), "every method");
            text.push_str(&format!("rule         {}: {paths}; {methods}\n", rule.number()));
            text.push_str(&format!("admits       {}\n", rule.who()));
            demands(rule).iter().for_each(|demand| text.push_str(&format!("demands      {demand}\n")));
        }
        match &self.sender.user {
            Some(user) => {
                let teams: Vec<&str> = user.teams.keys().map(String::as_str).collect();
                let teams = if teams.is_empty() { "no team".to_owned() } else { teams.join(", ") };
                text.push_str(&format!("user         {}, {}, in {teams}\n", user.username, user.kind.name()));
            }
            None if self.sender.token.is_some() => {
                text.push_str("user         none is linked to the subject\n")
            }
            None => text.push_str("user         not signed in\n"),
        }
        if let Some(client) = self.sender.client() {
            text.push_str(&format!("client       {client}\n"));
        }
        text.push_str(match self.decision {
            Decision::Admitted => "ADMITTED\n",
            Decision::Refused(..) => "REFUSED\n",
        });
        text
    }
}
