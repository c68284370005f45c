//! `claimgate user` and `claimgate session`: on the database itself. A server that runs on it
//! follows within half a second.

use std::io::{BufRead, IsTerminal};
use std::path::{Path, PathBuf};

use crate::config::{Config, Provider};
use crate::store::{SqliteRecords, Store};
use crate::web::password;
use claimgate::claims::Claims;
use claimgate::identity::{Identity, check_username};
use claimgate::oidc::records::{Records, StoreError};
use claimgate::oidc::session::SessionId;
use claimgate::oidc::sign_in::{self, SignInError, SignedIn};
use claimgate::oidc::user::{User, UserKind};
use serde_json::json;
use zeroize::Zeroizing;

use crate::command::input;
use crate::command::output::{self, Failure, Format};

#[derive(clap::Args)]
pub(crate) struct Where {
    /// The configuration file, which names the database
    #[arg(long, value_name = "FILE", default_value = "claimgate.toml")]
    config: PathBuf,
}

#[derive(clap::Subcommand)]
pub(crate) enum UserCommand {
    /// Make a user
    #[command(after_help = "Examples:\n  \
        claimgate user add root --kind super-admin --config claimgate.toml\n  \
        printf %s \"$PASSWORD\" | claimgate user add root --kind admin --password-stdin\n\n\
        Without --password-stdin the password is asked for on a terminal; a user made without one\n\
        (--no-password) signs in through a provider only.")]
    Add {
        /// The name; at sign-in through a provider it is found by it once, and linked
        username: String,
        /// regular, admin, super-admin, portal, api or system
        #[arg(long, value_parser = kind, default_value = "regular")]
        kind: UserKind,
        /// Read the password from standard input
        #[arg(long, conflicts_with = "no_password")]
        password_stdin: bool,
        /// Set no password
        #[arg(long)]
        no_password: bool,
        /// Put the user into a team; may be given several times
        #[arg(long, value_name = "TEAM")]
        team: Vec<String>,
        #[command(flatten)]
        place: Where,
    },
    /// List users
    #[command(after_help = "Examples:\n  \
        claimgate user list\n  \
        claimgate user list --format json --config /etc/claimgate/claimgate.toml")]
    List {
        /// How to print them
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
        #[command(flatten)]
        place: Where,
    },
    /// Set a user's password; every session of the user ends
    #[command(after_help = "Example:\n  claimgate user passwd root")]
    Passwd {
        /// The name
        username: String,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        place: Where,
    },
    /// Close every door for a user and end every session
    #[command(after_help = "Example:\n  claimgate user deactivate ada")]
    Deactivate {
        /// The name
        username: String,
        #[command(flatten)]
        place: Where,
    },
    /// Open the doors again
    #[command(after_help = "Example:\n  claimgate user activate ada")]
    Activate {
        /// The name
        username: String,
        #[command(flatten)]
        place: Where,
    },
}

#[derive(clap::Subcommand)]
pub(crate) enum SessionCommand {
    /// List live sessions, newest first
    #[command(after_help = "Examples:\n  \
        claimgate session list\n  \
        claimgate session list --user ada --format json")]
    List {
        /// Only this user's
        #[arg(long, value_name = "USERNAME")]
        user: Option<String>,
        /// How many at most
        #[arg(long, default_value = "1000")]
        limit: u32,
        /// How to print them
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
        #[command(flatten)]
        place: Where,
    },
    /// End a session, or all of a user's
    #[command(after_help = "Examples:\n  \
        claimgate session end 0f3a…\n  \
        claimgate session end --user ada")]
    End {
        /// The session, as `session list` shows it
        #[arg(required_unless_present = "user", conflicts_with = "user")]
        session: Option<String>,
        /// All sessions of this user
        #[arg(long, value_name = "USERNAME")]
        user: Option<String>,
        #[command(flatten)]
        place: Where,
    },
}

fn kind(text: &str) -> Result<UserKind, String> {
    let names = || UserKind::ALL.map(|(name, _)| name).join(", ");
    UserKind::from_name(text).ok_or_else(|| format!("it is one of {}", names()))
}

