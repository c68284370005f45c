//! `claimgate init`: the configuration file, the secret, the database with its key and the first administrator, from six
//! answers.

mod file;
mod kinds;
mod questions;
mod registration;

use std::io::{BufRead, IsTerminal};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use claimgate::identity::Normalisation;
use claimgate::oidc::accounts::{Administrator, NewUser};
use claimgate::oidc::user::UserKind;
use claimgate_config::{Config, Extensions, Store};
use zeroize::Zeroizing;

use self::file::{Answers, Secret};
use self::kinds::{KINDS, Kind};
use super::{configuration, owners, user};
use crate::command::output::{self, Failure};
use crate::store;

/// The mode of the configuration file, which holds no secret.
const READABLE: u32 = 0o644;
/// The mode of the client secret.
const OWN: u32 = 0o600;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate init\n  \
    claimgate init --provider keycloak --client-id claimgate --admin root \\\n    \
    --public-url https://sso.example.com \\\n    \
    --issuer https://keycloak.example.com/realms/acme \\\n    \
    --client-secret-file client-secret\n\n\
    A terminal asks for what the options leave open. Nothing is overwritten without --force.\n\
    Exit codes: 0 written, 2 an answer is missing or wrong, or a file exists; then nothing is written.")]
pub(crate) struct Arguments {
    /// The kind of provider
    #[arg(long, value_name = "KIND", value_parser = kind)]
    provider: Option<&'static Kind>,
    /// The address of Claimgate for browsers
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The issuer: the provider's name in its tokens, and where its discovery document is found
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The client's id at the provider
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// The file that holds the client secret; it stays where it is
    #[arg(long, value_name = "FILE", group = "secret")]
    client_secret_file: Option<PathBuf>,
    /// Read the client secret from standard input, and write it to the file `client-secret` beside the configuration
    #[arg(long, group = "secret", conflicts_with = "admin_password_stdin")]
    client_secret_stdin: bool,
    /// The client has no secret
    #[arg(long, group = "secret")]
    public_client: bool,
    /// Google: the Workspace domain whose people alone may sign in
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Add this user as the first administrator (super-admin), who signs in by password also while the provider is down
    #[arg(long, value_name = "USERNAME")]
    admin: Option<String>,
    /// Read the administrator's password from standard input
    #[arg(long, requires = "admin")]
    admin_password_stdin: bool,
    /// The people of this group at the provider are administrators
    #[arg(long, value_name = "GROUP")]
    admin_group: Option<String>,
    /// The address that the server listens on, for the proxy
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The database file; a relative name is one beside the configuration file
    #[arg(long, value_name = "FILE", default_value = "claimgate.db")]
    database: String,
    /// The configuration file to write
    #[arg(long, value_name = "FILE", default_value = "claimgate.toml")]
    config: PathBuf,
    /// Replace the files that exist; a database stays
    #[arg(long)]
    force: bool,
    /// Ask nothing: what the options leave open and has no default is an error
    #[arg(long)]
    yes: bool,
    /// The client secret as typed; empty of a public client.
    #[arg(skip)]
    typed_secret: Option<Zeroizing<String>>,
    /// Whether the terminal has shown what to enter at the provider.
    #[arg(skip)]
    registration_shown: bool,
}

fn kind(name: &str) -> Result<&'static Kind, String> {
    let names = || KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ");
    Kind::named(name).ok_or_else(|| format!("must be one of {}", names()))
}

/// Where the client secret comes from.
enum ClientSecret {
    /// A file that exists.
    InFile(String),
    /// Typed, or read from standard input: it is written to a file beside the configuration.
    Given(Zeroizing<String>),
    /// A public client has none.
    None,
}

/// The file that the service of the package reads, and where its unit stands.
const UNIT_CONFIG: &str = "/etc/claimgate/claimgate.toml";
const UNITS: [&str; 2] =
    ["/usr/lib/systemd/system/claimgate.service", "/etc/systemd/system/claimgate.service"];

/// The name of the file that the client secret is written to.
const SECRET_FILE: &str = "client-secret";

