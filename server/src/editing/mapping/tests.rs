//! Changes of mappings in files as people write them.

use super::*;

const FILE: &str = r#"# The mapping of our company.
[server]
public_url = "https://sso.example.com" # by nginx

[[provider]]
id = "crm"
issuer = "https://idp.example.com"

[identity]
# Not `sub`: it is a number.
username = "preferred_username" # of Keycloak
groups = [
  "groups", # of LDAP
  "roles",
]
username_max = 40

[identity.profile]
email = "email" # work
name = 'name'

# Those who administer.
[[identity.team]]
group = "crm-admin" # by hand
team = "Administrators"

# The offices.
[[identity.team]]
prefix = "/crm/"
team = "{rest}"
unless = ["left"]

[events]
enabled = true # last
"#;

fn edit(text: &str, table: &MappingTable, change: impl FnOnce(&mut MappingDraft)) -> String {
    let mut draft = MappingDraft::of(text, table).expect("a mapping");
    change(&mut draft);
    let edited = draft.apply(text, table).unwrap_or_else(|| panic!("{draft:?} in\n{text}"));
    for comment in text.split_inclusive('\n').filter_map(|line| line.split_once('#')).map(|(_, text)| text) {
        assert!(edited.contains(comment), "{comment} is lost in\n{edited}");
    }
    edited
}

fn rule(matcher: Matcher, text: &str, teams: &[&str]) -> RuleDraft {
    let teams = teams.iter().map(|&team| team.to_owned()).collect();
    RuleDraft { matcher, text: text.to_owned(), teams, ..RuleDraft::default() }
}

#[test]
fn a_mapping_that_is_not_changed_leaves_the_file_as_it_is() {
    for text in
        [FILE, &FILE.replace('\n', "\r\n"), "x = 1\n[identity]\n", "identity = { username = \"a\" }\n"]
    {
        assert_eq!(edit(text, &MappingTable::Shared, |_| {}), text);
    }
}

#[test]
fn what_changes_is_changed_where_it_stands() {
    let edited = edit(FILE, &MappingTable::Shared, |draft| {
        draft.username = vec!["email".to_owned()];
        draft.groups.push(GroupDraft {
            path: "scope".to_owned(),
            separator: " ".to_owned(),
            object_keys: false,
        });
        draft.profile.push(("phone_number".to_owned(), "$.phone[0]".to_owned()));
        draft.default_teams = vec!["all".to_owned()];
        draft.team[0].teams.push("Support".to_owned());
        draft.team[1].matcher = Matcher::Regex;
        draft.team[1].text = "/(.*)".to_owned();
    });
    let expected = FILE
        .replace("\"preferred_username\"", "\"email\"")
        .replace("  \"roles\",\n", "  \"roles\",\n  { path = \"scope\", separator = \" \" },\n")
        .replace("username_max = 40\n", "username_max = 40\ndefault_teams = [\"all\"]\n")
        .replace("name = 'name'\n", "name = 'name'\nphone_number = \"$.phone[0]\"\n")
        .replace("team = \"Administrators\"", "teams = [\"Administrators\", \"Support\"]")
        .replace("prefix = \"/crm/\"\n", "")
        .replace("unless = [\"left\"]\n", "unless = [\"left\"]\nregex = \"/(.*)\"\n");
    assert_eq!(edited, expected);
    let crlf = FILE.replace('\n', "\r\n");
    let edited = edit(&crlf, &MappingTable::Shared, |draft| draft.username = vec!["email".to_owned()]);
    assert_eq!(edited, crlf.replace("\"preferred_username\"", "\"email\""));
}

#[test]
fn rules_move_with_their_comments() {
    let edited = edit(FILE, &MappingTable::Shared, |draft| {
        draft.team.swap(0, 1);
        draft.team.insert(1, rule(Matcher::Group, "sales \"a\"\n", &["Sales", "All"]));
    });
    let of = |text: &str| edited.find(text).unwrap_or_else(|| panic!("{text} in\n{edited}"));
    let order = [
        "# The offices.",
        "prefix = ",
        "teams = [\"Sales\", \"All\"]",
        "# Those who",
        "crm-admin",
        "[events]",
    ];
    assert!(order.windows(2).all(|pair| of(pair[0]) < of(pair[1])), "{edited}");
    let written = MappingDraft::of(&edited, &MappingTable::Shared).expect("a mapping");
    assert_eq!(written.team[1].text, "sales \"a\"\n");
}

