//! Events: who signed in, who was refused, who signed out and what administrators changed. They are kept for a time,
//! for operators to ask.
//!
//! # Order
//!
//! The number of an event is its time, in microseconds since 1970, by the clock of the store: the server's, or
//! PostgreSQL's. It is greater than that of each event before it, whatever the clock does, so that a reader who asks
//! for the events after a number misses none.
//!
//! # Limits
//!
//! Each kind has its own limit on the number of events that are kept: refusals, which strangers cause as they like,
//! displace no sign-in, and sign-ins displace no change of an administrator.

pub(super) mod sqlite;

use std::net::IpAddr;
use std::time::Duration;

use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

use claimgate::oidc::sign_in::{Account, Person, Plan, SignedIn};
use claimgate::oidc::user::{User, UserId, UserKind};

/// The longest text of an event, in characters. Texts of tokens and of clients are cut there.
const MAX_TEXT: usize = 300;
/// Most events that one answer holds.
pub const MAX_PAGE: u32 = 1_000;
/// Most minutes that are counted at once: a week.
pub const MAX_MINUTES: u32 = 7 * 24 * 60;
/// Most events deleted in one step of a purge.
pub(super) const PURGED_EVENTS: u32 = 1_000;

/// Returns what the event of a sign-in says that created a user of a kind.
fn created(kind: UserKind) -> &'static str {
    if kind.is_admin() { "the user was created as an administrator" } else { "the user was created" }
}

/// What the event of a sign-in says that linked a user.
const LINKED: &str = "the user was linked";

/// Stands for the administrator of a change that a command has made.
pub const BY_COMMAND: &str = "(command)";

/// A kind of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventKind {
    /// A person has signed in.
    SignIn,
    /// A sign-in was refused, or failed.
    Refusal,
    /// A request to an application was refused.
    AccessRefusal,
    /// A person has signed out, or the provider has ended sessions.
    Logout,
    /// An administrator has changed something.
    Administration,
}

impl EventKind {
    /// Every kind.
    pub const ALL: [Self; 5] =
        [Self::SignIn, Self::Refusal, Self::AccessRefusal, Self::Logout, Self::Administration];

    /// Returns the name that commands and the API use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            EventKind::SignIn => "sign_in",
            EventKind::Refusal => "refusal",
            EventKind::AccessRefusal => "access_refusal",
            EventKind::Logout => "logout",
            EventKind::Administration => "administration",
        }
    }

    /// Returns the kind of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Returns the number by which the store knows the kind.
    pub(super) fn number(self) -> i16 {
        match self {
            EventKind::SignIn => 1,
            EventKind::Refusal => 2,
            EventKind::AccessRefusal => 3,
            EventKind::Logout => 4,
            EventKind::Administration => 5,
        }
    }

    /// Returns the kind of a number.
    pub(super) fn from_number(number: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

impl Serialize for EventKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// An event to record. Its texts are cut to 300 characters; none may hold a secret or a token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    pub(super) kind: EventKind,
    pub(super) code: &'static str,
    pub(super) user: Option<String>,
    pub(super) user_id: Option<i64>,
    /// With `subject`: whom the link of a subject names, where `user` does not. It is not kept.
    pub(super) issuer: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) client: Option<IpAddr>,
    pub(super) application: Option<String>,
    pub(super) rule: Option<String>,
    pub(super) admin: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) count: u32,
}

/// Returns a text as it is kept: cut, and without the character that PostgreSQL refuses.
fn kept(text: &str) -> String {
    text.chars().filter(|character| *character != '\0').take(MAX_TEXT).collect()
}

impl Event {
    /// Makes an event of a kind. `code` says what exactly has happened: the code of a refusal, the way of a sign-in
    /// or a logout, or the change that was made.
    #[must_use]
    pub fn new(kind: EventKind, code: &'static str) -> Self {
        Self {
            kind,
            code,
            user: None,
            user_id: None,
            issuer: None,
            provider: None,
            subject: None,
            client: None,
            application: None,
            rule: None,
            admin: None,
            detail: None,
            count: 1,
        }
    }

    /// Names the user whom it concerns, or the username that was tried.
    #[must_use]
    pub fn user(self, username: &str) -> Self {
        Self { user: Some(kept(username)), ..self }
    }

