//! `claimgate user`: works on the database; running servers follow.

use std::io::{BufRead, IsTerminal};
use std::path::Path;

use claimgate::oidc::accounts::{self, AccountError, Administrator, Changed, NewUser, UserChanges};
use claimgate::oidc::user::{User, UserId, UserKind};
use serde_json::json;
use zeroize::Zeroizing;

use super::account::{RemoveArguments, RenameArguments, ShowArguments, UnlinkArguments, operator};
use super::database::{DatabaseArguments, OpenDatabase, change, find, look, open, open_or_create, settings};
use crate::command::output::{self, Failure, Format};
use crate::plural::count;
use crate::store::{AdminRecords, ListedUser};
use crate::system;
use crate::web::password;

#[derive(clap::Subcommand)]
pub(crate) enum UserCommand {
    /// Add a user
    Add(AddArguments),
    /// List users
    #[command(after_help = "Examples:\n  \
        claimgate user list\n  \
        claimgate user list --format json --config /etc/claimgate/claimgate.toml")]
    List {
        /// Output format
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
        #[command(flatten)]
        database: DatabaseArguments,
    },
    /// Show a user with its profile, teams, links and sessions
    Show(ShowArguments),
    /// Give a user another username
    Rename(RenameArguments),
    /// Delete the links of a user to a provider's subjects and end all sessions
    Unlink(UnlinkArguments),
    /// Erase a user with everything that is recorded of the person
    Remove(RemoveArguments),
    /// Set a user's password and end all sessions of the user
    #[command(after_help = "Example:\n  claimgate user passwd root")]
    Passwd {
        /// The username
        username: String,
        /// Read the password from standard input
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        database: DatabaseArguments,
    },
    /// Refuse all sign-ins of a user and end all sessions
    #[command(after_help = "Example:\n  claimgate user deactivate ada\n\n\
        Of the last super-admin who can sign in it asks first: without one, no one adds or changes super-admins over HTTP or in the console.")]
    Deactivate {
        /// The username
        username: String,
        /// Switch off the last super-admin without asking
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        database: DatabaseArguments,
    },
    /// Allow a deactivated user to sign in again
    #[command(after_help = "Example:\n  claimgate user activate ada")]
    Activate {
        /// The username
        username: String,
        #[command(flatten)]
        database: DatabaseArguments,
    },
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate user add root --kind super-admin --config claimgate.toml\n  \
    printf %s \"$PASSWORD\" |\n    claimgate user add root --kind admin --password-stdin\n\n\
    Without --password-stdin a terminal asks for the password. A user without a password \
    (--no-password) can sign in only through a provider.")]
pub(crate) struct AddArguments {
    /// The username, kept as `[identity] normalise` says: in lower case unless it is "none"
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
    /// Add the user to a team; may be given several times
    #[arg(long, value_name = "TEAM")]
    team: Vec<String>,
    #[command(flatten)]
    database: DatabaseArguments,
}

fn kind(text: &str) -> Result<UserKind, String> {
    let names = || UserKind::ALL.map(|(name, _)| name).join(", ");
    UserKind::from_name(text).ok_or_else(|| format!("must be one of {}", names()))
}

impl UserCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            UserCommand::Show(arguments) => arguments.run(),
            UserCommand::Rename(arguments) => arguments.run(),
            UserCommand::Unlink(arguments) => arguments.run(),
            UserCommand::Remove(arguments) => arguments.run(),
            UserCommand::Add(user) => user.add(),
            UserCommand::List { format, database } => list(&open(&database.config)?, format),
            UserCommand::Passwd { username, password_stdin, database } => {
                set_password(&open(&database.config)?, &username, password_stdin)
            }
            UserCommand::Deactivate { username, yes, database } => {
                deactivate(&open(&database.config)?, &username, yes)
            }
            UserCommand::Activate { username, database } => activate(&open(&database.config)?, &username),
        }
    }
}

impl AddArguments {
    fn add(self) -> Result<(), Failure> {
        let AddArguments { username, kind, password_stdin, no_password, team, database } = self;
        let normalise = settings(&database.config)?.normalise;
        let mut user = NewUser::new(Administrator::OPERATOR, &username, normalise, kind)?;
        user.teams = team.into_iter().collect();
        user.password_hash = if no_password { None } else { Some(read_password(password_stdin)?) };
        let added = add(&database.config, &username, user)?;
        output::text(&format!("added {} ({})\n", added.username, added.kind.name()))
    }
}

