//! `[server]`: from its settings to how the server runs.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use claimgate::oidc::client::Secret;
use claimgate::oidc::endpoint::Endpoint;
use ipnet::IpNet;
use url::{Host, Url};

use super::administration;
use super::checked::{Listener, Postgres, PublicUrl, Server, Sqlite, Store};
use super::files::FileContent;
use super::raw;
use super::section::{Faulty, PUBLIC_SCHEME, Section};

/// The shortest secret that a client sends, in characters.
const MIN_SECRET: usize = 32;

/// Returns the database file: the one that the configuration file names, else `claimgate.db` in the state folder of
/// the service, else the same beside the configuration file.
fn database(folder: &Path, written: Option<&Path>) -> PathBuf {
    match (written, state_folder()) {
        (Some(written), _) => folder.join(written),
        (None, Some(state)) => state.join("claimgate.db"),
        (None, None) => folder.join("claimgate.db"),
    }
}

/// Returns the first folder of `STATE_DIRECTORY`, which systemd sets for a service with `StateDirectory=`.
fn state_folder() -> Option<PathBuf> {
    let folders = std::env::var_os("STATE_DIRECTORY")?;
    std::env::split_paths(&folders).next().filter(|folder| folder.is_absolute())
}

/// Bytes of the logouts in memory: the default, and the fewest and the most. A generation of logouts, and those that
/// are being sorted, take 233 MiB whatever the limit.
const LOGOUT_MEMORY: (u64, RangeInclusive<u64>) = (1 << 30, 256 << 20..=1 << 40);

/// Returns where the data is: in the PostgreSQL of `[store]`, else in the database file.
pub(super) fn store(
    section: &Section<'_>,
    raw: &raw::Server,
    postgres: Option<Postgres>,
) -> Result<Store, Faulty> {
    match (postgres, raw.database.as_deref(), raw.logout_memory) {
        (Some(_), Some(_), _) => {
            let message = "names an SQLite file, and [store] names PostgreSQL: the data is in one of them";
            Err(section.fault("database", (message, "remove `database`, or the table [store]")))
        }
        (Some(_), None, Some(_)) => {
            let message = "bounds logouts in a server's memory, and PostgreSQL keeps them in its tables";
            Err(section.fault("logout_memory", (message, "remove it, or the table [store]")))
        }
        (Some(postgres), None, None) => Ok(Store::Postgres(postgres)),
        (None, database, memory) => {
            let logout_memory = logout_memory(section, memory);
            let file = self::database(section.source.folder, database);
            let file = section.record_file("database", file, FileContent::Database);
            Ok(Store::Sqlite(Sqlite { file, logout_memory: logout_memory? }))
        }
    }
}

fn logout_memory(section: &Section<'_>, written: Option<u64>) -> Result<usize, Faulty> {
    let (default, range) = LOGOUT_MEMORY;
    let bytes = usize::try_from(written.unwrap_or(default)).ok();
    bytes.filter(|_| range.contains(&written.unwrap_or(default))).ok_or_else(|| {
        section.fault(
            "logout_memory",
            "must be a number of bytes from 268435456 (256 MiB) to 1099511627776 (1 TiB)",
        )
    })
}

/// Resolves the table; every fault in it is recorded. `postgres` is the table `[store]`.
pub(super) fn resolve(
    section: &Section<'_>,
    raw: raw::Server,
    postgres: Result<Option<Postgres>, Faulty>,
) -> Result<Server, Faulty> {
    let verify_secret = verify_secret(section, &raw);
    let store = postgres.and_then(|postgres| store(section, &raw, postgres));
    let public_url = public_url(section, raw.public_url);
    let listen = listen(section, raw.listen.as_deref());
    let tls = tls(section, raw.tls_certificate.as_deref(), raw.tls_key.as_deref());
    let cookie_domain = match (&public_url, raw.cookie_domain) {
        (Ok(url), Some(domain)) => cookie_domain(section, url, &domain).map(Some),
        _ => Ok(None),
    };
    let trusted_proxies = trusted_proxies(section, &raw.trusted_proxies);
    let metrics_from = metrics_from(section, raw.metrics_from);
    let private = || administration::PRIVATE.map(str::to_owned).to_vec();
    let admin_from = networks(section, "admin_from", &raw.admin_from.unwrap_or_else(private));
    let url = public_url?;
    let public_url = PublicUrl {
        origin: url.origin().ascii_serialization(),
        path: url.path().trim_end_matches('/').to_owned(),
        https: url.scheme() == "https",
    };
    let cookie_domain = cookie_domain?;
    let administration = administration::resolve(
        section,
        &public_url,
        cookie_domain.as_deref(),
        admin_from?,
        raw.admin_url.as_deref(),
        administration::Switches {
            danger_beside_applications: raw.danger_admin_beside_applications,
            edit_configuration: raw.admin_edit_configuration,
            recent_sign_ins: raw.admin_recent_sign_ins,
        },
    );
    Ok(Server {
        public_url,
        listen: listen?,
        store: store?,
        tls: tls?,
        trusted_proxies: trusted_proxies?,
        metrics_from: metrics_from?,
        cookie_domain,
        application_cookies: raw.application_cookies,
        administration: administration?,
        verify_secret: verify_secret?,
    })
}

/// Resolves where the server listens.
pub(super) fn listener(section: &Section<'_>, raw: &raw::Server) -> Result<Listener, Faulty> {
    let tls = raw.tls_certificate.is_some() || raw.tls_key.is_some();
    Ok(Listener { address: listen(section, raw.listen.as_deref())?, tls })
}

