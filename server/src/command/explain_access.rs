//! `claimgate explain --url`: which rule decides on a request to an application, and how.

use claimgate::access::Rule;
use claimgate::time::UnixTime;
use claimgate_config::Config;
use serde_json::{Value, json};

use crate::command::output::{self, Failure, Format};
use crate::web::access_trial::{self, Decision, Sender, Trial, demands, methods, paths};

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
    let applications = &config.applications;
    if applications.is_empty() {
        let reason = "the configuration has no [[application]]: there are no rules to explain: \
            forward-auth admits every signed-in user, or only members of the teams in the proxy's ?team=";
        return Err(Failure::Usage(reason.to_owned()));
    }
    let trial = access_trial::explain(applications, (url, method), sender, now).map_err(Failure::Usage)?;
    let report = Report { trial, sender };
    match format {
        Format::Json => output::document(&report.json(), format)?,
        Format::Text => output::text(&report.text())?,
    }
    match report.trial.decision {
        Decision::Admitted => Ok(()),
        Decision::Refused(code, message) => Err(Failure::Refused { code, message }),
    }
}

struct Report<'a> {
    trial: Trial<'a>,
    sender: &'a Sender,
}

impl Report<'_> {
    fn application(&self) -> Option<&str> {
        self.trial.application().map(|application| application.name())
    }

    fn rule(&self) -> Option<&Rule> {
        self.trial.rule()
    }

    fn json(&self) -> Value {
        let (admitted, code, reason) = match &self.trial.decision {
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
            text.push_str(&format!("rule         {}: {}; {}\n", rule.number(), paths(rule), methods(rule)));
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
        text.push_str(match self.trial.decision {
            Decision::Admitted => "ADMITTED\n",
            Decision::Refused(..) => "REFUSED\n",
        });
        text
    }
}
