//! The configurations that the project ships and prints, and the reference of the settings.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;

use claimgate::alg::Registry;
use claimgate_config::{Config, Table};

#[test]
fn every_example_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config");
    let mut examples = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        Config::load(&file, &Registry::builtin()).unwrap();
        examples += 1;
    }
    assert_eq!(examples, 7);
}

#[test]
fn the_key_file_stands_beside_the_configuration() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/demo");
    let config = Config::load(&folder.join("claimgate.toml"), &Registry::builtin()).unwrap();
    assert_eq!(config.providers[0].jwks_file.as_deref(), Some(folder.join("jwks.json").as_path()));
}

/// Every example in the reference and the guides is read as `claimgate serve` would read it.
#[test]
fn the_configurations_in_the_documents_load() {
    let block = regex::Regex::new(r"(?s)```toml\n(.*?)```").unwrap();
    let mut checked = 0;
    for document in [
        "README.md",
        "docs/reference/configuration.md",
        "docs/guide/providers.md",
        "docs/guide/deployment.md",
    ] {
        let text =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(document)).unwrap();
        for found in block.captures_iter(&text) {
            let folder = tempfile::tempdir().unwrap();
            for file in ["client-secret", "store-password", "transmitter-secret"] {
                std::fs::write(folder.path().join(file), "a secret of 32 characters for the test\n").unwrap();
            }
            let config = Config::parse(&found[1], document, folder.path(), &Registry::builtin());
            if let Err(error) = config {
                panic!("{error}\n{}", &found[1]);
            }
            checked += 1;
        }
    }
    assert!(checked >= 8, "{checked}");
}

/// The reference lists exactly the settings of each table, by the types that the file is read into.
#[test]
fn the_configuration_reference_is_complete() {
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/configuration.md");
    let reference = std::fs::read_to_string(reference).unwrap();
    let row = regex::Regex::new(r"(?m)^\| `([a-z_0-9]+)` \|").unwrap();
    for table in Table::ALL {
        let heading = match table {
            Table::File => continue,
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
        let section = section.split("\n##").next().unwrap();
        let documented: BTreeSet<_> = row.captures_iter(section).map(|found| found[1].to_owned()).collect();
        let existing: BTreeSet<_> = table.settings().iter().map(|name| (*name).to_owned()).collect();
        assert!(existing.len() >= 2, "{heading}");
        assert_eq!(documented, existing, "{heading}");
    }
}
