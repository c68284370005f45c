//! The fields of a mapping, as a part of the page that tries it out.

use maud::{Markup, html};

use super::frame;
use super::mapping_form::{Button, MappingForm};
use crate::editing::mapping::{GroupDraft, Matcher, RuleDraft};
use crate::web::app::App;
use claimgate_config::identity_table;

/// Returns the card of the mapping, within the form of the page.
pub(crate) fn card(app: &App, form: &MappingForm) -> Markup {
    let draft = &form.draft;
    let add = |button: Button, text: &str, anchor: &str| {
        html! { button.quiet.small type="submit" name="do" value=(button.value()) formaction=(action(app, anchor)) { (text) } }
    };
    html! {
        section.card #mapping aria-labelledby="edit" {
            header { h2 #edit { "Mapping" } (tables(app, form)) }
            input type="hidden" name="version" value=(form.version);
            input type="hidden" name="table" value=(form.table);
            @if !form.faults.is_empty() {
                div.notice.problem role="alert" { p { "Nothing was saved: see what stands at the fields below." } }
            }
            (area(form, ("username", "username"), "Paths of the username, the first that selects something decides; one a line", &draft.username))
            fieldset #groups {
                legend { "Groups" }
                @for (row, group) in draft.groups.iter().enumerate() { (group_row(app, form, row, group)) }
                (faults(form, "groups", draft.groups.is_empty()))
                div.actions { (add(Button::AddGroup, "Add a path of groups", "groups")) }
            }
            fieldset #profile {
                legend { "Profile" }
                @for (row, (field, path)) in draft.profile.iter().enumerate() { (profile_row(app, form, row, (field, path))) }
                (faults(form, "profile", draft.profile.is_empty()))
                div.actions { (add(Button::AddField, "Add a field", "profile")) }
            }
            (area(form, ("default_teams", "default_teams"), "Teams of every user, one a line", &draft.default_teams))
            fieldset #rules {
                legend { "Rules: from groups to teams" }
                @if draft.team.is_empty() { p.muted { "There is no rule yet." } }
                ol.rules {
                    @for (row, rule) in draft.team.iter().enumerate() { (rule_row(app, form, row, rule)) }
                }
                div.actions { (add(Button::AddRule, "Add a rule", &format!("rule-{}", draft.team.len()))) }
            }
            div.actions.save {
                button type="submit" formaction=(app.path("/admin/mapping/review")) { "Review the change" }
                p.small.muted { "Nothing is saved before you have seen what changes in the file." }
            }
        }
    }
}

/// Returns links to the other mappings of the file.
fn tables(app: &App, form: &MappingForm) -> Markup {
    let own = app
        .providers
        .iter()
        .enumerate()
        .filter(|(index, _)| app.config.places.contains_key(&identity_table(Some(*index))));
    let own: Vec<_> = own.map(|(_, provider)| &provider.config).collect();
    let link = |id: &str, text: &str| {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("table", id);
        html! { a href=(format!("{}?{}#mapping", app.path("/admin/mapping"), query.finish())) aria-current=[(id == form.table).then_some("true")] { (text) } }
    };
    html! {
        @if own.is_empty() { (frame::place(app, "identity")) } @else {
            span.small.tables {
                (link("", "Of all providers"))
                @for provider in own { (link(&provider.id, &format!("Of {}", provider.display_name))) }
            }
        }
    }
}

/// Returns the address of a button, with the place of the page to show then.
fn action(app: &App, anchor: &str) -> String {
    format!("{}#{anchor}", app.path("/admin/mapping"))
}

/// Returns what is wrong with a setting; without `all` only what belongs to none of its rows.
fn faults(form: &MappingForm, setting: &str, all: bool) -> Markup {
    let own = form.faults.iter().filter(|(path, _)| path == setting).map(|(_, text)| text.as_str());
    let found: Vec<&str> = if all { form.faults_of(setting) } else { own.collect() };
    html! {
        @if !found.is_empty() {
            p.fault id={ "fault-" (anchor(setting)) } { @for text in found { (frame::capital(text)) " " } }
        }
    }
}

fn anchor(setting: &str) -> String {
    setting.replace(['[', ']', '.'], "-")
}

/// Returns the attribute that leads from a field to what is wrong with it.
fn described(form: &MappingForm, setting: &str) -> Option<String> {
    form.faults_of(setting).first().map(|_| format!("fault-{}", anchor(setting)))
}

fn area(form: &MappingForm, (name, setting): (&str, &str), label: &str, texts: &[String]) -> Markup {
    let fault = described(form, setting);
    html! {
        div.field {
            label for=(name) { (label) }
            textarea.lines id=(name) name=(name) rows=(rows(texts)) spellcheck="false" autocapitalize="none"
                aria-invalid=[fault.as_ref().map(|_| "true")] aria-describedby=[fault] { (texts.join("\n")) }
            (faults(form, setting, true))
        }
    }
}

/// Returns the number of lines that a field shows: as many as it has, from 1 to 8.
fn rows(texts: &[String]) -> usize {
    texts.len().clamp(1, 8)
}

