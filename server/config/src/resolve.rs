//! From the file as it is written to settings that are valid by their types.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;

use claimgate::access::{ApplicationSpec, Applications, Headers, HeadersSpec};
use claimgate::identity::{GroupSpec, Mapping, MappingSpec, Normalisation, SettingPath};
use claimgate::limits::Limits;
use claimgate::oidc::client::Secret;
use serde::de::DeserializeOwned;
use toml::de::DeValue;

use super::checked::{AdminClient, Config, Database, Events, Listener, Pages, Postgres, Provider, Server};
use super::document::Document;
use super::error::ConfigError;
use super::extensions::Extensions;
use super::provider::{self, Shared};
use super::section::{Faulty, Section, Source};
use super::{admin_clients, applications, events, pages, raw, server, settings, sign_in, store};

/// Resolves a file: `folder` is the one of the files that it names, `unwritten` one of them that is not there yet, with the
/// secret that it will hold.
///
/// # Errors
/// A [`ConfigError`] with all faults found: those of names alone where names are unknown, else those
/// of types and values.
pub(super) fn resolve(
    document: &Document<'_>,
    (folder, unwritten): (&Path, Option<(&Path, &Secret)>),
    extensions: &Extensions,
) -> Result<Config, ConfigError> {
    settings::check(document)?;
    let source = Source { unwritten, ..source(document, folder) };
    let config = file(&source, extensions);
    match (config, source.faults.into_inner()) {
        (Ok(mut config), faults) if faults.is_empty() => {
            config.notes = source.notes.into_inner();
            config.notes.sort_by_key(|note| note.position);
            config.files = source.files.into_inner();
            config.files.sort_by_key(|file| file.place.position);
            config.places = document.tables();
            Ok(config)
        }
        (_, faults) => Err(ConfigError::new(faults)),
    }
}

/// Resolves what a command on the database needs of a file; none where it has no `[server]`.
///
/// # Errors
/// A [`ConfigError`] with all faults found in these settings.
pub(super) fn database(document: &Document<'_>, folder: &Path) -> Result<Option<Database>, ConfigError> {
    settings::check(document)?;
    let source = source(document, folder);
    let database = || -> Result<Option<Database>, Faulty> {
        let server: Option<raw::Server> = read(&source, &SettingPath::of("server"))?;
        let identity: Option<MappingSpec> = read(&source, &SettingPath::of("identity"))?;
        let Some(server) = server else { return Ok(None) };
        let section = source.section(SettingPath::of("server"));
        let store = server::store(&section, &server, postgres(&source)?)?;
        let events = events(&source)?;
        Ok(Some(Database { store, normalise: identity.unwrap_or_default().normalise, events }))
    };
    let database = database();
    match (database, source.faults.into_inner()) {
        (Ok(database), faults) if faults.is_empty() => Ok(database),
        (_, faults) => Err(ConfigError::new(faults)),
    }
}

/// Resolves where the server listens; none where the file has no `[server]`.
///
/// # Errors
/// A [`ConfigError`] with all faults found in these settings.
pub(super) fn listener(document: &Document<'_>, folder: &Path) -> Result<Option<Listener>, ConfigError> {
    settings::check(document)?;
    let source = source(document, folder);
    let listener = || -> Result<Option<Listener>, Faulty> {
        let path = SettingPath::of("server");
        let server: Option<raw::Server> = read(&source, &path)?;
        server.map(|server| server::listener(&source.section(path), &server)).transpose()
    };
    listener().map_err(|_| ConfigError::new(source.faults.take()))
}

fn source<'d>(document: &'d Document<'d>, folder: &'d Path) -> Source<'d> {
    let (faults, notes, files) = (RefCell::default(), RefCell::default(), RefCell::default());
    Source { document, folder, unwritten: None, faults, notes, files }
}

/// Resolves the table `[store]`.
fn postgres(source: &Source<'_>) -> Result<Option<Postgres>, Faulty> {
    let path = SettingPath::of("store");
    let raw: Option<raw::Store> = read(source, &path)?;
    raw.map(|raw| store::resolve(&source.section(path), raw)).transpose()
}

/// Resolves the table `[events]`.
fn events(source: &Source<'_>) -> Result<Events, Faulty> {
    let path = SettingPath::of("events");
    let raw: Option<raw::Events> = read(source, &path)?;
    events::resolve(&source.section(path), &raw.unwrap_or_default())
}

