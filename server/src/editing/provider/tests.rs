//! Changes of providers in files as people write them.

use super::*;

const FILE: &str = r#"# Our company.
[server]
public_url = "https://sso.example.com" # by nginx

# The people of the CRM.
[[provider]]
id = "crm"
issuer = "https://idp.example.com"
client_id = "claimgate" # since May
# From the vault.
client_secret = "hidden one" # rotate in June
scopes = [
  "email", # for their addresses
  "profile",
]
[provider.identity]
username = "email"

# Partners have their own.
[[provider]]
id = "partners"
issuer = "https://partners.example.com"
client_id = "claimgate"
client_secret_env = "PARTNERS"

[identity]
username = "preferred_username" # of Keycloak
"#;

fn draft(id: &str) -> ProviderDraft {
    ProviderDraft::of(FILE, id).expect("a provider")
}

fn list(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn added() -> ProviderChange {
    ProviderChange::Add {
        id: "new".to_owned(),
        issuer: "https://new.example.com/a\"]'[server]".to_owned(),
        draft: ProviderDraft {
            display_name: "New".to_owned(),
            client_id: "sso".to_owned(),
            scopes: list(&["email"]),
            algorithms: list(&["ES256"]),
        },
        secret_file: Some("client-secret-new".to_owned()),
    }
}

fn comments(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.split_once('#')).map(|(_, comment)| comment).collect()
}

#[test]
fn a_provider_is_added_behind_the_others_and_nothing_else_changes() {
    for text in [FILE.to_owned(), FILE.replace('\n', "\r\n")] {
        let edited = added().apply(&text).expect("a change");
        assert_eq!(comments(&edited), comments(&text));
        let plain = edited.replace("\r\n", "\n");
        assert_eq!(edited.contains("\r\n"), text.contains("\r\n"));
        let (before, after) = plain.split_once("\n[[provider]]\nid = \"new\"\n").expect("the new table");
        assert!(before.ends_with("client_secret_env = \"PARTNERS\"\n"), "{plain}");
        assert!(after.contains("\n[identity]\n"), "{plain}");
        for line in
            ["client_secret_file = \"client-secret-new\"", "scopes = [\"email\"]", "algorithms = [\"ES256\"]"]
        {
            assert!(after.contains(line), "{line} in {plain}");
        }
        let file: toml::Table = toml::from_str(&edited).expect("TOML");
        assert_eq!(file["provider"][2]["issuer"].as_str(), Some("https://new.example.com/a\"]'[server]"));
    }
    // A line end in a text would become another one.
    let ProviderChange::Add { id, draft, secret_file, .. } = added() else { return };
    let change = ProviderChange::Add { id, issuer: "a\nb".to_owned(), draft, secret_file };
    assert_eq!(change.apply(&FILE.replace('\n', "\r\n")), None);
    let inline = "provider = [{ id = \"a\", client_id = \"x\" }] # one\n";
    let edited = added().apply(inline).expect("a change");
    assert!(edited.ends_with("algorithms = [\"ES256\"] }] # one\n"), "{edited}");
}

#[test]
fn a_public_client_is_said_to_have_no_secret() {
    let ProviderChange::Add { id, issuer, draft, .. } = added() else { return };
    let edited = ProviderChange::Add { id, issuer, draft, secret_file: None }.apply(FILE).expect("a change");
    assert!(edited.contains("token_endpoint_auth_method = \"none\"\n"), "{edited}");
    assert!(!edited.contains("client_secret_file"), "{edited}");
    // With a secret it has one.
    let draft = ProviderDraft::of(&edited, "new").expect("a provider");
    let secret_file = Some("client-secret-new".to_owned());
    let edited =
        ProviderChange::Edit { id: "new".to_owned(), draft, secret_file }.apply(&edited).expect("a change");
    assert!(!edited.contains("token_endpoint_auth_method"), "{edited}");
}

#[test]
fn settings_change_in_their_places_and_comments_stay() {
    let draft = ProviderDraft {
        display_name: "CRM".to_owned(),
        client_id: "other".to_owned(),
        scopes: list(&["email", "profile", "phone"]),
        algorithms: list(&["RS256", "ES256"]),
    };
    let change = ProviderChange::Edit { id: "crm".to_owned(), draft, secret_file: Some("file".to_owned()) };
    let edited = change.apply(FILE).expect("a change");
    assert_eq!(comments(&edited).len(), comments(FILE).len(), "{edited}");
    for part in [
        "client_id = \"other\" # since May\n",
        "# From the vault.\nclient_secret_file = \"file\" # rotate in June\n",
        "  \"email\", # for their addresses\n  \"profile\",\n  \"phone\",\n]",
        "display_name = \"CRM\"\n",
        "algorithms = [\"RS256\", \"ES256\"]\n",
        "[provider.identity]\nusername = \"email\"\n",
    ] {
        assert!(edited.contains(part), "{part} in {edited}");
    }
    assert!(!edited.contains("hidden one"), "{edited}");
    assert_eq!(
        change.settings(FILE),
        "provider crm: display_name, client_id, scopes, algorithms, client_secret_file"
    );
}

#[test]
fn a_provider_that_is_not_changed_leaves_the_file_as_it_is() {
    for id in ["crm", "partners"] {
        let change = ProviderChange::Edit { id: id.to_owned(), draft: draft(id), secret_file: None };
        assert_eq!(change.apply(FILE).as_deref(), Some(FILE), "{id}");
    }
    assert_eq!(draft("partners").scopes, default_scopes());
    for id in ["absent", ""] {
        let change = ProviderChange::Edit { id: id.to_owned(), draft: draft("crm"), secret_file: None };
        assert_eq!(change.apply(FILE), None);
        assert_eq!(ProviderChange::Remove { id: id.to_owned() }.apply(FILE), None);
    }
    // An empty list is not the default.
    let draft = ProviderDraft { scopes: Vec::new(), ..draft("partners") };
    let edited = ProviderChange::Edit { id: "partners".to_owned(), draft, secret_file: None }.apply(FILE);
    assert!(edited.is_some_and(|edited| edited.contains("scopes = []\n")));
}

#[test]
fn a_provider_is_removed_with_its_tables_alone() {
    let edited = ProviderChange::Remove { id: "crm".to_owned() }.apply(FILE).expect("a change");
    assert!(!edited.contains("crm") && !edited.contains("username = \"email\""), "{edited}");
    for part in
        ["# Our company.", "# Partners have their own.\n[[provider]]\nid = \"partners\"", "# of Keycloak"]
    {
        assert!(edited.contains(part), "{part} in {edited}");
    }
    let inline = "provider = [{ id = \"a\" }, { id = \"b\" }]\n";
    let edited = ProviderChange::Remove { id: "b".to_owned() }.apply(inline);
    assert_eq!(edited.as_deref(), Some("provider = [{ id = \"a\" }]\n"));
}

#[test]
fn what_another_person_has_changed_meanwhile_stays() {
    let base = draft("crm");
    let mut mine = ProviderDraft { client_id: "mine".to_owned(), ..base.clone() };
    let theirs = ProviderDraft { client_id: "theirs".to_owned(), scopes: list(&["phone"]), ..base.clone() };
    mine.rebase(&base, &theirs);
    assert_eq!((mine.client_id.as_str(), mine.scopes.as_slice()), ("mine", &list(&["phone"])[..]));
}
