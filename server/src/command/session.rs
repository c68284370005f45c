//! `claimgate session`: works on the database; running servers follow.

use claimgate::oidc::accounts::{self, AccountError, Administrator};
use claimgate::oidc::session::SessionId;
use serde_json::json;

use super::database::{DatabaseArguments, OpenDatabase, change, find, look, open};
use crate::command::output::{self, Failure, Format};
use crate::plural::count;
use crate::system;

#[derive(clap::Subcommand)]
pub(crate) enum SessionCommand {
    /// List live sessions, newest first
    #[command(after_help = "Examples:\n  \
        claimgate session list\n  \
        claimgate session list --user ada --format json")]
    List {
        /// List only this user's sessions
        #[arg(long, value_name = "USERNAME")]
        user: Option<String>,
        /// Maximum number of sessions to list
        #[arg(long, default_value = "1000")]
        limit: u32,
        /// Output format
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
        #[command(flatten)]
        database: DatabaseArguments,
    },
    /// End one session, or all sessions of a user
    #[command(after_help = "Examples:\n  \
        claimgate session end 0f3a…\n  \
        claimgate session end --user ada")]
    End {
        /// The session's identifier, as `session list` shows it
        #[arg(required_unless_present = "user", conflicts_with = "user")]
        session: Option<String>,
        /// End all sessions of this user
        #[arg(long, value_name = "USERNAME")]
        user: Option<String>,
        #[command(flatten)]
        database: DatabaseArguments,
    },
}

impl SessionCommand {
    pub(crate) fn run(self) -> Result<(), Failure> {
        match self {
            SessionCommand::List { user, limit, format, database } => {
                list(&open(&database.config)?, user.as_deref(), limit, format)
            }
            SessionCommand::End { session: Some(session), database, .. } => {
                let id = SessionId::from_hex(&session).ok_or_else(|| {
                    Failure::Usage(
                        "a session identifier is 32 hexadecimal digits; `session list` shows them".to_owned(),
                    )
                })?;
                change(&open(&database.config)?, ("session end", &session), move |records| {
                    accounts::end_session(records, Administrator::OPERATOR, id).map_err(unknown)
                })?;
                output::write(b"1 session ended\n")
            }
            SessionCommand::End { user, database, .. } => {
                let store = open(&database.config)?;
                let user = find(&store, &user.unwrap_or_default())?;
                let ended = change(&store, ("session end", &user.username), move |records| {
                    accounts::end_sessions(records, Administrator::OPERATOR, user.id)
                })?;
                output::text(&format!("{} ended\n", count(ended, "session")))
            }
        }
    }
}

/// Returns the failure to end a session, which says so where there is no such session.
fn unknown(error: AccountError) -> Failure {
    match error {
        AccountError::NotFound => Failure::Refused {
            code: error.code(),
            message: "there is no live session with this identifier; `session list` shows them".to_owned(),
        },
        error => error.into(),
    }
}

fn list(store: &OpenDatabase, user: Option<&str>, limit: u32, format: Format) -> Result<(), Failure> {
    let user = user.map(|name| find(store, name)).transpose()?.map(|user| user.id);
    let sessions = look(store, move |records| records.list_sessions(user, limit, system::now()))?;
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
    output::text(&text)
}

/// Formats a time as in RFC 3339.
fn date(seconds: i64) -> String {
    let date = time::OffsetDateTime::from_unix_timestamp(seconds).ok();
    let format = time::format_description::well_known::Rfc3339;
    date.and_then(|date| date.format(&format).ok()).unwrap_or_else(|| seconds.to_string())
}