/// Resolves the table `[pages]`.
fn pages(source: &Source<'_>) -> Result<Pages, Faulty> {
    let path = SettingPath::of("pages");
    let raw: Option<raw::Pages> = read(source, &path)?;
    pages::resolve(&source.section(path), raw.unwrap_or_default())
}

fn file(source: &Source<'_>, extensions: &Extensions) -> Result<Config, Faulty> {
    let identity = SettingPath::of("identity");
    let spec = read(source, &identity).map(Option::<MappingSpec>::unwrap_or_default);
    let normalise = spec.as_ref().map_or(Normalisation::Default, |spec| spec.normalise);
    let mapping = spec.and_then(|spec| compile(source, &identity, &spec));
    let raw_server: Result<Option<raw::Server>, Faulty> = read(source, &SettingPath::of("server"));
    let by_ring = matches!(&raw_server, Ok(Some(server)) if !server.rsa_kernel);
    let has_server = !matches!(raw_server, Ok(None));
    let postgres = postgres(source);
    if !has_server && matches!(postgres, Ok(Some(_))) {
        let reason =
            ("needs [server]: it says where a server keeps its data", "write [server], or remove [store]");
        source.section(SettingPath::default()).fault("store", reason);
    }
    let server = raw_server.and_then(|raw| {
        let section = source.section(SettingPath::of("server"));
        raw.map(|raw| server::resolve(&section, raw, postgres)).transpose()
    });
    let events = events(source);
    let pages = pages(source);
    let raw_sign_in: Result<Option<raw::SignIn>, Faulty> = read(source, &SettingPath::of("sign_in"));
    let sign_in = raw_sign_in.and_then(|raw| {
        sign_in::resolve(&source.section(SettingPath::of("sign_in")), &raw.unwrap_or_default())
    });
    let shared = Shared::new(extensions, by_ring, mapping, has_server);
    let providers = providers(source, &shared);
    let applications = applications(source, normalise);
    let ((sign_in, password, idle_time), server, providers) = (sign_in?, server?, providers?);
    let ((applications, headers), events, pages) = (applications?, events?, pages?);
    let admin_clients = admin_clients(source, &providers, &applications)?;
    warn_of_applications(source, server.as_ref(), &providers)?;
    if server.is_some() {
        let section = source.section(SettingPath::of("sign_in"));
        sign_in::note_links(&section, sign_in.link_by_username, &providers);
        sign_in::check_admins(&section, &sign_in, &providers)?;
    }
    let kept_claims = applications.claim_paths(&headers);
    let (notes, files, places) = (Vec::new(), Vec::new(), BTreeMap::new());
    let version = source.document.version();
    Ok(Config {
        server,
        events,
        pages,
        sign_in,
        idle_time,
        password,
        providers,
        applications,
        admin_clients,
        headers,
        kept_claims,
        normalise,
        version,
        notes,
        files,
        places,
    })
}

/// Resolves the tables `[[application]]` and `[headers]`.
fn applications(source: &Source<'_>, normalise: Normalisation) -> Result<(Applications, Headers), Faulty> {
    let path = SettingPath::of("application");
    let headers: Option<HeadersSpec> = read(source, &SettingPath::of("headers"))?;
    let specs: Option<Vec<ApplicationSpec>> = read(source, &path)?;
    applications::resolve(source, &path, specs.unwrap_or_default(), &headers.unwrap_or_default(), normalise)
}

/// Warns of applications that browsers or programs cannot use as they are meant to.
fn warn_of_applications(
    source: &Source<'_>,
    server: Option<&Server>,
    providers: &[Provider],
) -> Result<(), Faulty> {
    let path = SettingPath::of("application");
    let specs: Option<Vec<ApplicationSpec>> = read(source, &path)?;
    applications::warn(source, &path, &specs.unwrap_or_default(), (server, providers));
    Ok(())
}

/// Resolves the tables `[[admin_client]]`, each of another client.
fn admin_clients(
    source: &Source<'_>,
    providers: &[Provider],
    applications: &Applications,
) -> Result<Vec<AdminClient>, Faulty> {
    let path = SettingPath::of("admin_client");
    let raws: Option<Vec<raw::AdminClient>> = read(source, &path)?;
    let mut clients: Vec<AdminClient> = Vec::new();
    for (index, raw) in raws.into_iter().flatten().enumerate() {
        let section = source.section(path.index(index));
        let client = admin_clients::resolve(&section, raw, providers, applications)?;
        if clients.iter().any(|other| (&other.provider, &other.client) == (&client.provider, &client.client))
        {
            return Err(section.fault("client", "another [[admin_client]] names this client"));
        }
        clients.push(client);
    }
    Ok(clients)
}