impl Arguments {
    pub(crate) fn run(mut self, extensions: &Extensions) -> Result<(), Failure> {
        let folder = folder_of(&self.config).to_owned();
        self.refuse_existing(&self.config)?;
        if !self.yes && std::io::stdin().is_terminal() {
            questions::ask(&mut self, &folder, extensions)?;
        }
        let mut answers = self.answers()?;
        let secret = self.secret(&folder)?;
        if let ClientSecret::Given(_) = secret {
            self.refuse_existing(&folder.join(SECRET_FILE))?;
        }
        answers.secret = match &secret {
            ClientSecret::InFile(file) => Secret::InFile(file.clone()),
            ClientSecret::Given(_) => Secret::Example,
            ClientSecret::None => Secret::None,
        };
        let config = answers.check(&folder, extensions).map_err(Failure::Usage)?;
        let admin = self.first_administrator(config.normalise)?;
        let mut written = vec![self.config.display().to_string()];
        let has_older = folder.join(SECRET_FILE).exists();
        if let ClientSecret::Given(secret) = &secret {
            answers.secret = Secret::InFile(SECRET_FILE.to_owned());
            let file = folder.join(SECRET_FILE);
            write(&file, &format!("{}\n", secret.as_str()), OWN, self.force)?;
            written.push(file.display().to_string());
        }
        if let Err(failure) = write(&self.config, &answers.file(), READABLE, self.force) {
            if let ClientSecret::Given(_) = secret
                && !has_older
            {
                drop(std::fs::remove_file(folder.join(SECRET_FILE)));
            }
            return Err(failure);
        }
        output::text(&format!("wrote {}\n", written.join(" and ")))?;
        if let Some(admin) = admin {
            let name = self.admin.as_deref().unwrap_or_default();
            let added = user::add(&self.config, name, admin)
                .map_err(|failure| self.without_administrator(failure))?;
            output::text(&format!("added {} ({})\n", added.username, added.kind.name()))?;
        }
        // From the file: what is printed is what the server reads.
        let config = configuration::load(&self.config, extensions)?;
        if let Some(Store::Sqlite(sqlite)) = config.server.as_ref().map(|server| &server.store)
            && sqlite.file.exists()
        {
            store::make_key(&sqlite.file)?;
        }
        output::text(&self.next_steps(&answers, &config))
    }

    /// Refuses a file that exists, unless it may be replaced.
    fn refuse_existing(&self, file: &Path) -> Result<(), Failure> {
        if file.is_dir() {
            let file = file.display();
            return Err(Failure::Usage(format!("{file} is a folder, and nothing was written; name a file")));
        }
        if self.force || std::fs::symlink_metadata(file).is_err() {
            return Ok(());
        }
        let file = file.display();
        Err(Failure::Usage(format!("{file} exists, and nothing was written; --force replaces it")))
    }

