//! A mapping tried out on a token or on claims: nothing is kept of either, and nothing is written.

use claimgate::claims::{Claims, ClaimsError};
use claimgate::identity::Explanation;
use claimgate::jws::CompactJws;
use claimgate::limits::Limits;
use claimgate::oidc::records::{self, Lookup, StoreError};
use claimgate::path::ClaimPath;
use claimgate::verifier::Verifier;
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::system;
use crate::web::app::App;
use crate::web::extract::Body;
use crate::web::provider::Provider;
use crate::web::recent_sign_ins::RecentSignIn;
use crate::web::rehearsal;
use claimgate_config::Config;

/// What is tried out.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// A token, or claims as JSON.
    #[serde(default)]
    pub(crate) subject: Zeroizing<String>,
    /// The provider whose mapping applies; empty: that of the `iss`, or else the first.
    #[serde(default)]
    pub(crate) provider: String,
    /// A claim path to look at.
    #[serde(default)]
    pub(crate) path: String,
    /// The path of a value that was chosen, in its place.
    pub(crate) insert: Option<String>,
}

impl Body for Question {
    const EXPECTED: &'static str = "send subject, provider and path as a form";
}

impl Question {
    /// Returns the question that the events of a username leave: the claims that are known, to be completed.
    pub(crate) fn of_user(app: &App, provider: String, username: &str) -> Self {
        let of_name = app.providers.iter().find(|known| known.config.id == provider);
        let of_name = of_name.or(app.providers.first());
        let claim = of_name.and_then(|provider| provider.config.mapping.name_sources().next());
        let is_claim = |path: &str| ClaimPath::parse(path).is_ok_and(|path| path.is_literal());
        let subject = match claim.filter(|(claim, _)| !username.is_empty() && is_claim(claim)) {
            Some((claim, _)) => serde_json::json!({claim: username}).to_string(),
            None => String::new(),
        };
        Self { subject: Zeroizing::new(subject), provider, ..Self::default() }
    }

    /// Returns the question of a recent sign-in: its redacted claims.
    pub(crate) fn of_sign_in(sign_in: RecentSignIn) -> Self {
        let RecentSignIn { provider, claims, .. } = sign_in;
        Self { subject: Zeroizing::new(claims), provider, ..Self::default() }
    }

    /// Returns the path to look at.
    pub(crate) fn path(&self) -> &str {
        self.insert.as_deref().unwrap_or(&self.path)
    }
}

/// Where claims come from.
pub(crate) enum Source {
    /// They were written as JSON.
    Written,
    /// From a token that verifies, with its algorithm.
    Verified(String),
    /// From a token that does not verify: the code and the text of the error.
    Unverified(&'static str, String),
}

/// What a mapping makes of claims.
pub(crate) struct Trial<'a> {
    /// The configuration that was tried out: that in use, or one that is being edited.
    pub(crate) config: &'a Config,
    /// The provider in it.
    pub(crate) index: usize,
    pub(crate) claims: Value,
    pub(crate) source: Source,
    pub(crate) explanation: Explanation,
    /// The demand of `[[provider.claim]]` that the claims do not meet.
    pub(crate) unmet: Option<ClaimsError>,
    /// What a sign-in would change.
    pub(crate) changes: Vec<String>,
    /// What the path of the question selects; none without a path.
    pub(crate) selected: Option<Result<Vec<String>, String>>,
}

/// Why nothing can be tried out.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nothing was entered.
    Empty,
    /// The text is neither a token nor claims: code and text.
    Unreadable(&'static str, String),
    /// The file has no such provider.
    Provider,
    /// The edited mapping has faults, which the form shows.
    Draft(String),
    /// Others are being tried out.
    Busy,
    Store(StoreError),
}

/// Most values of a path that are shown.
const SHOWN_VALUES: usize = 20;
/// Most characters of each.
const SHOWN_CHARACTERS: usize = 400;