impl UserCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            UserCommand::Add { username, kind, password_stdin, no_password, team, place } => {
                if check_username(&username).is_err() {
                    let rule = "a username has 1 to 255 characters, none of them a control or invisible";
                    return Err(Failure::Usage(rule.to_owned()));
                }
                if username.trim() != username || username.to_lowercase() != username {
                    eprintln!(
                        "note: a sign-in through a provider finds this user only where its mapping has \
                         normalise = \"none\"; otherwise names are looked up in lower case"
                    );
                }
                let store = open(&place.config)?;
                let hash = if no_password { None } else { Some(read_password(password_stdin)?) };
                let name = username.clone();
                let user = work(&store, move |records| {
                    if records.user_by_name(&name)?.is_some() {
                        return Ok(None);
                    }
                    let now = input::now();
                    let mut user = records.create_user(&name, kind, now)?;
                    let by_hand = claimgate::oidc::user::TeamSource::Hand;
                    user.teams = team.into_iter().map(|team| (team, by_hand)).collect();
                    records.update_user(&user, now)?;
                    if let Some(hash) = hash {
                        records.set_password(user.id, &hash, now)?;
                    }
                    Ok(Some(user))
                })?;
                let user = user.ok_or_else(|| Failure::Refused {
                    code: "request.taken",
                    message: format!("there is a user `{username}` already"),
                })?;
                output::write(format!("added {} ({})\n", user.username, user.kind.name()).as_bytes())
            }
            UserCommand::List { format, place } => list_users(&open(&place.config)?, format),
            UserCommand::Passwd { username, password_stdin, place } => {
                let store = open(&place.config)?;
                let user = find(&store, &username)?;
                let hash = read_password(password_stdin)?;
                let ended = work(&store, move |records| {
                    records.set_password(user.id, &hash, input::now())?;
                    records.end_sessions_of(user.id)
                })?;
                output::write(format!("password set; {ended} sessions ended\n").as_bytes())
            }
            UserCommand::Deactivate { username, place } => {
                set_active(&open(&place.config)?, &username, false)
            }
            UserCommand::Activate { username, place } => set_active(&open(&place.config)?, &username, true),
        }
    }
}

impl SessionCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            SessionCommand::List { user, limit, format, place } => {
                let store = open(&place.config)?;
                let user = user.map(|name| find(&store, &name)).transpose()?.map(|user| user.id);
                let sessions = work(&store, move |records| records.list_sessions(user, limit, input::now()))?;
                if format == Format::Json {
                    return output::document(&json!(sessions), format);
                }
                let mut text = String::new();
                for session in sessions {
                    text.push_str(&format!(
                        "{}  {}  created {}  expires {}  {}\n",
                        session.id,
                        session.username,
                        date(session.created),
                        date(session.expires),
                        session.issuer.as_deref().unwrap_or("password"),
                    ));
                }
                output::write(output::escaped(&text).as_bytes())
            }
            SessionCommand::End { session: Some(session), place, .. } => {
                let id = SessionId::from_hex(&session)
                    .ok_or_else(|| Failure::Usage("a session is 32 hexadecimal digits".to_owned()))?;
                let ended = work(&open(&place.config)?, move |records| records.end_session(id))?;
                match ended {
                    Some(_) => output::write(b"1 session ended\n"),
                    None => Err(Failure::Refused {
                        code: "request.not_found",
                        message: "there is no such session".to_owned(),
                    }),
                }
            }
            SessionCommand::End { user, place, .. } => {
                let store = open(&place.config)?;
                let user = find(&store, &user.unwrap_or_default())?;
                let ended = work(&store, move |records| records.end_sessions_of(user.id))?;
                output::write(format!("{ended} sessions ended\n").as_bytes())
            }
        }
    }
}

fn open(file: &Path) -> Result<Store, Failure> {
    let database = Config::database(file)
        .map_err(|error| Failure::Usage(format!("{error} [{}]", error.code())))?
        .ok_or_else(|| {
            Failure::Usage(format!("{}: there is no [server] section to name the database", file.display()))
        })?;
    Store::open(&database).map_err(|error| Failure::Usage(error.to_string()))
}

