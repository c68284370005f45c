//! The form of a mapping: its fields, from the file and from a browser, and its buttons, which work without scripts.

use std::collections::{BTreeMap, HashSet};

use zeroize::Zeroizing;

use super::form_fields::{Fields, lines};
use super::trial::Question;
use crate::editing::mapping::{GroupDraft, MappingDraft, MappingTable, Matcher, RuleDraft};
use crate::editing::{self, Snapshot};
use crate::web::problem::Problem;
use claimgate::oidc::fingerprint::Fingerprint;
use claimgate::text::is_unsafe;
use claimgate_config::ConfigError;

/// What a browser has sent.
#[derive(Default)]
pub(crate) struct Sent {
    pub(crate) question: Question,
    /// None where the page has no form of a mapping.
    pub(crate) form: Option<MappingForm>,
    pub(crate) button: Option<Button>,
    pub(crate) password: Zeroizing<String>,
}

/// A mapping as it is being edited.
#[derive(Clone, Default)]
pub(crate) struct MappingForm {
    /// The version of the file that it was loaded from.
    pub(crate) version: String,
    /// The id of the provider whose own mapping it is; empty: the shared one.
    pub(crate) table: String,
    pub(crate) draft: MappingDraft,
    /// What is wrong, by the path of the setting below the table, such as `team[2].regex`.
    pub(crate) faults: Vec<(String, String)>,
}

/// A button that changes the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Button {
    AddGroup,
    AddField,
    AddRule,
    RemoveGroup(usize),
    RemoveField(usize),
    RemoveRule(usize),
    /// Puts a rule before the one above it.
    RaiseRule(usize),
    LowerRule(usize),
}

impl Button {
    /// Returns its value in the form.
    pub(crate) fn value(self) -> String {
        match self {
            Button::AddGroup => "add-group".to_owned(),
            Button::AddField => "add-field".to_owned(),
            Button::AddRule => "add-rule".to_owned(),
            Button::RemoveGroup(row) => format!("remove-group.{row}"),
            Button::RemoveField(row) => format!("remove-field.{row}"),
            Button::RemoveRule(row) => format!("remove-rule.{row}"),
            Button::RaiseRule(row) => format!("raise-rule.{row}"),
            Button::LowerRule(row) => format!("lower-rule.{row}"),
        }
    }

    fn from_value(value: &str) -> Option<Self> {
        let (name, row) = value.split_once('.').unwrap_or((value, "0"));
        let row = row.parse().ok()?;
        Some(match name {
            "add-group" => Button::AddGroup,
            "add-field" => Button::AddField,
            "add-rule" => Button::AddRule,
            "remove-group" => Button::RemoveGroup(row),
            "remove-field" => Button::RemoveField(row),
            "remove-rule" => Button::RemoveRule(row),
            "raise-rule" => Button::RaiseRule(row),
            "lower-rule" => Button::LowerRule(row),
            _ => return None,
        })
    }
}

impl Sent {
    /// Reads the fields of the page: the claims that are tried out, the mapping, and the button that was pressed.
    ///
    /// # Errors
    /// [`Problem::Member`]: a field has another name.
    pub(crate) fn read(Fields(fields): Fields) -> Result<Self, Problem> {
        let mut sent = Sent::default();
        let (mut form, mut has_form) = (MappingForm::default(), false);
        let (mut groups, mut profile, mut rules) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        for (name, value) in fields {
            let parts: Vec<&str> = name.split('.').collect();
            let row = parts.get(1).and_then(|row| row.parse::<usize>().ok());
            let known = match (&parts[..], row) {
                (["subject"], _) => set(&mut sent.question.subject, value),
                (["password"], _) => set(&mut sent.password, value),
                (["provider"], _) => set(&mut sent.question.provider, value.to_string()),
                (["path"], _) => set(&mut sent.question.path, value.to_string()),
                (["insert"], _) => set(&mut sent.question.insert, Some(value.to_string())),
                (["do"], _) => set(&mut sent.button, Button::from_value(&value)),
                (["version"], _) => {
                    has_form = true;
                    set(&mut form.version, value.to_string())
                }
                (["table"], _) => set(&mut form.table, value.to_string()),
                (["username"], _) => set(&mut form.draft.username, lines(&value)),
                (["default_teams"], _) => set(&mut form.draft.default_teams, lines(&value)),
                (["group", _, field], Some(row)) => group(groups.entry(row).or_default(), field, &value),
                (["profile", _, field], Some(row)) => {
                    let (claim, path): &mut (String, String) = profile.entry(row).or_default();
                    match *field {
                        "field" => set(claim, value.trim().to_owned()),
                        "path" => set(path, value.trim().to_owned()),
                        _ => None,
                    }
                }
                (["rule", _, field], Some(row)) => rule(rules.entry(row).or_default(), field, &value),
                _ => None,
            };
            known.ok_or_else(|| Fields::unknown(&name))?;
        }
        form.draft.groups = groups.into_values().collect();
        form.draft.profile = profile.into_values().collect();
        form.draft.team = rules.into_values().collect();
        sent.form = has_form.then_some(form);
        Ok(sent)
    }
}

