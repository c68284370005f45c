//! What pages show of the organisation, prepared once for a configuration: its name, its logo, and the style sheet
//! with its colour.

use ring::digest::{SHA256, digest};

use claimgate::base64url;
use claimgate_config::{Color, Logo, Pages, PublicUrl};

/// The style sheet; a file of its own, so that the content security policy needs no exception.
pub(crate) const STYLE: &str = concat!(include_str!("tokens.css"), include_str!("style.css"));

/// The look of the pages.
pub(crate) struct Appearance {
    /// The organisation's name; without one the host of `public_url`.
    pub(crate) name: String,
    /// The host of `public_url`.
    pub(crate) host: String,
    /// The style sheet.
    pub(crate) style: String,
    /// The address of the style sheet. It changes with the content, which browsers keep.
    pub(crate) style_url: String,
    pub(crate) logo: Option<Logo>,
    /// The address of the logo.
    pub(crate) logo_url: Option<String>,
}

impl Appearance {
    /// Prepares the look. Addresses are absolute: a page may be shown at an application's address.
    pub(crate) fn new(pages: &Pages, url: &PublicUrl) -> Self {
        let host = url.origin.split_once("://").map_or(&*url.origin, |(_, host)| host).to_owned();
        let style = format!("{STYLE}{}", pages.accent.map(colors).unwrap_or_default());
        let address = |name: &str, content: &[u8]| {
            let tag = base64url::encode(&digest(&SHA256, content).as_ref()[..6]);
            url.join(&format!("/assets/{name}?v={tag}"))
        };
        Self {
            name: pages.name.clone().unwrap_or_else(|| host.clone()),
            host,
            style_url: address("claimgate.css", style.as_bytes()),
            style,
            logo_url: pages.logo.as_ref().map(|logo| address("logo", &logo.bytes)),
            logo: pages.logo.clone(),
        }
    }
}

/// Returns the rules that set the organisation's colour.
fn colors(accent: Color) -> String {
    let (light, dark) = (accent.legible_on(Pages::LIGHT), accent.legible_on(Pages::DARK));
    format!(
        ":root {{ --accent: {accent}; --on-accent: {}; --link: {light}; }}\n\
         @media (prefers-color-scheme: dark) {{ :root {{ --link: {dark}; }} }}\n",
        accent.text_on()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appearance(pages: &Pages) -> Appearance {
        let url =
            PublicUrl { origin: "https://sso.example.com:8443".into(), path: "/sso".into(), https: true };
        Appearance::new(pages, &url)
    }

    #[test]
    fn the_colors_of_the_style_sheet_are_those_that_the_configuration_reckons_with() {
        for ground in [Pages::LIGHT, Pages::DARK] {
            assert!(STYLE.contains(&format!("--surface: {ground};")), "{ground}");
        }
    }

    #[test]
    fn the_style_sheet_has_a_new_address_when_it_changes() {
        let plain = appearance(&Pages::default());
        let yellow = appearance(&Pages { accent: Color::parse("#ffd700"), ..Pages::default() });
        assert_eq!(plain.style, STYLE);
        assert!(plain.style_url.starts_with("https://sso.example.com:8443/sso/assets/claimgate.css?v="));
        assert_ne!(plain.style_url, yellow.style_url);
        assert_eq!((plain.name.as_str(), plain.logo_url), ("sso.example.com:8443", None));
        assert!(yellow.style.contains("--accent: #ffd700; --on-accent: #000000;"), "black is read on yellow");
        assert!(!yellow.style.contains("--link: #ffd700; }\n@media"), "yellow is not read on white");
        assert!(yellow.style.ends_with(":root { --link: #ffd700; } }\n"), "yellow is read on the dark page");
    }

    /// Returns the values of the custom properties of a part of the style sheet.
    fn properties(part: &str) -> impl Fn(&str) -> Color {
        move |name| {
            let value = part.split(&format!("--{name}: ")).nth(1).and_then(|rest| rest.get(..7));
            value.and_then(Color::parse).unwrap_or_else(|| panic!("{name} is no colour"))
        }
    }

    #[test]
    fn every_text_of_the_style_sheet_is_legible_and_every_field_has_an_edge() {
        let (light, dark) = STYLE.split_once("@media (prefers-color-scheme: dark)").expect("both are there");
        for part in [light, dark] {
            let color = properties(part);
            for (text, ground) in [
                ("text", "ground"),
                ("text", "surface"),
                ("text", "raised"),
                ("muted", "ground"),
                ("muted", "surface"),
                ("muted", "raised"),
                ("muted", "problem-ground"),
                ("text", "problem-ground"),
                ("problem", "surface"),
                ("problem", "problem-ground"),
                ("done", "done-ground"),
                ("warning", "warning-ground"),
                ("link", "surface"),
                ("link", "raised"),
                ("on-accent", "accent"),
            ] {
                let contrast = color(text).contrast(color(ground));
                assert!(contrast >= claimgate_config::LEGIBLE, "{text} on {ground}: {contrast:.2}");
            }
            let contrast = color("field-edge").contrast(color("surface"));
            assert!(contrast >= 3.0, "an edge of a field: {contrast:.2}");
        }
    }
}
