//! The query of `/login`: where the browser goes after the sign-in, and as whom.

use std::time::Duration;

use super::app::App;
use claimgate::access::Authentication;

/// What a link to sign in asks for.
pub(crate) struct SignInLink {
    /// The address to go to after the sign-in: the query's `return_to` if it is allowed, else the front page.
    pub(crate) return_to: String,
    /// Whether the provider shall ask who the person is, even if it knows (`prompt=login`).
    pub(crate) another_account: bool,
    /// Whether the sign-in opens a session of the administration too. The provider then authenticates the
    /// person anew (`prompt=login`, `max_age=0`).
    pub(crate) administration: bool,
    /// Whether a person who is signed in signs in again.
    pub(crate) again: bool,
    /// What a rule of access demands of the authentication.
    pub(crate) authentication: Authentication,
}

impl SignInLink {
    /// Parses the query of a link.
    pub(crate) fn of_query(app: &App, query: Option<&str>) -> Self {
        let value = |wanted: &str| {
            let mut pairs = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
            pairs.find(|(name, _)| name == wanted).map(|(_, value)| value)
        };
        let return_to = app.destination(&value("return_to").unwrap_or_default());
        let is_set = |name| value(name).is_some();
        let max_age = value("max_age").and_then(|age| age.parse().ok()).map(Duration::from_secs);
        Self {
            return_to,
            another_account: is_set("another_account"),
            administration: is_set("administration"),
            again: is_set("again"),
            authentication: Authentication { max_age, acr: classes(app, query.unwrap_or_default()) },
        }
    }

    /// Returns a sign-in that goes to an address afterwards.
    pub(crate) fn returning_to(return_to: &str) -> Self {
        Self {
            return_to: return_to.to_owned(),
            another_account: false,
            administration: false,
            again: false,
            authentication: Authentication::default(),
        }
    }

    /// Returns the parameters of a link that asks for the same.
    pub(crate) fn query(&self) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if !self.return_to.is_empty() {
            query.append_pair("return_to", &self.return_to);
        }
        if self.another_account {
            query.append_pair("another_account", "1");
        }
        if self.administration {
            query.append_pair("administration", "1");
        }
        if self.again {
            query.append_pair("again", "1");
        }
        if let Some(max_age) = self.authentication.max_age {
            query.append_pair("max_age", &max_age.as_secs().to_string());
        }
        for acr in &self.authentication.acr {
            query.append_pair("acr", acr);
        }
        query.finish()
    }
}

/// Returns the authentication context classes that a query names: those that rules of access demand, each once.
fn classes(app: &App, query: &str) -> Vec<String> {
    let mut classes: Vec<String> = Vec::new();
    for (name, acr) in url::form_urlencoded::parse(query.as_bytes()) {
        if name == "acr"
            && app.config.applications.demands_context(&acr)
            && !classes.iter().any(|own| *own == acr)
        {
            classes.push(acr.into_owned());
        }
    }
    classes
}