fn providers(source: &Source<'_>, shared: &Shared) -> Result<Vec<Provider>, Faulty> {
    let path = SettingPath::of("provider");
    let count = match source.document.value(&path).map(|value| value.get_ref()) {
        Some(DeValue::Array(elements)) => elements.len(),
        _ => 0,
    };
    if count == 0 {
        let reason = ("is missing", "write [[provider]] with `issuer` and `client_id`");
        return Err(source.section(SettingPath::default()).fault("provider", reason));
    }
    let resolved: Vec<_> = (0..count).map(|index| provider(source, path.index(index), shared)).collect();
    let mut providers: Vec<Provider> = Vec::with_capacity(count);
    for (index, provider) in resolved.into_iter().enumerate() {
        let provider = provider?;
        unlike(&source.section(path.index(index)), &provider, &providers)?;
        providers.push(provider);
    }
    Ok(providers)
}

fn provider(source: &Source<'_>, path: SettingPath, shared: &Shared) -> Result<Provider, Faulty> {
    let mut raw: raw::Provider = read(source, &path)?.ok_or(Faulty)?;
    let mapping = match raw.identity.take() {
        Some(spec) => compile(source, &path.name("identity"), &spec),
        None => shared.mapping.clone(),
    };
    provider::resolve(&source.section(path), raw, mapping, shared)
}

/// Checks that a provider has an id and an issuer of its own. A logout token names its provider by
/// `iss` alone.
fn unlike(section: &Section<'_>, provider: &Provider, others: &[Provider]) -> Result<(), Faulty> {
    if others.iter().any(|other| other.id == provider.id) {
        let message = format!("`{}` is another provider's id (`oidc` where none is written)", provider.id);
        let reason = (message, "give each its own");
        return Err(section.fault("id", reason));
    }
    let is_shared = |other: &Provider| {
        other.issuer == provider.issuer
            || other.accepted_issuers().any(|issuer| provider.accepts_issuer(&issuer))
            || provider.accepted_issuers().any(|issuer| other.accepts_issuer(&issuer))
    };
    if others.iter().any(is_shared) {
        return Err(section.fault("issuer", "another provider has the same issuer"));
    }
    Ok(())
}

/// Compiles a mapping.
fn compile(source: &Source<'_>, path: &SettingPath, spec: &MappingSpec) -> Result<Mapping, Faulty> {
    note_literal_names(source, path, spec);
    note_missing_groups(source, path, spec);
    Mapping::compile(spec, &Limits::DEFAULT)
        .map_err(|error| source.section(path.clone()).mapping_fault(error))
}

/// Warns of names that look like paths.
fn note_literal_names(source: &Source<'_>, path: &SettingPath, spec: &MappingSpec) {
    let section = source.section(path.clone());
    let username = spec.username.as_slice().iter().enumerate().map(|(index, text)| {
        let setting = path.name("username");
        (if spec.username.as_slice().len() > 1 { setting.index(index) } else { setting }, text)
    });
    let profile = spec.profile.iter().map(|(field, text)| (path.name("profile").name(field), text));
    let groups = spec.groups.iter().enumerate().map(|(index, group)| {
        let setting = path.name("groups").index(index);
        match group {
            GroupSpec::Path(text) => (setting, text),
            GroupSpec::Detailed(detail) => (setting.name("path"), &detail.path),
        }
    });
    for (setting, text) in username.chain(profile).chain(groups) {
        section.note_literal_name(&setting, text);
    }
}

/// Warns of rules about groups in a mapping that reads no groups: they match nothing.
fn note_missing_groups(source: &Source<'_>, path: &SettingPath, spec: &MappingSpec) {
    if !spec.groups.is_empty() {
        return;
    }
    let section = source.section(path.clone());
    let remedy = "write `groups` in the same table as `username`, such as `groups = [\"groups\"]`";
    if !spec.team.is_empty() {
        section.warn("team", ("`groups` is missing, so these rules match no group and give no team", remedy));
    }
    if spec.deny_unmatched {
        section.warn("deny_unmatched", ("`groups` is missing, so every person is refused", remedy));
    }
}

fn read<T: DeserializeOwned>(source: &Source<'_>, path: &SettingPath) -> Result<Option<T>, Faulty> {
    source.document.read(path).map_err(|error| {
        for fault in error {
            source.record(fault);
        }
        Faulty
    })
}
