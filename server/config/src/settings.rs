//! The settings that exist, by table, from the types they are read into; and the faults of a file
//! that names others.

use claimgate::access::{ApplicationSpec, ConditionSpec, HeaderSpec, HeadersSpec, RuleSpec};
use claimgate::claims::ClaimSpec;
use claimgate::identity::{GroupDetail, MappingSpec, SettingPath, TeamSpec};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, Visitor, value};
use serde::forward_to_deserialize_any;
use toml::de::{DeTable, DeValue};

use super::document::Document;
use super::error::{ConfigError, Fault, Problem, Reason};
use super::raw;

/// A table of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// The file itself.
    File,
    /// `[server]`
    Server,
    /// `[store]`
    Store,
    /// `[events]`
    Events,
    /// `[pages]`
    Pages,
    /// `[sign_in]`
    SignIn,
    /// `[[provider]]`
    Provider,
    /// `[provider.verify]`
    Verify,
    /// `[provider.security_events]`
    SecurityEvents,
    /// `[[provider.claim]]`, `[[provider.verify.claim]]`, `[[application.claim]]` and `[[application.rule.claim]]`
    Claim,
    /// `[identity]` and `[provider.identity]`
    Identity,
    /// A table in `groups` of `[identity]`
    Group,
    /// `[[identity.team]]`
    Team,
    /// `[[application]]`
    Application,
    /// `[[application.rule]]`
    Rule,
    /// A table in `any_of` of `[[application.rule]]`
    Condition,
    /// `[headers]` and `[application.headers]`
    Headers,
    /// A table in `header` of `[headers]`
    Header,
    /// `[[admin_client]]`
    AdminClient,
}

impl Table {
    /// Every table.
    pub const ALL: [Table; 19] = [
        Table::File,
        Table::Server,
        Table::Store,
        Table::Events,
        Table::Pages,
        Table::SignIn,
        Table::Provider,
        Table::Verify,
        Table::SecurityEvents,
        Table::Claim,
        Table::Identity,
        Table::Group,
        Table::Team,
        Table::Application,
        Table::Rule,
        Table::Condition,
        Table::Headers,
        Table::Header,
        Table::AdminClient,
    ];