fn group_row(app: &App, form: &MappingForm, row: usize, group: &GroupDraft) -> Markup {
    let setting = format!("groups[{row}]");
    let (fault, number) = (described(form, &setting), row + 1);
    let name = |field: &str| format!("group.{row}.{field}");
    html! {
        div.entry-row {
            div.field {
                label for=(name("path")) { "Path " span.hidden { (number) } }
                input.code id=(name("path")) name=(name("path")) value=(group.path) spellcheck="false" autocapitalize="none"
                    aria-invalid=[fault.as_ref().map(|_| "true")] aria-describedby=[fault];
            }
            div.field.narrow {
                label for=(name("separator")) { "Separator " span.hidden { "of path " (number) } }
                input.code id=(name("separator")) name=(name("separator")) value=(group.separator) placeholder="none";
            }
            label.switch { input type="checkbox" name=(name("object_keys")) value="true" checked[group.object_keys]; "Names of members" span.hidden { " of path " (number) } }
            (remove(app, Button::RemoveGroup(row), &format!("path {number}"), "groups"))
        }
        (faults(form, &setting, true))
    }
}

fn profile_row(app: &App, form: &MappingForm, row: usize, (field, path): (&str, &str)) -> Markup {
    let setting = format!("profile[{row}]");
    let (fault, number) = (described(form, &setting), row + 1);
    let name = |field: &str| format!("profile.{row}.{field}");
    html! {
        div.entry-row {
            div.field {
                label for=(name("field")) { "Field " span.hidden { (number) } }
                input id=(name("field")) name=(name("field")) value=(field) spellcheck="false" autocapitalize="none";
            }
            div.field {
                label for=(name("path")) { "Path " span.hidden { "of field " (number) } }
                input.code id=(name("path")) name=(name("path")) value=(path) spellcheck="false" autocapitalize="none"
                    aria-invalid=[fault.as_ref().map(|_| "true")] aria-describedby=[fault];
            }
            (remove(app, Button::RemoveField(row), &format!("field {number}"), "profile"))
        }
        (faults(form, &setting, true))
    }
}

fn remove(app: &App, button: Button, what: &str, anchor: &str) -> Markup {
    html! {
        button.quiet.small type="submit" name="do" value=(button.value()) formaction=(action(app, anchor)) { "Remove" span.hidden { " " (what) } }
    }
}

fn rule_row(app: &App, form: &MappingForm, row: usize, rule: &RuleDraft) -> Markup {
    let setting = format!("team[{row}]");
    // Numbered from 1, as explanations do; the names of fields count from 0.
    let (fault, number) = (described(form, &setting), row + 1);
    let name = |field: &str| format!("rule.{row}.{field}");
    let of_rule = html! { span.hidden { " of rule " (number) } };
    let button = |button: Button, text: &str, to: usize, off: bool| {
        html! {
            button.quiet.small type="submit" name="do" value=(button.value()) disabled[off]
                formaction=(action(app, &format!("rule-{to}"))) { (text) span.hidden { " rule " (number) } }
        }
    };
    html! {
        li.rule id={ "rule-" (row) } {
            input type="hidden" name=(name("from")) value=(rule.from);
            div.rule-head {
                b { "Rule " (number) }
                div.actions {
                    (button(Button::RaiseRule(row), "Up", row.saturating_sub(1), row == 0))
                    (button(Button::LowerRule(row), "Down", row + 1, number == form.draft.team.len()))
                    (button(Button::RemoveRule(row), "Remove", row.saturating_sub(1), false))
                }
            }
            div.entry-row {
                div.field.narrow {
                    label for=(name("matcher")) { "A group" (of_rule) }
                    select id=(name("matcher")) name=(name("matcher")) {
                        @for matcher in Matcher::ALL { option value=(matcher.name()) selected[matcher == rule.matcher] { (said(matcher)) } }
                    }
                }
                div.field {
                    label for=(name("text")) { "Text" (of_rule) }
                    input.code id=(name("text")) name=(name("text")) value=(rule.text) spellcheck="false" autocapitalize="none"
                        aria-invalid=[fault.as_ref().map(|_| "true")] aria-describedby=[fault];
                }
                div.field {
                    label for=(name("teams")) { "Gives the teams" (of_rule) }
                    textarea.lines id=(name("teams")) name=(name("teams")) rows=(rows(&rule.teams)) spellcheck="false" { (rule.teams.join("\n")) }
                }
            }
            (conditions(row, rule))
            (faults(form, &setting, true))
        }
    }
}

/// Returns the fields of the conditions on the other groups of a person.
fn conditions(row: usize, rule: &RuleDraft) -> Markup {
    let name = |field: &str| format!("rule.{row}.{field}");
    let of_rule = html! { span.hidden { " of rule " (row + 1) } };
    let conditions = [
        ("all", "In all of these groups", &rule.all),
        ("any", "In at least one of these", &rule.any),
        ("unless", "In none of these", &rule.unless),
    ];
    html! {
        details open[conditions.iter().any(|(.., groups)| !groups.is_empty())] {
            summary { "Only for people who are …" (of_rule) }
            div.fields {
                @for (field, label, groups) in conditions {
                    div.field {
                        label for=(name(field)) { (label) (of_rule) }
                        textarea.lines id=(name(field)) name=(name(field)) rows=(rows(groups)) spellcheck="false" { (groups.join("\n")) }
                    }
                }
            }
        }
    }
}

fn said(matcher: Matcher) -> &'static str {
    match matcher {
        Matcher::Group => "is exactly",
        Matcher::Prefix => "begins with",
        Matcher::Regex => "matches (regex)",
        Matcher::None => "conditions alone",
    }
}
