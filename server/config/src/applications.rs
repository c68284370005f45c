//! `[[application]]`: from rules as they are written to rules that decide.

use claimgate::access::{
    AccessError, ApplicationSpec, Applications, Content, HeaderSpec, Headers, HeadersSpec,
};
use claimgate::claims::ClaimSpec;
use claimgate::identity::{Normalisation, SettingPath, normal_username};

use super::error::Problem;
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