/// Adds a user, whose username was given as `username`, to the database that a configuration file names.
pub(super) fn add(config: &Path, username: &str, user: NewUser) -> Result<User, Failure> {
    change(&open_or_create(config)?, ("user add", username), move |records| {
        accounts::add(records, Administrator::OPERATOR, user, system::now())
    })
}

fn set_password(store: &OpenDatabase, username: &str, stdin: bool) -> Result<(), Failure> {
    let id = find(store, username)?.id;
    let hash = read_password(stdin)?;
    let ended = change(store, ("user passwd", username), move |records| {
        accounts::set_password(records, Administrator::OPERATOR, id, &hash, system::now())
    })?;
    output::text(&format!("password set; {} ended\n", count(ended, "session")))
}

fn activate(store: &OpenDatabase, username: &str) -> Result<(), Failure> {
    let id = find(store, username)?.id;
    change(store, ("user activate", username), set_active(id, true, Administrator::OPERATOR))?;
    output::write(b"activated\n")
}

fn deactivate(store: &OpenDatabase, username: &str, yes: bool) -> Result<(), Failure> {
    let user = find(store, username)?;
    let undone = format!("`claimgate user activate {}` undoes it.", user.username);
    let by = operator(store, yes, (&user.username, &undone), |by| set_active(user.id, false, by))?;
    let changed = change(store, ("user deactivate", username), set_active(user.id, false, by))?;
    output::text(&format!("deactivated; {} ended\n", count(changed.ended, "session")))
}

/// Returns the work that switches a user on or off.
fn set_active(
    id: UserId,
    active: bool,
    by: Administrator,
) -> impl FnOnce(&mut dyn AdminRecords) -> Result<Changed, AccountError> + Send + 'static {
    let changes = UserChanges { active: Some(active), ..UserChanges::default() };
    move |records| accounts::change(records, by, id, changes, system::now())
}

fn list(store: &OpenDatabase, format: Format) -> Result<(), Failure> {
    let users = all_users(store)?;
    if format == Format::Json {
        return output::document(&json!(users), format);
    }
    let mut text = String::new();
    for listed in users {
        let user = &listed.user;
        text.push_str(&format!(
            "{}  {}  {}{}  {}  {}\n",
            user.username,
            user.kind.name(),
            if user.active { "active" } else { "inactive" },
            if listed.has_password { ", password" } else { "" },
            count(listed.sessions, "session"),
            user.teams.keys().cloned().collect::<Vec<_>>().join(", "),
        ));
    }
    output::text(&text)
}

/// Returns all users by name, page by page: a page is one transaction.
fn all_users(store: &OpenDatabase) -> Result<Vec<ListedUser>, Failure> {
    let mut users: Vec<ListedUser> = Vec::new();
    loop {
        let after = users.last().map_or_else(String::new, |last| last.user.username.clone());
        let page = look(store, move |records| records.list_users(&after, 1000))?;
        if page.is_empty() {
            return Ok(users);
        }
        users.extend(page);
    }
}

/// Reads a new password, from standard input or twice from a terminal, and returns its hash.
pub(super) fn read_password(stdin: bool) -> Result<String, Failure> {
    let usage = |error: std::io::Error| Failure::Usage(format!("cannot read the password: {error}"));
    let password = if stdin {
        let mut line = Zeroizing::new(String::new());
        std::io::stdin().lock().read_line(&mut line).map_err(usage)?;
        Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned())
    } else if std::io::stdin().is_terminal() {
        loop {
            let first = Zeroizing::new(rpassword::prompt_password("Password: ").map_err(usage)?);
            match password::hash(&first) {
                Err(error) => eprintln!("{error}"),
                Ok(hash) => {
                    let repeated = rpassword::prompt_password("Repeat the password: ").map_err(usage)?;
                    if first == Zeroizing::new(repeated) {
                        return Ok(hash);
                    }
                    eprintln!("the two passwords differ");
                }
            }
        }
    } else {
        return Err(Failure::Usage(
            "there is no terminal to ask for the password: give it by standard input, with the option that --help names".to_owned(),
        ));
    };
    password::hash(&password).map_err(|error| Failure::Usage(error.to_string()))
}
