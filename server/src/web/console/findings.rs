//! What needs an administrator's attention, each with its remedy.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::frame::{self, Icon};
use crate::plural::count;
use crate::web::app::App;
use crate::web::provider::Provider;
use claimgate_config::Severity;
use claimgate_remote::RemoteKeys;

/// The age of keys, in seconds, from which their refresh is overdue.
const OLD_KEYS: i64 = 24 * 3600;
/// The sign-ins through a provider after which a team rule that has matched none of their groups is shown.
const SIGN_INS: u64 = 20;
/// Most team rules that are shown one by one.
const RULES: usize = 5;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Weight {
    Problem,
    Warning,
    Note,
}

/// What was found.
pub(crate) struct Finding {
    pub(crate) weight: Weight,
    pub(crate) title: String,
    /// What was seen, in the words of its source.
    pub(crate) detail: Option<String>,
    pub(crate) remedy: String,
    /// Where the setting stands: file and line.
    pub(crate) place: Option<(String, usize)>,
}

/// Returns what needs attention, the gravest first.
pub(crate) fn all(app: &App) -> Vec<Finding> {
    let mut found: Vec<Finding> = app.providers.iter().flat_map(|provider| of_provider(provider)).collect();
    found.extend(of_store(app));
    found.extend(of_settings(app));
    found.extend(of_rules(app));
    found.sort_by_key(|finding| finding.weight);
    found
}

fn of_provider(provider: &Provider) -> Vec<Finding> {
    let (config, name) = (&provider.config, &provider.config.display_name);
    let mut found = of_fetches(&Fetched {
        remote: &provider.remote,
        name,
        source: &config.issuer,
        algorithms: &config.algorithms,
        needs_keys: !config.uses_only_secret(),
        effect: "sign-ins there fail",
    });
    let transmitter = provider.transmitter.as_ref().map(|transmitter| &transmitter.remote);
    let its_keys = config.security_events.as_ref().and_then(|events| events.keys.as_ref());
    if let Some((remote, keys)) = transmitter.zip(its_keys) {
        found.extend(of_fetches(&Fetched {
            remote,
            name: &format!("{name} (security events)"),
            source: keys.uri.as_str(),
            algorithms: &keys.algorithms,
            needs_keys: true,
            effect: "its security events are refused",
        }));
    }
    if let Some(metadata) = provider.remote.known_metadata()
        && metadata.backchannel_logout != Some(true)
    {
        found.push(Finding {
            weight: Weight::Note,
            title: format!("{name}: the provider does not announce back-channel logout"),
            detail: None,
            remedy: "Sessions here last until they expire, whatever is signed out there, unless it sends logouts without saying so. Shorten `session_lifetime` if that is too long.".to_owned(),
            place: None,
        });
    }
    found
}

/// Keys that are fetched.
struct Fetched<'a> {
    remote: &'a RemoteKeys,
    name: &'a str,
    /// Where they are fetched from.
    source: &'a str,
    algorithms: &'a [String],
    /// Whether tokens are verified by keys, and not by the client secret.
    needs_keys: bool,
    /// What follows if there are none.
    effect: &'a str,
}

fn of_fetches(fetched: &Fetched<'_>) -> Vec<Finding> {
    let Fetched { remote, name, source, algorithms, needs_keys, effect } = fetched;
    let health = remote.health();
    let mut found = Vec::new();
    let has_keys = health.usable_keys > 0 || !needs_keys;
    if let Some(error) = &health.last_error {
        let (weight, title) = match has_keys {
            true => (
                Weight::Warning,
                format!("{name}: the last fetch of its keys failed; those fetched before are in use"),
            ),
            false => (Weight::Problem, format!("{name}: its keys cannot be fetched; {effect}")),
        };
        let remedy = format!(
            "Check that this server reaches {source}; `claimgate config check --online` walks through each step."
        );
        found.push(Finding { weight, title, detail: Some(error.clone()), remedy, place: None });
    } else if health.fetches > 0 && !has_keys {
        found.push(Finding {
            weight: Weight::Problem,
            title: format!("{name}: none of its keys fits `algorithms`; {effect}"),
            detail: Some(format!("algorithms = {algorithms:?}")),
            remedy: "Name in `algorithms` what the provider signs with; `claimgate config check --online` says what that is.".to_owned(),
            place: None,
        });
    }
    if let Some(age) = health.keys_age.filter(|age| *age > OLD_KEYS) {
        found.push(Finding {
            weight: Weight::Warning,
            title: format!("{name}: its keys were fetched {} ago", frame::duration(age)),
            detail: None,
            remedy: "A key that the provider has withdrawn since is still accepted: look for the error of the fetch in the log.".to_owned(),
            place: None,
        });
    }
    if let Some(before) = health.shrank_from {
        found.push(Finding {
            weight: Weight::Note,
            title: format!("{name}: its key set shrank from {before} usable keys to {}", health.usable_keys),
            detail: None,
            remedy: "At the end of a rotation that is as it should be. If not, tokens by the other keys are refused: the log names keys that cannot be used, and why.".to_owned(),
            place: None,
        });
    }
    found
}

