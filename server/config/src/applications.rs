//! `[[application]]`: from rules as they are written to rules that decide.

use claimgate::access::{
    AccessError, Allow, ApplicationSpec, Applications, ConditionSpec, Content, HeaderSpec, Headers,
    HeadersSpec, RuleSpec,
};
use claimgate::claims::{ClaimSpec, TokenKind};
use claimgate::identity::{Normalisation, SettingPath, normal_username};
use claimgate::oidc::user::UserKind;
use url::Url;

use super::checked::{Provider, Server};
use super::error::{Problem, Severity};
use super::section::{Faulty, Source};

/// Compiles the applications, and the headers of a request that none of them decides on. Applications without headers of
/// their own get those of `[headers]`. A username in a rule must have the form that usernames here have: it is compared
/// exactly.
pub(super) fn resolve(
    source: &Source<'_>,
    path: &SettingPath,
    mut specs: Vec<ApplicationSpec>,
    headers: &HeadersSpec,
    normalise: Normalisation,
) -> Result<(Applications, Headers), Faulty> {
    let shared = Headers::compile(headers, &SettingPath::of("headers"));
    let shared = shared.map_err(|error| record(source, &SettingPath::default(), error))?;
    let is_assertion = |header: &HeaderSpec| header.value == Some(Content::Assertion);
    if let Some(index) = headers.header.iter().position(is_assertion).filter(|_| specs.is_empty()) {
        let reason = "an assertion names its application, and there is no [[application]]".to_owned();
        let setting = SettingPath::of("headers").name("header").index(index).name("value");
        return Err(source.record(source.document.fault(&setting, Problem::Value(reason.into()))));
    }
    let own_headers: Vec<(usize, HeadersSpec)> =
        specs.iter().enumerate().filter_map(|(index, spec)| Some((index, spec.headers.clone()?))).collect();
    for spec in &mut specs {
        spec.headers.get_or_insert_with(|| headers.clone());
    }
    let applications = Applications::compile(&specs).map_err(|error| record(source, path, error))?;
    for (setting, claim) in claims(path, &specs) {
        let section = source.section(setting);
        section.note_literal_name(&section.path.name("path"), &claim.path);
    }
    note_claims_of_headers(source, &SettingPath::of("headers"), headers);
    for (index, own) in own_headers {
        note_claims_of_headers(source, &path.index(index).name("headers"), &own);
    }
    for (setting, name) in usernames(path, &specs) {
        let reason = match normal_username(name, normalise) {
            Ok(normal) if normal == *name => continue,
            Ok(normal) => format!("`{name}` is no username here: it would be `{normal}`"),
            Err(error) => format!("`{name}` is no username here: {error}"),
        };
        return Err(source.record(source.document.fault(&setting, Problem::Value(reason.into()))));
    }
    Ok((applications, shared))
}

/// Warns of applications that browsers or programs cannot use as they are meant to.
pub(super) fn warn(
    source: &Source<'_>,
    path: &SettingPath,
    specs: &[ApplicationSpec],
    (server, providers): (Option<&Server>, &[Provider]),
) {
    if let Some(server) = server {
        warn_of_hosts(source, path, specs, server);
    }
    for (index, spec) in specs.iter().enumerate() {
        let section = source.section(path.index(index));
        for (audience, provider) in spec
            .bearer_audience
            .iter()
            .flat_map(|audience| providers.iter().map(move |provider| (audience, provider)))
        {
            if provider.presented == TokenKind::IdToken && provider.client.id == *audience {
                let reason = format!(
                    "`{audience}` is the client of `{}`: the ID token of every sign-in there is a bearer token for this application",
                    provider.id
                );
                let remedy = "have programs get access tokens for an audience of the application's own, with `kind = \"access_token\"` in [provider.verify]";
                section.warn("bearer_audience", (reason, remedy));
            }
        }
        for (setting, kinds) in kinds(&section.path, spec) {
            if !kinds.is_empty()
                && kinds.iter().all(|kind| UserKind::from_name(kind).is_some_and(never_signs_in))
            {
                let reason = (
                    "no one of these kinds signs in, so that the rule admits no one",
                    "write `regular`, `admin` or `super-admin`, or admit programs by `clients`",
                );
                section.remark(&setting, Severity::Warning, reason.into());
            }
        }
    }
}

fn never_signs_in(kind: UserKind) -> bool {
    matches!(kind, UserKind::Portal | UserKind::Api | UserKind::System)
}