fn set<T>(place: &mut T, value: T) -> Option<()> {
    *place = value;
    Some(())
}

fn group(group: &mut GroupDraft, field: &str, value: &str) -> Option<()> {
    match field {
        "path" => set(&mut group.path, value.trim().to_owned()),
        "separator" => set(&mut group.separator, value.to_owned()),
        "object_keys" => set(&mut group.object_keys, true),
        _ => None,
    }
}

fn rule(rule: &mut RuleDraft, field: &str, value: &str) -> Option<()> {
    match field {
        "from" => set(&mut rule.from, value.to_owned()),
        "matcher" => {
            set(&mut rule.matcher, Matcher::ALL.into_iter().find(|matcher| matcher.name() == value)?)
        }
        "text" => set(&mut rule.text, value.to_owned()),
        "all" => set(&mut rule.all, lines(value)),
        "any" => set(&mut rule.any, lines(value)),
        "unless" => set(&mut rule.unless, lines(value)),
        "teams" => set(&mut rule.teams, lines(value)),
        _ => None,
    }
}

impl MappingForm {
    /// Returns the form of a mapping of the file. `None`: the file has no such table, or it does not fit into a form.
    pub(crate) fn load(file: &Snapshot, provider: &str) -> Option<Self> {
        let table = MappingTable::find(&file.text, provider)?;
        let draft = MappingDraft::of(&file.text, &table)?;
        let version = editing::version_text(file.version);
        let form = Self { version, table: provider.to_owned(), draft, faults: Vec::new() };
        form.comes_back().then_some(form)
    }

    /// Reports whether a browser sends its fields back as they are. Not so texts with line ends, with spaces that fields lose, or
    /// with characters that pages show as escapes: a form would change settings that a person left alone.
    fn comes_back(&self) -> bool {
        let has_lines = |name: &str| {
            let last = name.rsplit('.').next().unwrap_or_default();
            ["username", "default_teams", "all", "any", "unless", "teams"].contains(&last)
        };
        let fields = self.fields(&Question::default());
        let is_lost = |(name, value): &(String, String)| {
            value.chars().any(|c| match c {
                '\n' => !has_lines(name),
                '\t' => false,
                c => is_unsafe(c),
            })
        };
        if fields.iter().any(is_lost) {
            return false;
        }
        let back = Sent::read(Fields::of(fields)).ok().and_then(|sent| sent.form);
        back.is_some_and(|mut back| {
            back.tidy();
            back.draft == self.draft
        })
    }

    /// Takes over what the file has now, where the person has left what it had before.
    pub(crate) fn rebase(&mut self, before: &str, now: &Snapshot) {
        let draft = |text: &str| MappingDraft::of(text, &MappingTable::find(text, &self.table)?);
        if let (Some(before), Some(now)) = (draft(before), draft(&now.text)) {
            self.draft.rebase(&before, &now);
        }
    }

    /// Does what a button says.
    pub(crate) fn press(&mut self, button: Button) {
        let MappingDraft { groups, profile, team, .. } = &mut self.draft;
        match button {
            Button::AddGroup => groups.push(GroupDraft::default()),
            Button::AddField => profile.push((String::new(), String::new())),
            Button::AddRule => team.push(RuleDraft::default()),
            Button::RemoveGroup(row) if row < groups.len() => drop(groups.remove(row)),
            Button::RemoveField(row) if row < profile.len() => drop(profile.remove(row)),
            Button::RemoveRule(row) if row < team.len() => drop(team.remove(row)),
            Button::RaiseRule(row) if row > 0 && row < team.len() => team.swap(row - 1, row),
            Button::LowerRule(row) if row < team.len().saturating_sub(1) => team.swap(row, row + 1),
            _ => {}
        }
    }

