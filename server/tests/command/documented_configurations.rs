//! The configurations that the project ships and prints, and the reference of the settings.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use claimgate::oidc::fingerprint::Fingerprint;
use claimgate_config::{Config, Extensions, Table};

#[test]
fn every_example_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    let mut examples = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let file = entry.unwrap().path();
        Config::load(&file, &Extensions::builtin()).unwrap();
        // With the settings that stand in comments: `#` is before a name without white space.
        let is_setting = |line: &str| {
            line.split_once(" = ").is_some_and(|(name, _)| !name.is_empty() && !name.contains(' '))
        };
        let text = std::fs::read_to_string(&file).unwrap();
        let lines =
            text.lines().map(|line| line.strip_prefix('#').filter(|rest| is_setting(rest)).unwrap_or(line));
        let text = lines.collect::<Vec<_>>().join("\n");
        let config =
            Config::parse(&text, &file.display().to_string(), &folder, &Extensions::builtin()).unwrap();
        assert!(config.providers[0].refresh.interval.is_some(), "{}", file.display());
        examples += 1;
    }
    assert_eq!(examples, 7);
}

#[test]
fn the_key_file_stands_beside_the_configuration() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/demo");
    let config = Config::load(&folder.join("claimgate.toml"), &Extensions::builtin()).unwrap();
    assert_eq!(config.providers[0].jwks_file.as_deref(), Some(folder.join("jwks.json").as_path()));
}

/// Returns the Markdown files of a folder and of the folders in it.
fn documents(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = paths.map(|path| if path.is_dir() { documents(&path) } else { vec![path] });
    found.flatten().filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The beginning of a file, for a block that shows applications alone.
const BEFORE_APPLICATIONS: &str = r#"[server]
public_url = "https://sso.example.com"
[[provider]]
issuer = "https://idp.example.com/realms/acme"
client_id = "claimgate"
"#;

/// Returns a block of a document with what the document leaves out before it.
fn whole(block: &str) -> String {
    match block {
        block if block.contains("[[provider]]") => block.to_owned(),
        rules if rules.starts_with("[[application.rule]]") => {
            format!(
                "{BEFORE_APPLICATIONS}[[application]]\nhosts = [\"app.example.com\"]\nbearer_audience = [\"app\"]\n{rules}"
            )
        }
        applications => format!("{BEFORE_APPLICATIONS}{applications}"),
    }
}

/// Every configuration in the documents is read as `claimgate serve` would read it. Other TOML is written as `toml,ignore`.
#[test]
fn the_configurations_in_the_documents_load() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let block = regex::Regex::new(r"(?sm)^```toml\n(.*?)^```").unwrap();
    let mut checked = 0;
    for document in documents(&root.join("docs")).into_iter().chain([root.join("README.md")]) {
        let text = std::fs::read_to_string(&document).unwrap();
        for found in block.captures_iter(&text) {
            let folder = tempfile::tempdir().unwrap();
            for file in ["client-secret", "store-password", "transmitter-secret"] {
                std::fs::write(folder.path().join(file), "a secret of 32 characters for the test\n").unwrap();
            }
            let name = document.display().to_string();
            let config = Config::parse(&whole(&found[1]), &name, folder.path(), &Extensions::builtin());
            if let Err(error) = config {
                panic!("{error}\n{}", &found[1]);
            }
            checked += 1;
        }
    }
    assert!(checked >= 25, "{checked}");
}

/// Returns the section of the reference on a table; none for the file itself.
fn section(reference: &str, table: Table) -> Option<&str> {
    let heading = match table {
        Table::File => return None,
        Table::Verify => "\n### `[provider.verify]`\n".to_owned(),
        Table::SecurityEvents => "\n### `[provider.security_events]`\n".to_owned(),
        Table::Claim => "\n### Claims\n".to_owned(),
        Table::Group => "\n### Groups\n".to_owned(),
        Table::Team => "\n### Teams\n".to_owned(),
        Table::Rule => "\n### Rules\n".to_owned(),
        Table::Condition => "\n### Conditions\n".to_owned(),
        Table::Header => "\n### Headers of your own\n".to_owned(),
        table => format!("\n## `{}`\n", table.heading()),
    };
    let section = reference.split(&heading).nth(1).unwrap_or_else(|| panic!("{heading}"));
    section.split("\n##").next()
}

