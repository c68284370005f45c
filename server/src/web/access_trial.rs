//! What forward-auth would decide on a request to an application: for `claimgate explain --url` and for the console.

use claimgate::access::{Application, Applications, Caller, Denial, Request, Rule, Selection, Who};
use claimgate::claims::Claims;
use claimgate::oidc::facts::SessionFacts;
use claimgate::oidc::user::User;
use claimgate::time::UnixTime;
use url::Url;

/// What a request is sent by.
#[derive(Default)]
pub(crate) struct Sender {
    pub(crate) user: Option<User>,
    /// The claims of its bearer token, if it has one in place of a session.
    pub(crate) token: Option<Claims>,
    /// What is known of the sign-in, if anything.
    pub(crate) evidence: Option<Evidence>,
}

/// What is known of the sign-in of a user.
pub(crate) enum Evidence {
    /// The claims of a sign-in that takes place now.
    Claims(Claims),
    /// What a session keeps.
    Session(SessionFacts),
}

impl Sender {
    fn caller(&self) -> Option<Caller<'_>> {
        match (&self.token, &self.user, &self.evidence) {
            (Some(claims), user, _) => Some(Caller::of_token(user.as_ref(), claims)),
            (None, Some(user), Some(Evidence::Claims(claims))) => Some(Caller::of_sign_in(user, claims)),
            (None, Some(user), Some(Evidence::Session(facts))) => Some(Caller::of_session(user, facts)),
            (None, user, None) => user.as_ref().map(Caller::from),
            (None, None, Some(_)) => None,
        }
    }

    /// Returns the client that its bearer token was issued to.
    pub(crate) fn client(&self) -> Option<&str> {
        self.caller()?.client
    }
}

/// What forward-auth answers, as its log has it.
pub(crate) enum Decision {
    Admitted,
    /// The code of the refusal and its reason.
    Refused(&'static str, String),
}

/// The rule that decides on a request, and how it does.
pub(crate) struct Trial<'a> {
    selection: Selection<'a>,
    pub(crate) decision: Decision,
}

/// Explains a request for an address, which is judged as it is written: parsing removes `..`, of which the request would
/// be refused.
///
/// # Errors
/// What is wrong with an address without a host.
pub(crate) fn explain<'a>(
    applications: &'a Applications,
    (url, method): (&str, &str),
    sender: &Sender,
    now: UnixTime,
) -> Result<Trial<'a>, String> {
    let usage = |reason: &str| format!("{url}: {reason}; write it as https://host/path");
    let parsed = Url::parse(url).map_err(|error| usage(&error.to_string()))?;
    let host = parsed.host_str().ok_or_else(|| usage("has no host"))?;
    if !url.contains("://") {
        return Err(usage("has no `://`"));
    }
    let selection = applications.select(&Request::new(host, path_of(url), method));
    let decision = decide(&selection, sender, now);
    Ok(Trial { selection, decision })
}

impl<'a> Trial<'a> {
    /// Returns the application of the host, if there is one.
    pub(crate) fn application(&self) -> Option<&'a Application> {
        match self.selection {
            Selection::NoApplication => None,
            Selection::Rule { application, .. }
            | Selection::NoRule(application)
            | Selection::Ambiguous { application, .. } => Some(application),
        }
    }

    /// Returns the rule that decides, if one does.
    pub(crate) fn rule(&self) -> Option<&'a Rule> {
        match self.selection {
            Selection::Rule { rule, .. } => Some(rule),
            _ => None,
        }
    }

    /// Reports whether rules that could fit were compared: not where the request can be read in several ways.
    pub(crate) fn is_ambiguous(&self) -> bool {
        matches!(self.selection, Selection::Ambiguous { .. })
    }
}

/// Returns the paths of a rule as people write them.
pub(crate) fn paths(rule: &Rule) -> String {
    joined(rule.paths(), "every path")
}

/// Returns the methods of a rule as people write them.
pub(crate) fn methods(rule: &Rule) -> String {
    joined(rule.methods().iter().map(String::as_str), "every method")
}

fn joined<'t>(texts: impl Iterator<Item = &'t str>, all: &str) -> String {
    let texts: Vec<&str> = texts.collect();
    if texts.is_empty() { all.to_owned() } else { texts.join(", ") }
}

/// Returns what a rule demands beside the conditions on the user.
pub(crate) fn demands(rule: &Rule) -> Vec<String> {
    let authentication = Some(rule.authentication()).filter(|authentication| !authentication.is_empty());
    let claims = rule.claims().iter().map(ToString::to_string);
    claims.chain(authentication.map(ToString::to_string)).collect()
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