    /// Removes the rows in which nothing was entered, and notes what no file can say.
    pub(crate) fn tidy(&mut self) {
        let draft = &mut self.draft;
        draft.groups.retain(|group| *group != GroupDraft::default());
        draft.profile.retain(|(field, path)| !(field.is_empty() && path.is_empty()));
        draft.team.retain(|rule| !rule.is_empty());
        let mut faults = Vec::new();
        let mut note = |setting: String, text: &str| faults.push((setting, text.to_owned()));
        if draft.username.is_empty() {
            note("username".to_owned(), "is empty: write at least one path, such as preferred_username");
        }
        for (index, _) in draft.groups.iter().enumerate().filter(|(_, group)| group.path.is_empty()) {
            note(format!("groups[{index}]"), "has no path");
        }
        let mut fields = HashSet::new();
        for (index, (field, path)) in draft.profile.iter().enumerate() {
            let is_known = !fields.insert(field);
            if field.is_empty() || path.is_empty() {
                note(format!("profile[{index}]"), "needs both a field and a path");
            } else if is_known {
                note(format!("profile[{index}]"), "is another path for the same field: one is enough");
            }
        }
        for (index, rule) in draft.team.iter().enumerate() {
            if rule.matcher == Matcher::None && !rule.text.is_empty() {
                note(format!("team[{index}]"), "has a text, and does not say how it matches a group");
            }
        }
        self.faults = faults;
    }

    /// Takes the faults that the server found in the file. Returns those of other tables.
    pub(crate) fn take_faults(&mut self, text: &str, error: &ConfigError) -> Vec<String> {
        let path = MappingTable::find(text, &self.table).map(|table| table.path()).unwrap_or_default();
        let mut others = Vec::new();
        for fault in error.faults() {
            let setting = fault.setting.as_deref().unwrap_or_default();
            let setting = setting.split(" (provider").next().unwrap_or_default();
            let below = setting.strip_prefix(&path).and_then(|below| below.strip_prefix('.'));
            match below {
                Some(below) => {
                    let remedy = fault.remedy().map_or(String::new(), |remedy| format!("; {remedy}"));
                    self.faults.push((self.row_of(below), format!("{}{remedy}", fault.message())));
                }
                None => others.push(fault.to_string()),
            }
        }
        others
    }

    /// Returns the setting in the order of the form: the file names fields of the profile by name.
    fn row_of(&self, setting: &str) -> String {
        let field = setting.strip_prefix("profile.");
        let row = field.and_then(|name| self.draft.profile.iter().position(|(field, _)| field == name));
        row.map_or_else(|| setting.to_owned(), |row| format!("profile[{row}]"))
    }