fn of_store(app: &App) -> Vec<Finding> {
    let mut found = Vec::new();
    let dropped = app.store.dropped_logouts();
    if dropped > 0 {
        found.push(Finding {
            weight: Weight::Problem,
            title: format!("{} dropped from memory before their end", count(dropped, "logout")),
            detail: None,
            remedy: "Tokens that they may revoke are refused. Find in the log who sends so many, and limit it in front of this server.".to_owned(),
            place: None,
        });
    }
    if let Some(state) = app.store.node_state()
        && !state.has_synchronous_standby
    {
        found.push(Finding {
            weight: Weight::Note,
            title: "The database has no synchronous standby".to_owned(),
            detail: None,
            remedy: "What was acknowledged last can be lost with its disk: see the guide on deployment."
                .to_owned(),
            place: None,
        });
    }
    found
}

/// Returns the team rules that have matched no group. A rule that several providers share may be meant for one of them:
/// it counts if it has matched at none.
fn of_rules(app: &App) -> Vec<Finding> {
    let uses: Vec<_> = app.providers.iter().map(|provider| (provider, provider.rules.counted())).collect();
    let mut found = BTreeMap::new();
    for (provider, counted) in uses.iter().filter(|(_, counted)| counted.sign_ins >= SIGN_INS) {
        for (rule, text) in &counted.unmatched {
            let place = app.config.team_rule_place(&provider.config, *rule);
            let Some(place) = place else { continue };
            let has_matched = uses.iter().any(|(other, counted)| {
                counted.sign_ins > 0
                    && !counted.unmatched.contains_key(rule)
                    && app.config.team_rule_place(&other.config, *rule) == Some(place)
            });
            if !has_matched {
                let sign_ins = counted.sign_ins;
                let place = (place.file.clone(), place.position.line);
                found.insert(place, (*rule, text.as_str(), sign_ins));
            }
        }
    }
    let more = found.len().saturating_sub(RULES);
    let finding = |title: String, place| {
        Finding {
        weight: Weight::Note,
        title,
        detail: None,
        remedy: "Try a person who should be in its team out on the page Mapping: groups may be spelt otherwise than in the rule, or not arrive. Remove a rule that is not needed.".to_owned(),
        place,
    }
    };
    let shown = found.into_iter().take(RULES).map(|(place, (rule, text, sign_ins))| {
        let title = format!("Team rule {rule} ({text}) has matched no group in {sign_ins} sign-ins, since the start or the last reload");
        finding(title, Some(place))
    });
    let rest =
        (more > 0).then(|| finding(format!("Further team rules that have matched no group: {more}"), None));
    shown.chain(rest).collect()
}

fn of_settings(app: &App) -> impl Iterator<Item = Finding> {
    app.config.notes.iter().map(|note| Finding {
        weight: match note.severity {
            Severity::Warning => Weight::Warning,
            Severity::Note => Weight::Note,
        },
        title: match note.setting.as_str() {
            "" => note.reason.message.clone(),
            setting => format!("{setting}: {}", note.reason.message),
        },
        detail: None,
        remedy: note.reason.remedy.clone().unwrap_or_default(),
        place: Some((note.file.clone(), note.position.line)),
    })
}

/// Returns the list.
pub(crate) fn list(found: &[Finding]) -> Markup {
    html! {
        ul.rows #findings {
            @for finding in found {
                @let (class, icon, name) = match finding.weight {
                    Weight::Problem => ("problem", Icon::Problem, "Problem: "),
                    Weight::Warning => ("warning", Icon::Warning, "Warning: "),
                    Weight::Note => ("note", Icon::Note, "Note: "),
                };
                li.finding {
                    span class=(class) { (icon.markup()) }
                    div {
                        p { span.hidden { (name) } b { (frame::prose(&finding.title)) } }
                        @if let Some(detail) = &finding.detail { p { code { (detail) } } }
                        @if !finding.remedy.is_empty() { p.remedy { (frame::prose(&finding.remedy)) } }
                        @if let Some(place) = &finding.place { p { (frame::file_line(&place.0, place.1)) } }
                    }
                }
            }
        }
    }
}
