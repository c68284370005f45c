//! `[pages]`: the organisation's name, logo and colour.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use claimgate_config::{Color, Config, ConfigError, Extensions, Severity};

use super::support::Folder;

const SITE: &str = "[server]\npublic_url = \"https://sso.example.com\"\n\
    [[provider]]\nissuer = \"https://idp.example.com\"\nclient_id = \"crm\"\nclient_secret = \"s\"\n[pages]\n";

fn parse(pages: &str, folder: &Path) -> Result<Config, ConfigError> {
    Config::parse(&format!("{SITE}{pages}\n"), "claimgate.toml", folder, &Extensions::builtin())
}

#[test]
fn a_logo_is_read_with_its_type_and_bounded() {
    let folder = Folder::new();
    folder.write("a.svg", b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>");
    folder.write("largest.png", [&b"\x89PNG\r\n\x1a\n"[..], &vec![0; 256 * 1024 - 8]].concat());
    folder.write("larger.png", [&b"\x89PNG\r\n\x1a\n"[..], &vec![0; 256 * 1024 - 7]].concat());
    folder.write("page.svg", b"<html><script>1</script></html>");
    for (name, found) in [
        ("a.svg", Ok("image/svg+xml")),
        ("largest.png", Ok("image/png")),
        ("larger.png", Err("has more than 256 KiB")),
        ("page.svg", Err("is neither PNG nor SVG")),
        ("absent.svg", Err("No such file")),
        (".", Err("is no regular file")),
    ] {
        let config = parse(&format!("logo_file = \"{name}\""), Path::new(&folder.path("")));
        match (config, found) {
            (Ok(config), Ok(content_type)) => {
                let logo = config.pages.logo.unwrap();
                assert_eq!(logo.content_type, content_type);
                assert_eq!(*logo.bytes, *fs::read(folder.path(name)).unwrap());
            }
            (Err(error), Err(said)) => {
                assert_eq!(error.faults()[0].setting.as_deref(), Some("pages.logo_file"));
                assert!(error.to_string().contains(said), "{error}");
            }
            (config, _) => panic!("{name}: {:?}", config.map(|config| config.pages)),
        }
    }
}

#[test]
fn a_color_and_a_name_are_checked() {
    for (pages, said) in [
        ("accent_color = \"teal\"", "`teal` is no colour"),
        ("accent_color = \"#0b7a7\"", "write six hexadecimal digits"),
        ("name = \"\"", "must not be empty"),
        ("name = \"a\\nb\"", "on one line"),
    ] {
        let error = parse(pages, Path::new("")).unwrap_err();
        assert!(error.to_string().contains(said), "{error}");
    }
    let long = parse(&format!("name = \"{}\"", "é".repeat(101)), Path::new("")).unwrap_err();
    assert!(long.to_string().contains("at most 100 characters"), "{long}");
    let config = parse(&format!("name = \"{}\"", "é".repeat(100)), Path::new("")).unwrap();
    assert_eq!(config.pages.accent, None);
}

#[test]
fn a_color_that_cannot_be_read_as_text_is_remarked_on() {
    for (accent, said) in [
        ("#ffd700", vec!["contrast of 1.4 with the light page"]),
        ("#00205b", vec!["with the dark page"]),
        ("#767676", vec!["with the dark page"]),
    ] {
        let config = parse(&format!("accent_color = \"{accent}\""), Path::new("")).unwrap();
        assert_eq!(config.pages.accent, Color::parse(accent));
        let notes: Vec<_> = config.notes.iter().filter(|note| note.setting == "pages.accent_color").collect();
        assert_eq!(notes.len(), said.len(), "{notes:?}");
        for (note, said) in notes.iter().zip(said) {
            assert_eq!(note.severity, Severity::Note);
            assert!(note.to_string().contains(said), "{note}");
        }
    }
}