    /// Returns what is wrong with a setting, or with what is below it.
    pub(crate) fn faults_of(&self, setting: &str) -> Vec<&str> {
        let is_below = |path: &str| {
            path.strip_prefix(setting).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.faults.iter().filter(|(path, _)| is_below(path)).map(|(_, text)| text.as_str()).collect()
    }

    /// Returns the fields of the form, as a browser sends them, and those of the question.
    pub(crate) fn fields(&self, question: &Question) -> Vec<(String, String)> {
        let Self { version, table, draft, faults: _ } = self;
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut add = |name: String, value: &str| fields.push((name, value.to_owned()));
        for (name, value) in [("subject", question.subject.as_str()), ("provider", &question.provider)] {
            add(name.to_owned(), value);
        }
        add("version".to_owned(), version);
        add("table".to_owned(), table);
        add("username".to_owned(), &draft.username.join("\n"));
        add("default_teams".to_owned(), &draft.default_teams.join("\n"));
        for (row, group) in draft.groups.iter().enumerate() {
            add(format!("group.{row}.path"), &group.path);
            add(format!("group.{row}.separator"), &group.separator);
            if group.object_keys {
                add(format!("group.{row}.object_keys"), "true");
            }
        }
        for (row, (field, path)) in draft.profile.iter().enumerate() {
            add(format!("profile.{row}.field"), field);
            add(format!("profile.{row}.path"), path);
        }
        for (row, rule) in draft.team.iter().enumerate() {
            for (name, value) in [
                ("from", rule.from.as_str()),
                ("matcher", rule.matcher.name()),
                ("text", &rule.text),
                ("all", &rule.all.join("\n")),
                ("any", &rule.any.join("\n")),
                ("unless", &rule.unless.join("\n")),
                ("teams", &rule.teams.join("\n")),
            ] {
                add(format!("rule.{row}.{name}"), value);
            }
        }
        fields
    }

    /// Returns the change of a file's text that the form stands for.
    pub(crate) fn edit(&self) -> impl FnOnce(&str) -> Option<String> + Send + use<> {
        let (draft, provider) = (self.draft.clone(), self.table.clone());
        move |text| {
            let file = Snapshot { text: text.to_owned(), version: Fingerprint::of(text) };
            Self::load(&file, &provider)?;
            draft.apply(text, &MappingTable::find(text, &provider)?)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[identity]\nusername = [\"email\", \"sub\"]\ngroups = [\"groups\", { path = \"scope\", separator = \" \" }]\ndefault_teams = [\"all\"]\n[[identity.team]]\nregex = \"a(.*)\"\nteam = \"{1}\"\nunless = [\"x\", \"y\"]\n[[identity.team]]\nany = [\"p\"]\nteams = [\"A\", \"B\"]\n";

    fn load() -> MappingForm {
        let file = Snapshot { text: FILE.to_owned(), version: Fingerprint::of(FILE) };
        MappingForm::load(&file, "").expect("a mapping")
    }

    fn sent(fields: Vec<(String, String)>) -> Result<Sent, Problem> {
        Sent::read(Fields::of(fields))
    }

    #[test]
    fn what_a_browser_sends_back_is_what_the_file_says() {
        let form = load();
        // As browsers send lines.
        let fields = form.fields(&Question::default()).into_iter();
        let fields = fields.map(|(name, value)| (name, value.replace('\n', "\r\n"))).collect();
        let sent = sent(fields).expect("fields");
        let mut back = sent.form.expect("a form");
        back.tidy();
        assert_eq!((&back.draft, &back.version, back.faults.len()), (&form.draft, &form.version, 0));
        assert_eq!(back.draft.team[0].from, form.draft.team[0].from);
        assert_eq!(back.edit()(FILE).as_deref(), Some(FILE));
    }

    // attack: console.setting-left-alone
    #[test]
    fn a_mapping_that_a_browser_would_not_send_back_is_changed_by_hand() {
        let (groups, regex) = ("{ path = \"scope\", separator = \" \" }", "regex = \"a(.*)\"");
        for (part, other) in [
            (groups, "{ path = \"scope\", separator = \"\\u001f\" }"),
            (groups, "{ path = \"scope\", separator = \"\\n\" }"),
            (groups, "{ path = \" scope\" }"),
            (regex, "regex = \"a\\u200b(.*)\""),
            ("[\"x\", \"y\"]", "[\"x\", \"\\u202e\"]"),
            ("[\"x\", \"y\"]", "[\"x\", \" \"]"),
            ("[\"all\"]", "[\"a\\nll\"]"),
        ] {
            let text = FILE.replace(part, other);
            assert_ne!(text, FILE);
            let file = Snapshot { version: Fingerprint::of(&text), text };
            assert!(MappingForm::load(&file, "").is_none(), "{other}");
            // A form that was loaded before another person wrote it changes nothing of it.
            assert_eq!(load().edit()(&file.text), None, "{other}");
        }
        let tab = FILE.replace("separator = \" \"", "separator = \"\\t\"");
        assert!(MappingForm::load(&Snapshot { version: Fingerprint::of(&tab), text: tab }, "").is_some());
    }

    #[test]
    fn a_field_of_another_name_is_refused() {
        for name in ["usernam", "rule.x.text", "rule.1.texts", "group.0", "rule.0.text.more", "version.0"] {
            let refused = sent(vec![(name.to_owned(), String::new())]);
            assert!(matches!(refused, Err(Problem::Member { .. })), "{name}");
        }
        assert!(sent(Vec::new()).is_ok_and(|sent| sent.form.is_none()));
    }

    #[test]
    fn buttons_add_remove_and_move_rows_and_never_fail() {
        let mut form = load();
        let before = form.draft.clone();
        for button in
            [Button::RaiseRule(0), Button::LowerRule(1), Button::RemoveRule(9), Button::LowerRule(usize::MAX)]
        {
            form.press(Button::from_value(&button.value()).expect("a button"));
            assert_eq!(form.draft, before, "{button:?}");
        }
        form.press(Button::LowerRule(0));
        assert_eq!(form.draft.team[1], before.team[0]);
        for button in [Button::RaiseRule(1), Button::AddRule, Button::AddGroup, Button::AddField] {
            form.press(button);
        }
        assert_eq!((form.draft.team.len(), form.draft.groups.len()), (3, 3));
        form.tidy();
        assert_eq!(form.draft, before, "rows without a text are none");
    }

    #[test]
    fn what_is_wrong_stands_at_its_field() {
        let mut form = load();
        form.draft.username.clear();
        form.draft.profile =
            vec![("email".to_owned(), "email".to_owned()), ("email".to_owned(), "mail".to_owned())];
        form.draft.team[1].text = "typed".to_owned();
        form.tidy();
        for setting in ["username", "profile[1]", "team[1]"] {
            assert_eq!(form.faults_of(setting).len(), 1, "{setting}");
        }
        assert_eq!(form.faults_of("team").len(), 1);
        assert_eq!(form.faults_of("profile[0]").len() + form.faults_of("team[0]").len(), 0);
    }
}