/// What a sign-in with these claims would do to the database, one line each.
pub(crate) fn dry_run(
    config: &Config,
    provider: &Provider,
    claims: &Claims,
    identity: &Identity,
    file: &Path,
) -> Result<Vec<String>, Failure> {
    let store = open(file)?;
    let issuer = provider.issuer.clone();
    let subject = claims.subject().unwrap_or_default().to_owned();
    let identity = identity.clone();
    let policy = config.sign_in;
    let mapping = provider.mapping.clone();
    let rehearsed = store.transact_blocking(move |records| -> Result<(), Rehearsed> {
        let fields: Vec<&str> = mapping.profile_fields().collect();
        let subject = (issuer.as_str(), subject.as_str());
        // An error in any case: nothing of it is kept.
        Err(Rehearsed(sign_in::receive(records, subject, &identity, &fields, &policy, input::now())))
    });
    let signed_in = match rehearsed {
        Ok(()) => return Ok(Vec::new()),
        Err(Rehearsed(Err(SignInError::Store(error)))) => return Err(Failure::Usage(error.to_string())),
        Err(Rehearsed(Err(error))) => return Ok(vec![format!("be refused: {error} [{}]", error.code())]),
        Err(Rehearsed(Ok(signed_in))) => signed_in,
    };
    let user = &signed_in.user.username;
    let mut lines = match (signed_in.created, signed_in.linked) {
        (true, _) => vec![format!("create the user {user:?}")],
        (false, true) => vec![format!("link this person to the user {user:?}")],
        (false, false) => Vec::new(),
    };
    lines.extend(signed_in.changes.iter().map(ToString::to_string));
    if lines.is_empty() {
        lines.push(format!("change nothing of {user:?}"));
    }
    Ok(lines)
}

/// What a rehearsal brought, as an error: the store then forgets it.
struct Rehearsed(Result<SignedIn, SignInError>);

impl From<StoreError> for Rehearsed {
    fn from(error: StoreError) -> Self {
        Self(Err(error.into()))
    }
}

fn work<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&mut SqliteRecords<'_>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Failure> {
    store.transact_blocking(work).map_err(|error| Failure::Usage(error.to_string()))
}

fn find(store: &Store, username: &str) -> Result<User, Failure> {
    let name = username.to_owned();
    work(store, move |records| records.user_by_name(&name))?.ok_or_else(|| Failure::Refused {
        code: "request.not_found",
        message: format!("there is no user `{username}`"),
    })
}

fn set_active(store: &Store, username: &str, active: bool) -> Result<(), Failure> {
    let id = find(store, username)?.id;
    let ended = work(store, move |records| {
        // Read here: a sign-in may have changed teams and profile since.
        let Some(mut user) = records.user(id)? else { return Ok(0) };
        user.active = active;
        records.update_user(&user, input::now())?;
        if active { Ok(0) } else { records.end_sessions_of(id) }
    })?;
    let done = if active { "activated".to_owned() } else { format!("deactivated; {ended} sessions ended") };
    output::write(format!("{done}\n").as_bytes())
}

fn list_users(store: &Store, format: Format) -> Result<(), Failure> {
    let mut users = Vec::new();
    let mut after = String::new();
    loop {
        let from = after.clone();
        let page = work(store, move |records| records.list_users(&from, 1000))?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.user.username);
        users.extend(page);
    }
    if format == Format::Json {
        return output::document(&json!(users), format);
    }
    let mut text = String::new();
    for listed in users {
        let user = &listed.user;
        text.push_str(&format!(
            "{}  {}  {}{}  {} sessions  {}\n",
            user.username,
            user.kind.name(),
            if user.active { "active" } else { "inactive" },
            if listed.has_password { ", password" } else { "" },
            listed.sessions,
            user.teams.keys().cloned().collect::<Vec<_>>().join(", "),
        ));
    }
    output::write(output::escaped(&text).as_bytes())
}

fn read_password(stdin: bool) -> Result<String, Failure> {
    let usage = |error: std::io::Error| Failure::Usage(format!("cannot read the password: {error}"));
    let password = if stdin {
        let mut line = Zeroizing::new(String::new());
        std::io::stdin().lock().read_line(&mut line).map_err(usage)?;
        Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned())
    } else if std::io::stdin().is_terminal() {
        let first = Zeroizing::new(rpassword::prompt_password("Password: ").map_err(usage)?);
        let again = Zeroizing::new(rpassword::prompt_password("Again: ").map_err(usage)?);
        if first != again {
            return Err(Failure::Usage("the two passwords differ".to_owned()));
        }
        first
    } else {
        return Err(Failure::Usage(
            "there is no terminal to ask for the password on; use --password-stdin or --no-password"
                .to_owned(),
        ));
    };
    password::hash(&password).map_err(|error| Failure::Usage(error.to_string()))
}

fn date(seconds: i64) -> String {
    let date = time::OffsetDateTime::from_unix_timestamp(seconds).ok();
    let format = time::format_description::well_known::Rfc3339;
    date.and_then(|date| date.format(&format).ok()).unwrap_or_else(|| seconds.to_string())
}