#[test]
fn rules_are_removed_and_the_last_one_too() {
    let remove = |text: &str, index: usize| {
        let mut draft = MappingDraft::of(text, &MappingTable::Shared).expect("a mapping");
        draft.team.remove(index);
        draft.apply(text, &MappingTable::Shared).expect("written")
    };
    let one = remove(FILE, 0);
    assert!(!one.contains("crm-admin") && one.contains("# The offices.\n[[identity.team]]\nprefix"), "{one}");
    let none = remove(&one, 0);
    assert!(!none.contains("identity.team") && none.ends_with("[events]\nenabled = true # last\n"), "{none}");
    // And added where there was none.
    let added =
        edit(&none, &MappingTable::Shared, |draft| draft.team = vec![rule(Matcher::Group, "g", &["T"])]);
    let at = |part: &str| added.find(part).unwrap_or_else(|| panic!("{part} in\n{added}"));
    assert!(
        at("[identity.profile]") < at("[[identity.team]]") && at("[[identity.team]]") < at("[events]"),
        "{added}"
    );
}

#[test]
fn a_file_without_a_mapping_gets_one_and_a_provider_keeps_its_own() {
    let add = |text: &str, table: &MappingTable| {
        edit(text, table, |draft| {
            draft.username = vec!["email".to_owned(), "sub".to_owned()];
            draft.team.push(rule(Matcher::Group, "g", &["T"]));
        })
    };
    let added = add("[server]\nlisten = \"x\" # y\n", &MappingTable::Shared);
    assert!(added.ends_with("\n[identity]\nusername = [\"email\", \"sub\"]\n\n[[identity.team]]\ngroup = \"g\"\nteam = \"T\"\n"), "{added}");
    let own = format!("{FILE}\n[[provider]]\nid = \"b\"\n[provider.identity] # own\nusername = \"upn\"\n");
    let edited = add(&own, &MappingTable::Provider(1));
    assert!(edited.starts_with(FILE) && edited.contains("[[provider.identity.team]]"), "{edited}");
    // A provider without a mapping of its own has none to change.
    let draft = MappingDraft { username: vec!["x".to_owned()], ..MappingDraft::default() };
    assert_eq!(draft.apply(FILE, &MappingTable::Provider(0)), None);
}

#[test]
fn a_mapping_within_one_line_stays_there() {
    let text = "identity = { username = \"a\", team = [{ group = \"x\", team = \"X\" }, { prefix = \"y\", team = \"Y\" }] } # one line\n";
    let edited = edit(text, &MappingTable::Shared, |draft| {
        draft.team.swap(0, 1);
        draft.team[1].teams = vec!["Z".to_owned()];
        draft.team.push(rule(Matcher::None, "", &["T"]));
        draft.team[2].any = vec!["p".to_owned()];
    });
    assert!(edited.ends_with("# one line\n") && edited.lines().count() == 1, "{edited}");
    let dotted = "identity.username = \"a\" # here\nidentity.groups = [\"g\"]\n[events]\n";
    let edited = edit(dotted, &MappingTable::Shared, |draft| draft.username = vec!["b".to_owned()]);
    assert_eq!(edited, dotted.replace("\"a\"", "\"b\""));
}

#[test]
fn what_two_people_change_apart_is_in_both() {
    let base = MappingDraft::of(FILE, &MappingTable::Shared).expect("a mapping");
    let (mut mine, mut theirs) = (base.clone(), base.clone());
    mine.username = vec!["email".to_owned()];
    mine.team.remove(0);
    theirs.groups.remove(0);
    theirs.default_teams.push("All".to_owned());
    theirs.profile.pop();
    theirs.team.swap(0, 1);
    mine.rebase(&base, &theirs);
    assert_eq!(mine.username, ["email"]);
    assert_eq!(
        (&mine.groups, &mine.default_teams, &mine.profile),
        (&theirs.groups, &theirs.default_teams, &theirs.profile)
    );
    assert_eq!(mine.team.len(), 1, "what both have changed is as this person has entered it");
}

#[test]
fn a_rule_that_another_person_moved_is_found_by_what_it_says() {
    let mut mine = MappingDraft::of(FILE, &MappingTable::Shared).expect("a mapping");
    mine.team[1].teams = vec!["Offices".to_owned()];
    let theirs = edit(FILE, &MappingTable::Shared, |draft| draft.team.swap(0, 1));
    let both = mine.apply(&theirs, &MappingTable::Shared).expect("written");
    assert!(
        both.contains("# The offices.\n[[identity.team]]\nprefix = \"/crm/\"\nteam = \"Offices\""),
        "{both}"
    );
}