    /// Names the user whom it concerns by the identifier.
    #[must_use]
    pub fn user_id(self, id: UserId) -> Self {
        Self { user_id: Some(id.0), ..self }
    }

    /// Names the subject at an issuer whose user it concerns, where no user is named.
    #[must_use]
    pub fn subject_of(self, issuer: &str, subject: &str) -> Self {
        Self { issuer: Some(issuer.to_owned()), ..self }.subject(subject)
    }

    /// Names the provider's subject.
    #[must_use]
    pub fn subject(self, subject: &str) -> Self {
        Self { subject: Some(kept(subject)), ..self }
    }

    /// Names the provider, by its id in the configuration.
    #[must_use]
    pub fn provider(self, id: &str) -> Self {
        Self { provider: Some(kept(id)), ..self }
    }

    /// Sets the client's address.
    #[must_use]
    pub fn client(self, address: Option<IpAddr>) -> Self {
        Self { client: address, ..self }
    }

    /// Names the application, by its address without path and query.
    #[must_use]
    pub fn application(self, address: &str) -> Self {
        Self { application: Some(kept(address)), ..self }
    }

    /// Names the rule that decided.
    #[must_use]
    pub fn rule(self, rule: &str) -> Self {
        Self { rule: Some(kept(rule)), ..self }
    }

    /// Names the administrator who made the change.
    #[must_use]
    pub fn by(self, admin: &str) -> Self {
        Self { admin: Some(kept(admin)), ..self }
    }

    /// Adds what else there is to know, if anything.
    #[must_use]
    pub fn detail(self, detail: &str) -> Self {
        Self { detail: Some(kept(detail)).filter(|detail| !detail.is_empty()), ..self }
    }

    /// Sets how often it has happened.
    #[must_use]
    pub fn count(self, count: u32) -> Self {
        Self { count, ..self }
    }

    /// Returns the event of a change of kind by the groups of the sign-in that this is the event of.
    pub(super) fn of_kind(&self, user: &User, from: UserKind, to: UserKind) -> Self {
        let by = format!("(provider {})", self.provider.as_deref().unwrap_or_default());
        let event = Self { kind: EventKind::Administration, code: "user change", ..self.clone() };
        let detail = format!("kind {} to {}, by groups", from.name(), to.name());
        event.user(&user.username).user_id(user.id).by(&by).detail(&detail)
    }

    /// Completes the event of a sign-in through a provider, once that is written.
    pub(super) fn of_sign_in(self, person: &Person, signed_in: &SignedIn) -> Self {
        let event = self.user(&signed_in.user.username).subject(person.lookup().subject);
        match (signed_in.created, signed_in.linked) {
            (true, _) => event.detail(created(signed_in.user.kind)),
            (false, true) => event.detail(LINKED),
            (false, false) => event,
        }
    }

    /// Completes the event of a sign-in through a provider that is to be written.
    pub(super) fn of_plan(self, plan: &Plan) -> Self {
        let event = self.subject(&plan.origin.subject);
        match &plan.account.account {
            Account::Linked(user, _) => event.user(&user.username),
            Account::Unlinked(user, _) => event.user(&user.username).detail(LINKED),
            Account::New { username, kind, .. } => event.user(username).detail(created(*kind)),
        }
    }

    /// Returns the kind.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        self.kind
    }
}

/// An event that was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedEvent {
    /// Its number: its time, in microseconds since 1970.
    pub id: i64,
    /// Its kind.
    pub kind: EventKind,
    /// What exactly has happened.
    pub code: String,
    /// The user whom it concerns, or the username that was tried.
    pub user: Option<String>,
    /// The provider's id.
    pub provider: Option<String>,
    /// The provider's subject.
    pub subject: Option<String>,
    /// The client's address.
    pub client: Option<String>,
    /// The application, by its address without path and query.
    pub application: Option<String>,
    /// The rule that decided.
    pub rule: Option<String>,
    /// The administrator who made the change.
    pub admin: Option<String>,
    /// What else there is to know.
    pub detail: Option<String>,
    /// How often it has happened.
    pub count: u32,
}

impl ListedEvent {
    /// Returns its time as RFC 3339 has it.
    #[must_use]
    pub fn time(&self) -> String {
        rfc3339(self.id)
    }