/// A file with most tables, and marks where a setting can be added to each.
const TABLES: &str = r#"[server]
public_url = "https://sso.example.com"
#Server
[events]
#Events
[pages]
#Pages
[sign_in]
#SignIn
[headers]
#Headers
[[headers.header]]
name = "X-Department"
claim = "department"
#Header
[[provider]]
issuer = "https://idp.example.com/realms/acme"
client_id = "claimgate"
#Provider
[[provider.claim]]
path = "hd"
contains = "example.com"
#Claim
[provider.verify]
#Verify
[provider.security_events]
#SecurityEvents
[identity]
username_regex = "(.+)"
#Identity
[[identity.groups]]
path = "groups"
#Group
[[identity.team]]
group = "sales"
team = "Sales"
#Team
[[application]]
hosts = ["app.example.com"]
#Application
[[application.rule]]
paths = ["/c"]
allow = "signed_in"
#Rule
[[application.rule]]
paths = ["/b"]
[[application.rule.any_of]]
kinds = ["admin"]
#Condition
"#;

/// A file with the other tables, and without the lists of tables.
const OTHER_TABLES: &str = r#"[server]
public_url = "https://sso.example.com"
[store]
url = "postgres://claimgate@localhost/claimgate"
#Store
[headers]
#Headers
[[provider]]
issuer = "https://idp.example.com/realms/acme"
client_id = "claimgate"
#Provider
[provider.verify]
kind = "access_token"
[identity]
#Identity
[[application]]
hosts = ["app.example.com"]
[[application.rule]]
[[application.rule.any_of]]
users = ["ada"]
#Condition
[[admin_client]]
client = "inventory"
audience = "https://sso.example.com/api"
#AdminClient
"#;

/// Returns a default of the reference as TOML: none for those in words, and for those that name another setting.
fn written_default(cell: &str, table: Table) -> Option<String> {
    let code = cell.strip_prefix('`')?.strip_suffix('`').filter(|code| !code.contains('`'))?;
    if table.settings().contains(&code) || code == "[identity]" {
        return None;
    }
    let is_text = code.parse::<u64>().is_err()
        && !code.starts_with(['[', '"'])
        && code != "{}"
        && !["true", "false"].contains(&code);
    Some(if is_text { format!("\"{code}\"") } else { code.to_owned() })
}

/// A setting written with the default of the reference changes nothing.
#[test]
fn the_defaults_of_the_configuration_reference_are_those_of_the_program() {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/configuration.md");
    let reference = std::fs::read_to_string(reference).unwrap();
    let row = regex::Regex::new(r"(?m)^\| `([a-z_0-9]+)` \| ([^|]+) \|").unwrap();
    let folder = tempfile::tempdir().unwrap();
    // Positions in the file are no settings.
    let position = regex::Regex::new(r"(?:line|column): \d+,| \(provider `oidc`\)").unwrap();
    let read = |text: &str| match Config::parse(text, "claimgate.toml", folder.path(), &Extensions::builtin())
    {
        Ok(mut config) => {
            config.places.clear();
            config.version = Fingerprint::of("");
            let lines = format!("{config:#?}");
            position.replace_all(&lines, "").lines().map(|line| format!("{}\n", line.trim_end())).collect()
        }
        Err(error) => error.to_string(),
    };
    let mut checked = 0;
    let mut wrong = Vec::new();
    for table in Table::ALL {
        let Some(section) = section(&reference, table) else { continue };
        let mark = format!("#{table:?}\n");
        for found in row.captures_iter(section) {
            let Some(default) = written_default(&found[2], table) else { continue };
            let setting = format!("{} = {default}\n", &found[1]);
            let files = [TABLES, OTHER_TABLES].iter().filter(|file| file.contains(&mark));
            let mut read_with = files.map(|file| (read(&file.replace(&mark, &setting)), read(file)));
            // The file that has a list of tables cannot have it as a setting.
            let (with, without) = read_with
                .find(|(with, _)| !with.contains("duplicate key"))
                .unwrap_or_else(|| panic!("no file for {setting}"));
            assert!(without.starts_with("Config"), "{without}");
            if with != without {
                let difference = with.lines().zip(without.lines()).find(|(one, other)| one != other);
                wrong.push(format!("{}: {setting}: {difference:?}", table.heading()));
            }
            checked += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(checked >= 60, "{checked}");
}

/// The reference lists exactly the settings of each table, by the types that the file is read into.
#[test]
fn the_configuration_reference_is_complete() {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/configuration.md");
    let reference = std::fs::read_to_string(reference).unwrap();
    let row = regex::Regex::new(r"(?m)^\| `([a-z_0-9]+)` \|").unwrap();
    for table in Table::ALL {
        let Some(section) = section(&reference, table) else { continue };
        let documented: BTreeSet<_> = row.captures_iter(section).map(|found| found[1].to_owned()).collect();
        let existing: BTreeSet<_> = table.settings().iter().map(|name| (*name).to_owned()).collect();
        assert!(existing.len() >= 2, "{table:?}");
        assert_eq!(documented, existing, "{table:?}");
    }
}