    /// Returns the heading of the table in a file, for people.
    #[must_use]
    pub fn heading(self) -> &'static str {
        match self {
            Table::File => "the file itself",
            Table::Server => "[server]",
            Table::Store => "[store]",
            Table::Events => "[events]",
            Table::Pages => "[pages]",
            Table::SignIn => "[sign_in]",
            Table::Provider => "[[provider]]",
            Table::Verify => "[provider.verify]",
            Table::SecurityEvents => "[provider.security_events]",
            Table::Claim => "[[provider.claim]]",
            Table::Identity => "[identity]",
            Table::Group => "`groups` of [identity]",
            Table::Team => "[[identity.team]]",
            Table::Application => "[[application]]",
            Table::Rule => "[[application.rule]]",
            Table::Condition => "`any_of` of [[application.rule]]",
            Table::Headers => "[headers]",
            Table::Header => "`header` of [headers]",
            Table::AdminClient => "[[admin_client]]",
        }
    }

    /// Returns the names of the table's settings.
    #[must_use]
    pub fn settings(self) -> &'static [&'static str] {
        match self {
            Table::File => &[
                "server",
                "store",
                "events",
                "pages",
                "sign_in",
                "provider",
                "identity",
                "application",
                "headers",
                "admin_client",
            ],
            Table::Server => fields::<raw::Server>(),
            Table::Store => fields::<raw::Store>(),
            Table::Events => fields::<raw::Events>(),
            Table::Pages => fields::<raw::Pages>(),
            Table::SignIn => fields::<raw::SignIn>(),
            Table::Provider => fields::<raw::Provider>(),
            Table::Verify => fields::<raw::Verify>(),
            Table::SecurityEvents => fields::<raw::SecurityEvents>(),
            Table::Claim => fields::<ClaimSpec>(),
            Table::Identity => fields::<MappingSpec>(),
            Table::Group => fields::<GroupDetail>(),
            Table::Team => fields::<TeamSpec>(),
            Table::Application => fields::<ApplicationSpec>(),
            Table::Rule => fields::<RuleSpec>(),
            Table::Condition => fields::<ConditionSpec>(),
            Table::Headers => fields::<HeadersSpec>(),
            Table::Header => fields::<HeaderSpec>(),
            Table::AdminClient => fields::<raw::AdminClient>(),
        }
    }

    /// Returns the table that a setting of this one is, and how often it may occur.
    fn child(self, setting: &str) -> Option<(Table, Occurs)> {
        match (self, setting) {
            (Table::File, "server") => Some((Table::Server, Occurs::Once)),
            (Table::File, "store") => Some((Table::Store, Occurs::Once)),
            (Table::File, "events") => Some((Table::Events, Occurs::Once)),
            (Table::File, "pages") => Some((Table::Pages, Occurs::Once)),
            (Table::File, "sign_in") => Some((Table::SignIn, Occurs::Once)),
            (Table::File, "provider") => Some((Table::Provider, Occurs::Repeatedly)),
            (Table::Provider, "verify") => Some((Table::Verify, Occurs::Once)),
            (Table::Provider, "security_events") => Some((Table::SecurityEvents, Occurs::Once)),
            (
                Table::Provider | Table::Verify | Table::Application | Table::Rule | Table::Condition,
                "claim",
            ) => Some((Table::Claim, Occurs::Repeatedly)),
            (Table::File | Table::Provider, "identity") => Some((Table::Identity, Occurs::Once)),
            (Table::Identity, "groups") => Some((Table::Group, Occurs::Repeatedly)),
            (Table::Identity, "team") => Some((Table::Team, Occurs::Repeatedly)),
            (Table::File, "application") => Some((Table::Application, Occurs::Repeatedly)),
            (Table::Application, "rule") => Some((Table::Rule, Occurs::Repeatedly)),
            (Table::Rule, "any_of") => Some((Table::Condition, Occurs::Repeatedly)),
            (Table::File | Table::Application, "headers") => Some((Table::Headers, Occurs::Once)),
            (Table::File, "admin_client") => Some((Table::AdminClient, Occurs::Repeatedly)),
            (Table::Headers, "header") => Some((Table::Header, Occurs::Repeatedly)),
            _ => None,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Occurs {
    Once,
    Repeatedly,
}

/// Spellings of earlier versions: the table, the setting, and what takes its place.
const RENAMED: [(Table, &str, &str); 9] = [
    (Table::Provider, "name", "is now `id`, part of addresses; the name that people see is `display_name`"),
    (Table::Provider, "title", "is now `display_name`"),
    (Table::Provider, "token", "is now `kind` of [provider.verify]"),
    (Table::Provider, "audience", "is now `audience` of [provider.verify]"),
    (Table::Provider, "allow_http", "is now `danger_allow_http`"),
    (Table::Provider, "allow_short_secret", "is now `danger_allow_short_secret`"),
    (Table::Provider, "logout_without_exp", "is now `danger_logout_without_exp`"),
    (Table::Provider, "rsa_kernel", "is now a setting of [server], for all providers"),
    (
        Table::SignIn,
        "replace_all_teams",
        "is now `keep_hand_given_teams`, with the opposite meaning: write `keep_hand_given_teams = false` for `replace_all_teams = true`",
    ),
];

/// How alike an unknown name must be to a setting's to be taken for a misspelling, from 0 to 1.
const ALIKE: f64 = 0.8;

/// Checks that all names in a document are settings, and that tables and lists of tables are written
/// as such.
///
/// # Errors
/// A [`ConfigError`] with those faults.
pub(super) fn check(document: &Document<'_>) -> Result<(), ConfigError> {
    let mut faults = Vec::new();
    if let Some(root) = document.value(&SettingPath::default()) {
        table(document, Table::File, root.get_ref(), &SettingPath::default(), &mut faults);
    }
    if faults.is_empty() { Ok(()) } else { Err(ConfigError::new(faults)) }
}

fn table(
    document: &Document<'_>,
    of: Table,
    value: &DeValue<'_>,
    path: &SettingPath,
    faults: &mut Vec<Fault>,
) {
    let Some(members) = value.as_table() else { return };
    for (key, value) in members {
        let name: &str = key.get_ref();
        let path = path.name(name);
        if !of.settings().contains(&name) {
            let problem = Problem::Syntax(unknown(of, name, members));
            faults.push(document.fault_at(key.span(), &path, problem));
            continue;
        }
        let Some((child, occurs)) = of.child(name) else { continue };
        match (occurs, value.get_ref()) {
            (Occurs::Once, value @ DeValue::Table(_)) => table(document, child, value, &path, faults),
            (Occurs::Repeatedly, DeValue::Array(elements)) => {
                for (index, element) in elements.iter().enumerate() {
                    table(document, child, element.get_ref(), &path.index(index), faults);
                }
            }
            (Occurs::Repeatedly, DeValue::Table(_)) => {
                faults.push(document.fault_at(
                    key.span(),
                    &path,
                    Problem::Syntax(single(child, &path).into()),
                ));
            }
            (Occurs::Once, DeValue::Array(_)) => {
                let reason = format!("write [{path}] in single brackets: there is one such table");
                faults.push(document.fault_at(key.span(), &path, Problem::Syntax(reason.into())));
            }
            // Of the wrong type: reading it says so.
            _ => {}
        }
    }
}

/// Explains a table that should be an element of a list.
fn single(child: Table, path: &SettingPath) -> String {
    match child {
        Table::Provider => {
            "write [[provider]] in double brackets: a file may have several providers".to_owned()
        }
        Table::Claim if path.to_string().ends_with("verify.claim") => {
            "write [[provider.verify.claim]] in double brackets, one for each demand".to_owned()
        }
        Table::Claim if path.to_string().contains(".rule[") => {
            "write [[application.rule.claim]] in double brackets, one for each demand".to_owned()
        }
        Table::Claim if path.to_string().starts_with("application") => {
            "write [[application.claim]] in double brackets, one for each demand".to_owned()
        }
        Table::Claim => "write [[provider.claim]] in double brackets, one for each demand".to_owned(),
        Table::Team if path.to_string().starts_with("provider") => {
            "write [[provider.identity.team]] in double brackets, one for each rule".to_owned()
        }
        Table::Application => "write [[application]] in double brackets, one for each application".to_owned(),
        Table::AdminClient => "write [[admin_client]] in double brackets, one for each program".to_owned(),
        Table::Rule => "write [[application.rule]] in double brackets, one for each rule".to_owned(),
        Table::Team => "write [[identity.team]] in double brackets, one for each rule".to_owned(),
        _ => format!("`{path}` is a list: write it in brackets, `[ … ]`"),
    }
}

/// Explains a name that is no setting of a table.
fn unknown(table: Table, name: &str, members: &DeTable<'_>) -> Reason {
    if let Some((.., now)) = RENAMED.iter().find(|(of, old, _)| *of == table && *old == name) {
        return (*now).into();
    }
    let elsewhere = Table::ALL.into_iter().find(|other| other.settings().contains(&name));
    if let Some(other) = elsewhere {
        return ("unknown setting", format!("`{name}` belongs to {}", other.heading())).into();
    }
    let unused = table.settings().iter().filter(|known| !members.contains_key(**known));
    let alike = unused.map(|known| (strsim::jaro_winkler(known, name), known));
    match alike.max_by(|(a, _), (b, _)| a.total_cmp(b)) {
        Some((score, known)) if score > ALIKE => {
            ("unknown setting", format!("did you mean `{known}`?")).into()
        }
        _ => format!("unknown setting of {}", table.heading()).into(),
    }
}

/// Returns the names of the fields that a type is deserialized from.
fn fields<T: for<'de> Deserialize<'de>>() -> &'static [&'static str] {
    let mut names: &'static [&'static str] = &[];
    // The deserializer stops at the names: there is no value.
    drop(T::deserialize(Fields(&mut names)));
    names
}

struct Fields<'n>(&'n mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = value::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(value::Error::custom("names only"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(value::Error::custom("not a structure"))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