fn public_url(section: &Section<'_>, text: Option<String>) -> Result<Url, Faulty> {
    let setting = "public_url";
    let text = section.required(
        setting,
        text,
        "the address of the server for browsers, such as \"https://sso.example.com\"",
    )?;
    let endpoint = Endpoint::parse(&text, false)
        .map_err(|reason| section.endpoint_fault(setting, &text, reason, PUBLIC_SCHEME))?;
    let url = Url::parse(endpoint.as_str()).map_err(|error| section.fault(setting, error.to_string()))?;
    if url.query().is_some() {
        return Err(section.fault(setting, "must have no query"));
    }
    Ok(url)
}

fn listen(section: &Section<'_>, text: Option<&str>) -> Result<SocketAddr, Faulty> {
    let address = text.unwrap_or("127.0.0.1:8080").parse();
    address.map_err(|_| section.fault("listen", "write an address and a port, such as \"127.0.0.1:8080\""))
}

fn tls(
    section: &Section<'_>,
    certificate: Option<&Path>,
    key: Option<&Path>,
) -> Result<Option<(PathBuf, PathBuf)>, Faulty> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Ok(Some((
            section.file("tls_certificate", certificate, FileContent::Certificate),
            section.file("tls_key", key, FileContent::Secret),
        ))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(section.fault("tls_key", "is missing; tls_certificate needs it")),
        (None, Some(_)) => Err(section.fault("tls_certificate", "is missing; tls_key needs it")),
    }
}

fn verify_secret(section: &Section<'_>, raw: &raw::Server) -> Result<Option<Secret>, Faulty> {
    let secret = section.secret(
        "verify_secret",
        raw.verify_secret.as_ref(),
        raw.verify_secret_file.as_ref(),
        raw.verify_secret_env.as_ref(),
    )?;
    long_secret(section, "verify_secret", secret)
}

/// Rejects a secret that may be guessed over the network.
pub(super) fn long_secret(
    section: &Section<'_>,
    setting: &str,
    secret: Option<Secret>,
) -> Result<Option<Secret>, Faulty> {
    if secret.as_ref().is_some_and(|secret| secret.expose().chars().count() < MIN_SECRET) {
        let message =
            format!("must have at least {MIN_SECRET} characters, since it may be guessed over the network");
        let reason = (message, "`openssl rand -base64 32` makes one");
        return Err(section.fault(setting, reason));
    }
    Ok(secret)
}

fn cookie_domain(section: &Section<'_>, url: &Url, written: &str) -> Result<String, Faulty> {
    let domain = written.trim_start_matches('.').to_ascii_lowercase();
    let host = url.host_str().unwrap_or_default();
    if host != domain && !host.ends_with(&format!(".{domain}")) {
        return Err(section.fault("cookie_domain", format!("public_url's host `{host}` is not in it")));
    }
    if domain.parse::<IpAddr>().is_ok() || url.host().is_some_and(|host| !matches!(host, Host::Domain(_))) {
        let reason = ("an IP address has no domain that hosts share", "give the server a name");
        return Err(section.fault("cookie_domain", reason));
    }
    if !domain.contains('.') {
        return Err(section.fault("cookie_domain", "must be a domain, such as \"example.com\""));
    }
    if psl::domain_str(&domain).is_none() {
        let reason = format!(
            "`{domain}` is a public suffix: strangers have hosts in it, and browsers refuse its cookies"
        );
        return Err(section.fault("cookie_domain", reason));
    }
    Ok(domain)
}

/// Resolves the proxies. A network of every address is refused: a client would choose its own address.
fn trusted_proxies(section: &Section<'_>, texts: &[String]) -> Result<Vec<IpNet>, Faulty> {
    let reason = "every client would be believed about its own address, and no limit by address would hold";
    networks_of_some(section, "trusted_proxies", texts, (reason, "write the addresses of the proxies"))
}

/// Parses networks. For one of every address, `refusal` is the reason of the fault and its remedy.
pub(super) fn networks_of_some(
    section: &Section<'_>,
    setting: &str,
    texts: &[String],
    refusal: (&'static str, &'static str),
) -> Result<Vec<IpNet>, Faulty> {
    let networks = networks(section, setting, texts)?;
    match networks.iter().position(is_everything) {
        Some(index) => Err(section.fault_in(setting, index, refusal)),
        None => Ok(networks),
    }
}

fn metrics_from(section: &Section<'_>, texts: Option<Vec<String>>) -> Result<Vec<IpNet>, Faulty> {
    let loopback = || vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()];
    let networks = networks(section, "metrics_from", &texts.unwrap_or_else(loopback))?;
    if networks.iter().any(is_everything) {
        section.warn("metrics_from", "every client may read the metrics");
    }
    Ok(networks)
}

/// Reports whether a network holds every address of its family.
fn is_everything(network: &IpNet) -> bool {
    network.prefix_len() == 0
}

fn networks(section: &Section<'_>, setting: &str, texts: &[String]) -> Result<Vec<IpNet>, Faulty> {
    let network = |(index, text): (usize, &String)| {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        text.parse::<IpNet>().or(address).map_err(|_| {
            let reason = format!("`{text}` is neither an address nor a network such as \"10.0.0.0/8\"");
            section.fault_in(setting, index, reason)
        })
    };
    texts.iter().enumerate().map(network).collect()
}