/// Warns of hosts to which browsers send no session, once for all of them, and of Claimgate's own.
fn warn_of_hosts(source: &Source<'_>, path: &SettingPath, specs: &[ApplicationSpec], server: &Server) {
    let own = Url::parse(&server.public_url.origin).ok();
    let Some(own) = own.as_ref().and_then(Url::host_str) else { return };
    let mut unreached = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let section = source.section(path.index(index));
        for (index, written) in spec.hosts.iter().enumerate() {
            let setting = section.path.name("hosts").index(index);
            let host = written.trim_start_matches("*.").trim_end_matches('.').to_ascii_lowercase();
            let is_own = host == own && !written.starts_with("*.");
            let is_reached = match &server.cookie_domain {
                Some(domain) => host == *domain || host.ends_with(&format!(".{domain}")),
                None => is_own,
            };
            if is_own && server.public_url.path.is_empty() {
                let reason = (
                    format!("`{written}` is the host of `public_url`, whose addresses are all Claimgate's"),
                    "write the application's own host, or a path in `public_url`",
                );
                section.remark(&setting, Severity::Warning, reason.into());
            } else if is_for_people(spec) && !is_reached {
                unreached.push((setting, written));
            }
        }
    }
    if let Some(((setting, written), others)) = unreached.split_first() {
        let others = match others.len() {
            0 => String::new(),
            1 => " and one other host".to_owned(),
            others => format!(" and {others} other hosts"),
        };
        let sessions = server.cookie_domain.as_deref().unwrap_or(own);
        let reason = format!(
            "browsers send `{written}`{others} no session of {sessions}: people who have signed in are asked to sign in again"
        );
        let remedy = "write a `cookie_domain` above these hosts and that of `public_url`";
        source.section(path.clone()).remark(setting, Severity::Warning, (reason, remedy).into());
    }
}

/// Reports whether an application admits people by their session.
fn is_for_people(spec: &ApplicationSpec) -> bool {
    let needs_session = |rule: &RuleSpec| !matches!(rule.allow, Some(Allow::Anyone | Allow::NoOne));
    spec.bearer_audience.is_empty() && spec.rule.iter().any(needs_session)
}

/// Returns the kinds in rules, each list with its setting.
fn kinds(path: &SettingPath, spec: &ApplicationSpec) -> Vec<(SettingPath, Vec<String>)> {
    let mut found = Vec::new();
    for (index, rule) in spec.rule.iter().enumerate() {
        let setting = path.name("rule").index(index);
        found.push((setting.name("kinds"), rule.kinds.clone()));
        let alternatives = rule.any_of.iter().enumerate();
        found.extend(alternatives.map(|(index, condition): (usize, &ConditionSpec)| {
            (setting.name("any_of").index(index).name("kinds"), condition.kinds.clone())
        }));
    }
    found
}

fn note_claims_of_headers(source: &Source<'_>, setting: &SettingPath, headers: &HeadersSpec) {
    for (index, header) in headers.header.iter().enumerate() {
        if let Some(claim) = &header.claim {
            let section = source.section(setting.name("header").index(index));
            section.note_literal_name(&section.path.name("claim"), claim);
        }
    }
}

/// Records the fault of a setting below a path.
fn record(source: &Source<'_>, path: &SettingPath, error: AccessError) -> Faulty {
    let problem = error.problem;
    let reason = match problem.remedy {
        Some(remedy) => (problem.reason, remedy).into(),
        None => problem.reason.into(),
    };
    source.record(source.document.fault(&path.join(&error.setting), Problem::Value(reason)))
}

/// Returns the demands on claims, each with its setting.
fn claims(path: &SettingPath, specs: &[ApplicationSpec]) -> Vec<(SettingPath, ClaimSpec)> {
    let mut found = Vec::new();
    let mut add = |setting: SettingPath, claims: &[ClaimSpec]| {
        let claims = claims.iter().cloned().enumerate();
        found.extend(claims.map(|(index, claim)| (setting.name("claim").index(index), claim)));
    };
    for (index, application) in specs.iter().enumerate() {
        let setting = path.index(index);
        add(setting.clone(), &application.claim);
        for (index, rule) in application.rule.iter().enumerate() {
            let setting = setting.name("rule").index(index);
            add(setting.clone(), &rule.claim);
            for (index, condition) in rule.any_of.iter().enumerate() {
                add(setting.name("any_of").index(index), &condition.claim);
            }
        }
    }
    found
}

/// Returns the usernames in rules, each with its setting.
fn usernames<'s>(
    path: &'s SettingPath,
    specs: &'s [ApplicationSpec],
) -> impl Iterator<Item = (SettingPath, &'s String)> {
    specs.iter().enumerate().flat_map(move |(application, spec)| {
        spec.rule.iter().enumerate().flat_map(move |(rule, spec)| {
            let setting = path.index(application).name("rule").index(rule);
            let alternatives = spec.any_of.iter().enumerate().map({
                let setting = setting.clone();
                move |(index, condition)| (setting.name("any_of").index(index), &condition.users)
            });
            std::iter::once((setting, &spec.users)).chain(alternatives).flat_map(|(setting, users)| {
                users.iter().enumerate().map(move |(index, user)| (setting.name("users").index(index), user))
            })
        })
    })
}
