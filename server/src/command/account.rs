//! `claimgate user show`, `rename`, `unlink` and `remove`, and `claimgate provider rename-issuer`: what a change of
//! provider or the erasure of a person needs.

use claimgate::oidc::accounts::{self, AccountError, Administrator, Severed};
use claimgate::oidc::records::RenamedIssuer;
use claimgate::oidc::user::User;
use serde_json::json;

use super::confirmation::confirm;
use super::database::{
    DatabaseArguments, Found, OpenDatabase, change, find, find_row, look, open, rehearse, settings,
};
use crate::command::output::{self, Failure, Format};
use crate::plural::count;
use crate::store::{AdminRecords, UserRow};
use crate::system;

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate user show ada\n  \
    claimgate user show ada --format json")]
pub(crate) struct ShowArguments {
    /// The username
    username: String,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    #[command(flatten)]
    database: DatabaseArguments,
}

#[derive(clap::Args)]
#[command(after_help = "Example:\n  claimgate user rename ada ada.lovelace\n\n\
    Links and sessions stay. Applications that know people by their username see a new person.")]
pub(crate) struct RenameArguments {
    /// The username
    username: String,
    /// The new username, kept as `[identity] normalise` says: in lower case unless it is "none"
    new_username: String,
    #[command(flatten)]
    database: DatabaseArguments,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate user unlink ada\n  \
    claimgate user unlink ada --issuer https://old-idp.example.com --yes\n\n\
    Ends the user's sessions. The next sign-in under the username may link the user again.")]
pub(crate) struct UnlinkArguments {
    /// The username
    username: String,
    /// Delete the links to this provider only
    #[arg(long, value_name = "ISSUER")]
    issuer: Option<String>,
    /// Unlink without asking
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    database: DatabaseArguments,
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    claimgate user remove ada\n  \
    claimgate user remove ada --yes\n\n\
    Erases the user with profile, teams, password, links and sessions. With create_users = true the \
    person's next sign-in makes a new user: to keep a person out, deactivate the user instead.\n\
    Backups and the log are not changed; logout records expire by themselves within the lifetime of a token.")]
pub(crate) struct RemoveArguments {
    /// The username
    username: String,
    /// Remove without asking
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    database: DatabaseArguments,
}

#[derive(clap::Subcommand)]
pub(crate) enum ProviderCommand {
    /// Give the links, sessions and logout records of one issuer to another, after a provider has changed its name
    #[command(after_help = "Examples:\n  \
        claimgate provider rename-issuer \\\n    https://old.example.com https://new.example.com\n  \
        claimgate provider rename-issuer \\\n    https://old.example.com https://new.example.com --yes\n\n\
        For a provider that keeps the subjects (`sub`) of its people. Otherwise `user unlink` lets each person be \
        linked again by username. Change `issuer` in the configuration file too.")]
    RenameIssuer {
        /// The issuer as it was
        old: String,
        /// The issuer as it is now, exactly as in the configuration file
        new: String,
        /// Rename without asking
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        database: DatabaseArguments,
    },
    /// Delete all links to an issuer and end its sessions, after a change to another provider
    #[command(after_help = "Examples:\n  \
        claimgate provider unlink https://old.example.com\n  \
        claimgate provider unlink https://old.example.com --yes\n\n\
        The next sign-in of each user may link it to the new provider's subject by username: see \
        link_by_username in the configuration file.")]
    Unlink {
        /// The issuer whose links are deleted
        issuer: String,
        /// Unlink without asking
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        database: DatabaseArguments,
    },
}

impl ShowArguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let store = open(&self.database.config)?;
        let found = find_row(&store, &self.username)?;
        let id = found.id();
        let now = system::now();
        let (links, sessions) = look(&store, move |records| {
            Ok::<_, AccountError>((records.list_links(id)?, records.list_sessions(Some(id), u32::MAX, now)?))
        })?;
        if self.format == Format::Json {
            let document = match found {
                Found::User(user) => json!({"user": user, "links": links, "sessions": sessions}),
                Found::Row(row, reason) => {
                    json!({"unreadable": reason, "row": row, "links": links, "sessions": sessions})
                }
            };
            return output::document(&document, self.format);
        }
        let mut text = match &found {
            Found::User(user) => described(user),
            Found::Row(row, reason) => as_written(row, reason),
        };
        for link in &links {
            text.push_str(&format!("  linked to {} at {}\n", link.subject, link.issuer));
        }
        text.push_str(&format!("  {}\n", count(sessions.len(), "session")));
        output::text(&text)
    }
}