    /// Returns the answers that the options give, without the secret.
    fn answers(&self) -> Result<Answers, Failure> {
        let mut missing = Vec::new();
        let kind = self.provider.unwrap_or_else(|| {
            missing.push("--provider");
            &KINDS[0]
        });
        let mut required = |option: &'static str, value: &Option<String>, default: Option<&str>| {
            value.clone().or_else(|| default.map(str::to_owned)).unwrap_or_else(|| {
                missing.push(option);
                String::new()
            })
        };
        let answers = Answers {
            kind,
            public_url: required("--public-url", &self.public_url, None),
            listen: self.listen,
            database: self.database.clone(),
            issuer: required("--issuer", &self.issuer, kind.open_issuer),
            client_id: required("--client-id", &self.client_id, None),
            domain: self.domain.clone(),
            admin_group: self.admin_group.clone(),
            secret: Secret::Example,
        };
        if !self.has_secret_option() && self.typed_secret.is_none() {
            missing.push("--client-secret-file, --client-secret-stdin or --public-client");
        }
        if self.domain.is_some() && kind.name != "google" {
            return Err(Failure::Usage("--domain is for --provider google".to_owned()));
        }
        if let Some(domain) = self.domain.as_deref().filter(|domain| !is_domain(domain)) {
            let reason =
                format!("nothing was written: `{domain}` is no domain; write one such as example.com");
            return Err(Failure::Usage(reason));
        }
        match missing.is_empty() {
            true => Ok(answers),
            false => Err(Failure::Usage(format!(
                "nothing was written; these options are missing, and no terminal was asked: {}",
                missing.join(", ")
            ))),
        }
    }

    /// Reports whether an option says where the client secret is.
    fn has_secret_option(&self) -> bool {
        self.client_secret_file.is_some() || self.client_secret_stdin || self.public_client
    }

    fn secret(&self, folder: &Path) -> Result<ClientSecret, Failure> {
        if let Some(file) = &self.client_secret_file {
            return Ok(ClientSecret::InFile(from_folder(file, folder)?));
        }
        if !self.client_secret_stdin {
            let typed = self.typed_secret.clone().filter(|typed| !typed.is_empty());
            return Ok(typed.map_or(ClientSecret::None, ClientSecret::Given));
        }
        let mut line = Zeroizing::new(String::new());
        let read = std::io::stdin().lock().read_line(&mut line);
        read.map_err(|error| Failure::Usage(format!("cannot read the client secret: {error}")))?;
        let secret = Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned());
        if secret.is_empty() {
            let reason =
                "nothing was written: standard input has no client secret; without one, use --public-client";
            return Err(Failure::Usage(reason.to_owned()));
        }
        Ok(ClientSecret::Given(secret))
    }

    /// Returns the administrator to add, with the password's hash.
    fn first_administrator(&self, normalise: Normalisation) -> Result<Option<NewUser>, Failure> {
        let Some(name) = &self.admin else { return Ok(None) };
        let mut admin = NewUser::new(Administrator::OPERATOR, name, normalise, UserKind::SuperAdmin)?;
        if !self.admin_password_stdin {
            eprintln!("The password of {name}, of 12 characters at least:");
        }
        admin.password_hash = Some(user::read_password(self.admin_password_stdin)?);
        Ok(Some(admin))
    }

    /// Says of a failure to add the administrator what has been written before it.
    fn without_administrator(&self, failure: Failure) -> Failure {
        let file = self.config.display();
        let explain =
            |message: String| format!("{file} is written, and the administrator is not added: {message}");
        match failure {
            Failure::Refused { code, message } => Failure::Refused { code, message: explain(message) },
            Failure::Usage(message) => Failure::Usage(explain(message)),
            Failure::OutputClosed => Failure::OutputClosed,
        }
    }

    /// Says what to enter at the provider and which commands come next.
    fn next_steps(&self, answers: &Answers, config: &Config) -> String {
        let Answers { kind, listen, .. } = answers;
        let mut text = match self.registration_shown {
            true => "\n".to_owned(),
            false => registration::text(kind, config),
        };
        text.push_str(&format!(
            "nginx passes {}/ on to {listen}, and asks its /auth for each application: docs/guide/forward-auth.md#nginx\n\n",
            answers.public_url.trim_end_matches('/'),
        ));
        text.push_str(&self.next_commands(config));
        text
    }

    /// Returns the commands that come next. What uses the database is run by the user that its folder belongs to.
    fn next_commands(&self, config: &Config) -> String {
        let file = self.config.display();
        let database = match config.server.as_ref().map(|server| &server.store) {
            Some(Store::Sqlite(database)) => Some(database),
            _ => None,
        };
        let service = database.and_then(|database| owners::service_user(&database.file));
        let as_service =
            service.as_ref().map(|user| format!("runuser -u {} -- ", user.name)).unwrap_or_default();
        let mut text = format!("Next{}:\n", if service.is_some() { ", as root" } else { "" });
        let secret = folder_of(&self.config).join(SECRET_FILE);
        if let Some(user) = service.as_ref().filter(|_| secret.exists()) {
            let secret = secret.display();
            text.push_str(&format!("  chgrp {} {secret} && chmod 640 {secret}\n", user.group));
        }
        text.push_str(&format!("  claimgate config check --online {file}   # asks the provider\n"));
        if self.admin.is_none() {
            text.push_str(&format!(
                "  {as_service}claimgate user add root --kind super-admin --config {file}\n"
            ));
        }
        let is_units =
            self.config == Path::new(UNIT_CONFIG) && UNITS.iter().any(|unit| Path::new(unit).exists());
        text.push_str(&match is_units {
            true => "  systemctl enable --now claimgate\n".to_owned(),
            false => format!("  {as_service}claimgate serve --config {file}\n"),
        });
        text.push_str(&format!("  claimgate doctor --config {file}   # while it runs\n"));
        text
    }
}

/// Reports whether a text is a name such as `example.com`: the claim `hd` holds one, and is compared exactly.
fn is_domain(text: &str) -> bool {
    text.contains('.') && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
}

/// Returns the folder of a file; `.` for a name alone.
fn folder_of(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns the name of a file as a configuration in a folder writes it.
fn from_folder(file: &Path, folder: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::Usage(format!("cannot read {}: {error}", file.display()));
    let real = std::fs::canonicalize(folder_of(file)).map_err(failed)?;
    let name = file.file_name().unwrap_or_default();
    let is_beside = std::fs::canonicalize(folder).is_ok_and(|folder| folder == real);
    let path = if is_beside { PathBuf::from(name) } else { real.join(name) };
    let text = path.to_str().ok_or_else(|| Failure::Usage(format!("{} is not UTF-8", path.display())))?;
    Ok(text.to_owned())
}

/// Writes a file as a whole or not at all. Replaces none unless `force`.
fn write(file: &Path, text: &str, mode: u32, force: bool) -> Result<(), Failure> {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    let failed = |error: std::io::Error| Failure::Usage(format!("cannot write {}: {error}", file.display()));
    let mut new = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(mode))
        .prefix(".claimgate-init-")
        .tempfile_in(folder_of(file))
        .map_err(failed)?;
    new.write_all(text.as_bytes()).and_then(|()| new.as_file().sync_all()).map_err(failed)?;
    let kept = if force { new.persist(file) } else { new.persist_noclobber(file) };
    kept.map(drop).map_err(|error| failed(error.error))
}