    /// Returns the members that are there, beside time and kind, each with its name.
    pub fn members(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let members = [
            ("code", Some(&self.code)),
            ("user", self.user.as_ref()),
            ("provider", self.provider.as_ref()),
            ("subject", self.subject.as_ref()),
            ("client", self.client.as_ref()),
            ("application", self.application.as_ref()),
            ("rule", self.rule.as_ref()),
            ("by", self.admin.as_ref()),
            ("detail", self.detail.as_ref()),
        ];
        members.into_iter().filter_map(|(name, value)| Some((name, value?.as_str())))
    }
}

impl Serialize for ListedEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("time", &self.time())?;
        map.serialize_entry("kind", &self.kind)?;
        for (name, value) in self.members() {
            map.serialize_entry(name, value)?;
        }
        map.serialize_entry("count", &self.count)?;
        map.end()
    }
}

/// Returns a time in microseconds since 1970 as RFC 3339 has it.
fn rfc3339(micros: i64) -> String {
    let date = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000).ok();
    let format = time::format_description::well_known::Rfc3339;
    date.and_then(|date| date.format(&format).ok()).unwrap_or_else(|| micros.to_string())
}

/// The end of the events at which a page begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PageOrder {
    /// The newest event comes first.
    #[default]
    NewestFirst,
    /// The oldest event comes first.
    OldestFirst,
}

/// What events to list.
#[derive(Clone, Debug, Default)]
pub struct EventQuery {
    /// The kinds; all if there are none.
    pub kinds: Vec<EventKind>,
    /// The user whom they concern, or who made the change.
    pub user: Option<String>,
    /// The provider, by its id.
    pub provider: Option<String>,
    /// Only events with at least this number.
    pub from: Option<i64>,
    /// Only events with a smaller number than this.
    pub before: Option<i64>,
    /// The order.
    pub order: PageOrder,
    /// Most events to return, up to [`MAX_PAGE`].
    pub limit: u32,
}

impl EventQuery {
    /// Returns the numbers of the kinds.
    pub(super) fn numbers(&self) -> Vec<i16> {
        let kinds = if self.kinds.is_empty() { &EventKind::ALL[..] } else { &self.kinds[..] };
        let mut numbers: Vec<i16> = kinds.iter().map(|kind| kind.number()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Returns the provider that is asked for.
    pub(super) fn provider(&self) -> Option<String> {
        self.provider.as_deref().map(kept)
    }

    /// Returns the names under which the user is looked for: as it is written, and in its normal form.
    pub(super) fn names(&self) -> Option<[String; 2]> {
        use claimgate::identity::{Normalisation, normal_username};
        let written = kept(self.user.as_deref()?);
        let normal = normal_username(&written, Normalisation::Default).unwrap_or_else(|_| written.clone());
        Some([written, normal])
    }
}

/// How often events of a kind happened within a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EventCount {
    /// The beginning of the minute, in seconds since 1970.
    pub minute: i64,
    /// The kind.
    pub kind: EventKind,
    /// How often they happened.
    pub count: u64,
}

/// How long events are kept, and how many.
#[derive(Clone, Copy, Debug)]
pub struct EventLimits {
    /// How long an event is kept.
    pub retention: Duration,
    /// Most events of a kind that are kept.
    pub max: u32,
}

/// Returns the name that takes the place of a user's in events once the user is erased.
pub(super) fn erased_name(id: UserId) -> String {
    format!("(removed user {})", id.0)
}

/// An event as a row, to carry it from one store to another.
#[derive(Serialize, Deserialize)]
pub(super) struct EventRow {
    pub(super) kind: i16,
    pub(super) id: i64,
    pub(super) n: i64,
    pub(super) code: String,
    pub(super) user_id: Option<i64>,
    pub(super) username: Option<String>,
    pub(super) provider: Option<String>,
    pub(super) subject: Option<String>,
    pub(super) client: Option<String>,
    pub(super) application: Option<String>,
    pub(super) rule: Option<String>,
    pub(super) admin_id: Option<i64>,
    pub(super) admin: Option<String>,
    pub(super) detail: Option<String>,
    pub(super) count: i64,
}