/// Tries a mapping of a configuration out. What a person enters may take a processor for a while: one trial takes place at a
/// time, and no other request waits for it.
///
/// # Errors
/// A [`Refusal`].
pub(crate) async fn run<'a>(
    app: &App,
    config: &'a Config,
    question: &Question,
) -> Result<Trial<'a>, Refusal> {
    let text = question.subject.trim();
    if text.is_empty() {
        return Err(Refusal::Empty);
    }
    let claims = read(text)?;
    let provider = provider(app, &question.provider, &claims).ok_or(Refusal::Provider)?;
    let index = config.providers.iter().position(|known| known.id == provider.config.id);
    let index = index.ok_or(Refusal::Provider)?;
    let settings = &config.providers[index];
    let turn = app.process.limiter.begin_trial().await.ok_or(Refusal::Busy)?;
    let (source, explanation, unmet, selected) = tokio::task::block_in_place(|| {
        let source = if text.starts_with('{') { Source::Written } else { verify(provider, text) };
        let explanation = settings.mapping.explain(claims.as_value());
        let unmet = settings.check_demands(claims.as_value()).err();
        (source, explanation, unmet, select(question.path(), claims.as_value()))
    });
    drop(turn);
    let changes = match (&explanation.identity, &unmet) {
        (Some(identity), None) => {
            let issuer = settings.issuer_named(claims.issuer()).to_owned();
            let username = identity.username.clone();
            let subject = claims.subject().unwrap_or_default().to_owned();
            let view = app.store.look(move |records| {
                let person = Lookup { issuer: &issuer, subject: &subject, sid: None, username: &username };
                records::view(records, &person)
            });
            let view = view.await.map_err(Refusal::Store)?;
            rehearsal::changes(config, settings, view, identity)
        }
        _ => Vec::new(),
    };
    let claims = claims.as_value().clone();
    Ok(Trial { config, index, claims, source, explanation, unmet, changes, selected })
}

/// Reads claims, or those of a token without a look at its signature.
fn read(text: &str) -> Result<Claims, Refusal> {
    let limits = Limits::DEFAULT;
    let claims = |payload: &[u8]| {
        Claims::parse(payload, &limits).map_err(|error| Refusal::Unreadable(error.code(), error.to_string()))
    };
    if text.starts_with('{') {
        return claims(text.as_bytes());
    }
    match CompactJws::parse(text, &limits) {
        Ok(jws) => claims(&jws.unverified_payload()),
        Err(error) => Err(Refusal::Unreadable(error.code(), error.to_string())),
    }
}

/// Returns the named provider; without a name that of the issuer, or else the first.
fn provider<'a>(app: &'a App, name: &str, claims: &Claims) -> Option<&'a Provider> {
    let issuer = claims.as_value().get("iss").and_then(Value::as_str);
    let mut all = app.providers.iter().map(|provider| &**provider);
    match name {
        "" => all
            .clone()
            .find(|provider| issuer.is_some_and(|issuer| provider.config.accepts_issuer(issuer)))
            .or_else(|| all.next()),
        _ => all.find(|provider| provider.config.id == name),
    }
}

/// Verifies a token as an ID token, then as one that is presented for verification. No cache takes it.
fn verify(provider: &Provider, token: &str) -> Source {
    let now = system::now();
    let error = match provider.id_tokens.verify(token, now) {
        Ok(token) => return Source::Verified(token.header().algorithm().to_owned()),
        Err(error) => error,
    };
    let presented = Verifier::new(provider.remote.jws().clone(), provider.config.presented_policy());
    match presented
        .map(|verifier| verifier.verify(token, now).map(|token| token.header().algorithm().to_owned()))
    {
        Ok(Ok(algorithm)) => Source::Verified(algorithm),
        _ => Source::Unverified(error.code(), error.to_string()),
    }
}

/// Returns the first values that a path selects, as JSON texts; `None` for no path.
///
/// # Errors
/// The text of the path's error.
fn select(path: &str, claims: &Value) -> Option<Result<Vec<String>, String>> {
    let path = path.trim();
    if path.is_empty() {
        return None;
    }
    let found = ClaimPath::parse(path).and_then(|path| {
        let values = path.select(claims, &Limits::DEFAULT)?;
        let shown = values.into_iter().take(SHOWN_VALUES).map(Value::to_string);
        Ok(shown.map(|text| text.chars().take(SHOWN_CHARACTERS).collect()).collect())
    });
    Some(found.map_err(|error| error.to_string()))
}