fn described(user: &User) -> String {
    let state = if user.active { "active" } else { "inactive" };
    let mut text = format!("{}  {}  {state}\n", user.username, user.kind.name());
    for (field, value) in &user.profile {
        text.push_str(&format!("  {field}: {value}\n"));
    }
    for team in user.teams.keys() {
        text.push_str(&format!("  team {team}\n"));
    }
    text
}

fn as_written(row: &UserRow, reason: &str) -> String {
    let mut text = format!("{}  cannot be read ({reason}); the row as it is written:\n", row.username);
    let columns =
        [("kind", &row.kind), ("active", &row.active), ("profile", &row.profile), ("teams", &row.teams)];
    for (column, value) in columns {
        text.push_str(&format!("  {column}: {}\n", value.as_deref().unwrap_or("no text")));
    }
    text
}

impl RenameArguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let normalise = settings(&self.database.config)?.normalise;
        let store = open(&self.database.config)?;
        let user = find(&store, &self.username)?;
        let about = format!("{} to {}", user.username, self.new_username);
        let renamed = change(&store, ("user rename", &about), move |records| {
            let name = (self.new_username.as_str(), normalise);
            accounts::rename(records, Administrator::OPERATOR, user.id, name, system::now())
        })?;
        write(&format!("renamed {} to {}\n", user.username, renamed.username))
    }
}

impl UnlinkArguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let store = open(&self.database.config)?;
        let (user, issuer) = (find(&store, &self.username)?, self.issuer);
        let name = user.username.clone();
        let question = |found: Severed| {
            format!(
                "This deletes {} of {} and ends {}.",
                count(found.links, "link"),
                user.username,
                count(found.sessions, "session")
            )
        };
        let unlinked =
            confirmed(&store, self.yes, question, ("user unlink", &user.username), move |records| {
                let of = issuer.as_deref();
                let unlinked =
                    accounts::unlink(records, Administrator::OPERATOR, user.id, of, system::now())?;
                if unlinked.links == 0 {
                    let to = of.map(|issuer| format!(" to the issuer {issuer}")).unwrap_or_default();
                    return Err(nothing(&format!("{name} has no link{to}")));
                }
                Ok(unlinked)
            })?;
        write(&severed(unlinked))
    }
}

impl RemoveArguments {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let store = open(&self.database.config)?;
        let found = find_row(&store, &self.username)?;
        let (id, is_unreadable) = (found.id(), matches!(found, Found::Row(..)));
        let username = found.username().to_owned();
        let question = |found: Severed| {
            format!(
                "This erases the user {} with {} and {}. It cannot be undone.",
                username,
                count(found.links, "link"),
                count(found.sessions, "session")
            )
        };
        let remove = move |records: &mut dyn AdminRecords, by| -> Result<Severed, AccountError> {
            if is_unreadable {
                records.clear_user(id)?;
            }
            accounts::remove(records, by, id, system::now())
        };
        let undone = "`claimgate user add NAME --kind super-admin` adds another.";
        let by = operator(&store, self.yes, (&username, undone), |by| {
            move |records: &mut dyn AdminRecords| remove(records, by)
        })?;
        // The notice does not repeat the name that is erased.
        let about = format!("user {}", id.0);
        let removed = confirmed(&store, self.yes, question, ("user remove", &about), move |records| {
            Ok(remove(records, by)?)
        })?;
        write(&format!("removed {username}; {}", severed(removed)))
    }
}

impl ProviderCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            ProviderCommand::RenameIssuer { old, new, yes, database } => {
                rename_issuer(&open(&database.config)?, old, new, yes)
            }
            ProviderCommand::Unlink { issuer, yes, database } => {
                unlink_issuer(&open(&database.config)?, issuer, yes)
            }
        }
    }
}

fn rename_issuer(store: &OpenDatabase, old: String, new: String, yes: bool) -> Result<(), Failure> {
    let question = |found: RenamedIssuer| format!("This gives {} of {old} to {new}.", counted(found));
    let about = format!("{old} to {new}");
    let (from, to) = (old.clone(), new.clone());
    let renamed = confirmed(store, yes, question, ("provider rename-issuer", &about), move |records| {
        let renamed = accounts::rename_issuer(records, Administrator::OPERATOR, &from, &to)?;
        if (renamed.links, renamed.sessions, renamed.logouts) == (0, 0, 0) {
            return Err(nothing(&format!("no link, session or logout record is of the issuer {from}")));
        }
        Ok(renamed)
    })?;
    write(&format!("renamed {}\n", counted(renamed)))
}

fn unlink_issuer(store: &OpenDatabase, issuer: String, yes: bool) -> Result<(), Failure> {
    let question = |found: Severed| {
        let (links, sessions) = (count(found.links, "link"), count(found.sessions, "session"));
        format!("This deletes {links} to {issuer} and ends {sessions}.")
    };
    let of = issuer.clone();
    let unlinked = confirmed(store, yes, question, ("provider unlink", &issuer), move |records| {
        let unlinked = accounts::unlink_issuer(records, Administrator::OPERATOR, &of)?;
        if (unlinked.links, unlinked.sessions) == (0, 0) {
            return Err(nothing(&format!("no link and no session is of the issuer {of}")));
        }
        Ok(unlinked)
    })?;
    write(&severed(unlinked))
}

/// Returns the operator for a change of a user: one who has confirmed it, if it would leave no super-admin who can sign
/// in. `undone` says how it is undone.
///
/// # Errors
/// [`Failure::Usage`] unless it is confirmed; those of the change.
pub(super) fn operator<T, W>(
    store: &OpenDatabase,
    yes: bool,
    (username, undone): (&str, &str),
    change: impl FnOnce(Administrator) -> W,
) -> Result<Administrator, Failure>
where
    T: Send + 'static,
    W: FnOnce(&mut dyn AdminRecords) -> Result<T, AccountError> + Send + 'static,
{
    match rehearse(store, change(Administrator::OPERATOR)) {
        Ok(_) => Ok(Administrator::OPERATOR),
        Err(AccountError::LastSuperAdmin) => {
            let question = format!(
                "{username} is the last super-admin who can sign in. Without one, no one adds or changes super-admins over HTTP \
                 or in the console; {undone}"
            );
            confirm(&question, yes)?;
            Ok(Administrator::OPERATOR.even_the_last_super_admin())
        }
        Err(error) => Err(error.into()),
    }
}

/// Makes a change after a question that says what the change would do.
fn confirmed<T: Send + 'static>(
    store: &OpenDatabase,
    yes: bool,
    question: impl FnOnce(T) -> String,
    notice: (&'static str, &str),
    work: impl FnOnce(&mut dyn AdminRecords) -> Result<T, Failure> + Clone + Send + 'static,
) -> Result<T, Failure> {
    if !yes {
        confirm(&question(rehearse(store, work.clone())?), false)?;
    }
    change(store, notice, work)
}

/// Returns the refusal of a change that would change nothing, most often for a misspelled issuer.
fn nothing(found: &str) -> Failure {
    let message = format!(
        "{found}, so nothing was changed; `user show NAME` prints the issuers of a user's links, which are \
         compared to the letter"
    );
    Failure::Refused { code: "request.not_found", message }
}

/// Returns the line of what was lost.
fn severed(lost: Severed) -> String {
    format!("{} deleted; {} ended\n", count(lost.links, "link"), count(lost.sessions, "session"))
}

fn counted(renamed: RenamedIssuer) -> String {
    format!(
        "{}, {} and {}",
        count(renamed.links, "link"),
        count(renamed.sessions, "session"),
        count(renamed.logouts, "logout record")
    )
}

fn write(text: &str) -> Result<(), Failure> {
    output::text(text)
}
